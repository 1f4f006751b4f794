"""Digests of outside files, kept beside the results by path, size and time of change.

An image set of 90 GB is read once, not at every launch, dry run and worker.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from jobs.store import stage
from sigmaflow.atomic import write_json

FORMAT = 1
FILE = "digests.json"
# A file written again within its clock's grain may look the same: only older ones are believed.
GRAIN = 2.0  # seconds
WORTH = 16 * 2**20  # bytes of a file from which its digest is worth a file of ours


def load(runs: str | Path) -> None:
    """Believe the digests kept in ``runs``. One that cannot be read is as none."""
    try:
        kept = json.loads((Path(runs) / FILE).read_bytes())
        if kept["format"] != FORMAT:
            return
        for path, (size, changed, digest) in kept["files"].items():
            stage.known_digests.setdefault((path, int(size), int(changed)), str(digest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return


@contextlib.contextmanager
def remembered(runs: str | Path) -> Iterator[None]:
    """Digests taken inside are kept in ``runs``, if they took long; those kept there are used.

    A folder that cannot be written is no error.
    """
    load(runs)
    before = set(stage.known_digests)
    yield
    new = set(stage.known_digests) - before
    if any(size >= WORTH for _, size, _ in new):
        with contextlib.suppress(OSError):
            _save(Path(runs))


def _save(runs: Path) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    load(runs)  # another launch may have written in the meantime
    old = time.time_ns() - int(GRAIN * 1e9)
    files = {}
    for (path, size, changed), digest in stage.known_digests.items():
        with contextlib.suppress(OSError):
            if size >= WORTH and stage.extent(path) == (size, changed) < (size, old):
                files[path] = [size, changed, digest]
    write_json(runs / FILE, {"format": FORMAT, "files": files})

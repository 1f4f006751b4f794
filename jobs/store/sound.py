"""Whether published results still hold the bytes that they were published with.

Markers list each file's sha256, and its stamp: times of change and inode. A file with its stamp is
believed; small ones are read all the same, once a process, since a bad disk changes no time. What
has another stamp (damaged, edited, or copied with the store) is read, and if it is right its stamp
is kept in ``.checked.json`` beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigmaflow.atomic import write_json
from sigmaflow.files import sha256_file

NOTE = ".checked.json"  # in a result's folder: stamps of files that were read and found right
SMALL = 256 * 2**10  # bytes of a file that is read whatever its stamp
LARGE = 16 * 2**20  # bytes of a file that is read where its content is needed, not by a driver

Stamp = list[int]
_read: set[tuple[str, int, tuple[int, ...]]] = set()  # path, size, stamp: found right here


class DamagedInput(RuntimeError):
    """A result that a task needs is not what was published, or gone; it must be made again."""


def damage(label: str, file: Path, aside: Path | None) -> str:
    """What to tell of a damaged result: the file, and where the result was moved to."""
    place = f"; its folder is kept as {aside.name}" if aside else ""
    return f"{label}: {file} is not as it was published (another sha256){place}; it is made again"


def stamp(status: os.stat_result) -> Stamp:
    """What tells that nobody has written to a file: times of change (ns) and inode."""
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def damaged(folder: Path, marker: Mapping[str, Any], most: int | None = None) -> str | None:
    """The first file of a finished folder that is not as ``marker`` has it; None where all are.

    Files above ``most`` bytes are not read. Sizes must be right already (`read_marker`).
    """
    known = marker.get("stamps")
    known = dict(known) if isinstance(known, dict) else {}
    with contextlib.suppress(OSError, ValueError):
        note = json.loads((folder / NOTE).read_bytes())
        known |= note if isinstance(note, dict) else {}
    fresh: dict[str, Stamp] = {}
    for name, entry in marker["files"].items():
        path = folder / name
        try:
            status = os.stat(path)
            size, now = status.st_size, stamp(status)
            if (token := (str(path), size, tuple(now))) in _read:
                continue
            believed = known.get(name) == now
            if not (believed and size > SMALL):
                if most is not None and size > most:
                    continue  # by whoever needs its content
                if size != entry["size"] or sha256_file(path) != entry["sha256"]:
                    return str(name)
        except (OSError, KeyError, TypeError):
            return str(name)
        _read.add(token)
        if not believed:
            fresh[name] = now
    if fresh:
        with contextlib.suppress(OSError):  # a disk that cannot be written: read again next time
            write_json(folder / NOTE, {**known, **fresh}, flush=False)
    return None

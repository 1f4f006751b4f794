"""Results that this code cannot ask for any more, and folders that were set aside.

A result is found by its stage, version, settings and inputs. One of an older version of its stage,
or made of one that is, stays on the disk and is never found again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.stage import Stage
from jobs.store.store import MARKER, SHORT, SPEC, WORK, Store, locked

ASIDE = (".broken-", ".old-")  # begin the names of what was moved out of the way


@dataclass(frozen=True)
class Orphan:
    """A folder of the store that nothing finds.

    Attributes:
        folder: Where it lies.
        stage: Name of its stage.
        why: In words.
        size: Bytes of its files.
    """

    folder: Path
    stage: str
    why: str
    size: int


def orphans(store: Store, stages: Iterable[Stage]) -> list[Orphan]:
    """All of a store, in the order of their paths.

    A result whose input is not there any more is judged by its own stage alone. What cannot be read
    is not touched: `python -m jobs.verify` names it.

    Args:
        store: The results.
        stages: Those of this code.
    """
    current = {stage.name: stage.version for stage in stages}
    specs = {path: spec for path in _folders(store.root) if (spec := _spec(path)) is not None}
    # By the name of its folder, a result's spec: inputs are known by keys, not by stages.
    finished = {path.name: spec for path, spec in specs.items() if (path / MARKER).exists()}
    reasons: dict[str, str] = {}
    found = []
    for path, spec in specs.items():
        if why := _reason(spec, current, finished, reasons):
            found.append(Orphan(path, str(spec["stage"]), why, _size(path)))
    for place in sorted(store.root.glob("[!.]*")):
        for path in sorted(p for start in ASIDE for p in place.glob(f"{start}*") if p.is_dir()):
            found.append(Orphan(path, place.name, "was set aside", _size(path)))
    return sorted(found, key=lambda one: one.folder)


def remove(one: Orphan) -> None:
    """Delete an orphan's folder; the marker first, so that what is left is no result.

    Raises:
        OSError: Its stage's folder cannot be written.
    """
    with locked(one.folder.parent if one.folder.parent.name != WORK else one.folder.parent.parent):
        (one.folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(one.folder)


def _folders(root: Path) -> Iterator[Path]:
    """Finished results and unfinished attempts."""
    for place in sorted(root.glob("[!.]*")):
        for above in (place, place / WORK):
            if above.is_dir():
                yield from sorted(p for p in above.glob("[!.]*") if p.is_dir())


def _spec(path: Path) -> dict[str, Any] | None:
    """What a folder's task is; None where it does not say so as this code writes it."""
    try:
        spec = json.loads((path / SPEC).read_bytes())
        fine = isinstance(spec["version"], int) and isinstance(spec["inputs"], dict)
        return spec if fine and isinstance(spec["stage"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reason(
    spec: Mapping[str, Any],
    current: Mapping[str, int],
    finished: Mapping[str, Mapping[str, Any]],
    known: dict[str, str],
) -> str:
    """Why nothing asks for a task; empty where something may."""
    key = str(spec.get("key"))
    if key not in known:
        stage, version = spec["stage"], spec["version"]
        now = current.get(stage)
        if now is None:
            known[key] = "its stage is gone"
        elif now != version:
            known[key] = f"version {version}, now {now}"
        else:
            known[key] = ""
            for name in _inputs(spec):
                made = finished.get(name[:SHORT])
                if made is not None and _reason(made, current, finished, known):
                    known[key] = f"made of an older {made['stage']}"
                    break
    return known[key]


def _inputs(spec: Mapping[str, Any]) -> Iterator[str]:
    """Keys of the results that a task reads."""
    for value in spec["inputs"].values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and not one.startswith("file:"):
                yield one


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total

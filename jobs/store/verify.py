"""All bytes of finished results against the digests that they were published with.

Nothing is believed from memory or by times of change, and nothing is kept: a check that was killed
begins again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shlex
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.ledger import SWEEPS, launches, read_plan, sweeps
from jobs.store.stage import canonical
from jobs.store.store import FORMAT, MARKER, SHORT, SPEC, Store, locked
from sigmaflow.atomic import move_folder

CHUNK = 4 * 2**20  # bytes that are read at once
Tell = Callable[[int], None]  # called with the bytes that were read since


@dataclass(frozen=True)
class Finished:
    """A folder of the store with a marker: its files by name, with size and digest."""

    stage: str
    folder: Path
    marker: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all its files, as the marker has them."""
        return sum(entry["size"] for entry in self.marker["files"].values())


@dataclass(frozen=True)
class Told:
    """A folder that cannot be compared, and why; damaged where that is damage."""

    folder: Path
    said: str
    damaged: bool


@dataclass(frozen=True)
class Damage:
    """A result whose bytes are not those that were published."""

    stage: str
    folder: Path
    files: tuple[str, ...]  #: "name: what is wrong with it"


def found(store: Store, stage: str | None, keys: Set[str] | None) -> Iterator[Finished | Told]:
    """The results of a store, stage by stage; of one ``stage``, or those of ``keys`` alone.

    Folders of other formats and those without a marker come as `Told`.
    """
    short = None if keys is None else {key[:SHORT] for key in keys}
    for place in sorted(store.root.glob("[!.]*")):
        if not place.is_dir() or stage not in (None, place.name):
            continue
        for folder in sorted(place.glob("[!.]*")):
            if folder.is_dir() and (short is None or folder.name in short):
                yield _look(place.name, folder)


def _look(stage: str, folder: Path) -> Finished | Told:
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except FileNotFoundError:
        return Told(folder, f"has no {MARKER}: a launch was killed here, and the next one ends it",
                    False)  # fmt: skip
    except (OSError, ValueError) as error:
        return Told(folder, f"{MARKER} cannot be read ({error})", True)
    form = marker.get("format") if isinstance(marker, dict) else None
    if isinstance(form, int) and form != FORMAT:
        return Told(folder, f"is of format {form}, this version reads {FORMAT}: left out", False)
    try:
        sized = all(isinstance(entry["size"], int) and isinstance(entry["sha256"], str)
                    for entry in marker["files"].values())  # fmt: skip
    except (KeyError, TypeError, AttributeError):
        sized = False
    if not sized or form is None or str(marker.get("key", ""))[:SHORT] != folder.name:
        return Told(folder, f"{MARKER} is not what was written", True)
    return Finished(stage, folder, marker)


def damage(one: Finished, tell: Tell = lambda count: None) -> Damage | None:
    """Every file of a result that is not as it was published; None where all are.

    ``tell`` hears of all the bytes that the marker lists, those of missing files too.
    """
    wrong = []
    for name, entry in one.marker["files"].items():
        told = 0

        def read(count: int) -> None:
            nonlocal told
            told += count
            tell(count)

        said = _wrong(one.folder / name, entry, read)
        tell(max(entry["size"] - told, 0))
        if said:
            wrong.append(f"{name}: {said}")
    if not _spec_is_right(one):
        wrong.append(f"{SPEC}: not what its key was made of")
    return Damage(one.stage, one.folder, tuple(wrong)) if wrong else None


def _wrong(path: Path, entry: dict[str, Any], tell: Tell) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry["size"]:
                return f"{size} bytes, of {entry['size']}"
            with contextlib.suppress(OSError, AttributeError):  # the disk's bytes, not memory's
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while block := file.read(CHUNK):
                digest.update(block)
                tell(len(block))
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if digest.hexdigest() == entry["sha256"] else "another sha256"


def _spec_is_right(one: Finished) -> bool:
    try:
        said = json.loads((one.folder / SPEC).read_bytes())
        spec = {name: said[name] for name in ("stage", "version", "config", "inputs")}
        key = hashlib.sha256(canonical(spec).encode()).hexdigest()
        return bool(key == said["key"] == one.marker["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def makers(runs: Path) -> dict[str, dict[str, str]]:
    """By the name of a result's folder, the sweeps whose plan has it, each with the command that
    launched it (empty where that is not known)."""
    by: dict[str, dict[str, str]] = {}
    for name in sweeps(runs):
        known = launches(runs / SWEEPS / name)
        if not known:
            continue
        command = known[0].record.get("command") or []
        text = shlex.join(map(str, command)) if isinstance(command, list) else ""
        for key in read_plan(known).tasks:
            by.setdefault(key[:SHORT], {})[name] = text
    return by


def running(runs: Path) -> list[str]:
    """Names of the sweeps of which a launch lives."""
    return [name for name in sweeps(runs)
            if any(one.alive for one in launches(runs / SWEEPS / name))]  # fmt: skip


def quarantine(folder: Path) -> Path | None:
    """Move a damaged result aside, where launches do not find it; its new place, None where it is
    gone. Raises OSError where the store cannot be written."""
    with locked(folder.parent):
        if not folder.exists():
            return None
        aside = folder.parent / f".broken-{folder.name}-{secrets.token_hex(4)}"
        move_folder(folder, aside)
    return aside

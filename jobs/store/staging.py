"""Inputs on a node's own disk: copied once a node, checked by digest, shared by its processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import stat
from pathlib import Path

from sigmaflow import atomic

VARIABLE = "SIGMAFLOW_LOCAL"  # the folder; set by whoever starts work on a node
READERS = "SIGMAFLOW_DATA_WORKERS"  # threads that decode images
SPARE = 1 << 30  # bytes left free on the node's disk
log = logging.getLogger(__name__)


class StagingError(RuntimeError):
    """A file is not what the run was planned with, or there is no place for it."""


def stage_to(folder: str | None) -> None:
    """Have this process and its children take inputs from a folder of the node; None: no change.

    Variables in it are those of the node. Raises StagingError for one that is not set there.
    """
    if folder is None:
        return
    place = os.path.expandvars(os.path.expanduser(folder))
    if "$" in place:
        raise StagingError(
            f"profile key local_folder: {folder!r} names a variable that is not set "
            "on this node; give another folder, or none"
        )
    os.environ[VARIABLE] = os.path.abspath(place)


def read_with(workers: int | None) -> None:
    """Have stages here decode large image sets by so many threads; None: no change."""
    if workers is not None:
        os.environ[READERS] = str(workers)


def data_workers() -> int:
    """Threads that decode large image sets: as said, else a core each, four at most.

    They change no result, so no key knows them.
    """
    said = os.environ.get(READERS, "")
    if not said:
        return min(4, len(os.sched_getaffinity(0)))
    if not said.isdigit():
        raise StagingError(f"{READERS} is {said!r}; set it to a whole number, 0 for no threads")
    return int(said)


def local_copy(path: str | Path, digest: str, folder: str | Path) -> Path:
    """The file ``path`` (sha256 ``digest``) below ``folder``, copied there where it is not yet.

    Files of one folder stay together under their names, because some are found beside others. An
    input that is a folder stays where it is: it may hold a hundred thousand files. A full disk is
    no error: then the original is returned, as it is where other users can write the copies'
    folder, who could put another file in the place of one that was checked.
    Raises StagingError when the content is not that of the digest.
    """
    source = Path(os.path.abspath(path))
    if source.is_dir():
        _check(source, digest)
        return source
    name = hashlib.sha256(str(source.parent).encode()).hexdigest()[:16]
    place = Path(folder) / f"{name}-{os.getuid()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if not _ours(place):
        log.warning("%s belongs to somebody else; %s is read where it is", place, source)
        _check(source, digest)
        return source
    target, note = place / source.name, place / f".{source.name}.sha256"
    with open(place / ".lock", "ab") as lock:  # one copies, the others of this node wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists() and note.exists() and note.read_text() == digest:
            return target
        if shutil.disk_usage(place).free < os.stat(source).st_size + SPARE:
            _check(source, digest)
            return source
        note.unlink(missing_ok=True)
        atomic.write_with(target, lambda temporary: _copy(source, temporary, digest))
        atomic.write_text(note, digest)
    return target


def _ours(place: Path) -> bool:
    """Whether a folder is ours and nobody else may write there."""
    there = os.lstat(place)
    return (stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid()
            and not there.st_mode & (stat.S_IWGRP | stat.S_IWOTH))  # fmt: skip


def _copy(source: Path, target: Path, digest: str) -> None:
    found = hashlib.sha256()
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while block := reader.read(1 << 20):
            found.update(block)
            writer.write(block)
    if found.hexdigest() != digest:
        raise StagingError(f"{source} was changed after this run began; start again")


def _check(source: Path, digest: str) -> None:
    from jobs.store.stage import file_digest

    if file_digest(source) != digest:
        raise StagingError(f"{source} was changed after this run began; start again")

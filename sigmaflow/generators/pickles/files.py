"""Source files, mapped and hashed, and folders that may be in the way."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

from ..checkpoint import CheckpointError
from .errors import MAX_FILE, PickleError


def map_file(path: Path) -> memoryview:
    """The file, mapped: pages come as they are read and need no memory of their own."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise PickleError(f"{path}: {error.strerror}; give the path of a snapshot") from error
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise PickleError(f"{path}: is no file; give the path of a snapshot")
        if not 0 < about.st_size <= MAX_FILE:
            raise PickleError(
                f"{path}: {about.st_size} bytes; snapshots have some and at most {MAX_FILE}"
            )
        return memoryview(mmap.mmap(handle, about.st_size, access=mmap.ACCESS_READ))
    finally:
        os.close(handle)


def is_conversion(folder: Path, source: str, source_of: Callable[[Path], str]) -> bool:
    """Whether `folder` is a conversion of the source with this sha256 already.

    source_of: reads the recorded sha256 of a folder. Raises CheckpointError where something else
    is in the way; False where nothing is.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        if source_of(folder) == source:
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CheckpointError(f"{folder}: there is something else already; give another folder")

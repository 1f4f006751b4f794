"""`.npz` files of others: what their members claim is checked before any is unpacked."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sigmaflow.zipdir import check_directory

MOST_BYTES = 2**30  # of all arrays together
MOST_MEMBERS = 1000
MOST_DIRECTORY = 2**20  # bytes


def open_npz(path: str | Path, most: int = MOST_BYTES) -> Any:
    """The arrays of an `.npz` by name, each read when it is asked for; close it.

    Raises FileNotFoundError without the file, and ValueError naming file and member where it is no
    `.npz`, is damaged, holds objects, or claims more than ``most`` bytes or than it holds.
    """
    path = Path(path)
    try:
        check_directory(path, MOST_DIRECTORY)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if len(members) > MOST_MEMBERS or total > most:
                raise ValueError(
                    f"{len(members)} members of {total} bytes, of {MOST_MEMBERS} and {most} at most"
                )
            for member in members:
                with archive.open(member) as file:
                    if said := _claim(file, member.file_size):
                        raise ValueError(f"{member.filename}: {said}")
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, MemoryError,
            zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise ValueError(f"{path}: no whole .npz ({error}); copy or make it again") from error


def _claim(file: Any, size: int) -> str:
    """What is wrong with an array's header against its member's size; empty where nothing is."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else (np.lib.format.read_array_header_2_0)
    )
    shape, _, dtype = read(file, max_header_size=10_000)
    if dtype.hasobject:
        return "holds objects, not numbers"
    told = file.tell() + math.prod(shape) * dtype.itemsize
    return "" if told == size else f"{size} bytes, of {told} that its header tells"

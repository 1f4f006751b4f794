"""How long the directory of a zip is, before anybody builds a list of what it names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

ENTRY = 46  # bytes of an entry without its name, at least
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_COMMENT = 2**16  # bytes that may stand behind the end


def check_directory(path: str | Path, most: int) -> None:
    """Raises ValueError where the directory of a zip takes more than ``most`` bytes; nothing where
    the file is no zip, which whoever opens it says."""
    size = directory_size(path)
    if size > most:
        raise ValueError(f"its directory has {size} bytes, which may name {size // ENTRY} files, of"
                         f" {most} bytes at most")  # fmt: skip


def directory_size(path: str | Path) -> int:
    """Bytes that a zip says its directory takes; the larger where it says two sizes, 0 where the
    file is no zip. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        total = file.seek(0, os.SEEK_END)
        start = max(0, total - _END.size - _COMMENT - _LOCATOR.size - _END64.size)
        file.seek(start)
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return 0
    sizes = [_END.unpack_from(tail, at)[5]]
    locator = at - _LOCATOR.size
    if locator >= _END64.size and tail[locator : locator + 4] == b"PK\6\7":
        end = _END64.unpack_from(tail, locator - _END64.size)
        if end[0] == b"PK\6\6":
            if sizes[0] == 0xFFFFFFFF:
                sizes = []
            sizes.append(end[8])
    return max(sizes)

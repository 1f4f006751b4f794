"""The files of an image set, in a zip or in a folder, read by name from any thread or process."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sigmaflow.zipdir import check_directory

MOST_DIRECTORY = 128 * 2**20  # bytes of a zip's directory: about a million pictures
AGAIN = "copy the set again, or take the picture out of it and of dataset.json"
_LOCAL = struct.Struct("<4s22xHH")  # a zip's local header: signature, lengths of name and extra


def too_large(size: int, most: int) -> str:
    """What is said of a member that is larger than it may be."""
    return f"has {size} bytes unpacked, of {most} at most; leave out what is no picture or label"


class _Place(NamedTuple):
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    encrypted: bool


class ZipMembers:
    """Members of a zip, each read by its position in the file.

    Nothing is shared by readers, not even a file offset: threads need no lock, forked processes do
    not disturb each other, and a pickled reader opens the file anew. Raises ValueError where the
    file is no whole zip.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            check_directory(self.path, MOST_DIRECTORY)
        except OSError as error:
            raise ValueError(f"{self.path}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; give the set as a folder, or a zip of fewer"
                             " files") from error  # fmt: skip
        try:
            with zipfile.ZipFile(self.path) as archive:
                self._end = archive.start_dir
                self._places = {
                    i.filename: _Place(i.header_offset, i.compress_size, i.file_size, i.CRC,
                                       i.compress_type, bool(i.flag_bits & 1))
                    for i in archive.infolist() if not i.is_dir()
                }  # fmt: skip
            self._file = open(self.path, "rb", buffering=0)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise ValueError(
                f"{self.path}: not a readable zip ({error}); it may have been cut off "
                "on its way: copy it again"
            ) from error

    def names(self) -> Collection[str]:
        return self._places.keys()

    def trouble(self, name: str, most: int) -> str:
        """What the directory alone says against a member that is there and may have ``most`` bytes;
        empty where nothing."""
        place = self._places[name]
        if place.size > most:
            return too_large(place.size, most)
        if place.encrypted:
            return "is encrypted; pack the set without a password"
        if place.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return f"is packed by method {place.method}; pack the set stored or deflated"
        if place.size == 0:
            return f"is empty; {AGAIN}"
        if place.offset + _LOCAL.size + place.packed > self._end:
            return f"reaches beyond the end of what the zip holds; {AGAIN}"
        return ""

    def read(self, name: str) -> bytes:
        """The bytes of a member, of the size and checksum that the directory says.

        Raises OSError with the reason, KeyError for a name that is not there, and ValueError where
        the set was closed.
        """
        place = self._places[name]
        data = self._bytes(place.packed, self._begin(place))
        if place.method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompressobj(-15).decompress(data, place.size + 1)
            except zlib.error as error:
                raise OSError(str(error)) from error
        if len(data) != place.size:
            raise OSError(f"{len(data)} bytes where the directory says {place.size}")
        if zlib.crc32(data) != place.crc:
            raise OSError("its checksum is wrong")
        return data

    def head(self, name: str, count: int) -> bytes:
        """The first ``count`` bytes of a member, or all of a shorter one. Raises as `read`; no
        checksum is looked at."""
        place = self._places[name]
        data = self._bytes(min(place.packed, count + 64), self._begin(place))
        if place.method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompressobj(-15).decompress(data, count)
            except zlib.error as error:
                raise OSError(str(error)) from error
        return data[:count]

    def _begin(self, place: _Place) -> int:
        """Where a member's bytes lie in the file."""
        header = self._bytes(_LOCAL.size, place.offset)
        signature, name_length, extra = _LOCAL.unpack(header.ljust(_LOCAL.size, b"\0"))
        if signature != b"PK\3\4":
            raise OSError("nothing of a zip lies at its place")
        return place.offset + _LOCAL.size + name_length + extra

    def _bytes(self, count: int, offset: int) -> bytes:
        parts, file = [], self._file.fileno()
        while count > 0 and (part := os.pread(file, count, offset)):
            parts.append(part)
            count, offset = count - len(part), offset + len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k != "_file"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._file = open(self.path, "rb", buffering=0)


class FolderMembers:
    """Files below a folder, by their names with slashes; as `ZipMembers`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._sizes = {
            p.relative_to(self.path).as_posix(): p.stat().st_size
            for p in self.path.rglob("*") if p.is_file()
        }  # fmt: skip

    def names(self) -> Collection[str]:
        return self._sizes.keys()

    def trouble(self, name: str, most: int) -> str:
        if self._sizes[name] > most:
            return too_large(self._sizes[name], most)
        return "" if self._sizes[name] else f"is empty; {AGAIN}"

    def read(self, name: str) -> bytes:
        if name not in self._sizes:
            raise KeyError(name)
        return (self.path / name).read_bytes()

    def head(self, name: str, count: int) -> bytes:
        if name not in self._sizes:
            raise KeyError(name)
        with open(self.path / name, "rb") as file:
            return file.read(count)

    def close(self) -> None:
        """Nothing is open."""


def open_members(path: str | Path) -> ZipMembers | FolderMembers:
    """Members of the zip or folder at ``path``. Raises ValueError naming it."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    return FolderMembers(path) if path.is_dir() else ZipMembers(path)

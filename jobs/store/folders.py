"""Files of a folder together: listed, flushed, removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sigmaflow.atomic import TEMPORARY, fsync_file, fsync_folder

AT_ONCE, FEW = 8, 4  # files that are hashed or flushed, and how many one after the other

T = TypeVar("T")


def finished(folder: Path, apart: Set[str] = frozenset()) -> Iterator[Path]:
    """All in the folder but what is named; files that were never finished are removed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(TEMPORARY):
                remove(path)
            elif entry.name not in apart:
                yield path
                if entry.is_dir(follow_symlinks=False):
                    yield from finished(path)


def each(function: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Of every path. The disk takes many together in the time of one; of few, threads cost more."""
    if len(paths) <= FEW:
        return [function(path) for path in paths]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, paths))


def fsync(path: Path) -> None:
    (fsync_folder if path.is_dir() else fsync_file)(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

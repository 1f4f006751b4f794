"""Files that are either whole or not there.

Everything is written under a temporary name in the same folder, flushed to the disk and then
renamed, so a kill or a power cut leaves the old file or the new one, never half of it.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".tmp-"  # how the name of every unfinished file starts; safe to delete at any time


def write_with(path: str | Path, write: Callable[[Path], None], flush: bool = True) -> None:
    """Let ``write`` fill a temporary file, then put it at ``path`` in one step.

    Without ``flush`` a kill leaves the old file or the new one as well, a power cut may not.
    Raises OSError naming ``path`` when the disk is full or the folder cannot be written; the
    temporary file is gone then, and whatever was at ``path`` before is still there.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        write(temporary)
        if flush:
            fsync_file(temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _named(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if flush:
        fsync_folder(path.parent)


def write_bytes(path: str | Path, data: bytes, flush: bool = True) -> None:
    """Write ``data`` to ``path`` atomically; errors and ``flush`` as in `write_with`."""
    write_with(path, lambda temporary: _dump(temporary, data), flush)


def write_text(path: str | Path, text: str, flush: bool = True) -> None:
    """Write ``text`` as UTF-8 to ``path`` atomically; errors and ``flush`` as in `write_with`."""
    write_bytes(path, text.encode("utf-8"), flush)


def write_json(path: str | Path, value: object, flush: bool = True) -> None:
    """Write ``value`` as readable JSON with sorted keys; NaN and infinity are a ValueError."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", flush)


def write_folder_with(folder: str | Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary folder, then put it at ``folder`` in one step.

    Folders above are made. Raises OSError where ``folder`` exists and is not empty; the temporary
    folder is gone then, as after any other error.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{folder.name}")
    temporary.mkdir()
    try:
        write(temporary)
        for file in temporary.iterdir():
            fsync_file(file)
        move_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_folder(source: str | Path, target: str | Path) -> None:
    """Rename a folder within one file system and make the rename durable.

    Raises OSError when ``target`` exists and is not empty, or ``source`` is missing.
    """
    source, target = Path(source), Path(target)
    os.rename(source, target)
    fsync_folder(target.parent)
    if source.parent != target.parent:
        fsync_folder(source.parent)


def fsync_file(path: str | Path) -> None:
    """Flush a finished file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_folder(path: str | Path) -> None:
    """Flush a folder's list of names; file systems that cannot do this are let off."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def _dump(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _named(error: OSError, path: Path) -> OSError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = "no space left on the disk while writing this; free some and start again"
        return OSError(error.errno, text, str(path))
    return OSError(error.errno, f"cannot write: {error.strerror or error}", str(path))

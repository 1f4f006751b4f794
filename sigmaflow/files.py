"""Digests of files."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path


def sha256_file(path: str | Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_digest(path: str | Path, expected: str) -> str:
    """The file's sha256; ``ValueError`` where it is not ``expected`` (case is ignored)."""
    found = sha256_file(path)
    if found != expected.lower():
        raise ValueError(
            f"{path} is not the expected file: sha256 {found}, expected "
            f"{expected.lower()}; a partial download is the usual cause, fetch it "
            "again"
        )
    return found


def open_to_umask(path: str | Path) -> None:
    """Give a file the mode that any new file has here. Some writers make theirs private (0600),
    and others who share the folder could not read it."""
    path = Path(path)
    probe = path.with_name(f".tmp-{secrets.token_hex(4)}-mode")
    with open(probe, "xb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    probe.unlink()
    os.chmod(path, mode)

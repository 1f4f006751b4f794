"""Atomic writes; stands in for `sigmaflow.atomic` (same two names) until that lands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` under a temporary name, sync it, rename it over `path`, sync the folder."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: str | Path, value: Any) -> None:
    """Write canonical JSON (sorted keys, no NaN), atomically."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False)
    write_bytes(path, (text + "\n").encode())

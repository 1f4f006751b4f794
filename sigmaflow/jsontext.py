"""JSON from files of others: bounded in bytes and depth, with the constants of RFC 8259 only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 16 * 2**20


def loads(text: bytes | str, constants: bool = False) -> Any:
    """A JSON text's value. Raises ValueError where it is none, is nested too deeply, or holds a
    number of thousands of digits, NaN or infinity.

    constants: let NaN and infinity be, for readers that say themselves where one stands.
    """
    try:
        return json.loads(text, parse_constant=None if constants else _refuse)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def read_json(path: str | Path, most: int = MOST_BYTES) -> Any:
    """A JSON file's value. Raises ValueError naming the file where it cannot be read, holds more
    than ``most`` bytes, or as `loads`."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if len(data) > most:
        raise ValueError(f"{path}: more than {most} bytes")
    try:
        return loads(data)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")

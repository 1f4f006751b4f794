"""Seeds: integers from 0 to 2^32 - 1, which is what numpy's ``RandomState`` takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def check_range(first: int, count: int, name: str, counted: str) -> None:
    """Raises ValueError where ``count`` seeds from ``first`` on go beyond the last one.

    ``name`` and ``counted``: the settings of both, for the message.
    """
    if first + count - 1 > MAX_SEED:
        raise ValueError(
            f"{name} {first} and {counted} {count} end at seed {first + count - 1}, above the last"
            f" one, {MAX_SEED}; take fewer or start lower"
        )

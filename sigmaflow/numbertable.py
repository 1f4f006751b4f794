"""Parquet files of others that hold numbers: what their footers claim is checked before reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 5_000_000
MOST_COLUMNS = 1000
MOST_FOOTER = 16 * 2**20  # bytes
MOST_BYTES = 2**30  # of all values together, unpacked


def read_numbers(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The columns of a Parquet file, all that are numbers where none are named.

    Raises ValueError naming the file where it is none, lacks a column, holds other than numbers in
    it, or more rows than `MOST_ROWS`.
    """
    from pyarrow import ArrowException

    file = _open(path, columns)
    names = [field.name for field in file.schema_arrow if _is_number(field.type)]
    try:
        return file.read(columns=list(columns or names), use_threads=False).to_pandas()
    except (OSError, ArrowException, MemoryError) as error:
        raise _error(path, str(error)) from error


def check_numbers(path: str | Path, columns: Sequence[str] | None = None) -> list[str]:
    """As `read_numbers`, of the footer alone: the names of all columns."""
    return list(_open(path, columns).schema_arrow.names)


def _open(path: str | Path, columns: Sequence[str] | None) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        with open(path, "rb") as raw:
            raw.seek(max(raw.seek(0, os.SEEK_END) - 8, 0))
            footer = int.from_bytes(raw.read(4), "little")
        if footer > MOST_FOOTER:
            raise ValueError(f"a footer of {footer} bytes, of {MOST_FOOTER} at most")
        file = parquet.ParquetFile(path, memory_map=False)
        meta, schema = file.metadata, file.schema_arrow
    except (OSError, ArrowException, ValueError) as error:
        raise _error(path, str(error)) from error
    if meta.num_rows > MOST_ROWS or meta.num_columns > MOST_COLUMNS:
        raise _error(path, f"{meta.num_rows} rows of {meta.num_columns} columns, of {MOST_ROWS} and"
                     f" {MOST_COLUMNS} at most")  # fmt: skip
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if size > MOST_BYTES or sum(group.num_rows for group in groups) != meta.num_rows:
        raise _error(path, f"{size} bytes unpacked, of {MOST_BYTES} at most")
    if lacks := sorted(set(columns or ()) - set(schema.names)):
        raise ValueError(f"{str(path)!r} has no column {', '.join(lacks)}")
    for name in columns or ():
        if not _is_number(schema.field(name).type):
            raise ValueError(f"{path}: column {name} is {schema.field(name).type}, no numbers")
    return file


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind)


def _error(path: str | Path, said: str) -> ValueError:
    return ValueError(f"{str(path)!r} is no Parquet file of numbers that can be read ({said})")

"""Typed rows of analyses as Parquet, with what each column means, and as LaTeX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from jobs.output.tables import SCHEMA, tabular
from sigmaflow.analysing import Table

FIRST = {"generator": "name of the generator", "role": "original, tuned or control"}
COLUMNS = "sigmaflow.columns"  # in a table's metadata: JSON of unit and meaning by column


def write_rows(path: Path, table: Table, rows: Sequence[Any]) -> None:
    """The rows of one generator, in the types of their class."""
    parquet.write_table(pa.Table.from_pydict(table.values(rows), schema(table)), path)


def schema(table: Table, first: Sequence[str] = ()) -> pa.Schema:
    """Types of a table's columns, texts in front of them."""
    types = {name: pa.string() for name in first}
    types |= {name: pa.type_for_alias(one["type"]) for name, one in table.columns.items()}
    return pa.schema(list(types.items()))


def joined(parts: Sequence[Path], generators: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The rows of all generators, in front of each `generator` and `role`."""
    frames = []
    for path, said in zip(parts, generators, strict=True):
        frame = parquet.read_table(path).to_pandas()
        for i, name in enumerate(FIRST):
            frame.insert(i, name, said[name])
        frames.append(frame)
    return pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)


def write_frame(
    path: Path,
    table: Table,
    frame: pd.DataFrame,
    version: str,
    more: Mapping[str, str] | None = None,
) -> None:
    """The joined rows; metadata say by which stage and version, what columns hold, and `more`."""
    columns = {name: {"meaning": meaning, "unit": ""} for name, meaning in FIRST.items()} | {
        name: {"meaning": one["meaning"], "unit": one["unit"]}
        for name, one in table.columns.items()
    }
    made = pa.Table.from_pandas(frame, schema(table, list(FIRST)), preserve_index=False)
    said = {SCHEMA: version, COLUMNS: json.dumps(columns), **(more or {})}
    parquet.write_table(made.replace_schema_metadata(
        {**(made.schema.metadata or {}), **{k.encode(): v.encode() for k, v in said.items()}}
    ), path)  # fmt: skip


def latex(table: Table, frame: pd.DataFrame) -> str:
    """The columns that have a form, each with its interval in brackets."""
    short = frame[["generator"]].copy()
    for name, one in table.columns.items():
        if not one["form"]:
            continue
        low, high = one["interval"] or (None, None)
        short[name.replace("_", " ")] = [
            _printed(row[name], one["form"], low and row[low], high and row[high])
            for row in frame.to_dict("records")
        ]
    return tabular(short, table.caption)


def _printed(value: Any, form: str, low: Any, high: Any) -> str:
    if value is None or value != value:
        return "--"
    text = f"{value:{form}}"
    return text if low is None or low != low else f"{text} [{low:{form}}, {high:{form}}]"

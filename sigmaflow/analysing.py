"""Analyses: from quantities of generators to tables and figures.

An analysis is one file of `sigmaflow/analyses`, which defines ``ANALYSIS``. Plans read these files,
so they import no torch, pandas, scipy or matplotlib outside functions.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sigmaflow.measuring import Measured, Quantity, Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Role = Literal["original", "tuned", "control"]
ROLES: tuple[Role, ...] = ("original", "tuned", "control")


@dataclass(frozen=True)
class Subject:
    """A generator as an analysis is asked about it.

    Attributes:
        role: ``original``, ``tuned`` with a reward, or ``control``, tuned without one.
        seeds: The seeds that this sweep evaluates its generators with.
        psi: Their truncation_psi.
        files: Names of the files that quantities of it may read, such as ``reward``, ``heldout``.
    """

    role: Role
    seeds: range
    psi: float
    files: tuple[str, ...] = ("reward",)

    def first(self, count: int | None) -> range:
        """The first seeds, all for None. Raises ValueError where there are not so many."""
        if count is not None and count > len(self.seeds):
            raise ValueError(
                f"seeds {count}: generators are evaluated with {len(self.seeds)} seeds; take so"
                " many, or leave it out"
            )
        return self.seeds[:count]


@dataclass(frozen=True)
class Ask:
    """A quantity of a stretch of seeds at one truncation.

    Attributes:
        quantity: What is measured.
        seeds: Of which latents.
        psi: truncation_psi.
        settings: Over those that the sweep has for the quantity and for its files.
        files: Which of the subject's files stands for one of the quantity's, where that is not the
            one of the same name: ``{"reward": "heldout"}``.
        sides: Of a pair, which of the two it is asked of.
    """

    quantity: Quantity
    seeds: range
    psi: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[Literal["before", "after"], ...] = ("before", "after")


def column(
    meaning: str, unit: str = "", form: str = "", interval: tuple[str, str] | None = None
) -> Any:
    """A field of a row: what a column of its table holds.

    Args:
        meaning: For readers of the table; one line.
        unit: Such as ``reward`` or ``% of head width``; empty for counts and names.
        form: How LaTeX prints it, such as ``.2f``, or ``s`` for texts; empty leaves it out there.
        interval: Names of the fields that hold its 95 % interval.
    """
    return field(metadata={"meaning": meaning, "unit": unit, "form": form,
                           "interval": interval or ()})  # fmt: skip


TYPES = {int: "int64", float: "double", str: "string", bool: "bool"}


@dataclass(frozen=True)
class Table:
    """A table: the dataclass of its rows, made of `column`s, and its caption."""

    name: str
    row: type
    caption: str

    def __post_init__(self) -> None:
        for name, one in self.columns.items():
            if one["type"] is None:
                raise TypeError(f"{self.row.__name__}.{name}: a column holds int, float, str or "
                                "bool")  # fmt: skip
            if "meaning" not in one:
                raise TypeError(f"{self.row.__name__}.{name}: make it by column(...)")
            if missing := [end for end in one["interval"] if end not in self.columns]:
                raise TypeError(f"{self.row.__name__}.{name}: no column {missing[0]} of its "
                                "interval")  # fmt: skip

    @cached_property
    def columns(self) -> dict[str, dict[str, Any]]:
        """By name: ``type`` (Parquet's), and what `column` was told."""
        hints = typing.get_type_hints(self.row)
        return {
            one.name: {"type": TYPES.get(_one_type(hints[one.name])), **one.metadata}
            for one in dataclasses.fields(self.row)
        }

    def values(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        """Columns of rows. Raises TypeError for a row of another class."""
        if wrong := [row for row in rows if type(row) is not self.row]:
            raise TypeError(f"table {self.name}: {wrong[0]!r} is no {self.row.__name__}")
        return {name: [getattr(row, name) for row in rows] for name in self.columns}


def _one_type(hint: Any) -> Any:
    """The type beside None."""
    if isinstance(hint, types.UnionType):
        return next(iter(t for t in typing.get_args(hint) if t is not type(None)), None)
    return hint


@dataclass(frozen=True)
class Analysis:
    """Numbers of each generator that is compared, and a figure of all.

    Attributes:
        name: As its file is called; its key in a sweep file's ``analyses``.
        version: Raised when the same quantities would give other numbers or columns.
        settings: Model of its settings.
        asks: (settings, subject) to the quantities of one generator, by a name of its own; empty
            where it has nothing to say of that role.
        analyse: (measured by name, settings, subject) to rows by table, for one generator. Of a
            pair, ``measured`` has every name twice, as ``before name``, of the original, and as
            ``after name``.
        tables: All that it makes, one row or more for a generator. `generator` and `role` are put
            in front of its columns.
        draw: (tables by name, settings) to figures by name; None draws nothing.
        report_version: Raised when captions or figures change.
        paper: Where the paper has it, such as ``Table 5``.
        pair: Whether it compares a generator with the original that it was tuned from; it is then
            made of all but the original, and ``asks`` is the same for both.
    """

    name: str
    version: int
    settings: type[Settings]
    asks: Callable[[Any, Subject], Mapping[str, Ask]]
    analyse: Callable[[Mapping[str, Measured], Any, Subject], Mapping[str, Sequence[Any]]]
    tables: tuple[Table, ...]
    draw: Callable[[Mapping[str, pd.DataFrame], Any], Mapping[str, Figure]] | None = None
    report_version: int = 1
    paper: str = ""
    pair: bool = False

    def sides(self, settings: Any, subject: Subject) -> dict[str, tuple[str, Ask]]:
        """What is to be measured, by the names that `analyse` finds it under: of which generator
        (``original`` or ``subject``), and what. Empty where there is nothing to say."""
        asked = self.asks(settings, subject)
        if not self.pair:
            return {name: ("subject", ask) for name, ask in asked.items()}
        if subject.role == "original":
            return {}
        return {
            f"{side} {name}": (of, ask)
            for name, ask in asked.items()
            for side, of in (("before", "original"), ("after", "subject"))
            if side in ask.sides
        }

    def rows(
        self, measured: Mapping[str, Measured], settings: Any, subject: Subject
    ) -> dict[str, Sequence[Any]]:
        """`analyse`, checked: every table has its rows. Raises ValueError."""
        found = dict(self.analyse(measured, settings, subject))
        if set(found) != {table.name for table in self.tables}:
            said = ", ".join(table.name for table in self.tables)
            raise ValueError(f"analysis {self.name} must make {said}; it made "
                             f"{', '.join(found) or 'nothing'}")  # fmt: skip
        return found


def finite(value: float) -> float | None:
    """None in place of NaN: a number that there is not."""
    return None if math.isnan(value) else value

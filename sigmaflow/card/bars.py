"""The bars of a card: what is measured, how it must come out, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass

AT_MOST, AT_LEAST = "at most", "at least"
LARGEST = 0.99  #: share of a surface's area that its largest component must have


@dataclass(frozen=True)
class Bar:
    """``limit`` and the ``rule`` by which it holds; ``aim``: what would be better still."""

    rule: str
    limit: float
    aim: float | None = None

    def passed(self, value: float) -> bool:
        """Whether a value keeps to it; NaN does not."""
        return value <= self.limit if self.rule == AT_MOST else value >= self.limit


#: By the measurement that they are of; all others are told without one.
BARS = {
    "fid_mini, psi 1": Bar(AT_MOST, 60.0, 30.0),
    "face found, psi 0.7": Bar(AT_LEAST, 0.9),
    "front view found from both sides, psi 1": Bar(AT_LEAST, 0.9),
    "seeds with one surface, psi 0.7": Bar(AT_LEAST, 0.9),
    "seeds with something at the border, psi 0.7": Bar(AT_MOST, 0.0),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a value with its 95 % interval (None where there is none), of ``n``.

    ``bar``: of `BARS`, where ``bound`` and the measurement has one. ``note``: why there is no
    value. ``unit``: "%" for shares, which are kept in [0, 1].
    """

    measurement: str
    provider: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str = ""
    bound: bool = True
    note: str = ""

    @property
    def bar(self) -> Bar | None:
        return BARS.get(self.measurement) if self.bound else None

    @property
    def passed(self) -> bool | None:
        """None without a bar or without a value."""
        return None if self.bar is None or self.value is None else self.bar.passed(self.value)

    def as_dict(self) -> dict[str, object]:
        """For a table: flat, ``passed`` as "yes", "no" or "" where nothing is asked or known."""
        bar, said = self.bar, {None: "", True: "yes", False: "no"}[self.passed]
        return {
            "measurement": self.measurement, "provider": self.provider, "value": self.value,
            "low": self.low, "high": self.high, "n": self.n, "unit": self.unit,
            "rule": bar.rule if bar else "", "bar": bar.limit if bar else None,
            "aim": bar.aim if bar else None, "passed": said, "note": self.note,
        }  # fmt: skip


def lines(rows: list[Row]) -> list[str]:
    """The table as text: measured value with interval, bar, passed or not."""
    head = ("", "measured", "95 % interval", "n", "bar", "passed", "by")
    table = [head, *(_cells(row) for row in rows if row.value is not None)]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(head))]
    out = ["  ".join(cell.ljust(w) if i in (0, 6) else cell.rjust(w)
                     for i, (cell, w) in enumerate(zip(cells, widths))).rstrip()
           for cells in table]  # fmt: skip
    return out + [f"{row.measurement}: skipped; {row.note}" for row in rows if row.value is None]


def _cells(row: Row) -> tuple[str, ...]:
    bar = row.bar
    asked = f"{bar.rule} {_said(bar.limit, row.unit)}" if bar else "-"
    if bar and bar.aim is not None:
        asked += f" (aim {_said(bar.aim, row.unit)})"
    if row.low is None or row.high is None:
        ends = "-"
    else:
        ends = f"{_said(row.low, row.unit)} to {_said(row.high, row.unit)}"
    answer = {None: "-", True: "yes", False: "NO"}[row.passed]
    value = "-" if row.value is None else _said(row.value, row.unit)
    return (row.measurement, value, ends, str(row.n), asked, answer,
            row.provider)  # fmt: skip


def _said(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.3g} {unit}".rstrip() if abs(value) < 100 else f"{value:.0f} {unit}".rstrip()

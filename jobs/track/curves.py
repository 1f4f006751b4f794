"""Curves of a stage from its lines of JSON, thinned to what a page can draw.

What is chosen of a growing file only changes where a curve doubles, so that most of the time a
reader adds points and takes none away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

BOUND = 1000  # points of one metric


class Point(NamedTuple):
    """One value. ``at`` is its time in ms; files without a clock count lines there."""

    name: str
    step: int
    value: float
    at: int


@dataclass(frozen=True)
class Curves:
    """The whole lines of a file, or as many of them as ``size`` bytes hold."""

    data: bytes

    @classmethod
    def read(cls, path: Path) -> Curves | None:
        """Of a file that may be growing; None where there is none."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return cls(data[: data.rfind(b"\n") + 1])

    def mark(self) -> str:
        """Size and sha256, by which `before` knows it again."""
        return f"{len(self.data)} {hashlib.sha256(self.data).hexdigest()}"

    def before(self, mark: str) -> Curves | None:
        """What the file was at an earlier `mark`; None where it has been rewritten since."""
        size = mark.split()[0]
        earlier = Curves(self.data[: int(size)]) if size.isdigit() else Curves(b"")
        return earlier if earlier.mark() == mark else None

    def points(self, start: int) -> dict[str, list[Point]]:
        """All points by metric; lines are dated from ``start`` (ms) on where they are not."""
        found: dict[str, list[Point]] = {}
        first: float | None = None
        for number, line in enumerate(self.data.splitlines()):
            try:
                said = json.loads(line)
                clock = said.pop("time", None)
                if clock is not None:  # samples of the machine: their steps are seconds
                    first = clock if first is None else first
                    step, at = int(clock - first), int(clock * 1000)
                else:
                    step, at = int(said.pop("step")), start + number
            except (ValueError, KeyError, AttributeError, TypeError):
                continue  # half a line of a process that was killed
            for name, value in said.items():
                found.setdefault(name, []).append(Point(name, step, float(value), at))
        return found


def thin(points: list[Point], whole: bool, bound: int = BOUND) -> list[Point]:
    """At most ``bound`` of them, evenly, the first kept; of a ``whole`` curve the last too."""
    stride = 1
    while -(-len(points) // stride) > bound - (stride > 1):
        stride *= 2
    chosen = points[::stride]
    if whole and points and chosen[-1] != points[-1]:
        chosen.append(points[-1])
    return chosen


def thinned(points: dict[str, list[Point]], whole: bool, bound: int = BOUND) -> list[Point]:
    """`thin` for every metric."""
    return [one for curve in points.values() for one in thin(curve, whole, bound)]


def write_parquet(points: Iterable[Point], path: Path) -> None:
    """Every point as a row of metric, step and value."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = list(points)
    table = pa.table({
        "metric": pa.array([one.name for one in rows]).dictionary_encode(),
        "step": pa.array([one.step for one in rows], pa.int64()),
        "value": pa.array([one.value for one in rows], pa.float64()),
    })  # fmt: skip
    parquet.write_table(table, path)

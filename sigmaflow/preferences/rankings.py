"""Ranking files, questions and splits.

The file is the released one: an unnamed index column, `rank1` (the seed that won its question) and
`rank2` (the one that lost); everything between best and worst is left out already.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigmaflow.atomic import write_bytes
from sigmaflow.preferences.tables import read_table, whole_number
from sigmaflow.seeds import MAX_SEED

COLUMNS = ("", "rank1", "rank2")
FIRST_SEED = 20_000
ANCHOR_FIRST_SEED = 100_000
ANCHOR_PSI = 0.25


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file: where (line 1 is the header), what is there, what to do."""

    file: str
    line: int
    column: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" + (f" [{self.column}]" if self.column else "")
        return f"{where}: {self.message} (value {self.value!r}); {self.remedy}"


class RankingsError(ValueError):
    """All problems of a rankings file, in `problems`; the message shows the first twenty."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        shown = "\n".join(f"  {problem}" for problem in self.problems[:20])
        more = f"\n  ... and {len(self.problems) - 20} more" if len(self.problems) > 20 else ""
        super().__init__(f"{len(self.problems)} problem(s) in the rankings:\n{shown}{more}")


@dataclass(frozen=True, eq=False)
class Rankings:
    """Pairs of seeds: `winners[i]` was ranked above `losers[i]`; `index[i]` names the row.

    All three are `[n]` int64.
    """

    index: np.ndarray
    winners: np.ndarray
    losers: np.ndarray

    def __len__(self) -> int:
        return len(self.winners)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.winners.tolist(), self.losers.tolist())

    @property
    def seeds(self) -> np.ndarray:
        """Every seed that occurs, ascending and once."""
        return np.unique(np.concatenate([self.winners, self.losers]))

    def take(self, rows: np.ndarray) -> Rankings:
        """The rows at these positions, in this order."""
        return Rankings(self.index[rows], self.winners[rows], self.losers[rows])

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]]) -> Rankings:
        """Rankings of `(winner, loser)` pairs, indexed from 0."""
        table = np.asarray(list(pairs), dtype=np.int64).reshape(-1, 2)
        return cls(np.arange(len(table)), table[:, 0], table[:, 1])


def read_rankings(path: str | Path) -> Rankings:
    """Read and check a rankings file; raises `RankingsError` with everything wrong at once."""
    path = Path(path)
    problems: list[Problem] = []

    def report(line: int, column: str, value: Any, message: str, remedy: str) -> None:
        problems.append(Problem(str(path), line, column, str(value)[:80], message, remedy))

    numbered = read_table(path, report)
    if not numbered:
        raise RankingsError(problems)
    rows = [row for _, row in numbered]
    header = rows[0]
    _check_header(header, report)
    if len(rows) == 1:
        report(2, "", "", "there are no pairs", "give at least one line below the header")
    table = _parse(header, numbered, report)
    _check_pairs(table, report)
    if problems:
        raise RankingsError(sorted(problems, key=lambda problem: problem.line))
    values = np.array([row for _, *row in table], dtype=np.int64).reshape(-1, 3)
    return Rankings(values[:, 0], values[:, 1], values[:, 2])


def _check_header(header: list[str], report: Any) -> None:
    known = ("", "Unnamed: 0", "rank1", "rank2")
    for name in ("rank1", "rank2"):
        if name not in header:
            near = difflib.get_close_matches(name, [h for h in header if h not in known], 1, 0.5)
            remedy = f"rename {near[0]!r} to {name!r}" if near else f"add a column {name!r}"
            report(1, name, ",".join(header), "column is missing", remedy)
    if header[0] not in ("", "Unnamed: 0"):
        report(1, header[0], header[0], "the first column is not the unnamed index", "add it")
    for name in header[1:]:
        if name not in ("rank1", "rank2") or header.count(name) > 1:
            report(1, name, name, "column is unknown or there twice", "remove or rename it")


def _parse(
    header: list[str], rows: list[tuple[int, list[str]]], report: Any
) -> list[tuple[int, ...]]:
    """Rows `(line, index, rank1, rank2)` whose three values are good."""
    where: dict[str, int] = {
        name: header.index(name) for name in ("rank1", "rank2") if name in header
    }
    where = {"": 0, **where}
    table = []
    for line, row in rows[1:]:
        if len(row) != len(header):
            last = " in the last line: the file looks cut off" if line == rows[-1][0] else ""
            message = f"{len(row)} fields instead of {len(header)}{last}"
            report(line, "", ",".join(row), message, "restore or remove the line")
            continue
        values = [_seed(row[i], line, name, report) for name, i in where.items()]
        whole = [value for value in values if value is not None]
        if len(whole) == len(values) == len(COLUMNS):
            table.append((line, *whole))
    return table


def _seed(text: str, line: int, column: str, report: Any) -> int | None:
    if not (text.isascii() and text.isdigit()):
        what = "seed" if column else "index"
        report(line, column or "index", text, f"the {what} is not an integer >= 0", "correct it")
        return None
    if (number := whole_number(text, MAX_SEED)) is None:
        report(line, column or "index", text, f"is above {MAX_SEED}", "use a seed of 32 bits")
    return number


def _check_pairs(table: list[tuple[int, ...]], report: Any) -> None:
    seen: dict[tuple[int, int], int] = {}
    for line, _, winner, loser in table:
        value = f"{winner},{loser}"
        if winner == loser:
            report(line, "rank1,rank2", value, "a seed is ranked against itself", "remove the line")
        elif (winner, loser) in seen:
            first = seen[winner, loser]
            report(line, "rank1,rank2", value, f"the pair of line {first} again", "remove one")
        elif (loser, winner) in seen:
            first = seen[loser, winner]
            message = f"contradicts line {first}, where {loser} wins"
            report(line, "rank1,rank2", value, message, "keep the right one of the two")
        else:
            seen[winner, loser] = line


def write_rankings(path: str | Path, rankings: Rankings) -> None:
    """Write the released format, atomically."""
    lines = [",".join(COLUMNS)]
    columns = (rankings.index, rankings.winners, rankings.losers)
    lines += [f"{i},{w},{l}" for i, w, l in zip(*(column.tolist() for column in columns))]
    write_bytes(Path(path), ("\n".join(lines) + "\n").encode())


@dataclass(frozen=True)
class Split:
    """Positions (int64) of the training, validation and test parts, disjoint and complete."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def of(self, rankings: Rankings) -> tuple[Rankings, Rankings, Rankings]:
        """The three parts of the rankings that this split was made for."""
        return rankings.take(self.train), rankings.take(self.val), rankings.take(self.test)


def split(rankings: Rankings | Sequence[int] | np.ndarray, seed: int = 42) -> Split:
    """0.7 / 0.15 / 0.15 as released: scikit-learn's split once for 0.7, once to halve the rest.

    Takes rankings or anchor seeds (anything with a length). Raises ValueError below four items.
    """
    n = len(rankings)
    if n < 4:
        raise ValueError(f"{n} items cannot be split in three parts; give at least 4")
    train, rest = _parted(np.arange(n), math.floor(0.7 * n), math.ceil(0.3 * n), seed)
    later = math.ceil(0.5 * len(rest))
    val, test = _parted(rest, len(rest) - later, later, seed)
    return Split(train, val, test)


def _parted(items: np.ndarray, first: int, last: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As scikit-learn's train_test_split, whose import takes seconds."""
    order = np.random.RandomState(seed).permutation(len(items))
    return items[order[last : last + first]], items[order[:last]]

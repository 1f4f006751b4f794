"""Whole answers: the order of 2-6 shapes, who gave it, and what of it is learnt from.

The file is the released one, made wider: `question` and `annotator`, then `rank1` (the best) to
`rank6`, with empty cells at the end of shorter orders. `rank1,rank2` alone are best and worst.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigmaflow.atomic import write_text
from sigmaflow.preferences.rankings import (
    Problem,
    Rankings,
    RankingsError,
    read_rankings,
    split,
)
from sigmaflow.preferences.tables import BOM, read_table, whole_number
from sigmaflow.seeds import MAX_SEED

PAD = -1  # where a shorter order has no shape
LONGEST = 6
RANKS = tuple(f"rank{i}" for i in range(1, LONGEST + 1))
COLUMNS = ("question", "annotator", *RANKS)


@dataclass(frozen=True, eq=False)
class Orders:
    """Answers: `orders[i]` are the seeds of one, better first; its question and annotator beside.

    One question may be answered by several annotators, each once. Raises ValueError where lengths
    differ, an order has fewer than two shapes or names one twice.
    """

    orders: tuple[tuple[int, ...], ...]
    questions: np.ndarray
    annotators: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.orders) == len(self.questions) == len(self.annotators):
            raise ValueError(
                f"{len(self.orders)} orders for {len(self.questions)} questions and"
                f" {len(self.annotators)} annotators"
            )
        bad = [order for order in self.orders if len(order) < 2 or len(set(order)) < len(order)]
        if bad:
            raise ValueError(f"{len(bad)} orders are no orders of distinct shapes: {bad[:3]}")

    @classmethod
    def of(cls, orders: Sequence[Sequence[int]], annotator: str = "") -> Orders:
        """Orders of one annotator, a question each, numbered from 0."""
        given = tuple(tuple(int(seed) for seed in order) for order in orders)
        return cls(given, np.arange(len(given)), (annotator,) * len(given))

    def __len__(self) -> int:
        return len(self.orders)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.orders)

    @property
    def seeds(self) -> np.ndarray:
        """Every seed that occurs, ascending and once."""
        return np.unique([seed for order in self.orders for seed in order])

    def take(self, rows: Sequence[int]) -> Orders:
        """The answers at these positions, in this order."""
        return Orders(
            tuple(self.orders[i] for i in rows),
            self.questions[np.asarray(rows, dtype=np.int64)],
            tuple(self.annotators[i] for i in rows),
        )

    def padded(self) -> np.ndarray:
        """Seeds `[n, K]` of the longest order's K, `PAD` behind shorter ones."""
        table = np.full((len(self), max(map(len, self.orders), default=2)), PAD, dtype=np.int64)
        for row, order in zip(table, self.orders):
            row[: len(order)] = order
        return table

    def numbered(self) -> tuple[np.ndarray, list[str]]:
        """Who answered `[n]`, as positions in the list of names, which is sorted."""
        names, numbers = np.unique(np.asarray(self.annotators, dtype=str), return_inverse=True)
        return numbers.astype(np.int64), names.tolist()

    def ends(self) -> Orders:
        """First over last of every answer, still with who answered."""
        pairs = tuple((order[0], order[-1]) for order in self.orders)
        return Orders(pairs, self.questions, self.annotators)

    def best_and_worst(self) -> Rankings:
        """First over last of every answer; `index` is the question (as the released file)."""
        return self._rankings((o[0], o[-1]) for o in self.orders)

    def all_pairs(self) -> Rankings:
        """Every shape over every one below it: K (K - 1) / 2 rows an answer, `index` its question.

        For `split_questions` first: pairs of one question must not part.
        """
        counts = [len(o) * (len(o) - 1) // 2 for o in self.orders]
        pairs = ((a, b) for o in self.orders for i, a in enumerate(o) for b in o[i + 1 :])
        return self._rankings(pairs, counts)

    def _rankings(
        self, pairs: Iterator[tuple[int, int]], counts: int | Sequence[int] = 1
    ) -> Rankings:
        made = Rankings.of(list(pairs))
        return Rankings(np.repeat(self.questions, counts), made.winners, made.losers)


def split_questions(orders: Orders, seed: int = 42) -> tuple[Orders, Orders, Orders]:
    """Training, validation and test by question, so that no question is in two of them.

    With one answer a question this is `split`, row for row. ValueError below four questions.
    """
    names, first, which = np.unique(orders.questions, return_index=True, return_inverse=True)
    shown = names[np.argsort(first)]  # as they come in the file
    rows = defaultdict(list)
    for row, question in enumerate(which):
        rows[int(names[question])].append(row)
    parts = split(shown, seed)
    train, val, test = (
        orders.take([row for q in shown[part].tolist() for row in rows[q]])
        for part in (parts.train, parts.val, parts.test)
    )
    return train, val, test


def write_orders(path: str | Path, orders: Orders) -> None:
    """Write the wide file, atomically. ValueError where an order is longer than six, or a name has
    line breaks or spaces around it, which the file would not give back."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for question, who, order in zip(orders.questions.tolist(), orders.annotators, orders.orders):
        if len(order) > LONGEST:
            raise ValueError(f"question {question} has {len(order)} shapes, of {LONGEST} at most")
        if who != who.strip() or len(who.splitlines()) > 1:
            raise ValueError(f"question {question}: annotator {who!r} must be one line without"
                             " spaces around it")  # fmt: skip
        table.writerow([question, who, *order, *[""] * (LONGEST - len(order))])
    write_text(path, stream.getvalue())


def holds_orders(path: str | Path) -> bool:
    """Whether a file is of whole orders, by its first column. False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            first = file.readline(80).decode("utf-8", "replace")
    except OSError:
        return False
    return re.split("[,;]", first.lstrip(BOM))[0].strip(' \t\r\n"') == COLUMNS[0]


def read_preferences(path: str | Path) -> Rankings | Orders:
    """A file of either form: best and worst (`read_rankings`), or whole orders (`read_orders`)."""
    return read_orders(path) if holds_orders(path) else read_rankings(path)


def read_orders(path: str | Path) -> Orders:
    """Read and check a wide file; raises `RankingsError` with everything wrong at once."""
    path = Path(path)
    problems: list[Problem] = []

    def report(line: int, column: str, value: object, message: str, remedy: str) -> None:
        problems.append(Problem(str(path), line, column, str(value)[:80], message, remedy))

    rows = read_table(path, report)
    if not rows:
        raise RankingsError(problems)
    header = tuple(rows[0][1])
    if header != COLUMNS:
        report(1, "", ",".join(header), "these are other columns", f"give {','.join(COLUMNS)}")
        raise RankingsError(problems)
    if len(rows) == 1:
        report(2, "", "", "there are no answers", "give at least one line below the header")
    found = []
    seen: dict[Any, int] = {}
    for line, row in rows[1:]:
        if len(row) != len(COLUMNS):
            message = f"{len(row)} fields instead of {len(COLUMNS)}"
            report(line, "", ",".join(row), message, "restore or remove the line")
            continue
        question, who, *cells = row
        order = [cell for cell in cells if cell]
        before = len(problems)
        for column, cell in zip(("question", *RANKS), (question, *cells)):
            if (cell or column == "question") and whole_number(cell, MAX_SEED) is None:
                message = f"is not an integer from 0 to {MAX_SEED}"
                report(line, column, cell, message, "correct it")
        if len(order) < 2 or cells[: len(order)] != order:
            message = "the order has a gap or fewer than two shapes"
            report(line, "rank1", ",".join(cells), message, "fill it from rank1 on")
        seeds = [whole_number(cell, MAX_SEED) for cell in order]
        if len(set(seeds) - {None}) < len(seeds) - seeds.count(None):
            report(line, "rank1", ",".join(order), "a shape is there twice", "name each once")
        answer = whole_number(question, MAX_SEED), who  # "07" is question 7
        if answer[0] is not None and answer in seen:
            message = f"{who or 'somebody'} answered this question in line {seen[answer]}"
            report(line, "question", question, message, "keep one of the two")
        seen.setdefault(answer, line)
        if len(problems) == before:
            found.append((*answer, tuple(seeds)))
    if problems:
        raise RankingsError(sorted(problems, key=lambda problem: problem.line))
    questions, annotators, orders = zip(*found)
    return Orders(tuple(orders), np.array(questions, dtype=np.int64), tuple(annotators))

"""Questions as people are shown them, in random order, and their answers read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sigmaflow.preferences.orders import Orders
from sigmaflow.preferences.questions import anchors, make_questions
from sigmaflow.preferences.rankings import FIRST_SEED, Problem, Rankings, RankingsError
from sigmaflow.preferences.tables import Report, read_table, whole_number
from sigmaflow.seeds import MAX_SEED

COLUMNS = ("question", "annotator", "order")
LETTERS = "ABCDEF"


@dataclass(frozen=True)
class Asked:
    """One question: its number, from 1 as people see them, and the seeds behind A, B, C ...

    catch: the seed of the anchor in a catch trial, which is about the annotator and no ranking.
    """

    number: int
    seeds: tuple[int, ...]
    catch: int | None = None


def ask(
    count: int, sizes: Sequence[int] = (2, 3, 4, 5, 6), seed: int = 0,
    first_seed: int = FIRST_SEED, catches: int = 0,
) -> list[Asked]:  # fmt: skip
    """`count` questions of fresh seeds and `catches` trials, shuffled, and so are their letters.

    A catch trial shows one more seed beside an anchor, a shape near the mean face that should win
    (paper section 3.2.1). The same arguments give the same questions. ValueError as in
    `make_questions`.
    """
    sized = make_questions(seed, count, sizes, first_seed)
    last = sized[-1][-1] if sized else first_seed - 1
    pairs = make_questions(seed, catches, (2,), last + 1)
    high = anchors(catches).tolist()
    shown = [(question, None) for question in sized]
    shown += [((pair[0], anchor), anchor) for pair, anchor in zip(pairs, high)]
    rng = np.random.default_rng([seed, count, catches])
    order = rng.permutation(len(shown)).tolist()
    asked = []
    for number, at in enumerate(order, start=1):
        seeds, catch = shown[at]
        asked.append(Asked(number, tuple(rng.permutation(seeds).tolist()), catch))
    return asked


def answer_sheet(asked: Sequence[Asked]) -> str:
    """An empty answers file: one line a question, to be filled in."""
    return "\n".join([",".join(COLUMNS), *(f"{a.number},," for a in asked)]) + "\n"


@dataclass(frozen=True)
class Answers:
    """What was answered. orders: of the questions, best first. blank: lines without an answer.
    caught: annotator -> (catch trials in which the anchor won, trials answered)."""

    orders: Orders
    blank: int
    caught: dict[str, tuple[int, int]]


def read_answers(path: str | Path, asked: Sequence[Asked]) -> Answers:
    """Read a filled-in file; raises `RankingsError` with everything wrong at once.

    An order names all letters of its question, best first, such as `CAB` or `C > A > B`, or only
    the best and the worst, such as `CB`. Several annotators fill in copies, put below each other.
    """
    path, by_number = Path(path), {a.number: a for a in asked}
    problems: list[Problem] = []
    seen: dict[tuple[int, str], int] = {}
    found: list[tuple[int, str, tuple[int, ...]]] = []
    caught: dict[str, list[bool]] = {}
    blank = 0

    def report(line: int, column: str, value: object, message: str, remedy: str) -> None:
        problems.append(Problem(str(path), line, column, str(value)[:80], message, remedy))

    for line, row in _rows(path, report):
        number, who, order = row
        if (known := whole_number(number, MAX_SEED)) not in by_number:
            report(line, "question", number, "there is no such question",
                   f"questions are {min(by_number)} to {max(by_number)}")  # fmt: skip
            continue
        question = by_number[known]
        letters = re.sub(r"[\s>,;/-]", "", order).upper()
        if not letters:
            blank += 1
            continue
        if (question.number, who) in seen:
            before = seen[question.number, who]
            report(line, "question", number, f"{who or 'somebody'} answered it in line {before}",
                   "keep one of the two")  # fmt: skip
        seen.setdefault((question.number, who), line)
        named = LETTERS[: len(question.seeds)]
        if len(set(letters)) < len(letters) or not set(letters) <= set(named):
            report(line, "order", order, f"names other than {', '.join(named)}, or one twice",
                   "write each letter once, best first")  # fmt: skip
        elif len(letters) not in (2, len(named)):
            report(line, "order", order, f"names {len(letters)} of {len(named)} shapes",
                   "name all, or the best and the worst only")  # fmt: skip
        elif question.catch is not None:
            best = question.seeds[named.index(letters[0])]
            caught.setdefault(who, []).append(best == question.catch)
        else:
            seeds = tuple(question.seeds[named.index(letter)] for letter in letters)
            found.append((question.number, who, seeds))
    if not found and not problems:
        report(0, "order", "", "no question is answered", "fill in the column order")
    if problems:
        raise RankingsError(sorted(problems, key=lambda problem: problem.line))
    numbers, people, ranked = zip(*found)
    orders = Orders(tuple(ranked), np.array(numbers, dtype=np.int64), tuple(people))
    return Answers(orders, blank, {w: (sum(right), len(right)) for w, right in caught.items()})


def _rows(path: Path, report: Report) -> list[tuple[int, list[str]]]:
    """Lines (from 2) and their three cells; headers of files put together are let through."""
    rows = read_table(path, report)
    if not rows:
        return []
    if tuple(rows[0][1]) != COLUMNS:
        report(1, "", ",".join(rows[0][1]), "these are other columns", f"give {','.join(COLUMNS)}")
        return []
    good = []
    for line, row in rows[1:]:
        if not any(row) or tuple(row) == COLUMNS:
            continue
        if len(row) != len(COLUMNS):
            report(line, "", ",".join(row), f"{len(row)} fields instead of 3",
                   'write an order without commas, or in quotes: "C,A,B"')  # fmt: skip
            continue
        good.append((line, row))
    return good


def consensus(orders: Orders, asked: Sequence[Asked]) -> tuple[Rankings, list[int]]:
    """Best and worst of every question by mean rank over annotators, and the questions left out.

    Of one annotator it is the answer itself. Who names only the best and the worst gives the others
    the mean of the ranks between. A question is left out where the best or the worst is a tie.
    """
    shown = {a.number: a for a in asked}
    ranks: dict[int, list[np.ndarray]] = {}
    for number, order in zip(orders.questions.tolist(), orders.orders):
        seeds = shown[number].seeds
        own = np.full(len(seeds), (len(seeds) - 1) / 2)
        places = range(len(seeds)) if len(order) == len(seeds) else (0, len(seeds) - 1)
        for seed, place in zip(order, places):
            own[seeds.index(seed)] = place
        ranks.setdefault(number, []).append(own)
    kept, left_out = [], []
    for number, given in sorted(ranks.items()):
        mean = np.mean(given, axis=0)
        best, worst = np.flatnonzero(mean == mean.min()), np.flatnonzero(mean == mean.max())
        if len(best) == len(worst) == 1 and best[0] != worst[0]:
            seeds = shown[number].seeds
            kept.append((number, seeds[best[0]], seeds[worst[0]]))
        else:
            left_out.append(number)
    table = np.array(kept, dtype=np.int64).reshape(-1, 3)
    return Rankings(table[:, 0], table[:, 1], table[:, 2]), left_out

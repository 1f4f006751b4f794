"""Rankings and slabs looked through before a training begins: everything wrong in one error."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from sigmaflow.preferences.orders import Orders, read_orders, split_questions
from sigmaflow.preferences.rankings import (
    Problem,
    Rankings,
    RankingsError,
    Split,
    read_rankings,
    split,
)
from sigmaflow.rewards.data import Bank, Source

BATCH = 16
HEADER = 2  # line of a file's first row
LEAST = 4  # questions that can be split in three parts
PARTS = ("train", "val", "test")

A = TypeVar("A", Rankings, Orders)


def check_data(
    path: str | Path, bank: Source | None, split_seed: int = 42, values: bool = True
) -> Rankings:
    """The rankings of a file, once nothing is wrong with them, their split and their slabs.

    Raises `RankingsError` listing all of it, with file and line of rankings and file and row of
    slabs: what `read_rankings` finds (other columns, pairs that are double or contradict each
    other), seeds in two parts of the split, seeds without a slab, and, with `values`, which reads
    every slab once, slabs that are constant or not finite.
    """

    def shared(rankings: Rankings) -> Iterator[Problem]:
        return shared_seeds(rankings, split(rankings, split_seed), path)

    return _checked(path, bank, values, read_rankings, shared)


def check_orders(
    path: str | Path, bank: Source | None, split_seed: int = 42, values: bool = True
) -> Orders:
    """The whole orders of a file, looked through as by `check_data`.

    Annotators may contradict each other, and answer the same question: questions are what is split.
    """

    def shared(orders: Orders) -> Iterator[Problem]:
        parts = zip(PARTS, split_questions(orders, split_seed))
        part_of = {q: name for name, part in parts for q in part.questions.tolist()}
        named = [part_of[q] for q in orders.questions.tolist()]
        yield from _in_two_parts(zip(named, orders), path)

    return _checked(path, bank, values, read_orders, shared)


def _checked(
    path: str | Path, bank: Source | None, values: bool, read: Callable[[str | Path], A],
    shared: Callable[[A], Iterable[Problem]],
) -> A:  # fmt: skip
    problems: list[Problem] = []
    answers = None
    try:
        answers = read(path)
    except RankingsError as error:
        problems += error.problems
    if answers is not None:
        n, what = _questions(answers)
        if n >= LEAST:
            problems += shared(answers)
        else:
            message = f"{n} {what} cannot be split in three parts"
            problems.append(Problem(str(path), 0, "", str(n), message, f"give at least {LEAST}"))
    if bank is not None:
        seeds = answers.seeds.tolist() if answers is not None else ()
        if isinstance(bank, Bank):
            problems += _absent(answers, bank, path) if answers is not None else ()
            seeds = [seed for seed in seeds or bank.seeds if bank.has(seed)]
        if values:
            problems += faulty_values(bank, seeds)
    if problems:
        raise RankingsError(problems)
    assert answers is not None
    return answers


def _questions(answers: Rankings | Orders) -> tuple[int, str]:
    if isinstance(answers, Orders):
        return len(set(answers.questions.tolist())), "questions"
    return len(answers), "pairs"


def shared_seeds(rankings: Rankings, parts: Split, path: str | Path = "") -> Iterator[Problem]:
    """Seeds in more than one part of a split, each with the lines it is in.

    A reward that has trained on a shape is not tested on it.
    """
    part_of = {row: name for name in PARTS for row in getattr(parts, name).tolist()}
    yield from _in_two_parts(((part_of[i], pair) for i, pair in enumerate(rankings)), path)


def _in_two_parts(
    answers: Iterable[tuple[str, tuple[int, ...]]], path: str | Path
) -> Iterator[Problem]:
    """Of answers line by line: the part that each is in, and its seeds."""
    where: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for line, (name, seeds) in enumerate(answers, start=HEADER):
        for seed in seeds:
            where[seed][name].append(line)
    for seed, found in sorted(where.items()):
        if len(found) > 1:
            lines = "; ".join(f"{name}: line {', '.join(map(str, sorted(found[name])[:5]))}"
                              for name in PARTS if name in found)  # fmt: skip
            first = min(min(rows) for rows in found.values())
            yield Problem(
                str(path), first, "rank1,rank2", str(seed), f"the seed is in two parts ({lines})",
                "ask about each shape in one question, or keep its questions in one part"
                " (split_questions)",
            )  # fmt: skip


def _absent(answers: Rankings | Orders, bank: Bank, path: str | Path) -> Iterator[Problem]:
    for line, seeds in enumerate(answers, start=HEADER):
        for place, seed in enumerate(seeds, start=1):
            if not bank.has(seed):
                message = f"the seed has no {bank.what.removesuffix('s')}"
                yield Problem(str(path), line, f"rank{place}", str(seed), message,
                              "make it, or remove the line")  # fmt: skip


def faulty_values(bank: Source, seeds: Iterable[int], batch: int = BATCH) -> Iterator[Problem]:
    """Slabs (depth maps, clouds) of these seeds that are constant or not finite, by file and row.

    The released scaling divides by maximum minus minimum, without an epsilon.
    """
    every = list(seeds)
    for start in range(0, len(every), batch):
        block = every[start : start + batch]
        low, high = torch.aminmax(bank.take(block).flatten(1), dim=1)  # NaN wins in both
        for seed, a, b in zip(block, low.tolist(), high.tolist()):
            if not (math.isfinite(a) and math.isfinite(b) and a < b):
                yield _faulty(bank, seed, a, b)


def _faulty(bank: Source, seed: int, low: float, high: float) -> Problem:
    file, row = bank.place(seed) if isinstance(bank, Bank) else ("", 0)
    what = "is constant" if low == high else "holds NaN or infinity"
    return Problem(
        file or "slabs in memory", row, f"seed {seed}", f"{low:g} to {high:g}", what,
        "make it again, or leave its questions out",
    )  # fmt: skip


"""Rankings and slabs looked through before a training begins: everything wrong in one error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from sigmaflow.preferences.orders import Orders, read_orders
from sigmaflow.preferences.parts import HEADER, in_two_parts
from sigmaflow.preferences.rankings import (
    Problem,
    Rankings,
    RankingsError,
    read_rankings,
)
from sigmaflow.rewards.data import Bank, Source

BATCH = 16
LEAST = 4  # questions that can be split in three parts

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

    return _checked(path, bank, values, read_rankings, split_seed)


def check_orders(
    path: str | Path, bank: Source | None, split_seed: int = 42, values: bool = True
) -> Orders:
    """The whole orders of a file, looked through as by `check_data`.

    Annotators may contradict each other, and answer the same question: questions are what is split.
    """

    return _checked(path, bank, values, read_orders, split_seed)


def _checked(
    path: str | Path, bank: Source | None, values: bool, read: Callable[[str | Path], A],
    split_seed: int,
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
            problems += in_two_parts(answers, split_seed, path)
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

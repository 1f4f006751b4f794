"""Rankings and slabs looked through before a training begins: everything wrong in one error."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

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


def check_data(
    path: str | Path, bank: Source | None, split_seed: int = 42, values: bool = True
) -> Rankings:
    """The rankings of a file, once nothing is wrong with them, their split and their slabs.

    Raises `RankingsError` listing all of it, with file and line of rankings and file and row of
    slabs: what `read_rankings` finds (other columns, pairs that are double or contradict each
    other), seeds in two parts of the split, seeds without a slab, and, with `values`, which reads
    every slab once, slabs that are constant or not finite.
    """
    problems: list[Problem] = []
    rankings = None
    try:
        rankings = read_rankings(path)
    except RankingsError as error:
        problems += error.problems
    if rankings is not None and len(rankings) >= 4:
        problems += shared_seeds(rankings, split(rankings, split_seed), path)
    elif rankings is not None:
        message = f"{len(rankings)} pairs cannot be split in three parts"
        problems.append(Problem(str(path), 0, "", str(len(rankings)), message, "give at least 4"))
    if bank is not None:
        seeds = rankings.seeds.tolist() if rankings is not None else ()
        if isinstance(bank, Bank):
            problems += _absent(rankings, bank, path) if rankings is not None else ()
            seeds = [seed for seed in seeds or bank.seeds if bank.has(seed)]
        if values:
            problems += faulty_values(bank, seeds)
    if problems:
        raise RankingsError(problems)
    assert rankings is not None
    return rankings


def shared_seeds(rankings: Rankings, parts: Split, path: str | Path = "") -> Iterator[Problem]:
    """Seeds in more than one part of a split, each with the lines it is in.

    A reward that has trained on a shape is not tested on it.
    """
    where: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for name in ("train", "val", "test"):
        for row in getattr(parts, name).tolist():
            for seed in (int(rankings.winners[row]), int(rankings.losers[row])):
                where[seed][name].append(row + HEADER)
    for seed, found in sorted(where.items()):
        if len(found) > 1:
            lines = "; ".join(f"{name}: line {', '.join(map(str, sorted(rows)[:5]))}"
                              for name, rows in found.items())  # fmt: skip
            first = min(min(rows) for rows in found.values())
            yield Problem(
                str(path), first, "rank1,rank2", str(seed), f"the seed is in two parts ({lines})",
                "ask about each shape in one question, or keep its questions in one part"
                " (split_questions)",
            )  # fmt: skip


def _absent(rankings: Rankings, bank: Bank, path: str | Path) -> Iterator[Problem]:
    for row, pair in enumerate(rankings):
        for column, seed in zip(("rank1", "rank2"), pair):
            if not bank.has(seed):
                message = f"the seed has no {bank.what.removesuffix('s')}"
                yield Problem(str(path), row + HEADER, column, str(seed), message,
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


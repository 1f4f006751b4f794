"""Shapes that are in two parts of a split, known from a file of rankings or orders alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from sigmaflow.preferences.orders import Orders, split_questions
from sigmaflow.preferences.rankings import Problem, Rankings, Split, split

HEADER = 2  # line of a file's first row
PARTS = ("train", "val", "test")


def in_two_parts(answers: Rankings | Orders, seed: int, path: str | Path) -> Iterator[Problem]:
    """Seeds that the split of this seed puts in two parts: a reward would be tested on shapes that
    it has learnt from."""
    if isinstance(answers, Rankings):
        yield from shared_seeds(answers, split(answers, seed), path)
        return
    parts = zip(PARTS, split_questions(answers, seed))
    part_of = {q: name for name, part in parts for q in part.questions.tolist()}
    named = [part_of[q] for q in answers.questions.tolist()]
    yield from _in_two_parts(zip(named, answers), path)


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

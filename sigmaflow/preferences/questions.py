"""Questions: which shapes are shown together, what an annotator's answers become, and anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.preferences.rankings import (
    ANCHOR_FIRST_SEED,
    FIRST_SEED,
    Rankings,
)
from sigmaflow.seeds import check_range

if TYPE_CHECKING:
    from sigmaflow.preferences.orders import Orders

Question = tuple[int, ...]


def make_questions(
    seed: int,
    n: int,
    sizes: Sequence[int] = (2, 3, 4, 5, 6),
    first_seed: int = FIRST_SEED,
) -> list[Question]:
    """`n` questions of 2-6 generator seeds each; no seed occurs twice (paper section 3.2.1).

    Sizes are drawn uniformly from `sizes`; the seeds run on from `first_seed`, so the shapes needed
    are `first_seed ... questions[-1][-1]`. Raises ValueError on sizes below 2, or where the seeds
    would reach those of the anchors or go beyond 2^32 - 1.
    """
    if not sizes or min(sizes) < 2:
        raise ValueError(f"a question needs at least two shapes, sizes is {tuple(sizes)}")
    if n < 0:
        raise ValueError(f"n is {n}; ask for no fewer than 0 questions")
    counts = np.random.default_rng(seed).choice(np.asarray(sizes), size=n)
    stops = (first_seed + np.cumsum(counts)).tolist()
    if stops and first_seed < ANCHOR_FIRST_SEED < stops[-1]:
        raise ValueError(
            f"{n} questions from seed {first_seed} run into the anchors at {ANCHOR_FIRST_SEED};"
            " ask fewer or start lower"
        )
    if stops:
        check_range(first_seed, stops[-1] - first_seed, "first seed", "shapes")
    return [tuple(range(stop - int(count), stop)) for stop, count in zip(stops, counts)]


def rank(
    questions: Sequence[Question],
    scores: Mapping[int, float],
    flip: float = 0.10,
    seed: int = 0,
) -> Rankings:
    """Best and worst of every question by score, with fixed label noise.

    With probability `flip` in [0, 1] the pair is swapped; the draw depends on `seed` and on the
    seeds in the question only, so it is the same wherever and in whatever order it is asked. With
    `flip=0` these are the clean labels. Equal scores: the earlier shape in the question wins.
    Raises ValueError naming shapes without a finite score.
    """
    if not 0 <= flip <= 1:
        raise ValueError(f"flip is {flip}; it is a probability in [0, 1]")
    asked = [shape for question in questions for shape in question]
    missing = [shape for shape in asked if not np.isfinite(scores.get(shape, np.nan))]
    if missing:
        raise ValueError(f"{len(missing)} shapes without a finite score: seeds {missing[:10]}")
    pairs = []
    for question in questions:
        order = sorted(range(len(question)), key=lambda i: (-scores[question[i]], i))
        best, worst = question[order[0]], question[order[-1]]
        swapped = _rng(seed, question).random() < flip
        pairs.append((worst, best) if swapped else (best, worst))
    return Rankings.of(pairs)


def anchors(n: int, first_seed: int = ANCHOR_FIRST_SEED) -> np.ndarray:
    """Seeds `[n]` of the high-quality anchors, sampled at psi 0.25 (method of the paper, 3.2.1)."""
    return np.arange(first_seed, first_seed + n, dtype=np.int64)


def assign_anchors(rankings: Rankings | Orders, pool: np.ndarray, seed: int = 0) -> np.ndarray:
    """One anchor `[n]` of `pool` for every pair or order, fixed by `seed` and its own seeds.

    The released loader draws a new anchor at every access; here a question keeps its anchor, so
    that evaluation does not depend on who asks. `pool` is the anchors of the same split.
    """
    if len(pool) == 0:
        raise ValueError("the pool of anchors is empty")
    draws = [int(_rng(seed, pair).integers(len(pool))) for pair in rankings]
    return np.asarray(pool, dtype=np.int64)[np.asarray(draws, dtype=np.int64)]


def _rng(seed: int, question: Sequence[int]) -> np.random.Generator:
    return np.random.default_rng([seed, *sorted(question)])

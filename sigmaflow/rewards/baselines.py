"""Three trivial scorers of a raw slab. A reward that does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.evaluate import Accuracy, accuracy

SIGMA_LEVEL = 10.0  # iso-level at which EG3D's meshes are cut


def slab_mean(slab: np.ndarray) -> float:
    """Mean density of `[X, Y, Z]`."""
    return float(slab.mean())


def total_variation(slab: np.ndarray) -> float:
    """Mean absolute difference of neighbours along x, y and z, summed over the axes."""
    return float(sum(np.abs(np.diff(slab, axis=axis)).mean() for axis in range(3)))


def fraction_above(slab: np.ndarray, level: float = SIGMA_LEVEL) -> float:
    """Share of cells denser than `level`."""
    return float((slab > level).mean())


def trivial_scores(
    bank: SlabBank, seeds: Sequence[int], level: float = SIGMA_LEVEL
) -> dict[str, dict[int, float]]:
    """Scores by seed of every trivial scorer, not yet oriented."""
    scorers: dict[str, Callable[[np.ndarray], float]] = {
        "slab_mean": slab_mean,
        "total_variation": total_variation,
        "fraction_above": lambda slab: fraction_above(slab, level),
    }
    slabs = {int(seed): bank.take([seed])[0].numpy() for seed in seeds}
    return {
        name: {seed: score(slab) for seed, slab in slabs.items()} for name, score in scorers.items()
    }


def orientation(scores: Mapping[int, float], train: Items) -> int:
    """+1 or -1: the sign with which a scorer is right more often on the training pairs."""
    flipped = {seed: -score for seed, score in scores.items()}
    plus, minus = (accuracy(side, train)["regular"].share for side in (scores, flipped))
    return 1 if plus >= minus else -1


def trivial_accuracies(
    bank: SlabBank, train: Items, test: Items, level: float = SIGMA_LEVEL
) -> dict[str, dict[str, Accuracy]]:
    """Accuracy on `test` of every trivial scorer, oriented on `train`."""
    seeds = sorted({*train.shapes, *test.shapes})
    out = {}
    for name, scores in trivial_scores(bank, seeds, level).items():
        sign = orientation(scores, train)
        out[name] = accuracy({seed: sign * score for seed, score in scores.items()}, test)
    return out

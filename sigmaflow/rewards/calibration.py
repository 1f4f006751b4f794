"""Whether a reward is right as often as it says: reliability, expected calibration error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.rewards.shares import wilson

if TYPE_CHECKING:  # tables and figures are made without torch
    from sigmaflow.rewards.data import Items


@dataclass(frozen=True)
class Bin:
    """Pairs whose confidence lies in [low, high]: how many, the mean confidence, the share that is
    right and its 95 % Wilson interval."""

    low: float
    high: float
    n: int
    confidence: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True)
class Calibration:
    """Confidence against truth. ece: mean |confidence - share| weighted by pairs (Guo et al. 2017),
    in [0, 0.5]. brier: mean squared error of the probability, 0.25 for a coin. nll: mean -log of
    the probability given to what happened. bins: those that hold pairs."""

    n: int
    ece: float
    brier: float
    nll: float
    bins: tuple[Bin, ...]


def calibration(probabilities: np.ndarray, bins: int = 10) -> Calibration:
    """Calibration of the probabilities `[n]` that were given to the better shape of each pair.

    A pair is folded to the side that the reward takes, confidence in [0.5, 1], so no order of
    asking matters; one at exactly a half counts half right. `bins` are of equal width. Raises
    ValueError without pairs or outside [0, 1].
    """
    p = np.asarray(probabilities, dtype=float).ravel()
    if not len(p) or not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"calibration needs probabilities in [0, 1], got {len(p)}, from"
                         f" {p.min(initial=np.inf):g} to {p.max(initial=-np.inf):g}")  # fmt: skip
    confidence, right = np.maximum(p, 1 - p), np.where(p == 0.5, 0.5, p > 0.5)
    edges = np.linspace(0.5, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    rows = []
    for i in np.unique(which):
        inside = which == i
        found = wilson(right[inside].sum(), int(inside.sum()))
        rows.append(Bin(float(edges[i]), float(edges[i + 1]), found.n,
                        float(confidence[inside].mean()), found.share, found.low,
                        found.high))  # fmt: skip
    ece = sum(row.n * abs(row.confidence - row.share) for row in rows) / len(p)
    nll = -np.log(np.maximum(p, np.finfo(float).tiny)).mean()
    return Calibration(len(p), ece, float(((1 - p) ** 2).mean()), float(nll), tuple(rows))


def regular_probabilities(probabilities: np.ndarray, items: Items) -> np.ndarray:
    """Of `HeadReport.probabilities` `[n, P]` those of regular pairs that are there, `[m]`."""
    return probabilities[items.pair_mask & items.regular]


def score_probabilities(scores: Mapping[int, float], items: Items) -> np.ndarray:
    """Probability `[m]` that Eq. 4 gives to the better of each regular pair from known scores."""
    there = items.pair_mask & items.regular
    gaps = [
        scores[row[a]] - scores[row[b]]
        for row, mine in zip(items.seeds.tolist(), there)
        for (a, b), regular in zip(items.pairs, mine)
        if regular
    ]
    from scipy.special import expit

    return expit(np.array(gaps, dtype=float))

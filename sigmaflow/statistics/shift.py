"""Shift of the reward over paired latents (paper figure 7, section 4.3.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from sigmaflow.statistics.intervals import mean_interval, paired, wilson


@dataclass(frozen=True)
class Shift:
    """Rewards of the same ``n`` seeds before and after; sd with divisor n - 1.

    ``cohens_d`` divides the mean delta by the pooled sd of before and after, ``cohens_dz`` by the
    sd of the deltas. Either is nan where its sd is 0.
    """

    n: int
    before_mean: float
    before_sd: float
    after_mean: float
    after_sd: float
    delta_mean: float
    delta_low: float
    delta_high: float
    delta_median: float
    delta_sd: float
    positive: int
    share_positive: float
    share_low: float
    share_high: float
    cohens_d: float
    cohens_dz: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def reward_shift(before: ArrayLike, after: ArrayLike, confidence: float = 0.95) -> Shift:
    """``before`` and ``after``: one reward a seed, paired by position, n >= 2.

    The mean delta has a Student t interval, the share of positive deltas a Wilson interval; a delta
    of exactly 0 is not positive.
    """
    a, b = paired(before, after, ("before", "after"))
    delta = b - a
    low, high = mean_interval(delta, confidence)
    positive = int((delta > 0).sum())
    share_low, share_high = wilson(positive, len(delta), confidence)
    sd_a, sd_b, sd_d = (float(v.std(ddof=1)) for v in (a, b, delta))
    pooled = float(np.sqrt((sd_a**2 + sd_b**2) / 2))
    mean = float(delta.mean())
    return Shift(
        n=len(a),
        before_mean=float(a.mean()),
        before_sd=sd_a,
        after_mean=float(b.mean()),
        after_sd=sd_b,
        delta_mean=mean,
        delta_low=low,
        delta_high=high,
        delta_median=float(np.median(delta)),
        delta_sd=sd_d,
        positive=positive,
        share_positive=positive / len(delta),
        share_low=share_low,
        share_high=share_high,
        cohens_d=mean / pooled if pooled > 0 else float("nan"),
        cohens_dz=mean / sd_d if sd_d > 0 else float("nan"),
        confidence=confidence,
    )

"""Does the gain depend on where a shape starts? Final reward regressed on initial reward.

Source: paper section 4.2, figure 9. A slope below 1 means that low shapes improve more. Regressing
the *gain* on the start instead would mix in regression to the mean.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from sigmaflow.statistics.intervals import check_confidence, mean_interval, paired


@dataclass(frozen=True)
class Slope:
    """OLS of final on initial over ``n`` seeds; ``p`` is two-sided against slope 1."""

    n: int
    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    p: float
    r: float
    residual_sd: float
    mean_gain: float
    mean_gain_low: float
    mean_gain_high: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def final_on_initial(initial: ArrayLike, final: ArrayLike, confidence: float = 0.95) -> Slope:
    """Regress ``final`` on ``initial`` (one value a seed, paired by position, n >= 3).

    Intervals are Student's t with n - 2 (slope) and n - 1 (gain) degrees of freedom. ``ValueError``
    where lengths differ, a value is not finite, or all initial rewards are equal.
    """
    from scipy.stats import t

    check_confidence(confidence)
    x, y = paired(initial, final, ("initial", "final"), least=3)
    n = len(x)
    dx, dy = x - x.mean(), y - y.mean()
    sxx, syy = float(dx @ dx), float(dy @ dy)
    if sxx == 0:
        raise ValueError("all initial rewards are equal: a slope is not defined")
    slope = float(dx @ dy) / sxx
    residual = dy - slope * dx
    variance = float(residual @ residual) / (n - 2)
    error = np.sqrt(variance / sxx)
    half = float(t.ppf(0.5 + confidence / 2, n - 2)) * error
    if error > 0:
        p = float(2 * t.sf(abs(slope - 1) / error, n - 2))
    else:
        p = 1.0 if slope == 1 else 0.0
    low, high = mean_interval(y - x, confidence)
    return Slope(
        n=n,
        slope=slope,
        slope_low=slope - half,
        slope_high=slope + half,
        intercept=float(y.mean() - slope * x.mean()),
        p=p,
        r=float(dx @ dy / np.sqrt(sxx * syy)) if syy > 0 else float("nan"),
        residual_sd=float(np.sqrt(variance)),
        mean_gain=float((y - x).mean()),
        mean_gain_low=low,
        mean_gain_high=high,
        confidence=confidence,
    )

"""Did rewards draw together, or did seeds only change places? What the slope alone cannot say.

Paper section 4.2 reads a slope b < 1 of final on initial reward as compression. The initial reward
is exact for a fixed latent, so no error in the regressor flattens b. But b is the correlation times
the ratio of standard deviations: where seeds change places the correlation falls below 1 and b with
it, at an unchanged spread (the paper's control has b = 0.81). Two numbers tell these apart: the
ratio of spreads itself, and the slope's difference to that of a control of the same seeds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from sigmaflow.statistics.intervals import check_confidence, paired
from sigmaflow.statistics.slope import final_on_initial


@dataclass(frozen=True)
class Spread:
    """sd of final over sd of initial rewards, of ``n`` pairs; ``p`` is two-sided against 1."""

    n: int
    sd_ratio: float
    sd_ratio_low: float
    sd_ratio_high: float
    p: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def spread_ratio(initial: ArrayLike, final: ArrayLike, confidence: float = 0.95) -> Spread:
    """Ratio of the spreads of paired rewards (n >= 3), by Pitman's and Morgan's test.

    Two variances are equal where sum and difference of the pairs are uncorrelated; the interval
    holds the ratios that the same test does not reject. ``ValueError`` where a spread is 0.
    """
    from scipy.stats import t

    check_confidence(confidence)
    x, y = paired(initial, final, ("initial", "final"), least=3)
    n, sx, sy = len(x), float(x.std(ddof=1)), float(y.std(ddof=1))
    if sx == 0 or sy == 0:
        raise ValueError("all initial or all final rewards are equal: a ratio is not defined")
    left = max(0.0, 1 - float(np.corrcoef(x, y)[0, 1]) ** 2)  # what x does not say of y
    ratio = sy / sx
    if left > 0:
        statistic = abs(ratio - 1 / ratio) * np.sqrt((n - 2) / (4 * left))
        p = float(2 * t.sf(statistic, n - 2))
    else:
        p = 1.0 if ratio == 1 else 0.0
    k = 1 + 2 * left * float(t.ppf(0.5 + confidence / 2, n - 2)) ** 2 / (n - 2)
    wide = np.sqrt(k + np.sqrt(k * k - 1))  # the bounds of a ratio of variances are k -+ ...
    return Spread(
        n=n,
        sd_ratio=ratio,
        sd_ratio_low=float(ratio / wide),
        sd_ratio_high=float(ratio * wide),
        p=p,
        confidence=confidence,
    )


@dataclass(frozen=True)
class AgainstControl:
    """Slope of the tuned run minus that of the control; ``p`` is two-sided against 0."""

    n: int
    difference: float
    difference_low: float
    difference_high: float
    p: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def slope_against_control(
    initial: ArrayLike,
    tuned: ArrayLike,
    control: ArrayLike,
    confidence: float = 0.95,
) -> AgainstControl:
    """Difference of two slopes over the same initial rewards (n >= 3).

    Both slopes share the regressor, so their difference is the slope of (tuned - control): an
    interval that takes account of how the two runs move together.
    """
    x, y = paired(initial, tuned, ("initial", "tuned"), least=3)
    _, z = paired(initial, control, ("initial", "control"), least=3)
    s = final_on_initial(x, x + y - z, confidence)  # its slope is 1 + the difference
    return AgainstControl(
        n=s.n,
        difference=s.slope - 1,
        difference_low=s.slope_low - 1,
        difference_high=s.slope_high - 1,
        p=s.p,
    )

"""Intervals and effect sizes that several analyses share. Plain numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def finite_vector(values: ArrayLike, name: str, least: int = 1) -> np.ndarray:
    """``values`` as float64 ``[n]``; ``ValueError`` when not a vector, not finite or too short."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"{name} must be a vector, got shape {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds {int((~np.isfinite(x)).sum())} values that are not finite")
    if len(x) < least:
        raise ValueError(f"{name} needs at least {least} values, got {len(x)}")
    return x


def paired(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str], least: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors of equal length; ``ValueError`` otherwise."""
    a, b = finite_vector(first, names[0], least), finite_vector(second, names[1], least)
    if len(a) != len(b):
        raise ValueError(f"{names[0]} and {names[1]} must be paired: {len(a)} and {len(b)} values")
    return a, b


def check_confidence(confidence: float) -> None:
    """``ValueError`` unless ``0 < confidence < 1``."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion; ``(nan, nan)`` for ``n == 0``."""
    from scipy.stats import norm

    check_confidence(confidence)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be 0..{n}, got {successes}")
    if n == 0:
        return math.nan, math.nan
    z = float(norm.ppf(0.5 + confidence / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Student t interval of a mean of ``[n]`` values, ``n >= 2``."""
    from scipy.stats import t

    check_confidence(confidence)
    x = finite_vector(values, "values", 2)
    half = float(t.ppf(0.5 + confidence / 2, len(x) - 1)) * x.std(ddof=1) / math.sqrt(len(x))
    return float(x.mean() - half), float(x.mean() + half)


def bootstrap_mean(
    values: np.ndarray, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean; the same numbers for the same seed."""
    check_confidence(confidence)
    x = finite_vector(values, "values")
    rng = np.random.default_rng(seed)
    means = np.array([x[rng.integers(0, len(x), len(x))].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def spearman(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Spearman's rank correlation of pairs ``[n]``, n >= 4, with its interval: Fisher's z with the
    standard error of Bonett and Wright (2000), ``sqrt((1 + rho^2 / 2) / (n - 3))``.

    nan three times where one side has equal values only; the value itself where it is 1 or -1.
    """
    from scipy.stats import norm, rankdata

    check_confidence(confidence)
    a, b = paired(first, second, ("first", "second"), 4)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan, math.nan
    rho = float(np.clip(np.corrcoef(rankdata(a), rankdata(b))[0, 1], -1, 1))
    if abs(rho) > 1 - 1e-12:
        return rho, rho, rho
    half = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt((1 + rho**2 / 2) / (len(a) - 3))
    return rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def cohens_h(p1: float, p2: float) -> float:
    """Cohen's h, the difference of two proportions on the arcsine scale (in [-pi, pi])."""
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1):
        raise ValueError(f"proportions must lie in [0, 1], got {p1} and {p2}")
    return 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))

"""Does tuning make shapes alike? Mean pairwise distance before and after, over the same seeds.

Our own measure (the paper argues from closeness and FID); on sigma grids or on image features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sigmaflow.statistics.intervals import check_confidence


@dataclass(frozen=True)
class Diversity:
    """Mean pairwise distances over ``n`` seeds and their ratio, interval by seeded bootstrap."""

    n: int
    metric: str
    before: float
    after: float
    ratio: float
    ratio_low: float
    ratio_high: float
    confidence: float

    def as_dict(self) -> dict[str, float | str]:
        return asdict(self)


def pairwise(items: np.ndarray, metric: str = "l1") -> np.ndarray:
    """Distances ``[S, S]`` between items ``[S, ...]``.

    ``l1``: mean absolute difference per cell (in the unit of the cells); ``l2``: Euclidean length.
    """
    x = np.asarray(items, dtype=np.float32).reshape(len(items), -1)
    if metric not in ("l1", "l2"):
        raise ValueError(f"metric must be l1 or l2, got {metric!r}")
    if not np.isfinite(x).all():
        raise ValueError("items hold NaN or infinity")
    out = np.zeros((len(x), len(x)))
    for i in range(len(x) - 1):
        gap = x[i + 1 :] - x[i]
        if metric == "l1":
            row = np.abs(gap).mean(1, dtype=np.float64)
        else:
            row = np.sqrt(np.square(gap, dtype=np.float64).sum(1))
        out[i, i + 1 :] = out[i + 1 :, i] = row
    return out


def diversity(
    before: np.ndarray,
    after: np.ndarray,
    metric: str = "l1",
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Diversity:
    """``before`` and ``after``: ``[S, ...]`` shapes (or features) of the same S >= 3 seeds.

    The bootstrap draws seeds, the same for both sides; a seed drawn twice is not compared with
    itself. A ratio below 1 means that shapes have become more alike; nan where all were equal.
    """
    check_confidence(confidence)
    if len(before) != len(after) or len(before) < 3:
        raise ValueError(f"need the same 3 or more seeds, got {len(before)} and {len(after)}")
    a, b = pairwise(before, metric), pairwise(after, metric)
    n = len(a)
    pairs = n * (n - 1)
    nan = float("nan")
    mean_a, mean_b = float(a.sum() / pairs), float(b.sum() / pairs)
    if mean_a == 0:
        return Diversity(n, metric, mean_a, mean_b, nan, nan, nan, confidence)
    rng = np.random.default_rng(seed)
    counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(resamples)])
    counts = counts.astype(np.float64)
    top, bottom = ((counts @ m * counts).sum(1) for m in (b, a))
    ratios = top[bottom > 0] / bottom[bottom > 0]
    low, high = np.quantile(ratios, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Diversity(
        n, metric, mean_a, mean_b, mean_b / mean_a, float(low), float(high), confidence
    )

"""Kernel distance (KID): unbiased squared MMD under a cubic kernel, mean over random subsets.

Source: Binkowski et al. 2018, "Demystifying MMD GANs". Subsets are drawn and summed as clean-fid's
``kernel_distance(real, generated)`` does after ``numpy.random.seed(seed)``, so numbers agree.
Unlike FID it has no bias of a finite n; it may come out below 0.
"""

from __future__ import annotations

import numpy as np

from sigmaflow.metrics.influence import Interval

SUBSETS, SIZE, REPLICATES = 100, 1000, 200


def kernel_distance(
    real: np.ndarray,
    generated: np.ndarray,
    seed: int = 0,
    subsets: int = SUBSETS,
    size: int = SIZE,
    confidence: float = 0.95,
) -> Interval:
    """KID of ``real [n, d]`` and ``generated [m, d]``, which may be memory maps, with an interval.

    The interval is a Poisson bootstrap over the generated images, centred: each image counts
    Poisson(1) times in a replicate, in every subset that it is in, and an image is never paired
    with itself. The real images are taken as given. ValueError for features of different lengths
    or fewer than 2 of either.
    """
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"features do not fit together: {real.shape} and {generated.shape}")
    count = min(len(real), len(generated), size)
    if count < 2 or subsets < 1:
        raise ValueError(f"needs 2 features of each and a subset, not {count} and {subsets}")
    draw = np.random.RandomState(seed)
    times = np.random.default_rng(seed).poisson(1.0, (REPLICATES, len(generated)))
    total, replicates = 0.0, np.zeros(REPLICATES)
    for _ in range(subsets):
        ours = draw.choice(len(generated), count, replace=False)
        theirs = draw.choice(len(real), count, replace=False)
        x = np.asarray(generated[ours], dtype=np.float64)
        y = np.asarray(real[theirs], dtype=np.float64)
        xx, across = _cubic(x, x), _cubic(x, y).mean(1)
        yy = _cubic(y, y)
        np.fill_diagonal(xx, 0)
        np.fill_diagonal(yy, 0)
        pairs = count * (count - 1)
        fixed = yy.sum() / pairs
        total += xx.sum() / pairs + fixed - 2 * across.mean()
        w = times[:, ours].astype(np.float64)
        drawn = w.sum(1)
        within = np.einsum("ri,ri->r", w @ xx, w) / np.maximum(drawn**2 - (w**2).sum(1), 1)
        replicates += within + fixed - 2 * (w @ across) / np.maximum(drawn, 1)
    value = float(total / subsets)
    spread = (replicates - replicates.mean()) / subsets
    low, high = np.quantile(spread, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, value + float(low), value + float(high))


def _cubic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3

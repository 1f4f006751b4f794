"""How sure an FID is: what each generated image does to it, and a bootstrap over the images.

To first order a Frechet distance is a mean over images: image x moves it by ``h(x) / n``, where h
is the derivative along a point mass at x (the influence function). A Poisson bootstrap of that mean
needs one pass over the features, not an eigendecomposition a replicate.

What the interval covers: the images that were drawn, given the real statistics and the generator.
Not the upward bias of a finite n, which all numbers of one protocol share, nor another training.
The first order is all there is only while the distance is well above that bias; towards equal
distributions h vanishes and the interval is too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REPLICATES = 1000
LEAST = 2  #: images a feature below which a covariance is too near singular for a derivative
CHUNK = 4096  #: rows of features in float64 at once


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its bootstrap interval; None where none can be given."""

    value: float
    low: float | None
    high: float | None

    def times(self, factor: float) -> Interval:
        """In another unit."""
        ends = (None if end is None else factor * end for end in (self.low, self.high))
        return Interval(factor * self.value, *ends)


def influences(
    features: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
    real_mean: np.ndarray,
    real_covariance: np.ndarray,
) -> np.ndarray | None:
    """h of every row of ``features [n, d]``: float64 ``[n]`` of mean 0; None where n < 2 d.

    ``mean [d]`` and ``covariance [d, d]`` are those of the features. With T the optimal transport
    map between the two Gaussians, h(x) = 2 (mu - mu_real)'y + y'(1 - T)y - tr((1 - T) cov) with
    y = x - mu: the gradient of the distance in mean and covariance.
    """
    n, d = features.shape
    if n < LEAST * d:
        return None
    values, vectors = np.linalg.eigh(covariance)
    roots = np.sqrt(np.clip(values, 0, None))
    if roots[0] <= roots[-1] * 1e-9:  # constant features, such as dead channels: no inverse
        keep = roots > roots[-1] * 1e-9
        inverse = np.where(keep, 1 / np.where(keep, roots, 1), 0)
    else:
        inverse = 1 / roots
    half = (vectors * roots) @ vectors.T
    middle, basis = np.linalg.eigh(half @ real_covariance @ half)
    middle = (basis * np.sqrt(np.clip(middle, 0, None))) @ basis.T
    back = (vectors * inverse) @ vectors.T
    gradient = np.eye(d) - back @ middle @ back
    slope = 2 * (mean - real_mean)
    out = np.empty(n)
    for i in range(0, n, CHUNK):
        y = np.asarray(features[i : i + CHUNK], dtype=np.float64) - mean
        out[i : i + CHUNK] = y @ slope + np.einsum("ij,ij->i", y @ gradient, y)
    return out - out.mean()


def bootstrap(
    value: float, h: np.ndarray | None, seed: int, confidence: float = 0.95, least: float = 0.0
) -> Interval:
    """Poisson bootstrap of ``value`` with influences ``h [n]``: ends at or above ``least``.

    Every image counts Poisson(1) times in each of ``REPLICATES`` replicates; the ends are their
    quantiles. The same seed gives the same ends.
    """
    if h is None:
        return Interval(value, None, None)
    random = np.random.default_rng(seed)
    moved = np.empty(REPLICATES)
    for r in range(REPLICATES):
        times = random.poisson(1.0, len(h))
        moved[r] = times @ h / max(times.sum(), 1)
    low, high = np.quantile(moved, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, max(least, value + float(low)), max(least, value + float(high)))


def change(
    before: float, h_before: np.ndarray | None, after: float, h_after: np.ndarray | None, seed: int
) -> Interval:
    """FID after less FID before, paired: image i of both generators has the same latent and camera.

    ValueError where they have not the same number of images.
    """
    if h_before is None or h_after is None:
        return Interval(after - before, None, None)
    if len(h_before) != len(h_after):
        raise ValueError(f"{len(h_before)} images before and {len(h_after)} after: not pairs")
    return bootstrap(after - before, h_after - h_before, seed, least=-np.inf)

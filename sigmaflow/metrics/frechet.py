"""Streaming feature moments and the Frechet distance between them.

Source: Heusel et al. 2017 (FID); statistics as in clean-fid (mean, covariance with n - 1), sums in
float64. The distance takes its matrix root from eigenvalues of a symmetric product, which is real
by construction and needs no ``scipy.linalg.sqrtm``.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Moments:
    """Mean and covariance of feature vectors, one batch at a time, all sums in float64.

    ``dim``: length of a feature vector. ``source``: says what made the features (for example
    ``extractor.key``); moments of different sources cannot be merged or compared, since such a
    number would look like an FID and mean nothing.
    """

    def __init__(self, dim: int, source: str = "") -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        self.dim = int(dim)
        self.source = source
        self.n = 0
        self._mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))

    def add(self, features: Any) -> Moments:
        """Add a batch ``[B, dim]`` (numpy or torch, finite); returns self."""
        x = features.detach().cpu().numpy() if hasattr(features, "detach") else features
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"features must be [B, {self.dim}], got {list(x.shape)}")
        if not np.isfinite(x).all():
            raise ValueError("features hold NaN or infinity")
        if len(x):
            mean = x.mean(0)
            centred = x - mean
            self._join(len(x), mean, centred.T @ centred)
        return self

    def merge(self, other: Moments) -> Moments:
        """Add what another shard has seen; returns self.

        Order matters to float rounding only; `sigmaflow.metrics.blocks` takes that out as well.
        """
        _same_kind(self, other)
        if other.n:
            self._join(other.n, other._mean, other._scatter)
        return self

    def _join(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        # Chan et al. 1979: exact, and free of the cancellation of E[xx'] - mean mean'.
        total = self.n + n
        delta = mean - self._mean
        self._scatter += scatter  # in place: at 2048 features a copy is 34 MB
        if self.n:
            self._scatter += np.outer(delta, delta) * (self.n * n / total)
        self._mean = self._mean + delta * (n / total)
        self.n = total

    @property
    def mean(self) -> np.ndarray:
        """``[dim]`` float64; ``ValueError`` when nothing was added."""
        if self.n < 1:
            raise ValueError("no features were added: there is no mean")
        return self._mean.copy()

    @property
    def covariance(self) -> np.ndarray:
        """``[dim, dim]`` float64 with divisor n - 1; ``ValueError`` below two samples."""
        return self.covariance_with(1)

    def covariance_with(self, ddof: int) -> np.ndarray:
        """The same with divisor n - ``ddof``: clean-fid has 1, NVIDIA's FID 0."""
        if self.n < 2:
            raise ValueError(f"a covariance needs at least 2 samples, there are {self.n}")
        return self._scatter / (self.n - ddof)

    def to_arrays(self) -> dict[str, Any]:
        """Everything as arrays (for ``numpy.savez``); ``from_arrays`` gives the same moments."""
        return {
            "n": np.int64(self.n),
            "mean": self._mean.copy(),
            "scatter": self._scatter.copy(),
            "source": np.array(self.source),
        }

    @classmethod
    def from_arrays(cls, arrays: Any) -> Moments:
        """The inverse of ``to_arrays``; takes a mapping such as an open ``.npz`` file."""
        mean = np.asarray(arrays["mean"], dtype=np.float64)
        scatter = np.asarray(arrays["scatter"], dtype=np.float64)
        if mean.ndim != 1 or scatter.shape != (len(mean), len(mean)):
            raise ValueError(f"mean {mean.shape} and scatter {scatter.shape} do not fit together")
        out = cls(len(mean), str(arrays["source"]))
        out.n, out._mean, out._scatter = int(arrays["n"]), mean.copy(), scatter.copy()
        return out


def _same_kind(a: Moments, b: Moments) -> None:
    if a.dim != b.dim or a.source != b.source:
        raise ValueError(
            f"moments of different features: {a.source or 'unnamed'} ({a.dim}-d) "
            f"and {b.source or 'unnamed'} ({b.dim}-d)"
        )


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet distance of two Gaussians with these moments, clipped at 0.

    This is what is called FID when the features are Inception's. ``ValueError`` where the features
    differ in kind or a side has fewer than two samples.
    """
    _same_kind(a, b)
    return frechet_of(a.mean, a.covariance, b.mean, b.covariance)


def frechet_of(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
    """The same from means ``[d]`` and covariances ``[d, d]``; singular covariances are fine."""
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ cov_b @ root)
    shift = np.asarray(mean_a) - np.asarray(mean_b)
    cross = np.sqrt(np.clip(product, 0, None)).sum()
    distance = float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
    return max(distance, 0.0)


def check_sample_size(n: int, dim: int, per_feature: int = 10) -> None:
    """``ValueError`` unless ``n >= per_feature * dim``: below, the distance is mostly bias."""
    need = per_feature * dim
    if n < need:
        raise ValueError(
            f"{n} images are too few for {dim} features: use at least {need} "
            f"({per_feature} per feature) or an extractor with fewer features"
        )

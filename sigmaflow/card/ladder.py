"""Distances of a set of pictures from real ones, and a ladder of known harm to read them by.

A Frechet distance has no scale of its own. So the real pictures are harmed in ways that an eye can
rank, and each result is measured against the untouched set with the same metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sigmaflow.metrics.frechet import frechet_of
from sigmaflow.metrics.influence import Interval, bootstrap, influences
from sigmaflow.metrics.kernel import kernel_distance

#: What is done to every picture, by name; "two halves" needs no pictures of its own.
HARMS = {
    "blur1": "Gaussian blur, 1 px", "blur2": "Gaussian blur, 2 px",
    "half": "half the pixels a side and back", "noise": "noise of 5 grey levels",
    "one": "one picture repeated",
}  # fmt: skip
HALVES, GENERATED = "two halves", "generated"
SUBSETS = 20  #: of a KID


def harmed(images: Tensor, harm: str, seed: int = 0) -> Tensor:
    """Pictures uint8 ``[n, 3, H, W]`` with one of ``HARMS`` done to each of them.

    Blur: edges repeated. Half: PIL bicubic to H/2 and back. Noise: normal, deviation 5, from
    (``seed``, index). Raises ``ValueError`` for an unknown name.
    """
    if harm not in HARMS:
        raise ValueError(f"unknown harm {harm!r} (known: {', '.join(HARMS)})")
    if harm == "one":
        return images[:1].expand_as(images).clone()
    if harm == "half":
        return torch.stack([_halved(image) for image in images])
    x = images.numpy().astype(np.float64)
    if harm == "noise":
        shape = x.shape[1:]
        x += np.stack([np.random.default_rng((seed, i)).normal(0, 5, shape)
                       for i in range(len(x))])  # fmt: skip
    else:
        from scipy.ndimage import gaussian_filter

        width = float(harm.removeprefix("blur"))
        x = gaussian_filter(x, (0, 0, width, width), mode="nearest")
    return torch.from_numpy(np.clip(np.rint(x), 0, 255).astype(np.uint8))


def _halved(image: Tensor) -> Tensor:
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    back = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC))
    return torch.from_numpy(back.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Distance:
    """Frechet and kernel distance, each with a 95 % bootstrap interval over the second set."""

    frechet: Interval
    kernel: Interval
    n: int


def distance(real: np.ndarray, other: np.ndarray, seed: int = 0) -> Distance:
    """Of features ``other [m, d]`` from ``real [n, d]``, covariances with n - 1.

    The interval is that of `sigmaflow.metrics.influence`, None below 2 d features; KID is the mean
    over ``SUBSETS`` subsets. Raises ``ValueError`` for features that do not fit or are too few.
    """
    if real.ndim != 2 or other.ndim != 2 or real.shape[1] != other.shape[1]:
        raise ValueError(f"features do not fit together: {real.shape} and {other.shape}")
    if min(len(real), len(other)) < 2:
        raise ValueError(f"needs 2 features of each, not {len(real)} and {len(other)}")
    ends = [(x.mean(0), np.cov(x, rowvar=False))
            for x in (np.asarray(v, dtype=np.float64) for v in (other, real))]  # fmt: skip
    value = frechet_of(*ends[0], *ends[1])
    h = influences(np.asarray(other), *ends[0], *ends[1])
    kernel = kernel_distance(real, other, seed, subsets=SUBSETS)
    return Distance(bootstrap(value, h, seed), kernel, len(other))


def split_halves(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row indices of two halves of a set, of every other identity each, so that none is in both.

    ``identities [n]``: one integer a picture. ``ValueError`` for fewer than two.
    """
    order = np.unique(np.asarray(identities), return_inverse=True)[1]
    if order.max(initial=0) < 1:
        raise ValueError("halves need at least two identities")
    return np.flatnonzero(order % 2 == 0), np.flatnonzero(order % 2 == 1)


def ladder(
    features: Mapping[str, np.ndarray], real: np.ndarray, identities: np.ndarray, seed: int = 0
) -> dict[str, Distance]:
    """Every rung by name, the mildest first: the two halves, harms and whatever ``features`` holds.

    ``real [n, d]``; ``features``: ``[m, d]`` by name; ``identities [n]`` of the real ones.
    """
    a, b = split_halves(identities)
    out = {HALVES: distance(real[a], real[b], seed)}
    out |= {name: distance(real, found, seed) for name, found in features.items()}
    return dict(sorted(out.items(), key=lambda one: one[1].frechet.value))


def rank_agreement(a: Mapping[str, Distance], b: Mapping[str, Distance]) -> float:
    """Spearman's rank correlation of two ladders' Frechet distances over the rungs that both have.

    1: both put all rungs in the same order. ``ValueError`` for fewer than three.
    """
    from scipy.stats import spearmanr

    both = [name for name in a if name in b]
    if len(both) < 3:
        raise ValueError(f"a rank order needs three rungs, both have {len(both)}")
    return float(spearmanr([a[k].frechet.value for k in both],
                           [b[k].frechet.value for k in both]).statistic)  # fmt: skip

"""Is a head the same head from the side: find its frontal view among all by a side view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigmaflow.statistics.intervals import bootstrap_mean, wilson


@dataclass(frozen=True)
class Retrieval:
    """Share of side views whose most similar frontal view is of the same identity.

    ``hits [views, n]``: view by view. The interval is a bootstrap over identities, since views of
    one are not independent; where all or none are found it is Wilson's of n identities.
    """

    hits: np.ndarray
    share: float
    low: float
    high: float

    @property
    def both(self) -> float:
        """Share of identities that every side view finds."""
        return float(self.hits.all(0).mean())


def retrieve(front: np.ndarray, sides: np.ndarray, seed: int = 0) -> Retrieval:
    """Top-1 retrieval of ``front [n, d]`` by ``sides [views, n, d]``, row i being identity i.

    Features are centred over the identities view by view, which takes out what a pose does to all
    of them alike, and compared by cosine. A tie with another identity counts as a miss. Raises
    ``ValueError`` for other shapes, fewer than two identities, or features that are not finite.
    """
    front, sides = np.asarray(front, dtype=np.float64), np.asarray(sides, dtype=np.float64)
    if front.ndim != 2 or sides.ndim != 3 or sides.shape[1:] != front.shape or len(front) < 2:
        raise ValueError(f"need front [n, d] and sides [views, n, d] of n >= 2 identities, got "
                         f"{list(front.shape)} and {list(sides.shape)}")  # fmt: skip
    if not (np.isfinite(front).all() and np.isfinite(sides).all()):
        raise ValueError("features hold NaN or infinity")
    gallery, hits = _unit(front), []
    for view in sides:
        likeness = _unit(view) @ gallery.T
        own = np.diag(likeness).copy()
        np.fill_diagonal(likeness, -np.inf)
        hits.append(own > likeness.max(1))
    table = np.array(hits)
    share, n = float(table.mean()), len(front)
    ends = wilson(round(share) * n, n) if share in (0.0, 1.0) else bootstrap_mean(
        table.mean(0), seed=seed)  # fmt: skip
    return Retrieval(table, share, *ends)


def _unit(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

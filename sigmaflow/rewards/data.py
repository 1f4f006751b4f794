"""What a reward learns from: slabs by seed, and the items of the questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from sigmaflow.preferences.rankings import Rankings


@dataclass(frozen=True, eq=False)
class SlabBank:
    """Raw slabs `[n, X, Y, Z]` (array or memory map, float16 or float32), row i of `seeds[i]`.

    Raises ValueError where the two do not fit or a seed occurs twice.
    """

    slabs: np.ndarray
    seeds: Sequence[int]
    _rows: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = {int(seed): row for row, seed in enumerate(self.seeds)}
        if self.slabs.ndim != 4 or len(self.slabs) != len(self.seeds):
            raise ValueError(
                f"slabs are {self.slabs.shape} for {len(self.seeds)} seeds; expected [n, X, Y, Z]"
            )
        if len(rows) != len(self.seeds):
            raise ValueError(f"{len(self.seeds) - len(rows)} seeds occur more than once")
        object.__setattr__(self, "_rows", rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """X, Y, Z of one slab."""
        return tuple(self.slabs.shape[1:])

    def require(self, seeds: Iterable[int]) -> None:
        """Raise ValueError naming the seeds that have no slab."""
        missing = sorted({int(seed) for seed in seeds} - self._rows.keys())
        if missing:
            raise ValueError(f"{len(missing)} seeds have no slab: {missing[:10]}")

    def take(self, seeds: Sequence[int]) -> torch.Tensor:
        """Slabs of these seeds, `[k, X, Y, Z]` float32 on the CPU."""
        rows = [self._rows[int(seed)] for seed in seeds]
        return torch.from_numpy(np.asarray(self.slabs[rows], dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Items:
    """Questions as the loss sees them: `[n, K]` seeds, better first.

    K = 3, (anchor, winner, loser), or K = 2 without anchors. Winner and loser are always the last
    two columns: the *regular* pair.
    """

    seeds: np.ndarray

    @classmethod
    def of(cls, rankings: Rankings, anchors: np.ndarray | None = None) -> Items:
        """Items of rankings, with one anchor seed for each (`assign_anchors`) or none."""
        columns = [rankings.winners, rankings.losers]
        if anchors is not None:
            if len(anchors) != len(rankings):
                raise ValueError(f"{len(anchors)} anchors for {len(rankings)} questions")
            columns.insert(0, np.asarray(anchors, dtype=np.int64))
        return cls(np.stack(columns, axis=1))

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Columns (better, worse) of the pairs within an item."""
        k = self.seeds.shape[1]
        return [(a, b) for a in range(k) for b in range(a + 1, k)]

    @property
    def shapes(self) -> list[int]:
        """Every seed once, ascending."""
        return np.unique(self.seeds).tolist()

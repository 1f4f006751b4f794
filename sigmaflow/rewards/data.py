"""What a reward learns from: representations by seed, and the items of the questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.points import depth_points
from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.config import RewardConfig


@dataclass(frozen=True, eq=False)
class Bank:
    """Raw values `[n, ...]` (array or memory map, float16 or float32), row i of `seeds[i]`.

    Raises ValueError where the two do not fit or a seed occurs twice.
    """

    values: np.ndarray
    seeds: Sequence[int]
    _rows: dict[int, int] = field(init=False, repr=False)
    what: ClassVar[str] = "values"
    axes: ClassVar[str] = ""

    def __post_init__(self) -> None:
        rows = {int(seed): row for row, seed in enumerate(self.seeds)}
        wrong = self.axes and self.values.ndim != 2 + self.axes.count(",")
        if wrong or len(self.values) != len(self.seeds):
            raise ValueError(
                f"{self.what} are {self.values.shape} for {len(self.seeds)} seeds;"
                f" expected [n, {self.axes or '...'}]"
            )
        if len(rows) != len(self.seeds):
            raise ValueError(f"{len(self.seeds) - len(rows)} seeds occur more than once")
        object.__setattr__(self, "_rows", rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        return tuple(self.values.shape[1:])

    def require(self, seeds: Iterable[int]) -> None:
        """Raise ValueError naming the seeds that have no row."""
        missing = sorted({int(seed) for seed in seeds} - self._rows.keys())
        if missing:
            one = self.what.removesuffix("s")
            raise ValueError(f"{len(missing)} seeds have no {one}: {missing[:10]}")

    def take(self, seeds: Sequence[int]) -> Tensor:
        """Values of these seeds, `[k, ...]` float32 on the CPU."""
        rows = [self._rows[int(seed)] for seed in seeds]
        return torch.from_numpy(np.asarray(self.values[rows], dtype=np.float32))


class SlabBank(Bank):
    """Raw sigma slabs `[n, X, Y, Z]`."""

    what, axes = "slabs", "X, Y, Z"

    @property
    def slabs(self) -> np.ndarray:
        """The values."""
        return self.values


class DepthBank(Bank):
    """Depth maps `[n, V, H, W]` in world units, V views a shape."""

    what, axes = "depth maps", "V, H, W"


class PointBank(Bank):
    """Clouds `[n, N, 3]` in world units."""

    what, axes = "clouds", "N, 3"


@dataclass(frozen=True, eq=False)
class CloudBank(DepthBank):
    """Clouds `[N, 3]` in world units of depth maps `[n, 1, r, r]`, N = r * r (paper, Eq. 3).

    camera: c `[1, 25]` of the maps. Clouds are made when they are taken, at a third of the memory.
    """

    camera: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one cloud."""
        return self.values.shape[2] * self.values.shape[3], 3

    def take(self, seeds: Sequence[int]) -> Tensor:
        """Clouds of these seeds, `[k, N, 3]` float32 on the CPU."""
        return depth_points(super().take(seeds)[:, 0], self.camera)


def mirrored(x: Tensor, config: RewardConfig) -> Tensor:
    """Raw representations `[B, ...]` of the shapes mirrored in x. ValueError for lopsided views."""
    if config.representation == "sigma":
        return x.flip(1)
    if config.representation == "points":
        return x * x.new_tensor([-1.0, 1.0, 1.0])
    if [-yaw for yaw in reversed(config.yaws)] != list(config.yaws):
        raise ValueError(
            f"mirror needs views that mirror each other, yaws are {config.yaws}; train without"
            " mirror, or use views such as (1, 0, -1)"
        )
    return x.flip(1, 3)


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

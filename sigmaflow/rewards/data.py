"""What a reward learns from: representations by seed, and the items of the questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from sigmaflow.fields.points import depth_points
from sigmaflow.preferences.orders import PAD, Orders
from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.config import RewardConfig


class Source(Protocol):
    """Where a training finds what the reward sees: a `Bank`, or shapes made when they are asked for
    (`sigmaflow.rewards.stream.GeneratorBank`)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def require(self, seeds: Iterable[int]) -> None: ...

    def take(self, seeds: Sequence[int]) -> Tensor: ...


class Stacked:
    """Arrays `[n_i, ...]`, such as memory maps, seen as one `[sum of n_i, ...]`; nothing is copied
    before rows are asked for. ValueError where their items or types differ.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        kinds = {(array.shape[1:], array.dtype) for array in arrays}
        if len(kinds) != 1:
            found = ", ".join(sorted(f"{dtype} {list(shape)}" for shape, dtype in kinds))
            raise ValueError(f"parts hold items of {found or 'nothing'}; give parts of one kind")
        self.arrays = tuple(arrays)
        ((item, self.dtype),) = kinds
        starts = np.cumsum([0, *(len(array) for array in arrays)])
        self._kept = np.arange(starts[-1])
        self._starts = starts
        self._item = item

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._kept), *self._item

    @property
    def ndim(self) -> int:
        return 1 + len(self._item)

    def __len__(self) -> int:
        return len(self._kept)

    def rows(self, kept: np.ndarray) -> Stacked:
        """The same arrays with only these rows, in this order."""
        part = object.__new__(Stacked)
        part.__dict__ |= {**self.__dict__, "_kept": self._kept[kept]}
        return part

    def place(self, row: int) -> tuple[np.ndarray, int]:
        """The array that a row is in, and its row there. IndexError beyond the rows."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        at = self._kept[row]
        part = int(np.searchsorted(self._starts, at, side="right")) - 1
        return self.arrays[part], int(at - self._starts[part])

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
        """Rows at these positions, `[k, ...]`, copied from where they lie."""
        out = np.empty((len(rows), *self._item), self.dtype)
        for i, row in enumerate(rows):
            array, inner = self.place(row)
            out[i] = array[inner]
        return out


@dataclass(frozen=True, eq=False)
class Bank:
    """Raw values `[n, ...]` (array, memory map or several `Stacked`, float16 or float32), row i of
    `seeds[i]`.

    Raises ValueError where the two do not fit or a seed occurs twice.
    """

    values: np.ndarray | Stacked
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

    def has(self, seed: int) -> bool:
        """Whether a seed has a row."""
        return int(seed) in self._rows

    def require(self, seeds: Iterable[int]) -> None:
        """Raise ValueError naming the seeds that have no row."""
        missing = sorted({int(seed) for seed in seeds} - self._rows.keys())
        if missing:
            one = self.what.removesuffix("s")
            raise ValueError(f"{len(missing)} seeds have no {one}: {missing[:10]}")

    def take(self, seeds: Sequence[int]) -> Tensor:
        """Values of these seeds, `[k, ...]` float32 on the CPU."""
        rows = [self._rows[int(seed)] for seed in seeds]
        # torch widens float16 faster than numpy does, to the same numbers.
        return torch.from_numpy(np.asarray(self.values[rows])).float()

    def place(self, seed: int) -> tuple[str, int]:
        """File (empty for an array in memory) and row of a seed, for messages."""
        row, array = self._rows[int(seed)], self.values
        if isinstance(array, Stacked):
            array, row = array.place(row)
        return str(getattr(array, "filename", None) or ""), row

    @classmethod
    def of_parts(
        cls, parts: Iterable[tuple[np.ndarray, Sequence[int]]], once: bool = False
    ) -> Self:
        """Several arrays `[n_i, ...]`, such as memory maps, with the seeds of their rows.

        Nothing is copied. ValueError where a seed occurs twice, unless `once` leaves out all but
        its first row.
        """
        arrays, seeds = zip(*parts) if (parts := list(parts)) else ((), ())
        for array, own in parts:
            if len(array) != len(own):
                file = getattr(array, "filename", None) or "an array"
                raise ValueError(f"{file} holds {len(array)} {cls.what} for {len(own)} seeds")
        whole = Stacked(arrays)
        every = np.array([int(seed) for own in seeds for seed in own], dtype=np.int64)
        if once:
            rows = np.sort(np.unique(every, return_index=True)[1])
            whole, every = whole.rows(rows), every[rows]
        return cls(whole, every.tolist())


class SlabBank(Bank):
    """Raw sigma slabs `[n, X, Y, Z]`."""

    what, axes = "slabs", "X, Y, Z"

    @property
    def slabs(self) -> np.ndarray | Stacked:
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

    Of best and worst, K = 3, (anchor, winner, loser), or K = 2 without anchors. Of whole orders, K
    is the longest with its anchor, and shorter rows end in `PAD`.

    first: the column in which the ranked shapes begin; K - 2, the winner's, when None. Pairs from
    there on are the *regular* ones. annotators: `[n]` who answered, numbered from 0, or None.
    """

    seeds: np.ndarray
    first: int | None = None
    annotators: np.ndarray | None = None

    @classmethod
    def of(cls, rankings: Rankings, anchors: np.ndarray | None = None) -> Items:
        """Items of rankings, with one anchor seed for each (`assign_anchors`) or none."""
        columns = [rankings.winners, rankings.losers]
        if anchors is not None:
            if len(anchors) != len(rankings):
                raise ValueError(f"{len(anchors)} anchors for {len(rankings)} questions")
            columns.insert(0, np.asarray(anchors, dtype=np.int64))
        return cls(np.stack(columns, axis=1))

    @classmethod
    def of_orders(cls, orders: Orders, anchors: np.ndarray | None = None) -> Items:
        """Items of whole orders, each with the anchor above it (`[n]` seeds) or none.

        Every pair counts (`ranking_loss`), or the whole order at once (`plackett_luce_loss`).
        """
        table = orders.padded()
        if anchors is not None:
            if len(anchors) != len(orders):
                raise ValueError(f"{len(anchors)} anchors for {len(orders)} answers")
            table = np.concatenate([np.asarray(anchors, dtype=np.int64)[:, None], table], axis=1)
        return cls(table, first=0 if anchors is None else 1, annotators=orders.numbered()[0])

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, rows: np.ndarray) -> Items:
        """The items at these positions, in this order."""
        who = None if self.annotators is None else self.annotators[rows]
        return Items(self.seeds[rows], self.first, who)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Columns (better, worse) of the pairs within an item."""
        k = self.seeds.shape[1]
        return [(a, b) for a in range(k) for b in range(a + 1, k)]

    @property
    def regular(self) -> list[bool]:
        """For each of `pairs`, whether neither is an anchor."""
        first = self.seeds.shape[1] - 2 if self.first is None else self.first
        return [a >= first for a, _ in self.pairs]

    @property
    def mask(self) -> np.ndarray | None:
        """`[n, K]` where there is a shape; None where every row is full."""
        there = self.seeds != PAD
        return None if there.all() else there

    @property
    def pair_mask(self) -> np.ndarray:
        """`[n, P]` bool, for each of `pairs` whether both shapes are there."""
        there = self.seeds != PAD
        return np.stack([there[:, a] & there[:, b] for a, b in self.pairs], axis=1)

    @property
    def shapes(self) -> list[int]:
        """Every seed once, ascending."""
        return np.unique(self.seeds[self.seeds != PAD]).tolist()

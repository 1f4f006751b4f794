"""Where the cells of a grid fall on a tri-plane: texel positions by world axis.

A plane of P texels a side covers `box_warp`. `F.grid_sample` without aligned corners puts the
normalised coordinate c at texel (c + 1) P / 2 - 1/2 and takes what lies outside for zero. So
texels -1 and P are zeros that every plane has, and a position beyond them may be moved onto them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid


@dataclass(frozen=True)
class Sites:
    """Texel positions of the cells that `grid` keeps, on planes of `size` x `size` texels.

    Positions lie in [-1, size], are of `dtype`, and are rounded where `Grid.points` and
    `F.grid_sample` round, so that both ways of sampling see the same places. Ranges count kept
    cells from 0. `spans` are the half-open texel ranges that cells touch along x, y and z.
    """

    grid: Grid
    box_warp: float
    size: int
    dtype: torch.dtype
    device: torch.device
    spans: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        low = [range(1)] * 3
        high = [range(n - 1, n) for n in self.grid.shape]
        ends = ((self.x(*c), self.y(*c[1:]), self.z(*c[2:])) for c in (low, high))
        spans = tuple(self.touched(torch.stack([a.flatten(), b.flatten()])) for a, b in zip(*ends))
        object.__setattr__(self, "spans", spans)

    @property
    def sheared(self) -> bool:
        """Whether positions along x and y depend on the cell's other indices."""
        return self.grid.kind == "released"

    def texels(self, start: int, stop: int) -> Tensor:
        """Texels start..stop-1 as numbers."""
        return torch.arange(start, stop, dtype=self.dtype, device=self.device)

    @property
    def stride(self) -> float:
        """Texels between neighbouring cells."""
        return self.grid.voxel / self.box_warp * self.size

    def touched(self, position: Tensor) -> tuple[int, int]:
        """Half-open range of texels around positions that grow along every dimension."""
        ends = position.flatten()[[0, -1]].floor().clamp(max=self.size - 1).tolist()
        return int(ends[0]), int(ends[1]) + 2

    def x(self, rows: range, columns: range, levels: range) -> Tensor:
        """Positions along x: [columns, levels, rows] where sheared, [rows] where not."""
        i, j, k = self._index(0, rows), self._index(1, columns), self._index(2, levels)
        if self.sheared:
            n = self.grid.resolution
            i = i + j[:, None, None] / n + k[:, None] / n**2
        return self._position(i)

    def y(self, columns: range, levels: range) -> Tensor:
        """Positions along y: [columns, levels] where sheared, [columns] where not."""
        j, k = self._index(1, columns), self._index(2, levels)
        return self._position(j[:, None] + k / self.grid.resolution if self.sheared else j)

    def z(self, levels: range) -> Tensor:
        """Positions along z: [levels]."""
        return self._position(self._index(2, levels))

    def _index(self, axis: int, cells: range) -> Tensor:
        start = self.grid.ranges[axis][0]
        return torch.arange(
            start + cells.start, start + cells.stop, dtype=torch.float64, device=self.device
        )

    def _position(self, index: Tensor) -> Tensor:
        world = index.float() * self.grid.voxel - self.grid.length / 2
        coords = (world * (2 / self.box_warp)).to(self.dtype)
        return ((coords + 1) * (self.size / 2) - 0.5).clamp_(-1, self.size)


def hat(position: Tensor, texels: Tensor) -> Tensor:
    """Weights [..., n] of the texels [n] in linear interpolation at positions [...]."""
    return (position.unsqueeze(-1) - texels).abs_().neg_().add_(1).clamp_(min=0)

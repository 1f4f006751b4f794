"""Sampling grids of the density field: where sigma is asked for, and which cells are kept.

World axes are EG3D's: axis 0 is x (image left to right), axis 1 is y (chin to crown), axis 2 is z
(back of the head to the camera). Arrays over a grid are `[x, y, z]`, z fastest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:  # a sweep is planned without torch
    import torch

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
UPPER = 100.0  # end of the scale that slabs are normalised to (section 3.1)
AXIS_PADS = (("rhs", "lhs"), ("bot", "top"), ("rear", "front"))

# A list of points kept between calls costs 12 bytes a point; above this they are made afresh.
_KEEP_POINTS = 4_000_000


class SlabPads(BaseModel):
    """Fractions of the cube that are cut off, by side.

    `rhs`/`lhs` cut the low/high end of x, `bot`/`top` of y, `rear`/`front` of z. The released rule
    turns a fraction into `int(fraction * resolution)` cells, and no cells into one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rhs: Fraction = 0.0
    lhs: Fraction = 0.0
    bot: Fraction = 0.0
    top: Fraction = 0.0
    rear: Fraction = 0.0
    front: Fraction = 0.0

    def cells(self, resolution: int) -> tuple[tuple[int, int], ...]:
        """Cells cut off at the low and high end of x, y, z."""
        return tuple(
            (
                _pad_cells(getattr(self, low), resolution),
                _pad_cells(getattr(self, high), resolution),
            )
            for low, high in AXIS_PADS
        )


def _pad_cells(fraction: float, resolution: int) -> int:
    return max(int(fraction * resolution), 1)


SLAB_ENTIRE = SlabPads(rhs=0.25, lhs=0.25, bot=0.25, top=0.2, rear=0.4, front=0.1)
"""The frontal face slab of the paper (section 3.1): (128, 141, 129) cells of a 256 grid."""


class Grid(BaseModel):
    """A cube of `resolution`^3 points about the origin, or the slab of it that `pads` leaves.

    resolution: points per axis, end points included.
    kind: "regular" puts index i at `i * voxel - length / 2`. "released" is the grid of the released
        EG3D code, whose true division lets the lower axes leak into the upper ones: x carries
        j/N + k/N^2 and y carries k/N of a voxel. What was trained on one must be used on it.
    length: side of the cube in world units (EG3D faces: box_warp = 1).
    pads: what is cut off; None keeps the whole cube.

    Raises pydantic's ValidationError (a ValueError) if the pads leave nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: int = Field(ge=2)
    kind: Literal["released", "regular"] = "released"
    length: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    pads: SlabPads | None = None

    @model_validator(mode="after")
    def _something_is_left(self) -> Grid:
        for axis, (start, stop) in zip("xyz", self.ranges):
            if stop <= start:
                raise ValueError(
                    f"the pads leave no cell along {axis}: [{start}, {stop}) of {self.resolution};"
                    " lower the pads or raise the resolution"
                )
        return self

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Kept half-open index ranges along x, y, z."""
        if self.pads is None:
            return ((0, self.resolution),) * 3
        cut = self.pads.cells(self.resolution)
        return tuple((low, self.resolution - high) for low, high in cut)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kept cells along x, y, z."""
        x, y, z = (stop - start for start, stop in self.ranges)
        return x, y, z

    @property
    def size(self) -> int:
        """Kept cells in all."""
        nx, ny, nz = self.shape
        return nx * ny * nz

    @property
    def voxel(self) -> float:
        """Distance of neighbouring points in world units."""
        return self.length / (self.resolution - 1)

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World coordinates of the kept indices along x, y, z (float64), shear left out.

        Enough to place a mesh; the points that sigma is asked at are `points()`.
        """
        x, y, z = (
            np.arange(start, stop) * self.voxel - self.length / 2 for start, stop in self.ranges
        )
        return x, y, z

    def points(self, device: torch.device | str | None = None) -> torch.Tensor:
        """World coordinates of the kept cells, `[size, 3]` float32, x slowest and z fastest.

        The tensor is shared between calls: read it, do not write to it. "released" equals the
        released code bit for bit where that code's float32 index is exact (resolutions that are
        powers of two up to 256); beyond, this one keeps the formula and not the rounding.
        """
        import torch

        device = torch.device(device or "cpu")
        if self.size > _KEEP_POINTS:
            return _points(self, device)
        return _kept_points(self, device)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` gives the same grid back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Grid:
        """Inverse of `as_dict`. Raises ValidationError (a ValueError) on unknown or bad fields."""
        return cls.model_validate(data)


def _points(grid: Grid, device: torch.device) -> torch.Tensor:
    import torch

    i, j, k = (
        np.arange(start, stop, dtype=np.float64).reshape(shape)
        for (start, stop), shape in zip(grid.ranges, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)))
    )
    if grid.kind == "released":
        n = grid.resolution
        i, j = i + j / n + k / n**2, j + k / n
    index = np.empty((*grid.shape, 3), dtype=np.float32)
    index[..., 0], index[..., 1], index[..., 2] = i, j, k
    # float32 from here on, as released: the last bit of the coordinates depends on it.
    points = torch.from_numpy(index.reshape(-1, 3)) * grid.voxel - grid.length / 2
    return points.to(device)


@lru_cache(maxsize=8)
def _kept_points(grid: Grid, device: torch.device) -> torch.Tensor:
    return _points(grid, device)

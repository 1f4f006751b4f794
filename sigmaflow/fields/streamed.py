"""Meshes of cubes that need not fit into memory: marching cubes slab by slab, welded exactly.

A slab begins with the last layer of cells of the slab before it. Marching cubes is local and goes
through the cells in order, so that layer gives the same triangles in the same order twice; they
say which vertices are one, by index and not by place. The faces are those of the whole cube at
once, index for index, and the vertices differ by the rounding of x alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sigmaflow.fields.mesh import (
    BORDER_VALUE,
    Mesh,
    empty_surface,
    inside_of,
    largest_part,
)

PLANES = 32  # a slab's; part of the result, since x is rounded within a slab

Block = tuple[int, np.ndarray]
"""First x index and the planes ``[n, N, N]`` from there."""


def blocks_of(cube: np.ndarray, planes: int = PLANES) -> Iterator[Block]:
    """Blocks of a cube ``[N, N, N]``, such as a ``np.memmap``; views, nothing is copied."""
    for start in range(0, len(cube), planes):
        yield start, cube[start : start + planes]


def mesh_of_blocks(
    blocks: Iterable[Block],
    resolution: int,
    level: float = 10.0,
    length: float = 1.0,
    border: str | tuple[tuple[float, float], ...] = "thin",
    largest: bool = False,
) -> Mesh:
    """`sigmaflow.fields.mesh.extract_mesh` of a cube that comes as x-slabs in order.

    ``blocks``: (first x index, sigma ``[n, N, N]``), together exactly the N = ``resolution``
    planes. How they are cut does not change a bit of the result. Memory: ``PLANES`` planes in a
    few copies, one block, and the mesh. Raises as ``extract_mesh`` does, and ``ValueError`` for
    blocks that are missing, out of order or of another shape.
    """
    if resolution < 4:
        raise ValueError(f"resolution must be at least 4, got {resolution}")
    if not length > 0 or level <= BORDER_VALUE:
        raise ValueError(f"need length > 0 and level > {BORDER_VALUE}, got {length} and {level}")
    inside = inside_of(resolution, border)
    seen = _Range()
    welded = _Welded(level)
    slab = np.full((PLANES + 2, resolution, resolution), BORDER_VALUE, np.float32)
    filled = first = 0  # planes in the slab, and the x index of its first
    for x, plane in _planes(blocks, resolution):
        seen.whole(plane)
        slab[filled] = BORDER_VALUE
        if inside[0].start <= x < inside[0].stop:
            slab[filled][inside[1:]] = plane[inside[1:]]
            seen.inside(plane[inside[1:]])
        filled += 1
        if filled == len(slab) or x == resolution - 1:
            welded.add(slab[:filled], first)
            slab[:2] = slab[filled - 2 : filled]
            filled, first = 2, x - 1
    if not welded.count:
        raise empty_surface(level, seen.of_inside, seen.of_whole)
    vertices, faces = welded.finish()
    mesh = Mesh((vertices * (length / (resolution - 1)) - length / 2).astype(np.float32), faces)
    return largest_part(mesh) if largest else mesh


def _planes(blocks: Iterable[Block], n: int) -> Iterator[tuple[int, np.ndarray]]:
    """(x, plane ``[N, N]``) of every x in turn, once each."""
    x = 0
    for start, block in blocks:
        if block.ndim != 3 or block.shape[1:] != (n, n):
            raise ValueError(f"block at x = {start} is {list(block.shape)}, not [n, {n}, {n}]")
        if start != x or start + len(block) > n:
            raise ValueError(
                f"block {start}..{start + len(block)} comes where x = {x} of {n} is "
                "due; give every plane once, in order"
            )
        for plane in block:
            yield x, plane
            x += 1
    if x != n:
        raise ValueError(f"the blocks end at x = {x} of {n}; give every plane once, in order")


class _Range:
    """Smallest and largest sigma seen so far, in all and inside the border."""

    def __init__(self) -> None:
        self.of_whole = (np.inf, -np.inf)
        self.of_inside: tuple[float, float] | None = None

    def whole(self, plane: np.ndarray) -> None:
        low, high = float(plane.min()), float(plane.max())
        if not np.isfinite([low, high]).all():
            raise ValueError("sigma holds NaN or infinity")
        self.of_whole = min(self.of_whole[0], low), max(self.of_whole[1], high)

    def inside(self, kept: np.ndarray) -> None:
        if kept.size:
            low, high = self.of_inside or (np.inf, -np.inf)
            self.of_inside = min(low, float(kept.min())), max(high, float(kept.max()))


class _Welded:
    """Vertices in voxels and faces of the slabs so far."""

    def __init__(self, level: float) -> None:
        self.level, self.count = level, 0
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._layer = np.empty((0, 3), np.int32)  # faces of the last layer of cells
        self._corners = np.empty((0, 3, 3))  # and where their corners are

    def add(self, slab: np.ndarray, first: int) -> None:
        """Continue with ``slab``, whose plane 0 is plane ``first`` and whose first layer is known.

        The first slab of all has nothing known.
        """
        vertices, faces = _marching_cubes(slab, self.level)
        vertices[:, 0] += first
        again = len(self._layer)
        known = faces[:again]
        if again and not (
            len(known) == again and np.abs(vertices[known] - self._corners).max() < 1e-2
        ):
            raise RuntimeError(
                f"marching cubes did not repeat the layer at x = {first}; this "
                "scikit-image goes through the cells in another order"
            )
        index = np.full(len(vertices), -1, np.int64)
        index[known] = self._layer
        new = index < 0
        index[new] = self.count + np.arange(new.sum())
        faces = index[faces]
        self._vertices.append(vertices[new])
        self._faces.append(faces[again:].astype(np.int32))
        self.count += int(new.sum())
        last = len(_marching_cubes(slab[-2:], self.level)[1])
        self._layer = faces[len(faces) - last :]
        place = np.empty((self.count, 3)) if last else np.empty((0, 3))
        if last:
            place[index] = vertices
        self._corners = place[self._layer]

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self._vertices), np.concatenate(self._faces)


def _marching_cubes(slab: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``[V, 3]`` float64 in voxels and outward faces ``[F, 3]``; none where none is."""
    from skimage.measure import marching_cubes

    if not slab.min() <= level < slab.max():
        return np.empty((0, 3)), np.empty((0, 3), np.int32)
    vertices, faces, _, _ = marching_cubes(slab, level, gradient_direction="ascent")
    return vertices.astype(np.float64), faces

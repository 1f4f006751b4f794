"""What can be seen of a density cube: its components, its front, and how the surface bends.

Cubes are `[N, N, N]` in x, y, z over the whole box; lengths are in sides of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix
from skimage.measure import marching_cubes


@dataclass(frozen=True, eq=False)
class Surface:
    """The largest shape in a cube, alone and without cavities.

    field: density minus level, `[N, N, N]`, positive inside; other shapes and cavities are mirrored
        about zero, so that the surface stays where it was and theirs is gone.
    volume: its share of the box. others: volume of the other visible shapes over its own.
    cavities: volume enclosed and out of sight over its own.
    """

    field: np.ndarray
    volume: float
    others: float
    cavities: float

    @property
    def voxel(self) -> float:
        """Distance of neighbouring cells in sides of the box."""
        return 1.0 / (self.field.shape[0] - 1)


def largest_surface(sigma: np.ndarray, level: float) -> Surface | None:
    """The largest connected shape above `level` once cavities are filled; None without any."""
    field = np.asarray(sigma, dtype=np.float32) - np.float32(level)
    solid = field > 0
    if not solid.any():
        return None
    # One layer of outside around the cube joins every opening at the border to the outside.
    empty = np.pad(~solid, 1, constant_values=True)
    regions, n = ndimage.label(empty)
    outside = (regions == regions[0, 0, 0])[1:-1, 1:-1, 1:-1]
    filled = ~outside if n > 1 else solid
    shapes, n = ndimage.label(filled)
    cells = np.bincount(shapes.ravel())[1:]
    main = int(cells.argmax()) + 1
    body = shapes == main
    cavity = body & ~solid
    field = np.where(body, np.abs(field), -np.abs(field)) if n > 1 or cavity.any() else field
    size = float(cells[main - 1])
    return Surface(
        field=field,
        volume=size / field.size,
        others=float(cells.sum() - size) / size,
        cavities=float(cavity.sum()) / size,
    )


def front_heights(surface: Surface) -> np.ndarray:
    """z of the foremost surface at every x, y: `[N, N]` in [-0.5, 0.5], NaN beside the shape."""
    solid = surface.field > 0
    n = solid.shape[2]
    hit = solid.any(2)
    last = n - 1 - solid[:, :, ::-1].argmax(2)
    ahead = np.minimum(last + 1, n - 1)
    here = np.take_along_axis(surface.field, last[..., None], 2)[..., 0]
    there = np.take_along_axis(surface.field, ahead[..., None], 2)[..., 0]
    step = np.where(ahead > last, here / np.maximum(here - there, 1e-12), 0.0)
    return np.where(hit, (last + np.clip(step, 0, 1)) * surface.voxel - 0.5, np.nan)


def smooth_heights(heights: np.ndarray, width: float) -> np.ndarray:
    """Gaussian mean (`width` in cells) of the known heights; NaN stays NaN."""
    known = np.isfinite(heights)
    weight = ndimage.gaussian_filter(known.astype(np.float64), width, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, heights, 0.0), width, mode="constant")
    return np.where(known, total / np.maximum(weight, 1e-9), np.nan)


def roughness(surface: Surface, heights: np.ndarray, rings: int = 2) -> float:
    """RMS angle (radians) between normals and the mean normal around them, on the visible front.

    Normals are those of the iso-surface's triangles averaged at its vertices; the mean is taken
    over `rings` steps along edges. Visible: in the front half and at the foremost height.
    """
    # A closed border: without it the cut through the neck would be a hole with ragged edges.
    field = np.pad(surface.field, 1, constant_values=min(-1.0, float(surface.field.min())))
    vertices, faces, _, _ = marching_cubes(field, 0.0, gradient_direction="ascent")
    vertices = vertices - 1.0
    across = np.cross(
        vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    )
    n = len(vertices)
    normals: np.ndarray = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), minlength=n)
            for axis in range(3)
        ],
        axis=1,
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    near = near + near.T
    mean = normals
    for _ in range(rings):
        mean = near @ mean + mean
        mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    cosine = np.clip((normals * mean).sum(1), -1.0, 1.0)
    seen = _visible(vertices, heights)
    if seen.sum() < 16:
        seen = np.ones(n, dtype=bool)
    return float(np.sqrt(np.mean(np.arccos(cosine[seen]) ** 2)))


def _visible(vertices: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Vertices (in cells) within a cell of the foremost surface, in the front half of the shape."""
    n = heights.shape[0]
    # The lowest height around a column, so that steep sides count as seen.
    lowest = ndimage.minimum_filter(np.where(np.isfinite(heights), heights, -1.0), 3)
    column = np.clip(np.rint(vertices[:, :2]).astype(int), 0, n - 1)
    z = vertices[:, 2]
    front = z > 0.5 * (z.min() + z.max())
    inside = ((vertices > 0) & (vertices < n - 1)).all(1)
    return front & inside & (z >= (lowest[column[:, 0], column[:, 1]] + 0.5) * (n - 1) - 1.0)

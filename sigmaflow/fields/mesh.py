"""Triangle meshes of a density level: marching cubes on a whole sigma cube.

Source: method of the paper's figures 2 and 10 (level 10, borders set to -1000), on EG3D's axes
(x right, y up, z toward the camera) and without the released code's mirror in x. Cubes too large
for memory: `sigmaflow.fields.streamed`; the released axes: `sigmaflow.fields.released`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sigmaflow.atomic import write_bytes

BORDER_VALUE = -1000.0
BORDERS: dict[str, tuple[tuple[float, float], ...]] = {
    # ((low x, high x), (low y, high y), (back z, front z)) as fractions of the edge.
    "thin": ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
    # EG3D's shape script. Up to N = 8 its int(30 * N / 256) is 0 and its slice then takes the
    # whole cube; here, as for every border, no cells become one.
    "released": ((30 / 256, 30 / 256),) * 3,
    "paper": ((60 / 256, 60 / 256), (30 / 256, 30 / 256), (80 / 256, 30 / 256)),
}


class EmptySurface(ValueError):
    """The level is not crossed inside the border: there is no surface."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """``vertices`` ``[V, 3]`` float32 (world x, y, z), ``faces`` ``[F, 3]`` int32, outward."""

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def area(self) -> float:
        """Surface area in squared world units."""
        return float(np.linalg.norm(self._cross(), axis=1).sum() / 2)

    @property
    def volume(self) -> float:
        """Enclosed volume in cubic world units, positive when faces point outward."""
        corner = self.vertices.astype(np.float64)[self.faces[:, 0]]
        return float((corner * self._cross()).sum() / 6)

    def _cross(self) -> np.ndarray:
        p = self.vertices.astype(np.float64)[self.faces]
        return np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])


def extract_mesh(
    sigma: np.ndarray,
    level: float = 10.0,
    length: float = 1.0,
    border: str | tuple[tuple[float, float], ...] = "thin",
    largest: bool = False,
) -> Mesh:
    """The surface ``sigma == level`` of a cube ``[N, N, N]`` (x, y, z), closed at the border.

    The cube's cells lie at ``linspace(-length / 2, length / 2, N)`` on each axis. ``border``: a
    name in ``BORDERS`` or fractions ``((x, x), (y, y), (back, front))``; ``int(fraction * N)``
    cells, at least 1, of each side become ``BORDER_VALUE`` so that the surface is closed.
    ``largest``: keep only the connected part with most faces. Raises ``EmptySurface`` where the
    level is not crossed, ``ValueError`` for other shapes or values that are not finite.
    """
    from skimage.measure import marching_cubes

    cube = np.array(sigma, dtype=np.float32)
    if cube.ndim != 3 or len(set(cube.shape)) != 1 or cube.shape[0] < 4:
        raise ValueError(f"sigma must be [N, N, N] with N >= 4, got {list(np.shape(sigma))}")
    if not np.isfinite(cube).all():
        raise ValueError("sigma holds NaN or infinity")
    if not length > 0 or level <= BORDER_VALUE:
        raise ValueError(f"need length > 0 and level > {BORDER_VALUE}, got {length} and {level}")
    n = cube.shape[0]
    inside = inside_of(n, border)
    kept = cube[inside]
    if not kept.size or kept.max() <= level:
        span = (kept.min(), kept.max()) if kept.size else None
        raise empty_surface(level, span, (cube.min(), cube.max()))
    closed = np.full_like(cube, BORDER_VALUE)
    closed[inside] = kept
    step = length / (n - 1)
    # On [x, y, z] arrays skimage's "ascent" is what makes faces of a dense inside point outward.
    vertices, faces, _, _ = marching_cubes(
        closed, level, spacing=(step,) * 3, gradient_direction="ascent"
    )
    mesh = Mesh((vertices - length / 2).astype(np.float32), faces.astype(np.int32))
    return largest_part(mesh) if largest else mesh


def empty_surface(
    level: float, inside: tuple[float, float] | None, whole: tuple[float, float]
) -> EmptySurface:
    """The error for a level that is not crossed, with the ranges of sigma that were seen."""
    span = f"{inside[0]:.4g} to {inside[1]:.4g}" if inside else "nothing"
    return EmptySurface(
        f"no surface at level {level:g}: sigma inside the border spans {span} "
        f"(whole cube {whole[0]:.4g} to {whole[1]:.4g}); choose a lower level or "
        "a thinner border"
    )


def inside_of(n: int, border: str | tuple[tuple[float, float], ...]) -> tuple[slice, ...]:
    """Index ranges of x, y, z that a border leaves of a cube of edge ``n``."""
    if isinstance(border, str):
        if border not in BORDERS:
            raise ValueError(f"unknown border {border!r} (known: {', '.join(BORDERS)})")
        border = BORDERS[border]
    if len(border) != 3 or any(not 0 <= f < 1 for pair in border for f in pair):
        raise ValueError(f"border must be three pairs of fractions in [0, 1), got {border}")
    return tuple(slice(max(1, int(low * n)), n - max(1, int(high * n))) for low, high in border)


def largest_part(mesh: Mesh) -> Mesh:
    """The connected part with most faces (the first such), vertices renumbered in order."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces, count = mesh.faces, len(mesh.vertices)
    rows, columns = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    of_face = part[faces[:, 0]]
    keep = faces[of_face == np.bincount(of_face).argmax()]
    used, renumbered = np.unique(keep, return_inverse=True)
    return Mesh(mesh.vertices[used], renumbered.reshape(keep.shape).astype(np.int32))


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Binary little-endian PLY, whole or not there at all."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    table = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("i", "<i4", 3)])
    table["n"], table["i"] = 3, mesh.faces
    vertices = np.ascontiguousarray(mesh.vertices, dtype="<f4")
    write_bytes(path, header.encode("ascii") + vertices.tobytes() + table.tobytes())

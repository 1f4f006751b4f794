"""Is a surface one piece, and does it stay inside its box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigmaflow.fields.mesh import Mesh


@dataclass(frozen=True)
class Parts:
    """Connected components of a surface. ``share``: area of the largest over all, in [0, 1].
    ``cavities``: area of components that enclose a hollow (they face inward), over all."""

    count: int
    share: float
    cavities: float


def parts_of(mesh: Mesh) -> Parts:
    """Components of a closed mesh by shared vertices. A mesh without faces has none: shares 0."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces, n = mesh.faces, len(mesh.vertices)
    if not len(faces):
        return Parts(0, 0.0, 0.0)
    rows, columns = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    of_face = connected_components(graph, directed=False)[1][faces[:, 0]]
    corners = mesh.vertices.astype(np.float64)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.bincount(of_face, np.linalg.norm(across, axis=1) / 2)
    volume = np.bincount(of_face, (corners[:, 0] * across).sum(1) / 6)
    there = np.bincount(of_face) > 0
    total = max(area.sum(), 1e-30)
    return Parts(int(there.sum()), float(area.max() / total), float(area[volume < 0].sum() / total))


def at_border(sigma: np.ndarray, level: float, cells: int = 1) -> bool:
    """Whether anything of a cube ``[N, N, N]`` above ``level`` lies within ``cells`` cells of the
    box's sides. ``ValueError`` for another shape or a border as wide as the cube."""
    cube = np.asarray(sigma)
    if cube.ndim != 3 or len(set(cube.shape)) != 1 or not 0 <= 2 * cells + 2 <= cube.shape[0]:
        raise ValueError(f"need a cube [N, N, N] with N >= {2 * cells + 2}, got {cube.shape}")
    inner = (slice(cells + 1, -cells - 1),) * 3
    solid = cube > level
    return bool(solid.sum() > solid[inner].sum())

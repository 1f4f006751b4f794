"""Cubes and meshes as EG3D's shape script stores them, for comparison with published ones.

The script mirrors the cube in x, cuts a border off, and gives marching cubes the transposed array,
so that vertex X is the z index, Y the y index and Z the index N - 1 - x, in voxels. Together that
is a rotation: the stored mesh is no mirror image, although the stored cube is one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sigmaflow.fields.mesh import BORDER_VALUE, Mesh


def released_border(resolution: int) -> int:
    """Cells that the script cuts off each face: ``int(30 N / 256)``."""
    return int(30 * resolution / 256)


def released_cube(sigma: np.ndarray) -> np.ndarray:
    """Raw sigma ``[N, N, N]`` (x, y, z) mirrored in x, its border at ``BORDER_VALUE``; a copy.

    Up to N = 8 the border is 0 cells, and the script's slice ``[-0:]`` then takes the whole cube:
    so it is here. Raises ValueError for another shape.
    """
    if sigma.ndim != 3 or len(set(sigma.shape)) != 1:
        raise ValueError(f"sigma must be [N, N, N], got {list(sigma.shape)}")
    return np.concatenate([block for _, block in released_blocks(sigma, len(sigma))])


def released_blocks(sigma: np.ndarray, planes: int = 32) -> Iterator[tuple[int, np.ndarray]]:
    """`released_cube` in x-slabs ``(start, [n, N, N])``, for a ``sigma`` that stays on the disk."""
    n = len(sigma)
    pad = released_border(n)
    kept = np.zeros(n, bool)
    kept[pad : n - pad if pad else 0] = True
    plane = kept[:, None] & kept
    for start in range(0, n, planes):
        mirrored = sigma[max(n - start - planes, 0) : n - start][::-1]
        inside = kept[start : start + planes, None, None] & plane
        yield start, np.where(inside, mirrored, np.asarray(BORDER_VALUE, sigma.dtype))


def released_axes(mesh: Mesh, resolution: int, length: float = 1.0) -> Mesh:
    """A world mesh in the script's coordinates: voxels, (z, y, N - 1 - x). Faces stay outward.

    With ``border="released"`` the vertices are those of the script, but for a few in cells where
    the surface is ambiguous, which depend on the order of the axes; it winds its faces inward.
    """
    voxels = (mesh.vertices.astype(np.float64) + length / 2) * ((resolution - 1) / length)
    turned = np.stack([voxels[:, 2], voxels[:, 1], resolution - 1 - voxels[:, 0]], axis=1)
    return Mesh(turned.astype(np.float32), mesh.faces)

"""Whole sigma cubes as EG3D's shape script stores them.

Needed to compare with published cubes and meshes; the suite's own meshes (`fields.mesh`) keep the
world's axes and say their border in fractions.
"""

from __future__ import annotations

import numpy as np

from sigmaflow.fields.mesh import BORDER_VALUE


def released_volume(sigma: np.ndarray) -> np.ndarray:
    """Raw sigma `[N, N, N]` (x, y, z) mirrored in x, with `int(30 N / 256)` cells of every face
    at `BORDER_VALUE`; a copy.

    Source: EG3D's gen_samples.py. Up to N = 8 no cell would be cut, and the script's slice then
    takes the whole cube: so it is here. Raises ValueError for another shape.
    """
    if sigma.ndim != 3 or len(set(sigma.shape)) != 1:
        raise ValueError(f"sigma must be [N, N, N], got {list(sigma.shape)}")
    pad = int(30 * len(sigma) / 256)
    out = np.flip(sigma, axis=0).copy()
    for axis in range(3):
        cells = np.moveaxis(out, axis, 0)
        cells[:pad] = BORDER_VALUE
        cells[-pad:] = BORDER_VALUE
    return out

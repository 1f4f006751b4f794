"""The separable form of sigma compiled by numba for CPUs. Imported by `sampler.kernels` only.

One thread owns a set of columns and every cell is summed in one order, so that bytes do not depend
on the number of threads: `torch.get_num_threads()` of them, ordinary threads for one call each
(the kernels let go of the interpreter's lock), since numba's own pools do not survive forks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from .sampler import HIDDEN
from .sites import Sites

COLUMNS = 8  # y rows that share a row of the xz table while it is in the cache
LEVELS = 16  # cells along z that fill a line of the cache

f32 = np.float32
LOG2E = f32(1.4426950408889634)
ROUND = f32(1.5 * 2**23)  # adding it leaves the nearest integer in the low bits
# 2^f on [-1/2, 1/2] and log(1 + t) / t on [0, 1]: minimax in float64, then rounded.
EXP2 = tuple(
    f32(c)
    for c in (
        1.0000000716546806, 0.6931469670646171, 0.24022119723855143,
        0.05550713273734411, 0.009675541333847957, 0.001327647191617929,
    )
)  # fmt: skip
LOG1P = tuple(
    f32(c)
    for c in (
        0.9999811382830491, -0.49947178576411744, 0.32824220956488825, -0.22589802714825524,
        0.13467455088605446, -0.05514520868769686, 0.010764515999423165,
    )
)  # fmt: skip


def _jit(**options: Any) -> Callable:
    """numba.njit with its cache on disk, or without where no folder can be written."""

    def compile(function: Callable) -> Callable:
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:
            return numba.njit(function, **options)

    return compile


@_jit(fastmath={"contract"}, forceinline=True)
def _softplus(x):
    """max(x, 0) + log(1 + exp(-|x|)) to 2e-7; NaN stays NaN."""
    size = abs(x)
    y = max(-size * LOG2E, f32(-126))
    shifted = y + ROUND
    f = y - (shifted - ROUND)
    p = EXP2[5]
    p = p * f + EXP2[4]
    p = p * f + EXP2[3]
    p = p * f + EXP2[2]
    p = p * f + EXP2[1]
    p = p * f + EXP2[0]
    power = f32(shifted).view(np.int32) << np.int32(23)  # the integer, where exponents stand
    t = np.int32(f32(p).view(np.int32) + power).view(np.float32)
    q = LOG1P[6]
    q = q * t + LOG1P[5]
    q = q * t + LOG1P[4]
    q = q * t + LOG1P[3]
    q = q * t + LOG1P[2]
    q = q * t + LOG1P[1]
    q = q * t + LOG1P[0]
    return q * t + f32(0.5) * (x + size)


@_jit(fastmath={"contract", "reassoc", "nsz"}, forceinline=True)
def _dot_two(a, b, row):
    total = f32(0)
    for h in range(HIDDEN):
        total += row[h] * _softplus(a[h] + b[h])
    return total


@_jit(fastmath={"contract", "reassoc", "nsz"}, forceinline=True)
def _dot_three(a, b, c, row):
    total = f32(0)
    for h in range(HIDDEN):
        total += row[h] * _softplus(a[h] + b[h] + c[h])
    return total


@_jit(fastmath={"contract", "reassoc", "nsz"}, forceinline=True)
def _dot_blend(a, b, part, row):
    total = f32(0)
    for h in range(HIDDEN):
        total += row[h] * _softplus(a[h] + part * (b[h] - a[h]))
    return total


@_jit(fastmath={"contract"}, forceinline=True)
def _mix(out, a, b, part, c):
    for h in range(HIDDEN):
        out[h] = a[h] + part * (b[h] - a[h]) + c[h]


@_jit(fastmath={"contract"}, forceinline=True)
def _flush(buffer, out, j0, k0, columns, levels):
    for i in range(buffer.shape[2]):
        for j in range(columns):
            for k in range(levels):
                out[i, j0 + j, k0 + k] = buffer[j, k, i]


@_jit(nogil=True)
def _regular(xy, xz, yz, row, constant, first, out, j0, j1):
    """Columns j0..j1-1 of rows from `first`.

    xy [ny, nx, C], xz [nz, nx, C], yz [nz, ny, C] or empty.
    """
    nx, _, nz = out.shape
    buffer = np.empty((COLUMNS, LEVELS, nx), np.float32)
    for k0 in range(0, nz, LEVELS):
        levels = min(LEVELS, nz - k0)
        for k in range(levels):
            for i in range(nx):
                for j in range(j1 - j0):
                    if yz.shape[0] > 0:
                        sigma = _dot_three(
                            xy[j0 + j, first + i], xz[k0 + k, first + i], yz[k0 + k, j0 + j], row
                        )
                    else:
                        sigma = _dot_two(xy[j0 + j, first + i], xz[k0 + k, first + i], row)
                    buffer[j, k, i] = constant + sigma
        _flush(buffer, out, j0, k0, j1 - j0, levels)


@_jit(nogil=True)
def _sheared(xy, xz, yz, row, constant, y_low, y_part, start, place, out, j0, j1):
    """Columns j0..j1-1. xy [V, U, C], xz [nz, U, C], yz [nz, V, C] or empty.

    y_low, y_part [ny, nz]: lower texel of the table and share of the upper one. start: first kept
    index along x, y, z. place: N, voxel, length / 2, 2 / box_warp, P, first texel of the span.
    """
    nx, _, nz = out.shape
    resolution = place[0]
    voxel, half, scale = f32(place[1]), f32(place[2]), f32(place[3])
    size, stretch, origin = f32(place[4]), f32(place[4] / 2), np.int64(place[5])
    last = f32(place[4] - 1)
    buffer = np.empty((COLUMNS, LEVELS, nx), np.float32)
    texels = np.empty((2, HIDDEN), np.float32)  # the rows around a cell, by parity
    corner = np.zeros(HIDDEN, np.float32)
    low = np.empty(nx, np.int64)
    part = np.empty(nx, np.float32)
    for k0 in range(0, nz, LEVELS):
        levels = min(LEVELS, nz - k0)
        for k in range(k0, k0 + levels):
            for j in range(j0, j1):
                along = (start[1] + j) / resolution
                deep = (start[2] + k) / (resolution * resolution)
                for i in range(nx):
                    world = f32(start[0] + i + along + deep) * voxel - half
                    position = (world * scale + f32(1)) * stretch - f32(0.5)
                    position = min(max(position, f32(-1)), size)
                    below = min(np.floor(position), last)
                    part[i] = position - below
                    low[i] = np.int64(below) - origin
                v, high = y_low[j, k], y_part[j, k]
                if yz.shape[0] > 0:
                    for h in range(HIDDEN):
                        corner[h] = yz[k, v, h] + high * (yz[k, v + 1, h] - yz[k, v, h])
                done = 0
                for i in range(nx):
                    u = low[i]
                    for fresh in range(max(done, u), u + 2):
                        _mix(texels[fresh & 1], xy[v, fresh], xy[v + 1, fresh], high, xz[k, fresh])
                        if yz.shape[0] > 0:
                            for h in range(HIDDEN):
                                texels[fresh & 1, h] += corner[h]
                    done = u + 2
                    buffer[j - j0, k - k0, i] = constant + _dot_blend(
                        texels[u & 1], texels[(u + 1) & 1], part[i], row
                    )
        _flush(buffer, out, j0, k0, j1 - j0, levels)


def fill(
    tables: Any, row: Tensor, constant: Tensor, sites: Sites, rows: range, out: Tensor
) -> None:
    """Write sigma of x rows `rows` to `out` [len(rows), ny, nz]; arguments as in `evaluate`."""
    _, ny, nz = sites.grid.shape
    nu, nv = (
        (stop - start for start, stop in sites.spans[:2]) if sites.sheared else sites.grid.shape[:2]
    )
    shapes = ((nv, nu, HIDDEN), (nz, nu, HIDDEN), (0, 0, HIDDEN))
    arrays = [
        np.zeros(shape, f32) if t is None else t.detach().contiguous().numpy()
        for t, shape in zip(tables, shapes)
    ]
    arrays.append(row.detach().contiguous().numpy())
    level = f32(constant.item())
    if not sites.sheared:
        def columns(start: int, stop: int) -> None:
            _regular(*arrays, level, rows.start, target, start, stop)
    else:
        ranges = sites.grid.ranges
        position = sites.y(range(ny), range(nz))
        low = position.floor().clamp_(max=sites.size - 1)
        lower = (low.long() - sites.spans[1][0]).numpy()
        share = (position - low).numpy()
        corner = (ranges[0][0] + rows.start, ranges[1][0], ranges[2][0])
        grid, scale = sites.grid, 2 / sites.box_warp
        place = (grid.resolution, grid.voxel, grid.length / 2, scale, sites.size, sites.spans[0][0])
        place = tuple(float(x) for x in place)

        def columns(start: int, stop: int) -> None:
            _sheared(*arrays, level, lower, share, corner, place, target, start, stop)

    target = out.numpy()
    blocks = [(j, min(j + COLUMNS, ny)) for j in range(0, ny, COLUMNS)]
    threads = min(torch.get_num_threads(), len(blocks))
    if threads == 1:
        for block in blocks:
            columns(*block)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(columns, *block) for block in blocks]:
            done.result()

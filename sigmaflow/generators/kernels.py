"""The separable form of sigma compiled by numba for CPUs. Imported by `sampler.kernels` only.

One thread owns a set of lines and every cell is summed in one order, so that bytes do not depend
on the number of threads: `torch.get_num_threads()` of them, ordinary threads for one call each
(the kernels let go of the interpreter's lock), since numba's own pools do not survive forks.

On sheared grids softplus(h) is max(h, 0) and a polynomial in 2^-|h / ln 2|. Regular grids save
the power for every cell, since exp(h) is a product of entries of tables, where these are small
enough that no product overflows (`NARROW`, decided for every call). Integers stand for the bits of
floats throughout.
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

ROWS = 4  # x rows of one call where the grid is regular
COLUMNS = 8  # y rows that share a row of the xz table while it is in the cache
CELLS = 32  # cells along x whose texels stay in the first cache
LEVELS = 16  # cells along z that fill a line of the cache, and a vector of 512 bits
NARROW = 80  # bound on the sum of the tables' largest sizes: exp(80) is far from overflow
ALONE = 2**14  # cells that one thread samples before another would have started

f32, i32 = np.float32, np.int32
FRACTION = i32(2**23 - 1)  # the 23 bits behind the exponent of a float
EXPONENT = i32(-(2**23))
ONE = i32(127 << 23)  # the bits of 1.0
TO_POWERS = f32(2**23 * np.log2(np.e))  # h to the integer that `_power` takes, 2^23 for one octave
LEAST = f32(-125 * 2**23)  # powers below are not normal floats
FROM_LOGS = np.log(2) / 2**23  # what `_log` gives, to natural logarithms
# Minimax in float64, then rounded: 2^(t - 1) on [1, 2], 7.5e-8 relative for entries of tables,
POWER = tuple(
    f32(c)
    for c in (
        0.49828591377561493, 0.3537553188591458, 0.1078348318299707,
        0.0386447286903987, -0.00039854504624107736, 0.0018775769540218536,
    )
)  # fmt: skip
# and 2.6e-6 for every hidden unit of a cell;
QUICK = tuple(
    f32(c)
    for c in (
        0.5099642179485728, 0.3120160416136387, 0.1666133753222467,
        -0.0021252095655827073, 0.013534167966458104,
    )
)  # fmt: skip
# log2(1 + t) / t on [0, 1], 2.2e-6 absolute in t times it, which is 0 at 0 and 1 at 1, so that the
# logarithm is continuous and exact where hidden units are closed.
LOG = tuple(
    f32(c * 2**23)
    for c in (
        1.4425449437443767, -0.7181452574439193, 0.4575491970960123,
        -0.2779053412989715, 0.12179790535172641, -0.02584144744922457,
    )
)  # fmt: skip


def _kernel(*more: str) -> Callable:
    """numba.njit with its code cached on disk, or without where no folder can be written.

    Whatever a kernel calls is inlined. A call would run another copy of the callee in the process
    that compiles than in those that read the cache, and sums in another order.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": set(more)}

    def compile(function: Callable) -> Callable:
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:
            return numba.njit(function, **options)

    return compile


def _inlined(*more: str) -> Callable:
    """Part of a kernel. ``more``, here as there: flags of LLVM's for arithmetic."""
    return numba.njit(fastmath={"contract", *more}, forceinline=True)


@_inlined()
def _quartic(t, a, b, c, d, e):
    return (((e * t + d) * t + c) * t + b) * t + a


@_inlined()
def _quintic(t, a, b, c, d, e, f):
    return _quartic(t, b, c, d, e, f) * t + a


@_inlined()
def _rest(n):
    """1 to 2: the fraction in the bits of n, without its exponent."""
    return i32(i32(n & FRACTION) | ONE).view(np.float32)


@_inlined()
def _raised(p, n):
    """p times 2 to the octaves of n."""
    return i32(f32(p).view(np.int32) + i32(n & EXPONENT)).view(np.float32)


@_inlined()
def _power(z):
    """2^(z / 2^23); sizes of z below 126 * 2^23."""
    n = i32(z)
    return _raised(_quintic(_rest(n), *POWER), n)


@_inlined()
def _quick_power(z):
    """As `_power`, not as exact."""
    n = i32(z)
    return _raised(_quartic(_rest(n), *QUICK), n)


@_inlined()
def _log(p):
    """2^23 log2(p) of finite p >= 1."""
    bits = f32(p).view(np.int32)
    rest = _rest(bits)
    octaves = f32(i32(bits - f32(rest).view(np.int32)))
    t = rest - f32(1)
    return _quintic(t, *LOG) * t + octaves


@_inlined()
def _softplus(z):
    """2^23 log2(1 + 2^(z / 2^23)); infinities give 0 and infinity, NaN stays NaN."""
    t = _quick_power(max(-abs(z), LEAST))
    return _quintic(t, *LOG) * t + (f32(0) if z < f32(0) else z)


@_kernel("contract")
def _regular(xy, xz, yz, row, constant, wide, out, i0, i1):
    """Rows i0..i1-1. xy [ny, nx, C], xz [nz, nx, C], yz [ny, C, nz] or empty.

    Not wide: exp(h) is a product, so that every entry is raised once, yz's by the caller.
    """
    _, ny, nz = out.shape
    # Whole vectors; what lies beyond nz is summed for nothing.
    padded = (nz + LEVELS - 1) // LEVELS * LEVELS
    columns = np.empty((ny, HIDDEN), np.float32)
    line = np.zeros((HIDDEN, padded), np.float32)
    both = np.zeros((HIDDEN, padded), np.float32)
    total = np.empty(padded, np.float32)
    for i in range(i0, i1):
        for j in range(ny):
            for h in range(HIDDEN):
                z = xy[j, i, h] * TO_POWERS
                columns[j, h] = z if wide else _power(z)
        for k in range(nz):
            for h in range(HIDDEN):
                both[h, k] = xz[k, i, h]
        for h in range(HIDDEN):
            for k in range(padded):
                z = both[h, k] * TO_POWERS
                line[h, k] = z if wide else _power(z)
        for j in range(ny):
            if yz.shape[0] == 0:
                _sum(line, columns[j], row, constant, wide, total)
            else:
                for h in range(HIDDEN):
                    for k in range(nz):
                        both[h, k] = line[h, k] + yz[j, h, k] if wide else line[h, k] * yz[j, h, k]
                _sum(both, columns[j], row, constant, wide, total)
            for k in range(nz):
                out[i, j, k] = total[k]


@_inlined()
def _sum(line, column, row, constant, wide, total):
    """Write the second layer over a line of cells to `total` [n]; line [C, n], column [C]."""
    for k in range(total.size):
        total[k] = constant
    if wide:
        for h in range(HIDDEN):
            for k in range(total.size):
                total[k] += row[h] * _softplus(line[h, k] + column[h])
    else:
        for h in range(HIDDEN):
            for k in range(total.size):
                total[k] += row[h] * _log(line[h, k] * column[h] + f32(1))


@_inlined()
def _mix(out, a, b, part, c, corner):
    for h in range(HIDDEN):
        out[h] = a[h] + part * (b[h] - a[h]) + (c[h] + corner[h])


@_inlined("reassoc", "nsz")
def _cells(lower, upper, high, level, corner, low, part, row, constant, texels, out):
    """Write sigma of a piece of a line along x to `out` [n].

    lower, upper, level [U, C]: rows of xy below and above, and of xz. high: share of `upper`.
    corner [C]: of yz. low, part [n]: texel below every cell and share of the next. texels [2, C]:
    room for those about a cell, by parity.
    """
    done = np.int64(0)
    for i in range(out.size):
        u = low[i]
        for fresh in range(max(done, u), u + 2):
            _mix(texels[fresh & 1], lower[fresh], upper[fresh], high, level[fresh], corner)
        done = u + 2
        a, b, total = texels[u & 1], texels[done - 1 & 1], f32(0)
        for h in range(HIDDEN):
            total += row[h] * _softplus(a[h] + part[i] * (b[h] - a[h]))
        out[i] = constant + total


@_inlined()
def _flush(buffer, out, i0, j0, k0, lines, columns, levels):
    for i in range(lines):
        for j in range(columns):
            for k in range(levels):
                out[i0 + i, j0 + j, k0 + k] = buffer[j, k, i]


@_kernel()
def _sheared(xy, xz, yz, row, constant, y_low, y_part, start, place, out, j0, j1):
    """Columns j0..j1-1. xy [V, U, C], xz [nz, U, C], yz [nz, V, C] or empty; in units of
    `_power`.

    y_low, y_part [ny, nz]: lower texel of the table and share of the upper one. start: first kept
    index along x, y, z. place: N, voxel, length / 2, 2 / box_warp, P, first texel of the span.
    """
    nx, _, nz = out.shape
    resolution = place[0]
    voxel, half, scale = f32(place[1]), f32(place[2]), f32(place[3])
    size, stretch, origin = f32(place[4]), f32(place[4] / 2), np.int64(place[5])
    last = f32(place[4] - 1)
    buffer = np.empty((COLUMNS, LEVELS, CELLS), np.float32)
    texels = np.empty((2, HIDDEN), np.float32)
    corner = np.zeros(HIDDEN, np.float32)
    low = np.empty(CELLS, np.int64)
    part = np.empty(CELLS, np.float32)
    for k0 in range(0, nz, LEVELS):
        levels = min(LEVELS, nz - k0)
        for i0 in range(0, nx, CELLS):
            cells = min(CELLS, nx - i0)
            for j in range(j0, j1):
                along = (start[1] + j) / resolution
                for k in range(k0, k0 + levels):
                    deep = (start[2] + k) / (resolution * resolution)
                    for i in range(CELLS):
                        world = f32(start[0] + (i0 + i) + along + deep) * voxel - half
                        position = (world * scale + f32(1)) * stretch - f32(0.5)
                        position = min(max(position, f32(-1)), size)
                        below = min(np.floor(position), last)
                        part[i] = position - below
                        low[i] = np.int64(below) - origin
                    v, high = y_low[j, k], y_part[j, k]
                    if yz.shape[0] > 0:
                        for h in range(HIDDEN):
                            corner[h] = yz[k, v, h] + high * (yz[k, v + 1, h] - yz[k, v, h])
                    lower, upper, level = xy[v], xy[v + 1], xz[k]
                    x = low, part, row, constant, texels, buffer[j - j0, k - k0, :cells]
                    _cells(lower, upper, high, level, corner, *x)
            _flush(buffer, out, i0, j0, k0, cells, j1 - j0, levels)


def fill(
    tables: Any, row: Tensor, constant: Tensor, sites: Sites, rows: range, out: Tensor
) -> None:
    """Write sigma of x rows `rows` to `out` [len(rows), ny, nz]; arguments as in `evaluate`."""
    xy, xz, yz = tables = [None if t is None else t.detach() for t in tables]
    sizes = [float(max(abs(b) for b in t.aminmax())) for t in tables if t is not None]
    wide = not sum(sizes) < NARROW
    row = row.detach() * FROM_LOGS
    level, target = f32(constant.item()), out.numpy()
    _, ny, nz = sites.grid.shape
    if sites.sheared:
        span = _span(sites, rows)
        across = slice(span[0] - sites.spans[0][0], span[1] - sites.spans[0][0])
        width, height = span[1] - span[0], sites.spans[1][1] - sites.spans[1][0]
    else:
        across, width, height = slice(rows.start, rows.stop), len(rows), ny
    xy = torch.zeros(height, width, HIDDEN) if xy is None else xy[:, across]
    xz = torch.zeros(nz, width, HIDDEN) if xz is None else xz[:, across]
    yz = torch.zeros(0, 0, HIDDEN) if yz is None else yz
    if not sites.sheared:
        yz = yz.permute(1, 2, 0).contiguous()
        yz = yz * TO_POWERS if wide else yz.exp_()
        arrays = [t.numpy() for t in (xy, xz, yz, row)]

        def lines(start: int, stop: int) -> None:
            _regular(*arrays, level, wide, target, start, stop)

        _share(lines, len(rows), ROWS, out.numel())
        return
    arrays = [t * TO_POWERS for t in (xy, xz, yz)]
    arrays = [t.numpy() for t in (*arrays, row)]
    position = sites.y(range(ny), range(nz))
    low = position.floor().clamp_(max=sites.size - 1)
    lower = (low.long() - sites.spans[1][0]).numpy()
    share = (position - low).numpy()
    ranges, grid, scale = sites.grid.ranges, sites.grid, 2 / sites.box_warp
    corner = (ranges[0][0] + rows.start, ranges[1][0], ranges[2][0])
    place = (grid.resolution, grid.voxel, grid.length / 2, scale, sites.size, span[0])
    place = tuple(float(x) for x in place)

    def columns(start: int, stop: int) -> None:
        _sheared(*arrays, level, lower, share, corner, place, target, start, stop)

    _share(columns, ny, COLUMNS, out.numel())


def _span(sites: Sites, rows: range) -> tuple[int, int]:
    """Half-open range of texels that x rows `rows` touch."""
    _, ny, nz = sites.grid.shape
    first = sites.x(range(rows.start, rows.start + 1), range(1), range(1))
    last = sites.x(range(rows.stop - 1, rows.stop), range(ny - 1, ny), range(nz - 1, nz))
    return sites.touched(torch.stack([first, last]))


def _share(work: Callable[[int, int], None], total: int, size: int, cells: int) -> None:
    """Call `work` on ranges of `size` that make up `total`, on several threads if it pays."""
    blocks = [(start, min(start + size, total)) for start in range(0, total, size)]
    threads = min(torch.get_num_threads(), len(blocks), max(cells // ALONE, 1))
    if threads == 1:
        for block in blocks:
            work(*block)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *block) for block in blocks]:
            done.result()

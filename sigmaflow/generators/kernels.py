"""The separable form of sigma compiled by numba for CPUs (docs/sampling.md).

Every cell is summed in one order, so that bytes do not depend on who calls a kernel for which
lines; `compiled` does. Vectors hold neighbours along z, or along y where z has levels left over.
Hidden units are in the units of `polynomials.power`. exp(h) is a product of entries of lines, which
are raised once, where these are small enough that no product overflows (`NARROW`, decided for every
x row); elsewhere softplus(h) is max(h, 0) and a polynomial in 2^-|h / ln 2|.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .polynomials import (
    LANES,
    NARROW,
    f32,
    i32,
    inlined,
    kernel,
    logs,
    plus,
    power,
    softplus,
    times_plus_one,
)
from .sampler import HIDDEN

HALF = HIDDEN // 2
CHANNELS = 4  # of planes that are multiplied by the first layer at a time


@kernel
def gather(plane, turned, start, fresh, out, c0, c1):
    """Add channels c0..c1-1 of `plane` [c, P, P], or of it turned, to `out` [c, U, V].

    start: the texels at out's corner; what lies outside the plane is left. fresh: begin with 0.
    """
    _, rows, columns = out.shape
    size, u, v = plane.shape[1], start[0], start[1]
    a0, a1 = max(-u, 0), min(size - u, rows)
    b0, b1 = max(-v, 0), min(size - v, columns)
    for c in range(c0, c1):
        if fresh:
            for a in range(rows):
                for b in range(columns):
                    out[c, a, b] = 0
        if not turned:
            for a in range(a0, a1):
                for b in range(b0, b1):
                    out[c, a, b] += plane[c, a + u, b + v]
            continue
        for first in range(a0, a1, LANES):
            for begin in range(b0, b1, LANES):
                for a in range(first, min(first + LANES, a1)):
                    for b in range(begin, min(begin + LANES, b1)):
                        out[c, a, b] += plane[c, b + v, a + u]


@inlined
def _hidden(plane, u, share, low, part, weight, bias, room, out):
    """Write the first layer of a line through `plane` [c, U, V] to `out` [C, n].

    The line lies `share` of the way from row u of texels to the next. low, part [n]: the texel
    below every cell on it and the share of the one above. weight [C, c'], c' >= c and a multiple
    of CHANNELS, bias [C]. room: [>= V] and [c', >= n], the latter 0 beyond c channels.
    """
    channels, _, texels = plane.shape
    blended, features = room
    above = blended[1:]
    for h in range(HIDDEN):
        for n in range(low.size):
            out[h, n] = bias[h]
    if channels == 0:
        return
    for c in range(channels):
        for v in range(texels):
            here = plane[c, u, v]
            blended[v] = here + share * (plane[c, u + 1, v] - here)
        for n in range(low.size):
            here = blended[low[n]]
            features[c, n] = here + part[n] * (above[low[n]] - here)
    for h in range(HALF):
        g = h + HALF
        for c in range(0, weight.shape[1], CHANNELS):
            a0, a1, a2, a3 = weight[h, c], weight[h, c + 1], weight[h, c + 2], weight[h, c + 3]
            b0, b1, b2, b3 = weight[g, c], weight[g, c + 1], weight[g, c + 2], weight[g, c + 3]
            for n in range(low.size):
                f0, f1, f2, f3 = (
                    features[c, n], features[c + 1, n], features[c + 2, n], features[c + 3, n]
                )  # fmt: skip
                out[h, n] = out[h, n] + a0 * f0 + a1 * f1 + a2 * f2 + a3 * f3
                out[g, n] = out[g, n] + b0 * f0 + b1 * f1 + b2 * f2 + b3 * f3


@kernel
def lines(plane, first, second, weight, bias, room, out, sizes, start, stop):
    """Write the first layer of lines start..stop-1 through `plane` to `out` [lines, blocks, C, L],
    and the largest size on each to `sizes` [lines].

    first, second: places of the lines, and of the cells on each, of which blocks of L are made.
    """
    _, blocks, _, length = out.shape
    (u_low, u_part), (low, part) = first, second
    line = room[0]
    for u in range(start, stop):
        _hidden(plane, u_low[u], u_part[u], low, part, weight, bias, room[1:], line)
        sizes[u] = _largest(line)
        for block in range(blocks):
            begin = block * length
            for h in range(HIDDEN):
                for n in range(min(length, low.size - begin)):
                    out[u, block, h, n] = line[h, begin + n]


@inlined
def _largest(line):
    """The largest size in `line` [C, n]; infinite or not a number where one is."""
    largest = i32(0)
    for h in range(HIDDEN):
        for n in range(line.shape[1]):
            largest = max(largest, i32(f32(line[h, n]).view(np.int32) & i32(2**31 - 1)))
    return i32(largest).view(np.float32)


@inlined
def _raise(line):
    for h in range(HIDDEN):
        for n in range(line.shape[1]):
            line[h, n] = power(line[h, n])


def _summing(join: Callable, curve: Callable) -> Callable:
    """Writes the second layer over a line of cells to `total` [n]: curve of four hidden units, each
    of which joins an entry of line [C, >= n] and one of other [C]."""

    @inlined
    def sum_line(line, other, row, constant, total):
        for n in range(total.size):
            total[n] = constant
        for h in range(0, HIDDEN, 4):
            b0, b1, b2, b3 = other[h], other[h + 1], other[h + 2], other[h + 3]
            w0, w1, w2, w3 = row[h], row[h + 1], row[h + 2], row[h + 3]
            for n in range(total.size):
                z0, z1 = join(line[h, n], b0), join(line[h + 1, n], b1)
                z2, z3 = join(line[h + 2, n], b2), join(line[h + 3, n], b3)
                s = curve((z0, z1, z2, z3))
                total[n] = total[n] + w0 * s[0] + w1 * s[1] + w2 * s[2] + w3 * s[3]

    return sum_line


_sum_wide, _sum_narrow = _summing(plus, softplus), _summing(times_plus_one, logs)


@inlined
def _sum(line, other, row, constant, wide, total):
    if wide:
        _sum_wide(line, other, row, constant, total)
    else:
        _sum_narrow(line, other, row, constant, total)


@kernel
def regular(xy, xz, yz, yz_powers, beyond, places, weight, bias, row, constant, room, out, i0, i1):
    """Rows i0..i1-1. xy [c, U, V], xz [c, U, W]; yz [ny, 1, C, nz] or empty, with its powers and
    its largest size. places: lower texel and share of the next along x, y and z; along y and z
    filled up to whole vectors.
    """
    _, ny, nz = out.shape
    (x_low, x_part), (y_low, y_part), (z_low, z_part) = places
    columns, line, both, across, total, other, nothing = room[:7]
    # Without yz, levels beyond the last whole vector are summed with vectors along y.
    whole = z_low.size if yz.shape[0] > 0 or z_low.size == nz else z_low.size - LANES
    total = total[:whole]
    for i in range(i0, i1):
        u, share = x_low[i], x_part[i]
        _hidden(xy, u, share, y_low, y_part, weight, nothing, room[7:], columns)
        _hidden(xz, u, share, z_low, z_part, weight, bias, room[7:], line)
        wide = not (_largest(columns) + _largest(line) + beyond < NARROW)
        if not wide:
            _raise(columns)
            _raise(line)
        for j in range(ny):
            for h in range(HIDDEN):
                other[h] = columns[h, j]
            if yz.shape[0] == 0:
                _sum(line, other, row, constant, wide, total)
            else:
                for h in range(HIDDEN):
                    for k in range(whole):
                        if wide:
                            both[h, k] = line[h, k] + yz[j, 0, h, k]
                        else:
                            both[h, k] = line[h, k] * yz_powers[j, 0, h, k]
                _sum(both, other, row, constant, wide, total)
            for k in range(min(whole, nz)):
                out[i, j, k] = total[k]
        for k in range(whole, nz):
            for h in range(HIDDEN):
                other[h] = line[h, k]
            _sum(columns, other, row, constant, wide, across)
            for j in range(ny):
                out[i, j, k] = across[j]

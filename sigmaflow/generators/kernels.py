"""The separable form of sigma compiled by numba for CPUs (docs/sampling.md).

Every cell is summed in one order, so that bytes do not depend on who calls a kernel for which
lines; `compiled` does. Vectors hold neighbours along z, or along y where z has levels left over.
Hidden units are in the units of `polynomials.power`. On sheared grids softplus(h) is max(h, 0) and
a polynomial in 2^-|h / ln 2|. Regular grids save the power for every cell, since exp(h) is a
product of entries of lines, where these are small enough that no product overflows (`NARROW`,
decided for every x row).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .polynomials import TO_POWERS, exactly, f32, i32, inlined, kernel, logs, power, softplus
from .sampler import HIDDEN

HALF = HIDDEN // 2
LANES = 16  # cells that fill a line of the cache, and a vector of 512 bits
CHANNELS = 4  # of planes that are multiplied by the first layer at a time
CELLS = 32  # cells along x whose texels stay in the second cache
LEVELS = 32  # cells along z whose hidden units at two texels stay in the first cache
NARROW = f32(80 * TO_POWERS)  # bound on the sum of the largest sizes: exp(80) does not overflow


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
def lines(plane, first, second, weight, bias, room, out, start, stop):
    """Write the first layer of lines start..stop-1 through `plane` to `out` [lines, blocks, C, L].

    first, second: places of the lines, and of the cells on each, of which blocks of L are made.
    """
    _, blocks, _, length = out.shape
    (u_low, u_part), (low, part) = first, second
    line = room[0]
    for u in range(start, stop):
        _hidden(plane, u_low[u], u_part[u], low, part, weight, bias, room[1:], line)
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


@inlined
def _times_plus_one(a, b):
    return a * b + f32(1)


@inlined
def _plus(a, b):
    return a + b


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


_sum_wide, _sum_narrow = _summing(_plus, softplus), _summing(_times_plus_one, logs)


@inlined
def _sum(line, other, row, constant, wide, total):
    if wide:
        _sum_wide(line, other, row, constant, total)
    else:
        _sum_narrow(line, other, row, constant, total)


@kernel
def regular(
    xy, xz, yz, yz_powers, beyond, places, weight, bias, row, constant, room, out, i0, i1
):
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


@inlined
def _blend(level, below, above, ramp, lanes, out):
    """Write hidden units at a texel of x to `out` [C L], of the first `lanes` levels.

    level [C L]: their part that does not see y; below, above [C]: the xy map at the texels of y
    about the levels, ramp [L]: shares of the one above.
    """
    for h in range(0, HIDDEN, 4):
        b0, b1, b2, b3 = below[h], below[h + 1], below[h + 2], below[h + 3]
        d0, d1, d2, d3 = above[h] - b0, above[h + 1] - b1, above[h + 2] - b2, above[h + 3] - b3
        for k in range(lanes):
            n0 = h * LEVELS + k
            n1, n2, n3 = n0 + LEVELS, n0 + 2 * LEVELS, n0 + 3 * LEVELS
            out[n0] = level[n0] + (b0 + ramp[k] * d0)
            out[n1] = level[n1] + (b1 + ramp[k] * d1)
            out[n2] = level[n2] + (b2 + ramp[k] * d2)
            out[n3] = level[n3] + (b3 + ramp[k] * d3)


@inlined
def _lift(below, above, ramp, lanes, out):
    """Add to `out` [C L] what lies `ramp` [L] of the way from `below` to `above` [C L]."""
    for h in range(HIDDEN):
        for k in range(lanes):
            n = h * LEVELS + k
            out[n] += below[n] + ramp[k] * (above[n] - below[n])


@inlined
def _sum_between(near, far, part, row, constant, lanes, total):
    """Write the second layer to `total` [L]; hidden units lie `part` [L] of the way from `near`
    to `far` [C L]."""
    for k in range(lanes):
        total[k] = constant
    for g in range(HIDDEN // 4):
        h = 4 * g
        w0, w1, w2, w3 = row[h], row[h + 1], row[h + 2], row[h + 3]
        for k in range(lanes):
            n0 = h * LEVELS + k
            n1, n2, n3 = n0 + LEVELS, n0 + 2 * LEVELS, n0 + 3 * LEVELS
            t, a0, a1, a2, a3 = part[k], near[n0], near[n1], near[n2], near[n3]
            z0, z1 = a0 + t * (far[n0] - a0), a1 + t * (far[n1] - a1)
            z2, z3 = a2 + t * (far[n2] - a2), a3 + t * (far[n3] - a3)
            s = softplus((z0, z1, z2, z3))
            total[k] = total[k] + w0 * s[0] + w1 * s[1] + w2 * s[2] + w3 * s[3]


@exactly
def _across(i, along, deep, place, lanes, low, part):
    """Write the texels of x below the first `lanes` levels to `low` [L] and shares of the next to
    `part` [L], rounded as `Sites` rounds."""
    voxel, half, scale, size = place
    stretch, last = size / f32(2), size - f32(1)
    for k in range(lanes):
        world = f32(i + along + deep[k]) * voxel - half
        position = (world * scale + f32(1)) * stretch - f32(0.5)
        position = min(max(position, f32(-1)), size)
        below = min(np.floor(position), last)
        part[k] = position - below
        low[k] = below


@kernel
def sheared(
    xy, xz, yz, row, constant, y, deep, start, place, origins, resolution, room, out, j0, j1
):
    """Columns j0..j1-1. xy [U, V, C], xz [U, blocks, C L], yz [V, blocks, C L] or empty.

    y [ny, levels]: positions in texels; deep [levels]: what levels add to the index along x;
    levels filled up to whole vectors. start: first kept index along x and y. place: voxel, length
    / 2, 2 / box_warp, P. origins: first texels along x and y of the maps. room: for hidden units
    at two texels of x [2, >= C L], by parity, and for four lines of levels [L].
    """
    nx, _, nz = out.shape
    texels, ramp, part, total, low = room
    last = place[3] - f32(1)
    for k0 in range(0, nz, LEVELS):
        block, levels = k0 // LEVELS, min(LEVELS, nz - k0)
        for i0 in range(0, nx, CELLS):
            for j in range(j0, j1):
                along = (start[1] + j) / resolution
                first = 0
                while first < levels:  # stretches between the same texels of y
                    below = min(np.floor(y[j, k0 + first]), last)
                    after = first + 1
                    while after < levels and min(np.floor(y[j, k0 + after]), last) == below:
                        after += 1
                    begin = first // LANES * LANES
                    lanes = (after + LANES - 1) // LANES * LANES - begin
                    heights = y[j][k0 + begin :]
                    for k in range(lanes):
                        ramp[k] = heights[k] - below
                    v = np.int64(below) - origins[1]
                    done = np.int64(0)  # texels of x that were made
                    for i in range(i0, min(i0 + CELLS, nx)):
                        at = np.float64(start[0] + i)
                        _across(at, along, deep[k0 + begin :], place, lanes, low, part)
                        k = first - begin
                        while k < after - begin:  # once, but where the line crosses a texel of x
                            u = np.int64(low[k]) - origins[0]
                            near, far = texels[u & 1], texels[u + 1 & 1]
                            for t in range(max(done, u), u + 2):
                                into, level = texels[t & 1], xz[t, block][begin:]
                                _blend(level, xy[t, v], xy[t, v + 1], ramp, lanes, into)
                                if yz.shape[0] > 0:
                                    low_z, high_z = yz[v, block][begin:], yz[v + 1, block][begin:]
                                    _lift(low_z, high_z, ramp, lanes, into)
                            done = u + 2
                            _sum_between(near, far, part, row, constant, lanes, total)
                            stop = after - begin
                            if low[stop - 1] != low[k]:
                                stop = k + 1
                                while low[stop] == low[k]:
                                    stop += 1
                            for n in range(k, stop):
                                out[i, j, k0 + begin + n] = total[n]
                            k = stop
                    first = after

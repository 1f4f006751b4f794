"""Sigma on the released, sheared grid, compiled by numba for CPUs (docs/sampling.md).

Along z and from row to row along y the places on the planes move by a fraction of a cell. So what
the xz map gives a line of levels is made once for many rows, and each next row is that times a
step; what the xy map gives it is the power of a quadratic along z. Both are exponentials already,
and a logarithm and a product are left per hidden unit and cell. Where products could overflow,
sums of hidden units take their place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .polynomials import (
    FARTHER,
    GENTLE,
    LANES,
    NARROW,
    TO_POWERS,
    exactly,
    f32,
    inlined,
    kernel,
    logs,
    plus,
    power,
    softplus,
    times_plus_one,
)
from .sampler import HIDDEN

LEVELS = 2 * LANES  # cells along z that are summed together
AGAIN = 64  # rows along y after which lines are made anew, so that roundings do not add up
STEEP = f32(0.38)  # changes of hidden units over `LANES` cells that `GENTLE` can follow
BEND = f32(100)  # by how much less they may bend
NOWHERE = f32(-(2**30))  # no texel
# One array holds all that a thread works on, for then the compiler sees that what it writes is not
# what it reads next. Its parts are [C, L] what the xz map gives a row, what leads to the next row
# and what the xy map gives it, [L] sigma and the ramp: units of `LANES` cells from the middle of
# the first half, [C] the second layer, [9, C] the xy map's quadratic and the terms of its power,
# [C, L] the line for a row's next stretch.
LINE, STEP, COLUMN = (n * HIDDEN * LEVELS for n in range(3))
TOTAL = 3 * HIDDEN * LEVELS
RAMP = TOTAL + LEVELS
LAYER = RAMP + LEVELS
TERMS = LAYER + HIDDEN
SAVED = TERMS + 9 * HIDDEN
ROOM = SAVED + HIDDEN * LEVELS


@exactly
def rounded(index, place):
    """The position of an index in texels, rounded as `Sites` rounds."""
    voxel, half, scale, size = place
    world = f32(index) * voxel - half
    return (world * scale + f32(1)) * (size / f32(2)) - f32(0.5)


@exactly
def _texel(index, place):
    """The texel below an index."""
    return np.floor(rounded(index, place))


@exactly
def _texels(along, deep, place, low, part):
    """Write `_texel` of levels to `low` [L] and shares of the next one to `part` [L]."""
    for k in range(LEVELS):
        position = rounded(along + deep[k], place)
        low[k] = np.floor(position)
        part[k] = position - low[k]


@exactly
def _position(index, place):
    """`rounded` before it is."""
    voxel, half, scale, size = place
    world = index * np.float64(voxel) - np.float64(half)
    return (world * np.float64(scale) + 1) * (np.float64(size) / 2) - 0.5


@inlined
def _quadratic(here, above, across, opposite, shares, steps, terms):
    """Write what the xy map gives a stretch of levels to terms[:3] [3, C], by powers of the ramp.

    The map's texels [C] about it: here, the next along y, along x, along both. shares: of the next
    texels along x and y where the ramp is 0; steps: what a unit of it adds to them.
    """
    (t, r), (dt, dr) = shares, steps
    for h in range(HIDDEN):
        along, up = across[h] - here[h], above[h] - here[h]
        both = opposite[h] - above[h] - along
        up += t * both
        terms[0, h] = here[h] + t * along + r * up
        terms[1, h] = dt * (along + r * both) + dr * up
        terms[2, h] = dt * dr * both


@inlined
def _power_of_quadratic(terms, steep):
    """Write the power of terms[:3] to terms[3:] [6, C]: a cubic on the first half of the levels
    and the line that leads from there to the second half. steep [C]: where it is not so."""
    k1, k2, k3 = GENTLE
    r1, r2, r3, r4, r5 = FARTHER
    for h in range(HIDDEN):
        base = power(terms[0, h])
        b, c = terms[1, h] * f32(1 / TO_POWERS), terms[2, h] * f32(1 / TO_POWERS)
        square, far = b * b, b + c
        ratio = ((((r5 * far + r4) * far + r3) * far + r2) * far + r1) * far + f32(1)
        terms[3, h] = base
        terms[4, h] = base * (k1 * b)
        terms[5, h] = base * (k2 * square + c)
        terms[6, h] = base * (b * (k3 * square + c))
        terms[7, h] = ratio
        terms[8, h] = ratio * (c + c)
        steep[h] = not (abs(b) + BEND * abs(c) < STEEP)


@inlined
def _four(room, part, h, k):
    """Entries k of both halves of the lines h and h + 1 of a part."""
    n = part + h * LEVELS + k
    return room[n], room[n + LANES], room[n + LEVELS], room[n + LEVELS + LANES]


@inlined
def _coefficients(room, h):
    """Those of `_power_of_quadratic` for hidden units h and h + 1."""
    n, m = TERMS + 3 * HIDDEN + h, TERMS + 6 * HIDDEN + h
    return (
        room[n], room[n + HIDDEN], room[n + 2 * HIDDEN],
        room[m], room[m + HIDDEN], room[m + 2 * HIDDEN],
        room[n + 1], room[n + HIDDEN + 1], room[n + 2 * HIDDEN + 1],
        room[m + 1], room[m + HIDDEN + 1], room[m + 2 * HIDDEN + 1],
    )  # fmt: skip


@inlined
def _column(_, room, h, k):
    return _four(room, COLUMN, h, k)


@inlined
def _powers(coefficients, room, _, k):
    """What `_column` would find."""
    x = room[RAMP + k]
    a, a1, a2, a3, r, r1, b, b1, b2, b3, s, s1 = coefficients
    a, b = a + x * (a1 + x * (a2 + x * a3)), b + x * (b1 + x * (b2 + x * b3))
    return a, a * (r + x * r1), b, b * (s + x * s1)


def _adding(join: Callable, curve: Callable, follow: Callable, column: Callable) -> Callable:
    """Adds hidden units h and h + 1 of a row of levels to sigma: a curve of what joins line and
    column. Then their lines follow their steps."""

    @inlined
    def add(room, h):
        w, v = room[LAYER + h], room[LAYER + h + 1]
        coefficients = _coefficients(room, h)
        for k in range(LANES):
            a0, a1, a2, a3 = _four(room, LINE, h, k)
            b0, b1, b2, b3 = _four(room, STEP, h, k)
            c0, c1, c2, c3 = column(coefficients, room, h, k)
            s0, s1, s2, s3 = curve((join(a0, c0), join(a1, c1), join(a2, c2), join(a3, c3)))
            n = LINE + h * LEVELS + k
            room[n], room[n + LANES] = follow(a0, b0), follow(a1, b1)
            room[n + LEVELS], room[n + LEVELS + LANES] = follow(a2, b2), follow(a3, b3)
            room[TOTAL + k] += w * s0 + v * s2
            room[TOTAL + k + LANES] += w * s1 + v * s3

    return add


@inlined
def _grown(a, b):
    return a + a * b


_add_wide = _adding(plus, softplus, plus, _column)
_add_column = _adding(times_plus_one, logs, _grown, _column)
_add_powers = _adding(times_plus_one, logs, _grown, _powers)


@inlined
def _spread(terms, h, origin, room):
    """Write the quadratic of hidden unit h to the column; its powers are of ramp - origin."""
    a, b, c = terms[0, h], terms[1, h], terms[2, h]
    for k in range(LEVELS):
        x = room[RAMP + k] - origin
        room[COLUMN + h * LEVELS + k] = a + x * (b + x * c)


@inlined
def _raise(room, begin, count):
    for n in range(begin, begin + count):
        room[n] = power(room[n])


@inlined
def _sum_wide(terms, origin, yz, room):
    """Add hidden units of a row of levels to sigma, as sums of line and column.

    terms: the column's quadratic, by powers of ramp - origin. yz [1, C, L], or empty: what the
    yz map adds.
    """
    for h in range(HIDDEN):
        _spread(terms, h, origin, room)
        if yz.shape[0] > 0:
            for k in range(LEVELS):
                room[COLUMN + h * LEVELS + k] += yz[0, h, k]
    for h in range(0, HIDDEN, 2):
        _add_wide(room, h)


@inlined
def _sum_narrow(terms, origin, steep, yz, room):
    """As `_sum_wide`, where line and yz are powers: products of them and the column's."""
    _power_of_quadratic(terms, steep)
    for h in range(0, HIDDEN, 2):
        if not (yz.shape[0] > 0 or origin != 0 or steep[h] | steep[h + 1]):
            _add_powers(room, h)
            continue
        _spread(terms, h, origin, room)
        _spread(terms, h + 1, origin, room)
        _raise(room, COLUMN + h * LEVELS, 2 * LEVELS)
        if yz.shape[0] > 0:
            for g in range(h, h + 2):
                for k in range(LEVELS):
                    room[COLUMN + g * LEVELS + k] *= yz[0, g, k]
        _add_column(room, h)


@inlined
def _copy(room, part, to):
    for n in range(HIDDEN * LEVELS):
        room[to + n] = room[part + n]


@inlined
def _make_line(near, far, part, wide, room):
    """Write what the xz map gives a row: `part` [L] of the way from `near` to `far` [C, L]."""
    for h in range(HIDDEN):
        for k in range(LEVELS):
            room[LINE + h * LEVELS + k] = near[h, k] + part[k] * (far[h, k] - near[h, k])
    if not wide:
        _raise(room, LINE, HIDDEN * LEVELS)


@inlined
def _make_step(near, far, share, wide, room):
    """Write what a line gains from row to row: a sum, or a product less one."""
    for h in range(HIDDEN):
        for k in range(LEVELS):
            room[STEP + h * LEVELS + k] = share * (far[h, k] - near[h, k])
    if wide:
        return
    for n in range(STEP, STEP + HIDDEN * LEVELS):
        x = room[n] * f32(1 / TO_POWERS)
        small = x * (f32(1) + x * (f32(1 / 2) + x * (f32(1 / 6) + x * f32(1 / 24))))
        large = power(room[n]) - f32(1)
        room[n] = small if abs(x) < f32(0.02) else large


@inlined
def _within(texel, origin, last):
    """Where a texel stands on a map; those beyond it are zeros, as its own first and last are."""
    return min(max(np.int64(texel) - origin, 0), last)


@inlined
def _is_wide(sizes, first, last):
    """Whether products could overflow between two texels of x; also where a size is no number."""
    xy, xz, yz = sizes
    wide = False
    for u in range(first, last + 1):
        for v in range(first, last + 1):
            wide |= not (xy[u] + xz[v] + yz < NARROW)
    return wide


@kernel
def heights(yz, y, out, start, stop):
    """Write rows start..stop-1 of `out` [ny, blocks, C, L]: `yz` [V, blocks, C, L] at the places
    y, lower texel and share of the next one [ny, levels]."""
    low, part = y
    _, blocks, _, length = out.shape
    for j in range(start, stop):
        for block in range(blocks):
            for k in range(length):
                n = block * length + k
                v, share = low[j, n], part[j, n]
                for h in range(HIDDEN):
                    here = yz[v, block, h, k]
                    out[j, block, h, k] = here + share * (yz[v + 1, block, h, k] - here)


@kernel
def sheared(maps, sizes, row, constant, deep, place, starts, pace, rooms, out, i0, i1):
    """x rows i0..i1-1 of `out` [nx, ny, nz].

    maps: xy [U, V, C], xz [U, blocks, C, L], yz and its powers [ny, blocks, C, L] or empty. sizes:
    the largest of every u in xy and in xz, and in yz. deep [2, levels]: what levels add to the
    indices along x and y. place: voxel, length / 2, 2 / box_warp, P. starts: first kept index
    along x and y, and the maps' first texel. pace: texels between cells, and cells in a row of the
    whole grid; along y every level moves by their ratio, along x every row. rooms: [ROOM], its
    terms, [C] and four of [L].
    """
    xy, xz, yz, yz_powers = maps
    first_i, first_j, first_u, first_v = starts
    room, terms, steep, low, part, v_low, v_part = rooms
    for h in range(HIDDEN):
        room[LAYER + h] = row[h]
    for k in range(LEVELS):
        room[RAMP + k] = (k - (LANES - 1) / 2) / LANES
    _, ny, nz = out.shape
    u_end, v_end = xy.shape[0] - 1, xy.shape[1] - 1
    stride, resolution = pace
    slow = stride / resolution
    steps, share = (f32(slow / resolution * LANES), f32(slow * LANES)), f32(slow)
    middle = (LANES - 1) / 2
    strides = slow * LANES > 1  # stretches are short, and far from where the ramp is 0
    for block in range(xz.shape[1]):
        k0 = block * LEVELS
        levels = min(LEVELS, nz - k0)
        deep_x, deep_y = deep[0][k0:], deep[1][k0:]
        x_middle = deep_x[0] + middle / (resolution * resolution)
        y_middle = deep_y[0] + middle / resolution
        for i in range(i0, i1):
            begin = _texel(first_i + i + first_j / resolution + deep_x[0], place)
            end = _texel(first_i + i + (first_j + ny) / resolution, place) + f32(1)
            wide = _is_wide(sizes, _within(begin, first_u, u_end), _within(end, first_u, u_end))
            made = NOWHERE
            for j in range(ny):
                across, along = first_i + i + (first_j + j) / resolution, np.float64(first_j + j)
                u, v = _texel(across + deep_x[0], place), _texel(along + deep_y[0], place)
                crosses = _texel(across + deep_x[levels - 1], place) != u
                single = not (crosses or strides) and _texel(along + deep_y[levels - 1], place) == v
                fresh = crosses or strides or u != made or (first_j + j) % AGAIN == 0
                if fresh or not single:
                    _texels(across, deep_x, place, low, part)
                    _texels(along, deep_y, place, v_low, v_part)
                x, y = _position(across + x_middle, place), _position(along + y_middle, place)
                after = 0
                while after < levels:  # stretches between the same texels
                    first, after = after, levels
                    if not single:
                        u, v, after = low[first], v_low[first], first + 1
                        while after < levels and low[after] == u and v_low[after] == v:
                            after += 1
                    u0, u1 = _within(u, first_u, u_end), _within(u + f32(1), first_u, u_end)
                    v0, v1 = _within(v, first_v, v_end), _within(v + f32(1), first_v, v_end)
                    if fresh:
                        _make_line(xz[u0, block], xz[u1, block], part, wide, room)
                        if u != made:
                            _make_step(xz[u0, block], xz[u1, block], share, wide, room)
                            made = u
                    origin, shares = f32(0), (f32(x - u), f32(y - v))
                    if strides:
                        centre = (first + after) // 2
                        origin, shares = room[RAMP + centre], (part[centre], v_part[centre])
                    _quadratic(xy[u0, v0], xy[u0, v1], xy[u1, v0], xy[u1, v1], shares, steps, terms)
                    again = after < levels and not fresh
                    if again:
                        _copy(room, LINE, SAVED)
                    for k in range(LEVELS):
                        room[TOTAL + k] = constant
                    if wide:
                        _sum_wide(terms, origin, yz[j : j + 1, block], room)
                    else:
                        _sum_narrow(terms, origin, steep, yz_powers[j : j + 1, block], room)
                    if again:
                        _copy(room, SAVED, LINE)
                    for k in range(levels):
                        if single:
                            out[i, j, k0 + k] = room[TOTAL + k]
                        elif first <= k < after:
                            out[i, j, k0 + k] = room[TOTAL + k]
                if crosses:
                    made = NOWHERE  # the line is that of its last stretch

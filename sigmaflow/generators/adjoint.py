"""Gradients of sigma on sheared grids, compiled by numba for CPUs (docs/sampling.md).

Vectors hold hidden units. Each cell's are made again from the texels about it, and what they ask
for is added to these; whoever calls gives every part of the rows tables of its own, so that no two
threads add in one place.
"""

from __future__ import annotations

import numpy as np

from .polynomials import LANES, LEAST, TO_POWERS, exactly, f32, inlined, kernel, power, softplus
from .sampler import HIDDEN
from .sheared import rounded

NEXT = np.uint32(1)


@exactly
def _places(index, deep, place, first, low, part):
    """Write where the texels below levels stand on a map that begins at texel `first` to `low`,
    and shares of the next ones to `part`."""
    size = place[3]
    for k in range(low.size):
        position = min(max(rounded(index + deep[k], place), f32(-1)), size)
        below = min(np.floor(position), size - f32(1))
        low[k] = np.int64(below) - first
        part[k] = position - below


@inlined
def _add(table, p, q, shares, out):
    """Add entries q and q + 1 of row p of `table` [m, n, C] to `out` [C]."""
    a, b = shares
    for h in range(HIDDEN):
        out[h] += a * table[p, q, h] + b * table[p, q + NEXT, h]


@inlined
def _give(out, p, q, share, table):
    """The adjoint of `_add` for one entry."""
    for h in range(HIDDEN):
        table[p, q, h] += share * out[h]


@inlined
def _slope(hidden, row, given, out):
    """Write what hidden units [C] ask for to `out`: `given` times the slope of their softplus."""
    for h in range(HIDDEN):
        z = hidden[h]
        closed = power(max(-abs(z) * f32(TO_POWERS), LEAST))
        out[h] = given * row[h] * ((f32(1) if z >= f32(0) else closed) / (f32(1) + closed))


@inlined
def _softplus(hidden, given, out):
    """Add `given` times softplus of the hidden units [C], in units of `logs`, to `out` [C]."""
    for h in range(LANES):
        g, m, n = h + LANES, h + 2 * LANES, h + 3 * LANES
        scale = f32(TO_POWERS)
        s = softplus((hidden[h] * scale, hidden[g] * scale, hidden[m] * scale, hidden[n] * scale))
        out[h] += given * s[0]
        out[g] += given * s[1]
        out[m] += given * s[2]
        out[n] += given * s[3]


@kernel
def sheared(tables, y, row, deep, place, starts, resolution, gradient, room, out, to_row, i0, i1):
    """Add the gradients of x rows i0..i1-1 to `out`, and that of the second layer to `to_row` [C].

    tables, out: xy [V, U, C], xz [nz, U, C], yz [nz, V, C] or empty; those of out begin along x
    at the last of starts: first kept index along x and y, texels at which the tables and out begin
    along x. y: lower texel on the tables and share of the next one [ny, nz]. deep [nz]: what
    levels add to the index along x. gradient [nx, ny, nz]. room: [nz] twice, [C] three times.
    """
    xy, xz, yz = tables
    to_xy, to_xz, to_yz = out
    low, part, hidden, asked, curve = room
    v_low, v_part = y
    first_i, first_j, first_u, part_u = starts
    back = np.uint32(part_u - first_u)
    _, ny, nz = gradient.shape
    for i in range(i0, i1):
        for j in range(ny):
            index = first_i + i + (first_j + j) / resolution
            _places(index, deep, place, first_u, low, part)
            for h in range(HIDDEN):
                curve[h] = 0
            for k in range(nz):
                given = gradient[i, j, k]
                u, v, t, r = low[k], v_low[j, k], part[k], v_part[j, k]
                near, far = f32(1) - t, t
                for h in range(HIDDEN):
                    hidden[h] = near * xz[k, u, h] + far * xz[k, u + NEXT, h]
                below = (f32(1) - r) * near, (f32(1) - r) * far
                above = r * near, r * far
                if xy.shape[0] > 0:
                    _add(xy, v, u, below, hidden)
                    _add(xy, v + NEXT, u, above, hidden)
                if yz.shape[0] > 0:
                    _add(yz, k, v, (f32(1) - r, r), hidden)
                _slope(hidden, row, given, asked)
                _softplus(hidden, given, curve)
                q = u - back
                _give(asked, k, q, near, to_xz)
                _give(asked, k, q + NEXT, far, to_xz)
                if xy.shape[0] > 0:
                    _give(asked, v, q, below[0], to_xy)
                    _give(asked, v, q + NEXT, below[1], to_xy)
                    _give(asked, v + NEXT, q, above[0], to_xy)
                    _give(asked, v + NEXT, q + NEXT, above[1], to_xy)
                if yz.shape[0] > 0:
                    _give(asked, k, v, f32(1) - r, to_yz)
                    _give(asked, k, v + NEXT, r, to_yz)
            for h in range(HIDDEN):
                to_row[h] += curve[h]

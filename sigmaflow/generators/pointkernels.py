"""Samples of tri-planes and the decoder at points, compiled by numba for CPUs.

Points are taken `CHUNK` at a time, so that what lies between two steps stays in the cache. Planes
have their channels last: a texel is one contiguous row. Hidden units are in the units of
`polynomials.power`, colours before the logistic function as well. A point's place in its chunk
does not depend on who calls a kernel for which points, nor does the order of any sum.
"""

from __future__ import annotations

import numpy as np

from .polynomials import LANES, exactly, f32, inlined, kernel, logistic, softplus_and_slope
from .sampler import HIDDEN
from .vectors import CHANNELS, ROWS, blend, give, product, product_of_rows, sum_of_products

COLORS = 32
CHUNK = 64  # points whose features and hidden units stay in the cache
SPREAD = f32(1 + 2 * 0.001)  # colours reach from -0.001 to 1.001, as in the public code
BELOW = f32(0.001)
OUTPUTS = 36  # colours and sigma, filled up to a multiple of four


@exactly
def _place(coordinate, size):
    """Lower texel and share of the next one; beyond the plane both shares are 0.

    coordinate: -1 to 1 from edge to edge of `size` texels, as `F.grid_sample` has it. Returns
    rows of the two texels, moved onto the plane, and their shares.
    """
    position = ((coordinate + f32(1)) * f32(size) - f32(1)) * f32(0.5)
    if not (position > f32(-1) and position < f32(size)):
        return 0, 0, f32(0), f32(0)
    floor = np.floor(position)
    low = np.int64(floor)
    far = position - floor
    near = f32(1) - far
    high = low + 1
    if low < 0:
        return 0, 0, f32(0), far
    if high >= size:
        return low, low, near, f32(0)
    return low, high, near, far


@exactly
def _corners(point, axes, width, height):
    """Rows of texels [height * width, C] about a point, and their shares: two fours."""
    x = (point[0] * axes[0, 0] + point[1] * axes[0, 1]) + point[2] * axes[0, 2]
    y = (point[0] * axes[1, 0] + point[1] * axes[1, 1]) + point[2] * axes[1, 2]
    left, right, west, east = _place(x, width)
    top, bottom, north, south = _place(y, height)
    top, bottom = top * width, bottom * width
    rows = (
        np.uint32(top + left), np.uint32(top + right),
        np.uint32(bottom + left), np.uint32(bottom + right),
    )  # fmt: skip
    return rows, (north * west, north * east, south * west, south * east)


@inlined
def _gather(planes, size, points, axes, start, count, out):
    """Write the sums over planes of bilinear samples at points start..start+count-1 to `out`."""
    width, height = size
    for p in range(count):
        point = points[start + p, 0], points[start + p, 1], points[start + p, 2]
        for n in range(planes.shape[0]):
            rows, shares = _corners(point, axes[n], width, height)
            blend(planes, n * width * height, rows, shares, out, p, n == 0)


_hidden_dot, _color_dot = product_of_rows(HIDDEN), product_of_rows(COLORS)
_first_layer = product(CHANNELS, CHANNELS, HIDDEN)
_second_layer = product(HIDDEN, HIDDEN, COLORS)
_to_hidden = product(OUTPUTS, COLORS + 1, HIDDEN)
_to_features = product(HIDDEN, HIDDEN, CHANNELS)
_to_first = sum_of_products(CHANNELS, CHANNELS, HIDDEN)
_to_last = sum_of_products(OUTPUTS, OUTPUTS, HIDDEN)


@inlined
def _clear(rows, start, stop):
    for p in range(start, stop):
        for h in range(rows.shape[1]):
            rows[p, h] = 0


@inlined
def _hidden(planes, size, points, axes, start, count, whole, first, features, hidden):
    """Write features [whole, C] and hidden units [whole, HIDDEN] of `count` points; the rest are
    those of zero features."""
    _gather(planes, size, points, axes, start, count, features)
    _clear(features, count, whole)
    _first_layer(features, first[0], first[1], hidden, 0, whole)


@kernel
def values(planes, size, points, axes, first, last, room, colors, sigma, start, stop):
    """Write colours and sigma of points start..stop-1; start is a multiple of `CHUNK`.

    planes [n, height * width, C], size: width and height, points [M, 3], axes [n, 2, 3]: from
    points to coordinates on planes. first: weight [C, HIDDEN] and bias in units of `power`; last:
    weight [HIDDEN, COLORS], bias, row [HIDDEN] and constant of sigma. colors [M, COLORS], or no
    rows where none are asked for; sigma [M]. room: [CHUNK, C], [CHUNK, HIDDEN], [CHUNK, COLORS].
    """
    features, hidden, out = room
    weight, bias, row, constant = last
    for begin in range(start, stop, CHUNK):
        count = min(stop - begin, CHUNK)
        whole = (count + ROWS - 1) // ROWS * ROWS
        _hidden(planes, size, points, axes, begin, count, whole, first, features, hidden)
        for p in range(whole):
            z = hidden[p]
            for h in range(LANES):
                i, j, k = h + LANES, h + 2 * LANES, h + 3 * LANES
                s, _ = softplus_and_slope((z[h], z[i], z[j], z[k]))
                z[h], z[i], z[j], z[k] = s[0], s[1], s[2], s[3]
        for p in range(count):
            sigma[begin + p] = _hidden_dot(hidden, p, row, 0) + constant
        if colors.shape[0] == 0:
            continue
        _second_layer(hidden, weight, bias, out, 0, whole)
        for p in range(count):
            for h in range(COLORS):
                colors[begin + p, h] = logistic(out[p, h]) * SPREAD - BELOW


@kernel
def slopes(
    planes, size, points, axes, first, last, back, room, colors, given, to_sigma,
    asked, to_first, to_last, layers, start, stop,
):  # fmt: skip
    """Write what points start..stop-1 ask of the sum of features to `asked` [M, C], and add what
    they ask of the layers, of their weights only if `layers`.

    As `values`; last: weight [1 + COLORS, HIDDEN], sigma last; back: weight [HIDDEN, C] of the
    first layer. colors: the result, given and to_sigma [M]: gradients of colours and sigma; colors
    may have no rows. `asked` has rows up to the next multiple of `ROWS`, which are written as well.
    to_first: [C, HIDDEN], [HIDDEN]; to_last: [OUTPUTS, HIDDEN], [OUTPUTS], sigma behind the
    colours. room: [CHUNK, C], [CHUNK, HIDDEN] three times, [CHUNK, OUTPUTS] of zeros, and zeros
    [HIDDEN]. Points of a chunk are summed before they are added to those of others.
    """
    features, hidden, slope, curve, out, biases, nothing = room
    to_weight, to_bias = to_first
    to_outputs, to_constants = to_last
    for begin in range(start, stop, CHUNK):
        count = min(stop - begin, CHUNK)
        whole = (count + ROWS - 1) // ROWS * ROWS
        _hidden(planes, size, points, axes, begin, count, whole, first, features, hidden)
        for p in range(whole):
            z, y, r = hidden[p], curve[p], slope[p]
            for h in range(LANES):
                i, j, k = h + LANES, h + 2 * LANES, h + 3 * LANES
                s, t = softplus_and_slope((z[h], z[i], z[j], z[k]))
                y[h], y[i], y[j], y[k] = s[0], s[1], s[2], s[3]
                r[h], r[i], r[j], r[k] = t[0], t[1], t[2], t[3]
        _clear(biases, 0, 2)
        constant = f32(0)
        for p in range(count):
            g = to_sigma[begin + p]
            constant += g
            out[p, COLORS] = g
        _clear(out, count, whole)
        if colors.shape[0] > 0:
            for p in range(count):
                for h in range(COLORS):
                    s = (colors[begin + p, h] + BELOW) / SPREAD
                    g = given[begin + p, h] * (SPREAD * (s * (f32(1) - s)))
                    out[p, h] = g
                    biases[0, h] += g
            _to_hidden(out, last, nothing, hidden, 0, whole)
            if layers:
                _to_last(out, curve, to_outputs, whole)
        else:
            for p in range(whole):
                g = out[p, COLORS]
                for h in range(HIDDEN):
                    hidden[p, h] = g * last[COLORS, h]
                    biases[0, h] += g * curve[p, h]
            for h in range(HIDDEN):
                to_outputs[COLORS, h] += biases[0, h]
        for p in range(whole):
            for h in range(HIDDEN):
                g = hidden[p, h] * slope[p, h]
                hidden[p, h] = g
                biases[1, h] += g
        to_constants[COLORS] += constant
        for h in range(HIDDEN):
            to_bias[h] += biases[1, h]
        if colors.shape[0] > 0:
            for h in range(COLORS):
                to_constants[h] += biases[0, h]
        if layers:
            _to_first(features, hidden, to_weight, whole)
        _to_features(hidden, back, nothing, asked, begin, whole)


@kernel
def scatter(asked, points, axes, size, out, c0, c1):
    """Add what points ask of one plane to lines c0..c1-1 of `LANES` channels of `out`
    [height * width, C].

    asked [M, C], points [M, 3], axes [2, 3], size: width and height.
    """
    width, height = size
    for p in range(points.shape[0]):
        point = points[p, 0], points[p, 1], points[p, 2]
        (i, j, k, l), (a, b, c, d) = _corners(point, axes, width, height)
        for n in range(c0, c1):
            give(a, asked, p, out, i, n)
            give(b, asked, p, out, j, n)
            give(c, asked, p, out, k, n)
            give(d, asked, p, out, l, n)


@kernel
def add_rays(shares, colors, out, start, stop):
    """Write sums [R, COLORS] of colors [R, S, COLORS] in shares [R, S] for rays start..stop-1."""
    for r in range(start, stop):
        _clear(out, r, r + 1)
        for s in range(shares.shape[1]):
            for n in range(COLORS // LANES):
                give(shares[r, s], colors, r * shares.shape[1] + s, out, np.uint32(r), n)


@kernel
def part_rays(shares, colors, given, to_shares, to_colors, start, stop):
    """Write the gradients of `add_rays` from given [R, COLORS]."""
    for r in range(start, stop):
        for s in range(shares.shape[1]):
            share = shares[r, s]
            to_shares[r, s] = _color_dot(colors, r * shares.shape[1] + s, given, r)
            for h in range(COLORS):
                to_colors[r, s, h] = share * given[r, h]

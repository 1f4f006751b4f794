"""Samples of tri-planes and the decoder at points, compiled by numba for CPUs.

Points are taken `CHUNK` at a time, so that what lies between two steps stays in the cache. Planes
have their channels last: a texel is one contiguous row. Hidden units are in the units of
`polynomials.power`, colours before the logistic function as well. A point's place in its chunk
does not depend on who calls a kernel for which points, nor does the order of any sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .polynomials import LANES, exactly, f32, inlined, kernel, logistic, softplus, softplus_and_slope
from .sampler import HIDDEN

CHANNELS = 32  # of planes
COLORS = 32
CHUNK = 64  # points whose features and hidden units stay in the cache
SPREAD = f32(1 + 2 * 0.001)  # colours reach from -0.001 to 1.001, as in the public code
BELOW = f32(0.001)


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
        row = out[p]
        for n in range(planes.shape[0]):
            texels = planes[n]
            (i, j, k, l), (a, b, c, d) = _corners(point, axes[n], width, height)
            if n == 0:
                for h in range(CHANNELS):
                    row[h] = a * texels[i, h] + b * texels[j, h] + (
                        c * texels[k, h] + d * texels[l, h]
                    )
            else:
                for h in range(CHANNELS):
                    row[h] += a * texels[i, h] + b * texels[j, h] + (
                        c * texels[k, h] + d * texels[l, h]
                    )


@inlined
def _add_four(a, b, out, p, k, outer):
    """Add a[p:p+4, k:k+4] times b[k:k+4] to out[p:p+4]."""
    a00, a01, a02, a03 = a[p, k], a[p, k + 1], a[p, k + 2], a[p, k + 3]
    a10, a11, a12, a13 = a[p + 1, k], a[p + 1, k + 1], a[p + 1, k + 2], a[p + 1, k + 3]
    a20, a21, a22, a23 = a[p + 2, k], a[p + 2, k + 1], a[p + 2, k + 2], a[p + 2, k + 3]
    a30, a31, a32, a33 = a[p + 3, k], a[p + 3, k + 1], a[p + 3, k + 2], a[p + 3, k + 3]
    for h in range(outer):
        x, y, z, w = b[k, h], b[k + 1, h], b[k + 2, h], b[k + 3, h]
        out[p, h] += a00 * x + a01 * y + a02 * z + a03 * w
        out[p + 1, h] += a10 * x + a11 * y + a12 * z + a13 * w
        out[p + 2, h] += a20 * x + a21 * y + a22 * z + a23 * w
        out[p + 3, h] += a30 * x + a31 * y + a32 * z + a33 * w


def _product(inner: int, outer: int) -> Callable:
    """A function that adds a [n, inner] times b [inner, outer] to out [n, outer]. n: a multiple of
    four, as `inner` is."""

    @inlined
    def add(a, b, out, n):
        for p in range(0, n, 4):
            for k in range(0, inner, 4):
                _add_four(a, b, out, p, k, outer)

    return add


def _sum_of_products(inner: int, outer: int) -> Callable:
    """A function that adds the transpose of a [n, inner] times b [n, outer] to out [inner, outer],
    as the gradient of a weight asks."""

    @inlined
    def add(a, b, out, n):
        for k in range(0, n, 4):
            for p in range(0, inner, 4):
                _add_four(a.T, b, out, p, k, outer)

    return add


_first_layer = _product(CHANNELS, HIDDEN)
_second_layer = _product(HIDDEN, COLORS)
_to_hidden = _product(COLORS, HIDDEN)
_to_features = _product(HIDDEN, CHANNELS)
_to_first = _sum_of_products(CHANNELS, HIDDEN)
_to_last = _sum_of_products(COLORS, HIDDEN)


@inlined
def _fill(row, out, count):
    """Write `row` to the first rows of `out`."""
    for p in range(count):
        for h in range(row.size):
            out[p, h] = row[h]


@inlined
def _clear(rows, start, stop):
    for p in range(start, stop):
        for h in range(rows.shape[1]):
            rows[p, h] = 0


@inlined
def _features(planes, size, points, axes, start, count, whole, weight, bias, features, hidden):
    """Write features [whole, C] and hidden units [whole, HIDDEN] of `count` points; the rest are
    those of zero features."""
    _gather(planes, size, points, axes, start, count, features)
    _clear(features, count, whole)
    _fill(bias, hidden, whole)
    _first_layer(features, weight, hidden, whole)


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
        whole = (count + 3) // 4 * 4
        _features(
            planes, size, points, axes, begin, count, whole, first[0], first[1], features, hidden
        )
        for p in range(whole):
            z = hidden[p]
            for h in range(LANES):
                i, j, k = h + LANES, h + 2 * LANES, h + 3 * LANES
                s = softplus((z[h], z[i], z[j], z[k]))
                z[h], z[i], z[j], z[k] = s[0], s[1], s[2], s[3]
        for p in range(count):
            total = f32(0)
            for h in range(HIDDEN):
                total += hidden[p, h] * row[h]
            sigma[begin + p] = total + constant
        if colors.shape[0] == 0:
            continue
        _fill(bias, out, whole)
        _second_layer(hidden, weight, out, whole)
        for p in range(count):
            for h in range(COLORS):
                colors[begin + p, h] = logistic(out[p, h]) * SPREAD - BELOW


@kernel
def slopes(
    planes, size, points, axes, first, last, back, room, colors, given, to_sigma,
    asked, to_first, to_last, layers, start, stop,
):  # fmt: skip
    """Write what points start..stop-1 ask of the mean features to `asked` [M, C], and add what
    they ask of the layers, of their weights only if `layers`.

    As `values`; last: weight [COLORS, HIDDEN] and row; back: weight [HIDDEN, C] of the first layer.
    colors: the result, given and to_sigma [M]: gradients of colours and sigma; colors may have no
    rows. to_first: [C, HIDDEN], [HIDDEN]; to_last: [COLORS, HIDDEN], [COLORS], row [HIDDEN] and
    constant [1]. room: [CHUNK, C], [CHUNK, HIDDEN] three times, [CHUNK, COLORS].
    """
    features, hidden, slope, curve, out = room
    weight, row = last
    to_weight, to_bias = to_first
    to_colors, to_colors_bias, to_row, to_constant = to_last
    for begin in range(start, stop, CHUNK):
        count = min(stop - begin, CHUNK)
        whole = (count + 3) // 4 * 4
        _features(
            planes, size, points, axes, begin, count, whole, first[0], first[1], features, hidden
        )
        for p in range(whole):
            z, y, r = hidden[p], curve[p], slope[p]
            for h in range(LANES):
                i, j, k = h + LANES, h + 2 * LANES, h + 3 * LANES
                s, t = softplus_and_slope((z[h], z[i], z[j], z[k]))
                y[h], y[i], y[j], y[k] = s[0], s[1], s[2], s[3]
                r[h], r[i], r[j], r[k] = t[0], t[1], t[2], t[3]
        _clear(hidden, count, whole)
        for p in range(count):
            g = to_sigma[begin + p]
            to_constant[0] += g
            for h in range(HIDDEN):
                hidden[p, h] = g * row[h]
                to_row[h] += g * curve[p, h]
        if colors.shape[0] > 0:
            for p in range(count):
                for h in range(COLORS):
                    s = (colors[begin + p, h] + BELOW) / SPREAD
                    g = given[begin + p, h] * (SPREAD * (s * (f32(1) - s)))
                    out[p, h] = g
                    to_colors_bias[h] += g
            _clear(out, count, whole)
            _to_hidden(out, weight, hidden, whole)
            if layers:
                _to_last(out, curve, to_colors, whole)
        for p in range(whole):
            for h in range(HIDDEN):
                g = hidden[p, h] * slope[p, h]
                hidden[p, h] = g
                to_bias[h] += g
        if layers:
            _to_first(features, hidden, to_weight, whole)
        _clear(features, 0, whole)
        _to_features(hidden, back, features, whole)
        for p in range(count):
            for h in range(CHANNELS):
                asked[begin + p, h] = features[p, h]


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
        for begin in range(c0 * LANES, c1 * LANES, LANES):
            for h in range(begin, begin + LANES):
                out[i, h] += a * asked[p, h]
            for h in range(begin, begin + LANES):
                out[j, h] += b * asked[p, h]
            for h in range(begin, begin + LANES):
                out[k, h] += c * asked[p, h]
            for h in range(begin, begin + LANES):
                out[l, h] += d * asked[p, h]

"""Samples of tri-planes and the decoder at points, compiled by numba for CPUs.

Points are taken `CHUNK` at a time, so that what lies between two steps stays in the cache. Planes
have their channels last: a texel is one contiguous row. Hidden units are in the units of
`polynomials.power`, colours before the logistic function as well. A point's place in its chunk
does not depend on who calls a kernel for which points, nor does the order of any sum.

numba does not make vectors of short loops over rows that might overlap, and keeps no sums in
registers while it goes on to the next row. So the steps that take most of the time are written as
vectors of `LANES` floats: whoever compiles for narrower ones splits them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .polynomials import LANES, exactly, f32, inlined, kernel, logistic, softplus_and_slope
from .sampler import HIDDEN

CHANNELS = 32  # of planes
COLORS = 32
CHUNK = 64  # points whose features and hidden units stay in the cache
SPREAD = f32(1 + 2 * 0.001)  # colours reach from -0.001 to 1.001, as in the public code
BELOW = f32(0.001)
OUTPUTS = 36  # colours and sigma, filled up to a multiple of four
SUMS = 16  # vectors that a product keeps in registers
ROWS = 8  # points that a product takes at a time


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


VECTOR = ir.VectorType(ir.FloatType(), LANES)
CONTRACT = ("contract",)  # a product and a sum may be rounded once


class _Rows:
    """Loads and stores of vectors in a C-contiguous array of float32, in code that is built."""

    def __init__(self, context, builder, kind, array):
        self.builder = builder
        self.data = context.make_array(kind)(context, builder, array).data

    def _pointer(self, offset, to):
        pointer = self.builder.gep(self.data, [offset])
        return self.builder.bitcast(pointer, to.as_pointer())

    def load(self, offset, to=VECTOR):
        return self.builder.load(self._pointer(offset, to), align=4)

    def store(self, value, offset):
        self.builder.store(value, self._pointer(offset, VECTOR), align=4)


def _spread(builder, value):
    """A vector of one value."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, _index(0, 32))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), mask)


def _index(value, bits=64):
    return ir.Constant(ir.IntType(bits), value)


def _fused(builder, a, b, c):
    """a b + c."""
    return builder.fadd(builder.fmul(a, b, flags=CONTRACT), c, flags=CONTRACT)


def _offsets(builder, start, lines):
    return [builder.add(start, _index(n * LANES)) for n in range(lines)]


@intrinsic
def _blend(typing, planes, first, rows, shares, out, p, fresh):
    """Write, or add unless `fresh`, four rows of `planes` [..., C], counted from row `first`, in
    these shares to row p of `out` [n, C]."""
    signature = types.void(planes, types.intp, rows, shares, out, types.intp, types.boolean)

    def build(context, builder, signature, args):
        texels = _Rows(context, builder, planes, args[0])
        result = _Rows(context, builder, out, args[4])
        parts = [_spread(builder, x) for x in cgutils.unpack_tuple(builder, args[3])]
        starts = []
        for row in cgutils.unpack_tuple(builder, args[2]):
            row = builder.add(args[1], builder.zext(row, ir.IntType(64)))
            starts.append(builder.mul(row, _index(CHANNELS)))
        to = builder.mul(args[5], _index(CHANNELS))
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        for n, at in enumerate(_offsets(builder, to, CHANNELS // LANES)):
            total = builder.select(args[6], zero, result.load(at))
            for start, part in zip(starts, parts):
                texel = texels.load(builder.add(start, _index(n * LANES)))
                total = _fused(builder, part, texel, total)
            result.store(total, at)
        return context.get_dummy_value()

    return signature, build


@intrinsic
def _give(typing, share, asked, p, out, row, n):
    """Add `share` times line n of row p of `asked` [m, C] to that of a row of `out` [k, C]."""
    signature = types.void(types.float32, asked, types.intp, out, types.uint32, types.intp)

    def build(context, builder, signature, args):
        given = _Rows(context, builder, asked, args[1])
        result = _Rows(context, builder, out, args[3])
        line = builder.mul(args[5], _index(LANES))
        at, to = (
            builder.add(builder.mul(x, _index(CHANNELS)), line)
            for x in (args[2], builder.zext(args[4], ir.IntType(64)))
        )
        total = _fused(builder, _spread(builder, args[0]), given.load(at), result.load(to))
        result.store(total, to)
        return context.get_dummy_value()

    return signature, build


def _product_of_rows(width: int) -> Callable:
    """A function to the product of row p of a [..., width] and row q of b [..., width]."""

    @intrinsic
    def dot(typing, a, p, b, q):
        signature = types.float32(a, types.intp, b, types.intp)

        def build(context, builder, signature, args):
            left, right = (
                _Rows(context, builder, signature.args[n], args[n]) for n in (0, 2)
            )
            starts = (
                _offsets(builder, builder.mul(args[n], _index(width)), width // LANES)
                for n in (1, 3)
            )
            total = ir.Constant(VECTOR, [0.0] * LANES)
            for at, to in zip(*starts):
                total = _fused(builder, left.load(at), right.load(to), total)
            half = LANES // 2
            while half:
                mask = [(k + half) % LANES for k in range(LANES)]
                mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask)
                total = builder.fadd(total, builder.shuffle_vector(total, total, mask))
                half //= 2
            return builder.extract_element(total, _index(0, 32))

        return signature, build

    return dot


def _tile(rows: int, lines: int, strides: tuple[int, int], adds: bool) -> Callable:
    """A function that writes, or adds if `adds`, `rows` rows of a product to those of
    out [..., lines * LANES] from row p on. Row r is the sum over k < inner of entry r, k of a,
    which lies at start + r strides[0] + k strides[1], times row k of b; the sum begins with
    `first` [lines * LANES] unless `adds`. It stays in registers."""

    @intrinsic
    def tile(typing, a, start, b, inner, first, out, p):
        signature = types.void(a, types.intp, b, types.intp, first, out, types.intp)

        def build(context, builder, signature, args):
            left, right, begin, result = (
                _Rows(context, builder, signature.args[n], args[n]) for n in (0, 2, 4, 5)
            )
            width, places, sums = _index(lines * LANES), [], []
            for r in range(rows):
                row = builder.mul(builder.add(args[6], _index(r)), width)
                places += _offsets(builder, row, lines)
            nothing = ir.Constant(VECTOR, [0.0] * LANES)
            for n in range(rows * lines):
                sums.append(cgutils.alloca_once(builder, VECTOR))
                at = _index(n % lines * LANES)
                builder.store(nothing if adds else begin.load(at), sums[-1])
            with cgutils.for_range(builder, args[3]) as loop:
                line = _offsets(builder, builder.mul(loop.index, width), lines)
                line = [right.load(place) for place in line]
                column = builder.add(args[1], builder.mul(loop.index, _index(strides[1])))
                for r in range(rows):
                    place = builder.add(column, _index(r * strides[0]))
                    factor = _spread(builder, left.load(place, ir.FloatType()))
                    for n in range(lines):
                        total = sums[r * lines + n]
                        value = _fused(builder, factor, line[n], builder.load(total))
                        builder.store(value, total)
            for place, total in zip(places, sums):
                value = builder.load(total)
                result.store(builder.fadd(result.load(place), value) if adds else value, place)
            return context.get_dummy_value()

        return signature, build

    return tile


def _product(width: int, inner: int, outer: int) -> Callable:
    """A function that writes first [outer] plus a [n, inner] times b [inner, outer] to rows
    p..p+n-1 of out [..., outer]. n: a multiple of `ROWS`; rows of a lie `width` apart."""
    lines = outer // LANES
    rows = SUMS // lines
    tile = _tile(rows, lines, (width, 1), False)

    @inlined
    def write(a, b, first, out, p, n):
        for k in range(0, n, rows):
            tile(a, k * width, b, inner, first, out, p + k)

    return write


def _sum_of_products(width: int, inner: int, outer: int) -> Callable:
    """A function that adds the transpose of a [n, inner] times b [n, outer] to out [inner, outer],
    as the gradient of a weight asks. Rows of a lie `width` apart."""
    lines = outer // LANES
    rows = SUMS // lines
    tile = _tile(rows, lines, (1, width), True)

    @inlined
    def add(a, b, out, n):
        for p in range(0, inner, rows):
            tile(a, p, b, n, b, out, p)

    return add


@inlined
def _gather(planes, size, points, axes, start, count, out):
    """Write the sums over planes of bilinear samples at points start..start+count-1 to `out`."""
    width, height = size
    for p in range(count):
        point = points[start + p, 0], points[start + p, 1], points[start + p, 2]
        for n in range(planes.shape[0]):
            rows, shares = _corners(point, axes[n], width, height)
            _blend(planes, n * width * height, rows, shares, out, p, n == 0)


_hidden_dot, _color_dot = _product_of_rows(HIDDEN), _product_of_rows(COLORS)
_first_layer = _product(CHANNELS, CHANNELS, HIDDEN)
_second_layer = _product(HIDDEN, HIDDEN, COLORS)
_to_hidden = _product(OUTPUTS, COLORS + 1, HIDDEN)
_to_features = _product(HIDDEN, HIDDEN, CHANNELS)
_to_first = _sum_of_products(CHANNELS, CHANNELS, HIDDEN)
_to_last = _sum_of_products(OUTPUTS, OUTPUTS, HIDDEN)


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
            _give(a, asked, p, out, i, n)
            _give(b, asked, p, out, j, n)
            _give(c, asked, p, out, k, n)
            _give(d, asked, p, out, l, n)


@kernel
def add_rays(shares, colors, out, start, stop):
    """Write sums [R, COLORS] of colors [R, S, COLORS] in shares [R, S] for rays start..stop-1."""
    for r in range(start, stop):
        _clear(out, r, r + 1)
        for s in range(shares.shape[1]):
            for n in range(COLORS // LANES):
                _give(shares[r, s], colors, r * shares.shape[1] + s, out, np.uint32(r), n)


@kernel
def part_rays(shares, colors, given, to_shares, to_colors, start, stop):
    """Write the gradients of `add_rays` from given [R, COLORS]."""
    for r in range(start, stop):
        for s in range(shares.shape[1]):
            share = shares[r, s]
            to_shares[r, s] = _color_dot(colors, r * shares.shape[1] + s, given, r)
            for h in range(COLORS):
                to_colors[r, s, h] = share * given[r, h]

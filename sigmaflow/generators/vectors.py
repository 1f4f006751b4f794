"""Steps of the kernels at points that are written as vectors, in the code that numba builds.

numba does not make vectors of short loops over rows that might overlap, and keeps no sums in
registers while it goes on to the next row. Vectors have `LANES` floats; a processor with narrower
ones takes them in parts.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .polynomials import LANES, inlined

CHANNELS = 32  # of planes
SUMS = 16  # vectors that a product keeps in registers
ROWS = 8  # rows come in multiples of these

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
def blend(typing, planes, first, rows, shares, out, p, fresh):
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
def give(typing, share, asked, p, out, row, n):
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


def product_of_rows(width: int) -> Callable:
    """A function to the product of row p of a [..., width] and row q of b [..., width]."""

    @intrinsic
    def dot(typing, a, p, b, q):
        signature = types.float32(a, types.intp, b, types.intp)

        def build(context, builder, signature, args):
            left, right = (_Rows(context, builder, signature.args[n], args[n]) for n in (0, 2))
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


def product(width: int, inner: int, outer: int) -> Callable:
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


def sum_of_products(width: int, inner: int, outer: int) -> Callable:
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

"""Powers and logarithms of base 2 for the kernels, four at a time, and how kernels are compiled.

Integers stand for the bits of floats throughout. Each value waits for a long chain of steps, so a
step is taken for four values before the next one: by the time it starts, the last has ended. The
processor would have to look further ahead than it can to find that order by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

f32, i32 = np.float32, np.int32
FRACTION = i32(2**23 - 1)  # the 23 bits behind the exponent of a float
EXPONENT = i32(-(2**23))
ONE = i32(127 << 23)  # the bits of 1.0
LANES = 16  # cells that fill a line of the cache, and a vector of 512 bits
TO_POWERS = 2**23 * np.log2(np.e)  # h to the number that `power` takes, 2^23 for one octave
FROM_LOGS = np.log(2) / 2**23  # what `logs` gives, to natural logarithms
NARROW = f32(80 * TO_POWERS)  # bound on the sum of the largest sizes: exp(80) does not overflow
LEAST = f32(-125 * 2**23)  # powers below are not normal floats
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
# (exp(t) - 1) / t, to 7.5e-6 of exp(t) for sizes of t below 0.18 and to 1.6e-7 below 0.38;
GENTLE = tuple(f32(c) for c in (1.0000144274202927, 0.5011172269018419, 0.1662598496987249))
FARTHER = tuple(
    f32(c)
    for c in (
        0.9999994923909549, 0.4999877450346085, 0.1666806562327179, 0.04194444891061307,
        0.00828171702138458,
    )
)  # fmt: skip
# log2(1 + t) / t on [0, 1], 2.2e-6 absolute in t times it, which is 0 at 0 and 1 at 1, so that the
# logarithm is continuous and exact where hidden units are closed.
LOG = (
    1.4425449437443767, -0.7181452574439193, 0.4575491970960123,
    -0.2779053412989715, 0.12179790535172641, -0.02584144744922457,
)  # fmt: skip
HORNER = tuple(f32(c * 2**23) for c in LOG)
# The same to 4.9e-8.
CLOSE = tuple(
    f32(c * 2**23)
    for c in (
        1.4426896450259348, -0.7211589369957863, 0.478617181802142, -0.3469995196693604,
        0.2411410302809847, -0.13657482462168474, 0.051422006815559064, -0.009136582637788498,
    )
)  # fmt: skip


def _factors(log: tuple[float, ...]) -> tuple[np.float32, ...]:
    """a, b, d, e and c, with which t LOG(t) is t + c y ((y + b t + a) (y + d) + e), y = t t - t.

    As many products as coefficients less one, and chains half as long as Horner's. What it adds to
    t is 0 at 0 and 1 by its form, without rounding.
    """
    rest = np.polynomial.polynomial.polydiv([0, log[0] - 1, *log[1:]], [0, -1, 1])[0]
    u0, u1, u2, u3, _ = rest / rest[4]
    b = u3 + 2
    sum_ = u2 - 1 + b
    d = (u1 + sum_) / b
    a = sum_ - d
    return f32(a), f32(b), f32(d), f32(u0 - a * d), f32(rest[4] * 2**23)


FACTORS = _factors(LOG)
PARTS = (Path(__file__).with_name(name) for name in ("polynomials.py", "vectors.py"))
STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in PARTS)).hexdigest()[:8]


def kernel(function: Callable) -> Callable:
    """numba.njit with its code cached on disk, or without where no folder can be written.

    Whatever a kernel calls is inlined. A call would run another copy of the callee in the process
    that compiles than in those that read the cache, and sums in another order. numba takes cached
    code for old by the kernel's own file alone, so its name says which parts are in it.
    """
    function.__qualname__ += f"_{STAMP}"
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError:
        return numba.njit(function, nogil=True)


def inlined(function: Callable) -> Callable:
    """Part of a kernel, where a product and a sum may be rounded once, and nobody looks for zeros
    before a division."""
    return numba.njit(fastmath={"contract"}, forceinline=True, error_model="numpy")(function)


def exactly(function: Callable) -> Callable:
    """Part of a kernel, where every result is rounded."""
    return numba.njit(forceinline=True)(function)


def _by_fours(step: Callable) -> Callable:
    """A step on one value, as a step on four."""

    @inlined
    def each(a):
        return step(a[0]), step(a[1]), step(a[2]), step(a[3])

    return each


def _by_fours_of_two(step: Callable) -> Callable:
    @inlined
    def each(a, b):
        return step(a[0], b[0]), step(a[1], b[1]), step(a[2], b[2]), step(a[3], b[3])

    return each


@inlined
def plus(a, b):
    return a + b


@inlined
def times_plus_one(a, b):
    return a * b + f32(1)


@inlined
def _rest(n):
    """1 to 2: the fraction in the bits of n, without its exponent."""
    return i32(i32(n & FRACTION) | ONE).view(np.float32)


@inlined
def _raised(p, n):
    """p times 2 to the octaves of n."""
    return i32(f32(p).view(np.int32) + i32(n & EXPONENT)).view(np.float32)


@inlined
def power(z):
    """2^(z / 2^23); sizes of z below 126 * 2^23."""
    n = i32(z)
    t = _rest(n)
    a, b, c, d, e, f = POWER
    return _raised(((((f * t + e) * t + d) * t + c) * t + b) * t + a, n)


@inlined
def _bits(p):
    return f32(p).view(np.int32)


@inlined
def _above_one(n):
    """2^23 times octaves and fraction of a float from 1 on, by its bits."""
    return f32(i32(n - ONE))


@inlined
def _less_one(m):
    return m - f32(1)


@inlined
def _curve(t):
    return t * t - t


@inlined
def _open(z):
    """max(z, 0), NaN kept."""
    return f32(0) if z < f32(0) else z


@inlined
def _octaves(z):
    return i32(max(-abs(z), LEAST))


@inlined
def _share(z, t):
    """1 / (1 + t) where z is not negative, else t / (1 + t)."""
    return (t if z < f32(0) else f32(1)) / (f32(1) + t)


@inlined
def logistic(z):
    """1 / (1 + 2^(-z / 2^23)) to 8e-8."""
    return _share(z, power(max(-abs(z), LEAST)))


@inlined
def _step(p, t, c):
    """p t + c for the fours p and t."""
    return p[0] * t[0] + c, p[1] * t[1] + c, p[2] * t[2] + c, p[3] * t[3] + c


@inlined
def _last_step(p, t, c):
    """As `_step`, with four c."""
    return p[0] * t[0] + c[0], p[1] * t[1] + c[1], p[2] * t[2] + c[2], p[3] * t[3] + c[3]


@inlined
def _line(t, slope, at_zero):
    """slope t + at_zero for the four t."""
    return (
        slope * t[0] + at_zero, slope * t[1] + at_zero,
        slope * t[2] + at_zero, slope * t[3] + at_zero,
    )  # fmt: skip


_four_bits, _four_rests, _four_above_one = map(_by_fours, (_bits, _rest, _above_one))
_four_less_one, _four_curves = map(_by_fours, (_less_one, _curve))
_four_open, _four_octaves = map(_by_fours, (_open, _octaves))
_four_raised, _four_sums, _four_shares = map(_by_fours_of_two, (_raised, plus, _share))


@inlined
def logs(p):
    """2^23 log2 of four finite p >= 1."""
    a, b, d, e, c = FACTORS
    n = _four_bits(p)
    t = _four_less_one(_four_rests(n))
    straight = _four_above_one(n)
    y = _four_curves(t)
    left = _four_sums(_line(t, b, a), y)
    right = _line(y, f32(1), d)
    y = _line(y, c, f32(0))
    return _last_step(_step(left, right, e), y, straight)


@inlined
def softplus(z):
    """2^23 log2(1 + 2^(z / 2^23)) of four z; infinities give 0 and infinity, NaN stays NaN."""
    n = _four_octaves(z)
    t = _four_rests(n)
    a, b, c, d, e = QUICK
    p = _step(_step(_step(_line(t, e, d), t, c), t, b), t, a)
    t = _four_raised(p, n)
    a, b, c, d, e, f = HORNER
    p = _step(_step(_step(_step(_line(t, f, e), t, d), t, c), t, b), t, a)
    return _last_step(p, t, _four_open(z))


@inlined
def softplus_and_slope(z):
    """`softplus` of four z to 1.5e-7 and that slope in z which is a logistic function, for points
    that are few enough to afford it."""
    n = _four_octaves(z)
    t = _four_rests(n)
    a, b, c, d, e, f = POWER
    p = _step(_step(_step(_step(_line(t, f, e), t, d), t, c), t, b), t, a)
    t = _four_raised(p, n)
    a, b, c, d, e, f, g, h = CLOSE
    p = _step(_step(_step(_step(_line(t, h, g), t, f), t, e), t, d), t, c)
    p = _step(_step(p, t, b), t, a)
    return _last_step(p, t, _four_open(z)), _four_shares(z, t)

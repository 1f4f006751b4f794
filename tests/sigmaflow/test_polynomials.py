"""Logarithms and powers of the compiled kernels against float64."""

import numpy as np
import pytest

pytest.importorskip("numba")

from sigmaflow.generators import polynomials
from sigmaflow.generators.polynomials import kernel, logs, power, softplus

OCTAVE = 2.0**23


@kernel
def _each_log(values, out):
    for n in range(0, values.size, 4):
        out[n], out[n + 1], out[n + 2], out[n + 3] = logs(
            (values[n], values[n + 1], values[n + 2], values[n + 3])
        )


@kernel
def _each_softplus(values, out):
    for n in range(0, values.size, 4):
        out[n], out[n + 1], out[n + 2], out[n + 3] = softplus(
            (values[n], values[n + 1], values[n + 2], values[n + 3])
        )


@kernel
def _each_power(values, out):
    for n in range(values.size):
        out[n] = power(values[n])


def octaves(each, values):
    """`each` of float32 values, in octaves."""
    out = np.empty(len(values), np.float32)
    each(values.astype(np.float32), out)
    return out.astype(np.float64) / OCTAVE


def test_logarithms():
    p = np.exp2(np.linspace(0, 120, 40_000)).astype(np.float32)
    exact = np.log2(p.astype(np.float64))
    assert (np.abs(octaves(_each_log, p) - exact) < 3e-6 + 1e-7 * exact).all()
    whole = np.exp2(np.arange(0, 120.0))
    assert (octaves(_each_log, whole) == np.arange(120)).all()


def test_logarithms_have_no_steps():
    """Neighbours of powers of two, where the polynomial starts anew."""
    below = np.nextafter(np.exp2(np.arange(1, 41.0)).astype(np.float32), np.float32(0))
    assert (np.abs(octaves(_each_log, below) - np.arange(1, 41)) < 3e-7 + 1e-7 * 40).all()


def test_softplus():
    z = np.linspace(-100, 100, 40_000)
    exact = np.logaddexp2(0, (z * OCTAVE).astype(np.float32).astype(np.float64) / OCTAVE)
    found = octaves(_each_softplus, z * OCTAVE)
    assert (np.abs(found - exact) < 6e-6).all()
    closed = z < -20
    assert np.allclose(found[closed], exact[closed], rtol=2e-4, atol=0)


def test_softplus_of_what_is_not_finite():
    found = octaves(_each_softplus, np.array([np.inf, -np.inf, np.nan, 0]))
    assert found[0] == np.inf and abs(found[1]) < 1e-30 and np.isnan(found[2])
    assert abs(found[3] - 1) < 3e-6


def test_powers():
    z = np.linspace(-120, 120, 40_001)
    out = np.empty(len(z), np.float32)
    scaled = (z * OCTAVE).astype(np.float32)
    _each_power(scaled, out)
    assert np.allclose(out, np.exp2(scaled.astype(np.float64) / OCTAVE), rtol=4e-7, atol=0)


def test_cached_code_is_named_after_its_polynomials(monkeypatch):
    monkeypatch.setattr(polynomials, "STAMP", "another")

    def one():
        return 1

    assert kernel(one).py_func.__qualname__.endswith("_another")

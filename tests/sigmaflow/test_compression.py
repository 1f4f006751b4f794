"""Spreads and slopes against a control, against their definitions and known laws."""

import numpy as np
import pytest
from scipy import stats

from sigmaflow.statistics.compression import slope_against_control, spread_ratio
from sigmaflow.statistics.slope import final_on_initial


@pytest.fixture
def rewards():
    rng = np.random.default_rng(0)
    initial = rng.normal(5, 3, 60)
    control = initial * 0.8 + rng.normal(0, 1.5, 60)
    tuned = 15 + 0.3 * initial + rng.normal(0, 0.7, 60)
    return initial, control, tuned


def test_the_test_is_pitmans_and_morgans(rewards):
    initial, control, tuned = rewards
    for final in (control, tuned):
        expected = stats.pearsonr(final + initial, final - initial)
        assert spread_ratio(initial, final).p == pytest.approx(expected.pvalue, rel=1e-6)


def test_the_interval_holds_what_the_test_does_not_reject(rewards):
    initial, _, tuned = rewards
    found = spread_ratio(initial, tuned)
    assert found.sd_ratio == pytest.approx(tuned.std() / initial.std())
    for bound in (found.sd_ratio_low, found.sd_ratio_high):
        assert spread_ratio(initial * bound, tuned).p == pytest.approx(0.05, abs=1e-6)


def test_places_changed_are_not_a_compression():
    """Seeds that only change places: b is far below 1, the spread is what it was."""
    rng = np.random.default_rng(1)
    initial = rng.normal(0, 1, 4000)
    final = 0.6 * initial + 0.8 * rng.normal(0, 1, 4000)
    assert final_on_initial(initial, final).p < 1e-12
    assert spread_ratio(initial, final).p > 0.01


def test_the_level_of_the_interval():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        x, e = rng.normal(0, 1, (2, 30))
        found = spread_ratio(x, 0.5 * (0.7 * x + np.sqrt(0.51) * e))
        hits += found.sd_ratio_low <= 0.5 <= found.sd_ratio_high
    assert 0.92 < hits / 400 < 0.98


def test_exact_pairs():
    x = np.arange(5.0)
    assert spread_ratio(x, 2 * x).p < 1e-12 and spread_ratio(x, x + 3).p == 1
    with pytest.raises(ValueError, match="not defined"):
        spread_ratio(x, np.ones(5))


def test_against_the_control(rewards):
    initial, control, tuned = rewards
    found = slope_against_control(initial, tuned, control)
    slopes = [final_on_initial(initial, y).slope for y in (tuned, control)]
    assert found.difference == pytest.approx(slopes[0] - slopes[1])
    line = stats.linregress(initial, tuned - control)
    assert found.p == pytest.approx(line.pvalue, rel=1e-6)
    half = stats.t.ppf(0.975, 58) * line.stderr
    assert found.difference_high - found.difference == pytest.approx(half)
    same = slope_against_control(initial, tuned, tuned)
    assert same.difference == pytest.approx(0, abs=1e-12)

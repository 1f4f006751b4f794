"""Numbers of the paper, checked by hand, against scipy, and where they are not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sigmaflow.statistics.closeness import closeness, closeness_of, compare
from sigmaflow.statistics.diversity import diversity, pairwise
from sigmaflow.statistics.intervals import cohens_h, wilson
from sigmaflow.statistics.preferences import preference, preference_of
from sigmaflow.statistics.shift import reward_shift
from sigmaflow.statistics.slope import final_on_initial


def test_the_papers_user_study():
    """Table 3 and Cohen's h of section 4.2.1: 506 tuned, 141 original of 680 answers."""
    p = preference(506, 141, 33, simulated=False)
    assert p.cohens_h == pytest.approx(1.1353, abs=5e-5)
    assert [round(s, 3) for s in (p.share_tuned, p.share_original, p.share_none)] == [
        0.744,
        0.207,
        0.049,
    ]
    assert p.cohens_h_low < 1.1353 < p.cohens_h_high
    assert p.sign_p < 1e-40
    assert "people" in p.title and "simulated" in preference(1, 0, simulated=True).title


def test_preference_interval_covers():
    random = np.random.RandomState(0)
    truth = cohens_h(0.6, 0.3)
    draws = random.multinomial(300, [0.6, 0.3, 0.1], size=1000)
    hits = [
        p.cohens_h_low <= truth <= p.cohens_h_high
        for p in (preference(*map(int, d), simulated=True) for d in draws)
    ]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_preference_of_answers_and_extremes():
    p = preference_of(["tuned", "none", "tuned", "original"], simulated=True)
    assert (p.tuned, p.original, p.none, p.n) == (2, 1, 1, 4)
    assert preference(9, 0, simulated=True).cohens_h == pytest.approx(math.pi)
    assert math.isnan(preference(0, 0, 5, simulated=True).sign_p)
    with pytest.raises(ValueError, match="Tuned"):
        preference_of(["Tuned"], simulated=True)
    with pytest.raises(ValueError, match="not all 0"):
        preference(0, 0, 0, simulated=True)


def test_wilson():
    interval = stats.binomtest(45, 50).proportion_ci(method="wilson")
    assert wilson(45, 50) == pytest.approx((interval.low, interval.high))
    assert wilson(100, 100)[1] == 1.0 and wilson(0, 10)[0] == 0.0
    assert math.isnan(wilson(0, 0)[0])
    with pytest.raises(ValueError, match=r"0\.\.10"):
        wilson(11, 10)


def test_slope_equals_scipy_and_tests_against_one():
    random = np.random.RandomState(0)
    x = random.randn(200) * 2.4 + 3
    y = 0.33 * x + 15 + random.randn(200) * 1.7
    s = final_on_initial(x, y)
    reference = stats.linregress(x, y)
    assert (s.slope, s.intercept, s.r) == pytest.approx(
        (reference.slope, reference.intercept, reference.rvalue)
    )
    half = stats.t.ppf(0.975, 198) * reference.stderr
    assert (s.slope_low, s.slope_high) == pytest.approx((s.slope - half, s.slope + half))
    gain_on_one = stats.linregress(x, y - x)  # testing b = 1 is testing a flat gain
    assert s.p == pytest.approx(gain_on_one.pvalue, rel=1e-6)
    assert s.mean_gain == pytest.approx((y - x).mean())
    assert s.as_dict()["n"] == 200


def test_slope_of_the_papers_figures():
    """b = 0.33 with CI [0.23, 0.43] over 200 codes gives a p near the printed 3e-28."""
    error = 0.10 / stats.t.ppf(0.975, 198)
    p = 2 * stats.t.sf((1 - 0.33) / error, 198)
    assert -31 < math.log10(p) < -25


def test_slope_where_it_is_not_defined():
    exact = final_on_initial([1, 2, 3], [1, 2, 3])
    assert exact.slope == 1 and exact.p == 1
    with pytest.raises(ValueError, match="equal"):
        final_on_initial([1, 1, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="paired"):
        final_on_initial([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="not finite"):
        final_on_initial([1, 2, math.nan], [1, 2, 3])
    with pytest.raises(ValueError, match="at least 3"):
        final_on_initial([1, 2], [1, 2])


def test_shift():
    random = np.random.RandomState(0)
    before = random.randn(100) * 2
    after = before + 3 + random.randn(100)
    s = reward_shift(before, after)
    delta = after - before
    assert s.delta_mean == pytest.approx(delta.mean())
    t = stats.ttest_1samp(delta, 0).confidence_interval(0.95)
    assert (s.delta_low, s.delta_high) == pytest.approx((t.low, t.high))
    assert s.cohens_dz == pytest.approx(delta.mean() / delta.std(ddof=1))
    pooled = math.sqrt((before.var(ddof=1) + after.var(ddof=1)) / 2)
    assert s.cohens_d == pytest.approx(delta.mean() / pooled)
    assert s.positive == (delta > 0).sum()
    same = reward_shift(before, before)
    assert same.share_positive == 0 and math.isnan(same.cohens_dz)


def test_closeness_takes_a_step_apart():
    original, reference = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    reference[0, 0, 0] = 4.0
    tuned = original.copy()
    tuned[0, 0, 0], tuned[1, 1, 1] = 1.0, 3.0
    row = compare(original, tuned, reference)
    assert row["alpha"] == pytest.approx(0.25)
    assert row["residual"] == pytest.approx(3 / math.sqrt(10))
    assert row["to_original"] == pytest.approx(4 / 8)
    assert row["to_reference"] == pytest.approx(6 / 8)


def test_closeness_over_latents():
    random = np.random.RandomState(0)
    original, reference = random.randn(40, 4, 5, 6), random.randn(4, 5, 6)
    pulled = original + 0.9 * (reference - original)
    aside = original + 0.2 * random.randn(40, 4, 5, 6)
    far, near = closeness_of(original, pulled, reference), closeness_of(original, aside, reference)
    assert (far.share_closer, near.share_closer) == (0, 1)
    assert far.alpha == pytest.approx(0.9) and far.residual == pytest.approx(0, abs=1e-6)
    assert near.residual > 0.95 and near.p < 1e-8 < 0.99 < far.p
    assert near.alpha_low <= near.alpha <= near.alpha_high
    rows = [compare(o, a, reference) for o, a in zip(original, aside)]
    assert closeness(rows) == near == closeness(rows, seed=0)
    still = closeness_of(original, original, reference)
    assert still.moved == 0 and math.isnan(still.residual) and still.share_closer == 1
    with pytest.raises(ValueError, match="one shape"):
        compare(original, aside, reference)


def test_diversity():
    random = np.random.RandomState(0)
    before = random.randn(30, 3, 4, 5)
    d = diversity(before, 0.5 * before + 7)
    assert d.ratio == pytest.approx(0.5) and d.ratio_low == pytest.approx(0.5)
    other = diversity(before, random.randn(30, 3, 4, 5))
    assert other.ratio_low < 1 < other.ratio_high
    assert diversity(before, before * 0).after == 0
    assert math.isnan(diversity(before * 0, before).ratio)
    one = pairwise(before[:3])
    assert one[0, 2] == pytest.approx(np.abs(before[0] - before[2]).mean(), rel=1e-5)
    two = pairwise(before[:3], "l2")
    assert two[1, 2] == pytest.approx(np.linalg.norm(before[1] - before[2]), rel=1e-5)
    with pytest.raises(ValueError, match="same 3 or more"):
        diversity(before[:2], before[:2])

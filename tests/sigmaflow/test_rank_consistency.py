"""Table 9 by hand."""

import numpy as np
import pytest

from sigmaflow.analyses.rank_consistency import ANALYSIS, RankSettings, asks
from sigmaflow.analysing import Subject
from sigmaflow.measuring import Measured
from sigmaflow.statistics.intervals import spearman

SEEDS = range(100, 108)


def rows(high, low, role="original", ends=2):
    settings, subject = RankSettings(ends=ends), Subject(role, SEEDS, 0.7)
    measured = {name: Measured(tuple(SEEDS), {"score": np.array(values, float)})
                for name, values in (("reward", high), ("low", low))}  # fmt: skip
    found = ANALYSIS.rows(measured, settings, subject)
    return found["rank_consistency"][0], found["rank_seeds"]


def test_ranks_shares_and_spreads():
    high = [1, 2, 3, 4, 5, 6, 7, 8]
    row, seeds = rows(high, [10, 80, 30, 40, 50, 60, 70, 20])  # ranks 1 8 3 4 5 6 7 2
    assert row.n == 8 and row.rho == pytest.approx(1 - 6 * (36 + 36) / (8 * 63))
    assert (row.top, row.bottom) == (0.5, 0.5)  # of 7, 8 the 7; of 1, 2 the 1
    assert row.sd_ratio == pytest.approx(0.1)
    assert (row.paper_rho, row.paper_sd_ratio) == (0.37, 1.5)
    assert [(s.seed, s.reward, s.low_reward) for s in seeds[:2]] == [(100, 1, 10), (101, 2, 80)]


def test_the_same_order_and_the_reverse():
    up = [1, 2, 3, 4, 5, 6, 7, 8]
    assert (rows(up, up)[0].rho, rows(up, up)[0].top) == (1, 1)
    down, _ = rows(up, up[::-1], role="tuned")
    assert (down.rho, down.top, down.bottom, down.paper_rho) == (-1, 0, 0, 0.75)


def test_equal_rewards_have_no_order():
    row, _ = rows([1, 2, 3, 4, 5, 6, 7, 8], [3] * 8, role="control")
    assert row.rho is row.rho_low is row.sd_ratio is row.paper_rho is None


def test_the_interval_is_fishers():
    # method: at n = 100 the paper's 0.18 and 0.22 have [-0.02, 0.36] and [0.02, 0.40]
    rng = np.random.default_rng(0)
    a = rng.permutation(100).astype(float)
    b = 0.2 * a + rng.permutation(100)
    rho, low, high = spearman(a, b)
    half = 1.959964 * np.sqrt((1 + rho**2 / 2) / 97)
    assert np.arctanh([low, high]) == pytest.approx([np.arctanh(rho) - half,
                                                     np.arctanh(rho) + half])  # fmt: skip


def test_too_few_seeds_and_one_truncation_are_refused():
    with pytest.raises(ValueError, match="ends 5: .* 8 seeds, and both ends need 10"):
        asks(RankSettings(ends=5), Subject("original", SEEDS, 0.7))
    for wrong in ({"psi": 0.0}, {"psi": 0.25}):
        with pytest.raises(ValueError, match="two truncations above 0"):
            RankSettings(**wrong)

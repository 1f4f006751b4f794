"""Whole orders, their file and their split, and how far annotators agree."""

import math

import numpy as np
import pytest

from sigmaflow.preferences.agreement import agreement, fleiss_kappa, krippendorff_alpha
from sigmaflow.preferences.orders import (
    COLUMNS,
    PAD,
    Orders,
    read_orders,
    split_questions,
    write_orders,
)
from sigmaflow.preferences.rankings import RankingsError, read_rankings, split

THREE = Orders.of([(5, 3, 9), (1, 2), (10, 11, 12, 13)])


def test_an_order_becomes_best_and_worst_or_all_pairs():
    assert list(THREE.best_and_worst()) == [(5, 9), (1, 2), (10, 13)]
    pairs = THREE.all_pairs()
    assert list(pairs) == [(5, 3), (5, 9), (3, 9), (1, 2),
                           (10, 11), (10, 12), (10, 13), (11, 12), (11, 13), (12, 13)]  # fmt: skip
    assert pairs.index.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert THREE.padded().tolist()[1] == [1, 2, PAD, PAD]


def test_orders_survive_the_file(tmp_path):
    said = Orders(((5, 3, 9), (9, 5, 3), (1, 2)), np.array([0, 0, 7]), ("ann", "bo, jr", "ann"))
    write_orders(tmp_path / "o.csv", said)
    again = read_orders(tmp_path / "o.csv")
    assert again.orders == said.orders and again.annotators == said.annotators
    assert again.questions.tolist() == [0, 0, 7]
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "0,ann,5,3,9,,,"


def test_everything_wrong_with_a_file_is_told_at_once(tmp_path):
    rows = ["0,ann,5,3,,,,", "0,ann,3,5,,,,", "1,ann,7,7,,,,", "2,bo,7,,,,,", "3,bo,,7,8,,,",
            "x,bo,1,2,,,,", "5,bo,1,2", "6,bo,1,-2,,,,"]  # fmt: skip
    path = tmp_path / "o.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    with pytest.raises(RankingsError) as error:
        read_orders(path)
    assert {p.line for p in error.value.problems} == set(range(3, 10))
    path.write_text(",rank1,rank2\n0,1,2\n")
    with pytest.raises(RankingsError, match="other columns"):
        read_orders(path)
    with pytest.raises(RankingsError, match="cannot be read"):
        read_orders(tmp_path / "none.csv")


def test_no_question_is_in_two_parts():
    rs = np.random.RandomState(0)
    orders = [tuple(rs.permutation(5) + 5 * (i // 3)) for i in range(60)]
    said = Orders(tuple(orders), np.arange(60) // 3, tuple("abc" * 20))
    parts = split_questions(said, seed=1)
    assert [len(p) for p in parts] == [42, 9, 9]
    seeds = [{seed for order in part.orders for seed in order} for part in parts]
    assert not seeds[0] & seeds[1] and not seeds[0] & seeds[2] and not seeds[1] & seeds[2]


def test_the_split_by_question_is_the_released_one(reference):
    released = read_rankings(reference / "data" / "authors" / "rankedseedsall.csv")
    parts = split_questions(Orders.of(list(released)))
    for mine, theirs in zip(parts, split(released).of(released)):
        assert mine.questions.tolist() == theirs.index.tolist()
        assert list(mine.best_and_worst()) == list(theirs)
    assert [len(part) for part in parts] == [3042, 652, 652]


FLEISS_1971 = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def test_kappa_of_a_published_table():
    assert fleiss_kappa(FLEISS_1971) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1.0
    assert math.isnan(fleiss_kappa([[3, 0], [3, 0]]))
    with pytest.raises(ValueError, match="equally many"):
        fleiss_kappa([[3, 0], [1, 1]])


NAN = math.nan
KRIPPENDORFF_2011 = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


@pytest.mark.parametrize("level, alpha", [("nominal", 0.743), ("ordinal", 0.815),
                                          ("interval", 0.849)])  # fmt: skip
def test_alpha_of_a_published_table(level, alpha):
    """Computing Krippendorff's Alpha-Reliability (2011), example C with missing data."""
    assert krippendorff_alpha(KRIPPENDORFF_2011, level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_refuses_what_it_cannot_say():
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]))
    with pytest.raises(ValueError, match="rated twice"):
        krippendorff_alpha([[1, NAN], [NAN, 2]])


def answers(orders_of):
    """Annotators' orders of the same questions."""
    names = list(orders_of)
    orders = [o for name in names for o in orders_of[name]]
    n = len(orders_of[names[0]])
    who = tuple(name for name in names for _ in range(n))
    return Orders(tuple(orders), np.tile(np.arange(n), len(names)), who)


def test_agreement_of_rankings():
    base = [tuple(range(4 * i, 4 * i + 4)) for i in range(30)]
    same = agreement(answers({"a": base, "b": base, "c": base}))
    assert (same.share, same.kappa, same.alpha) == (1, 1, 1)
    assert (same.annotators, same.pairs, same.everybody) == (3, 180, 180)
    other = agreement(answers({"a": base, "b": [o[::-1] for o in base]}))
    assert other.share == 0 and other.kappa == -1 and other.alpha < -0.99
    rs = np.random.RandomState(0)
    chance = agreement(answers({"a": base, "b": [tuple(rs.permutation(o)) for o in base]}))
    assert abs(chance.kappa) < 0.3 and abs(chance.alpha - chance.kappa) < 0.01


def test_agreement_does_not_depend_on_seed_numbers():
    rs = np.random.RandomState(1)
    base = [tuple(range(4 * i, 4 * i + 4)) for i in range(20)]
    said = {name: [tuple(rs.permutation(o)) for o in base] for name in "abc"}
    turned = {name: [tuple(1000 - s for s in o) for o in orders] for name, orders in said.items()}
    first, second = agreement(answers(said)), agreement(answers(turned))
    assert (first.kappa, first.alpha) == pytest.approx((second.kappa, second.alpha))
    with pytest.raises(ValueError, match="same questions"):
        agreement(THREE)

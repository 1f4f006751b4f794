"""Likelihoods of whole orders, annotators' biases, calibration, learning curves, evaluation."""

import itertools
import math

import numpy as np
import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.figures.judgement import learning_curves, reliability
from sigmaflow.figures.style import save
from sigmaflow.preferences.orders import PAD, Orders
from sigmaflow.preferences.questions import anchors, assign_anchors
from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.annotators import AnnotatorBias
from sigmaflow.rewards.calibration import (
    calibration,
    regular_probabilities,
    score_probabilities,
)
from sigmaflow.rewards.config import TrainConfig, mini_training
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.evaluate import accuracy, head_reports, mean_ranking_loss, score_seeds
from sigmaflow.rewards.learning import CurvePoint, enough, learning_curve, subset
from sigmaflow.rewards.losses import head_loss, plackett_luce_loss, ranking_loss
from sigmaflow.rewards.model import RewardModel, mini_config
from sigmaflow.rewards.train import train_reward

GRID = Grid(resolution=20, pads=SLAB_ENTIRE)
SMALL = dict(f_maps=(8, 16), feature_size=16, trunk=(16, 16), trunk_out=16, head=(8, 8))
HEADS = ("scalar", "bt", "pairs")


def probability(scores, order):
    """Of an order, by multiplying out its choices."""
    p, left = 1.0, list(order)
    while left:
        p *= math.exp(scores[left[0]]) / sum(math.exp(scores[i]) for i in left)
        left.pop(0)
    return p


def test_plackett_luce_is_a_probability_of_orders():
    scores = np.random.RandomState(0).randn(4)
    orders = list(itertools.permutations(range(4)))
    loss = plackett_luce_loss(torch.tensor(np.array([scores[list(o)] for o in orders])))
    found = torch.exp(-3 * loss).numpy()
    np.testing.assert_allclose(found, [probability(scores, o) for o in orders], rtol=1e-12)
    assert found.sum() == pytest.approx(1)


def test_orders_of_two_are_equation_4():
    scores = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(plackett_luce_loss(scores), ranking_loss(scores))


@pytest.mark.parametrize("loss", [ranking_loss, plackett_luce_loss])
def test_what_the_mask_hides_has_no_part(loss):
    scores = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 3, 4, 5, 2, 5])
    mask = torch.arange(5) < lengths[:, None]
    value = loss(scores, mask)
    for row, k in enumerate(lengths.tolist()):
        torch.testing.assert_close(value[row], loss(scores[row : row + 1, :k])[0])
    value.sum().backward()
    assert torch.isfinite(scores.grad).all() and not scores.grad[~mask].any()
    huge = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
    loss(huge).sum().backward()
    assert torch.isfinite(huge.grad).all()


def bank(count=24, seed=0):
    """Shapes with a hill, the higher the better, in noise."""
    x, y, z = (np.linspace(-1, 1, n) for n in GRID.shape)
    hill = np.exp(-4 * (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2))
    height = np.linspace(0, 1, count)[:, None, None, None]
    noise = np.random.RandomState(seed).randn(count, *GRID.shape)
    return SlabBank((20 * height * hill + noise).astype(np.float16), range(count))


def model_of(**changes):
    return mini_config(GRID, **{**SMALL, **changes})


def orders_of(n, count=24, seed=0):
    """Orders of 2-5 shapes that are all even or, with seed 1, all odd."""
    rs = np.random.RandomState(seed)
    drawn = [rs.choice(count // 2, rs.randint(2, 6), replace=False) for _ in range(n)]
    return Orders.of([sorted(2 * few + seed)[::-1] for few in drawn])


def test_items_of_orders():
    items = Items.of_orders(Orders.of([(5, 3, 9), (1, 2)]), np.array([100, 101]))
    assert items.seeds.tolist() == [[100, 5, 3, 9], [101, 1, 2, PAD]]
    assert items.shapes == [1, 2, 3, 5, 9, 100, 101]
    assert items.pair_mask.sum(1).tolist() == [6, 3]
    assert (items.pair_mask & items.regular).sum(1).tolist() == [3, 1]
    scores = {5: 3.0, 3: 1.0, 9: 2.0, 1: 0.0, 2: 1.0, 100: 9.0, 101: 0.5}
    found = accuracy(scores, items)
    assert (found["regular"].n, found["all"].n) == (4, 9)
    assert found["regular"].share == 2 / 4 and found["all"].share == 6 / 9
    assert Items(items.seeds[:, :3]).regular == [False, False, True]
    gaps = [2.0, 1.0, -1.0, -1.0]
    want = 1 / (1 + np.exp(-np.array(gaps)))
    np.testing.assert_allclose(score_probabilities(scores, items), want)


@pytest.mark.parametrize("likelihood", ["pairs", "plackett_luce"])
def test_whole_orders_are_learnt_from(likelihood, tmp_path):
    shapes, model = bank(), model_of()
    train, val = Items.of_orders(orders_of(24)), Items.of_orders(orders_of(8, seed=1))
    config = mini_training(epochs=5, batch=4, lr=1e-2, patience=5, likelihood=likelihood,
                           questions_per_tick=8)  # fmt: skip
    whole = []
    for tick in train_reward(shapes, train, val, config, model):
        whole.append((tick.step, tick.metrics))
        if len(whole) == 4:
            tick.state.write(tmp_path / "state")
    losses = [m["val_loss"] for _, m in whole if "val_loss" in m]
    assert min(losses) < 0.8 * losses[0]
    *_, again = train_reward(shapes, train, val, config, model, resume=tmp_path / "state")
    assert (again.step, again.metrics) == whole[-1]
    scores = score_seeds(again.state.model(), shapes, val.shapes)
    loss = mean_ranking_loss(scores, val, likelihood)
    assert loss == pytest.approx(min(losses), rel=1e-4)
    report = head_reports(again.state.model(), shapes, val, likelihood=likelihood)["scalar"]
    assert report.loss == pytest.approx(loss, rel=1e-4)
    assert report.accuracy == accuracy(scores, val)


def test_an_annotators_bias_is_learnt_and_left_out(tmp_path):
    """Half of them want the opposite of the others: their directions part, the reward does not."""
    shapes, model = bank(), model_of()
    pairs = [(i + 12, i) for i in range(12)]
    orders = Orders(
        tuple(pairs + [pair[::-1] for pair in pairs]), np.tile(np.arange(12), 2),
        ("ann",) * 12 + ("bo",) * 12,
    )  # fmt: skip
    train, val = Items.of_orders(orders), Items(np.array([[23, 0], [22, 1]]))
    config = mini_training(epochs=6, batch=6, lr=1e-2, patience=6, annotator_bias=True)
    ticks = []
    for tick in train_reward(shapes, train, val, config, model):
        ticks.append((tick.step, tick.metrics))
        if len(ticks) == 3:
            tick.state.write(tmp_path / "state")
    assert ticks[-1][1]["train_loss"] < 0.5 < ticks[0][1]["train_loss"]  # ln 2 without the bias
    weight = tick.state.tensors["annotators/weight"]
    assert weight.shape == (2, model.trunk_out)
    torch.testing.assert_close(weight[0] - weight.mean(0), -(weight[1] - weight.mean(0)))
    reward = tick.state.model()
    assert not any("annotator" in name for name in reward.state_dict())
    rest = [(t.step, t.metrics) for t in
            train_reward(shapes, train, val, config, model, resume=tmp_path / "state")]  # fmt: skip
    assert rest == ticks[3:]


def test_one_annotator_has_no_bias():
    shapes, model = bank(), model_of()
    train, val = Items.of_orders(orders_of(12)), Items(np.array([[23, 0]]))
    runs = [
        [t.metrics for t in train_reward(shapes, train, val, mini_training(
            epochs=2, annotator_bias=on, annotator_decay=0.0, batch=3), model)]
        for on in (False, True)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    bias = AnnotatorBias(3, 4)
    torch.nn.init.normal_(bias.weight)
    features = torch.randn(1, 2, 4).expand(3, 2, 4)
    added = bias(features, torch.arange(3))
    torch.testing.assert_close(added.sum(0), torch.zeros(2), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="who answered"):
        anonymous = Items(train.seeds)
        train_reward(shapes, anonymous, val, mini_training(annotator_bias=True), model)


def test_new_settings_do_not_change_old_identities():
    plain = TrainConfig().model_dump(mode="json")
    assert not {"likelihood", "annotator_bias", "annotator_decay", "tf32"} & plain.keys()
    assert TrainConfig(tf32=True).model_dump(mode="json")["tf32"] is True


def test_tf32_is_set_for_steps_alone(monkeypatch):
    shapes, train, val = bank(), Items(np.array([[23, 0]])), Items(np.array([[22, 1]]))
    seen = []
    from sigmaflow.rewards import train as module

    def spy(*args, **kwargs):
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return head_loss(*args, **kwargs)

    monkeypatch.setattr(module, "head_loss", spy)
    before = torch.backends.cuda.matmul.allow_tf32
    for allowed in (True, False, None):
        config = mini_training(epochs=1, tf32=allowed)
        list(train_reward(shapes, train, val, config, model_of()))
        assert torch.backends.cuda.matmul.allow_tf32 == before
    assert seen == [True, False, before]


def test_evaluation_depends_on_nothing_but_the_data():
    """Anchors stay with their question, no batch is dropped, no order of pairs or items matters."""
    shapes = bank(40)
    rankings = Rankings.of([(i + 13, i) for i in range(13)])
    pool = anchors(10, first_seed=30)
    torch.manual_seed(0)
    model = RewardModel(model_of(heads=HEADS))
    items = Items.of(rankings, assign_anchors(rankings, pool))
    first = head_reports(model, shapes, items, batch=4)
    assert all(r.accuracy["all"].n == 39 and r.accuracy["regular"].n == 13 for r in first.values())

    shuffled = np.random.RandomState(1).permutation(13)
    mixed = rankings.take(shuffled)
    other = Items.of(mixed, assign_anchors(mixed, pool))
    assert np.array_equal(other.seeds, items.seeds[shuffled])
    torch.manual_seed(99)
    second = head_reports(model, shapes, other, batch=4)
    for head in HEADS:
        assert second[head].accuracy == first[head].accuracy
        assert second[head].loss == pytest.approx(first[head].loss, rel=1e-6)  # float32
    blocks = head_reports(model, shapes, items, batch=7)
    for head in HEADS:
        assert blocks[head].accuracy == first[head].accuracy
        np.testing.assert_allclose(blocks[head].probabilities, first[head].probabilities, rtol=1e-4)
    backwards = head_reports(model, shapes, Items(items.seeds[:, ::-1].copy()), batch=4)
    for head in HEADS:
        p, q = first[head].probabilities, backwards[head].probabilities
        np.testing.assert_allclose(p[:, [2, 1, 0]] + q, 1, rtol=1e-6)  # asked the other way round
    regular = regular_probabilities(first["scalar"].probabilities, items)
    scores = score_seeds(model, shapes, items.shapes, batch=4)
    np.testing.assert_allclose(regular, score_probabilities(scores, items), rtol=1e-6)


def test_calibration_of_known_probabilities():
    p = np.array([0.9] * 9 + [0.1] + [0.6] * 5 + [0.4] * 5)
    found = calibration(p)
    assert [row.n for row in found.bins] == [10, 10]
    assert [row.share for row in found.bins] == [0.5, 0.9]
    assert found.ece == pytest.approx((10 * 0.1 + 10 * 0.0) / 20)
    assert found.brier == pytest.approx(np.mean((1 - p) ** 2))
    assert found.nll == pytest.approx(-np.log(p).mean())
    assert found.bins[1].share_low < 0.9 < found.bins[1].share_high
    assert calibration(1 - p).bins[1].share == pytest.approx(0.1)
    assert calibration([0.5] * 4).bins[0].share == 0.5
    for bad in ([], [1.5], [math.nan]):
        with pytest.raises(ValueError, match="probabilities"):
            calibration(bad)


def test_a_calibrated_reward_has_no_error():
    rs = np.random.RandomState(0)
    p = rs.uniform(0.5, 1, 20000)
    given = np.where(rs.rand(20000) < p, p, 1 - p)  # to the one that won
    assert calibration(given).ece < 0.02
    sure = np.where(given > 0.5, 0.99, 0.01)
    assert calibration(sure).ece > 0.2


def test_a_learning_curve_grows():
    shapes = bank(60)
    rs = np.random.RandomState(0)
    rows = np.sort(rs.permutation(60).reshape(30, 2), axis=1)[:, ::-1].copy()
    train, val, test = Items(rows[:20]), Items(rows[20:23]), Items(rows[23:])
    config = mini_training(epochs=2, batch=4, lr=1e-2)
    points = list(learning_curve(shapes, train, val, test, [1, 20], config, model_of(), [0, 1]))
    assert [(p.questions, p.seed) for p in points] == [(1, 0), (20, 0), (1, 1), (20, 1)]
    assert all(p.n == 7 and p.low <= p.share <= p.high for p in points)
    again = list(learning_curve(shapes, train, val, test, [20], config, model_of(), [1]))
    assert again == points[3:]
    small, large = (subset(train, n, 1).seeds for n in (5, 12))
    assert np.array_equal(large[:5], small)
    with pytest.raises(ValueError, match="21 of 20"):
        next(learning_curve(shapes, train, val, test, [21], config, model_of()))


def points(shares):
    return [CurvePoint(10 * 2**i, 10, 0, s, s - 0.1, s + 0.1, 50) for i, s in enumerate(shares)]


def test_enough_rankings():
    assert enough(points([0.5, 0.7, 0.795, 0.8])) == 40
    assert enough(points([0.8, 0.7, 0.75, 0.8])) == 80
    with pytest.raises(ValueError):
        enough([])


def test_figures_are_drawn(tmp_path):
    rs = np.random.RandomState(0)
    found = calibration(rs.beta(4, 2, 400))
    figures = {"reliability": reliability({"scalar": found, "pairs": found}),
               "curve": learning_curves({"sigma": points([0.5, 0.7, 0.75])}, 0.9, 0.6)}  # fmt: skip
    for name, figure in figures.items():
        png, pdf = save(figure, tmp_path / name)
        assert png.stat().st_size > 10_000 and pdf.stat().st_size > 5_000
    with pytest.raises(ValueError):
        reliability({})
    with pytest.raises(ValueError):
        learning_curves({"none": []})

"""Every backbone and every head learns, goes on exactly, and refuses what does not fit."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torchvision import models

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.points import depth_points
from sigmaflow.fields.slab import latents
from sigmaflow.generators.cameras import frontal_label
from sigmaflow.rewards.backbones import BACKBONES
from sigmaflow.rewards.config import REPRESENTATIONS, RewardConfig, TrainConfig, mini_training
from sigmaflow.rewards.data import Bank, CloudBank, DepthBank, Items, PointBank, SlabBank, mirrored
from sigmaflow.rewards.evaluate import accuracy, head_reports, mean_ranking_loss, score_seeds
from sigmaflow.rewards.losses import first_wins, head_loss, pair_logits, pair_loss, ranking_loss
from sigmaflow.rewards.model import RewardModel
from sigmaflow.rewards.semantics import (
    PAPER,
    RELEASED,
    Semantics,
    seen_latents,
    semantics,
    view_latents,
)
from sigmaflow.rewards.state import RewardState
from sigmaflow.rewards.train import train_reward

GRID = Grid(resolution=20, pads=SLAB_ENTIRE)
SMALL = dict(feature_size=16, trunk=(16, 16), trunk_out=16, head=(8, 8), f_maps=(8, 16),
             image_size=32, points=64, grid=GRID)  # fmt: skip
LIGHT = [name for name in BACKBONES if not name.startswith("vgg")]
COUNT = 24
RELEASED_HEADS = dict(scalar_weight=1e-3, bt_weight=1e-3, pairs_weight=1.0, pair_order="one",
                      monitor="pairs")  # fmt: skip
ALL_HEADS = ("scalar", "bt", "pairs")


def small(backbone, **changes):
    return RewardConfig(**{**SMALL, "backbone": backbone, **changes})


def bank_of(backbone, views=1):
    """Shapes with a hill, the higher the better, in noise."""
    rs = np.random.RandomState(0)
    height = np.linspace(0, 1, COUNT)
    kind = REPRESENTATIONS[backbone]
    if kind == "sigma":
        x, y, z = (np.linspace(-1, 1, n) for n in GRID.shape)
        hill = np.exp(-4 * (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2))
        values = 20 * height[:, None, None, None] * hill + rs.randn(COUNT, *GRID.shape)
        return SlabBank(values.astype(np.float16), range(COUNT))
    side = np.linspace(-1, 1, 16)
    hill = np.exp(-4 * (side[:, None] ** 2 + side**2))
    depth = 2.8 - 0.4 * height[:, None, None] * hill + 0.01 * rs.randn(COUNT, 16, 16)
    if kind == "depth":
        return DepthBank(np.repeat(depth[:, None], views, 1).astype(np.float32), range(COUNT))
    x, y = np.broadcast_arrays(side, side[:, None])
    clouds = np.stack([np.stack([x, y, -d], -1).reshape(-1, 3) for d in depth])
    return PointBank(clouds.astype(np.float32), range(COUNT))


def questions():
    """Better first: (anchor, winner, loser); training and validation apart."""
    top = np.arange(COUNT - 4, COUNT)
    rest = np.arange(COUNT - 4).reshape(2, -1)[::-1].T  # winner is ten higher than loser
    rows = np.array([(top[i % 4], *pair) for i, pair in enumerate(rest)])
    return Items(rows[:7]), Items(rows[7:])


def run(config, model, views=1, **options):
    train, val = questions()
    return train_reward(bank_of(model.backbone, views), train, val, config, model, **options)


@pytest.mark.parametrize("backbone", LIGHT)
def test_training_lowers_the_loss(backbone):
    lr = 1e-2 if backbone in ("resnet3d", "projections", "unet3d") else 1e-3
    epochs = 4 if backbone in ("resnet18", "resnet50") else 6
    config = mini_training(epochs=epochs, batch=7, lr=lr, patience=6)
    losses = [tick.metrics["train_loss"] for tick in run(config, small(backbone, augmented=False))]
    assert losses[0] > 0.3  # it starts from chance, ln 2
    assert min(losses[-2:]) < 0.7 * losses[0]


@pytest.mark.parametrize(
    "backbone, changes",
    [
        ("projections", {}),
        ("resnet18", dict(yaws=(1, 0, -1), latents="each", frozen=True)),
        ("pointnet", {}),
        ("pointnet2", {}),
    ],
)
def test_training_goes_on_with_the_same_bytes(backbone, changes, tmp_path):
    """With all heads, random orders of pairs, mirrored shapes, random points and BatchNorm."""
    config = mini_training(epochs=4, batch=4, questions_per_tick=4, mirror=True, **RELEASED_HEADS)
    model = small(backbone, heads=ALL_HEADS, **changes)
    whole, views, stop = [], len(model.yaws), 5
    for tick in run(config, model, views):
        whole.append((tick.step, tick.metrics))
        if len(whole) in (stop, 8):
            tick.state.write(tmp_path / f"{len(whole)}")
    rest = []
    for tick in run(config, model, views, resume=tmp_path / f"{stop}"):
        rest.append((tick.step, tick.metrics))
    assert len(whole) == 8 and rest == whole[stop:]
    tick.state.write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "8").read_bytes()
    best = RewardState.read(tmp_path / "again").model()
    assert best.config == model


def test_heads_are_followed_and_the_best_is_the_monitors():
    config = mini_training(epochs=4, batch=7, patience=4, **RELEASED_HEADS)
    ticks = list(run(config, small("pointnet", heads=ALL_HEADS)))
    for metrics in (t.metrics for t in ticks):
        assert metrics["train_loss"] == metrics["train_loss_pairs"]
        assert metrics["val_loss"] == metrics["val_loss_pairs"]
        assert {f"val_accuracy_regular_{head}" for head in ALL_HEADS} <= metrics.keys()
    best = min(range(len(ticks)), key=lambda i: ticks[i].metrics["val_loss"])
    assert ticks[-1].metrics["best_epoch"] == best


def test_one_order_a_pair_from_the_fourth_epoch():
    def losses(order):
        config = mini_training(epochs=5, batch=7, patience=5, pairs_weight=1.0, pair_order=order)
        model = small("pointnet", heads=("scalar", "pairs"), augmented=False)
        return [t.metrics["train_loss_pairs"] for t in run(config, model)]

    both, one = losses("both"), losses("one")
    assert both[:3] == one[:3] and both[3] != one[3]


def test_frozen_backbones_stay_as_they_are_and_may_come_from_elsewhere():
    torch.manual_seed(5)
    weights = models.resnet18(weights=None).state_dict()
    model = small("resnet18", frozen=True, norm="running")
    config = mini_training(epochs=2, batch=7)
    *_, last = run(config, model, backbone=weights)
    assert not any(name.startswith("adam/external") for name in last.state.tensors)
    prefix = "external.resnet18."
    state = last.state.model().state_dict()
    assert all(torch.equal(state[prefix + name], value) for name, value in weights.items())
    with pytest.raises(ValueError, match="another training"):
        run(config, model, resume=last.state)
    (again,) = run(config, model, resume=last.state, backbone=weights)
    assert again.done


def test_evaluation_repeats_and_leaves_training_as_it_was():
    model = RewardModel(small("pointnet", heads=ALL_HEADS)).train()
    bank, (train, _) = bank_of("pointnet"), questions()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first, second = (head_reports(model, bank, train, batch) for batch in (3, 8))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for head in ALL_HEADS:
        assert first[head].accuracy == second[head].accuracy
        assert first[head].loss == pytest.approx(second[head].loss, rel=1e-5)
    scores = score_seeds(model, bank, train.shapes)
    assert first["scalar"].accuracy == accuracy(scores, train)
    assert first["scalar"].loss == pytest.approx(mean_ranking_loss(scores, train), rel=1e-5)


# ---------------------------------------------------------------------- losses


def test_pair_loss_is_cross_entropy_of_both_orders():
    forward, backward = torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    flat = (x.reshape(-1, 2) for x in (forward, backward))
    each = [
        F.cross_entropy(x, torch.full((12,), right), reduction="none").view(4, 3)
        for x, right in zip(flat, (0, 1))
    ]
    torch.testing.assert_close(pair_loss(forward, backward), (each[0] + each[1]).mean(1) / 2)
    swapped = torch.rand(4, 3) < 0.5
    torch.testing.assert_close(
        pair_loss(forward, backward, swapped), torch.where(swapped, each[1], each[0]).mean(1)
    )


def test_bradley_terry_is_the_ranking_loss_of_log_lambda():
    model = RewardModel(small("pointnet", heads=("scalar", "bt")))
    features = torch.randn(2, 3, 16)
    strength = model.scalar_rwd_head_BT(features)[..., 0].exp()
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = [-(strength[:, a] / (strength[:, a] + strength[:, b])).log() for a, b in pairs]
    torch.testing.assert_close(head_loss(model, "bt", features), torch.stack(wanted).mean(0))
    torch.testing.assert_close(ranking_loss(strength.log()), torch.stack(wanted).mean(0))


def test_no_order_of_asking_matters():
    model = RewardModel(small("pointnet", heads=("scalar", "pairs")))
    features = torch.randn(5, 2, 16)
    asked = first_wins(*pair_logits(model, features))
    turned = first_wins(*pair_logits(model, features.flip(1)))
    torch.testing.assert_close(asked, 1 - turned)
    assert (asked - 0.5).abs().max() > 1e-3


# ---------------------------------------------------------------------- banks


def test_banks_know_their_axes():
    seeds = [4, 5]
    with pytest.raises(ValueError, match=r"depth maps are \(2, 3, 4\) .* \[n, V, H, W\]"):
        DepthBank(np.zeros((2, 3, 4)), seeds)
    with pytest.raises(ValueError, match=r"clouds are .* \[n, N, 3\]"):
        PointBank(np.zeros((2, 3)), seeds)
    bank = Bank(np.arange(4).reshape(2, 2), seeds)
    assert bank.take([5]).tolist() == [[2, 3]] and bank.shape == (2,)
    with pytest.raises(ValueError, match=r"1 seeds have no cloud: \[9\]"):
        PointBank(np.zeros((2, 4, 3)), seeds).require([4, 9])


@pytest.mark.parametrize("backbone", ["voxnet", "resnet18", "pointnet"])
def test_mirrored_twice_is_the_shape(backbone):
    config = small(backbone, yaws=(1, 0, -1))
    x = torch.randn(2, *bank_of(backbone, 3).shape)
    assert torch.equal(mirrored(mirrored(x, config), config), x)
    assert not torch.equal(mirrored(x, config), x)


def test_mirrored_views_change_sides():
    x = torch.arange(2.0 * 3).view(1, 3, 1, 2)
    assert mirrored(x, small("resnet18", yaws=(1, 0, -1))).flatten().tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "train, model, message",
    [
        (dict(pairs_weight=1.0), dict(), r"heads \['pairs'\] are trained"),
        (dict(recon_weight=1e-2), dict(), "pointnet reconstructs nothing"),
        (dict(), dict(points=2000), "N at least 2000"),
        (dict(mirror=True), dict(backbone="resnet18", yaws=(0.5,)), "yaws are"),
        (dict(), dict(backbone="resnet18", yaws=(1, 0, -1)), "3 views takes"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(train, model, message):
    with pytest.raises(ValueError, match=message):
        run(mini_training(**train), small(**{"backbone": "pointnet", **model}))


@pytest.mark.parametrize(
    "model, change",
    [
        (RewardConfig, {"backbone": "resnet51"}),
        (RewardConfig, {"near": 3.3}),
        (RewardConfig, {"yaws": ()}),
        (RewardConfig, {"points": 10}),
        (RewardConfig, {"backbone": "curvenet", "precision": "bfloat16"}),
        (RewardConfig, {"backbone": "resnet3d", "f_maps": (8, 12)}),
        (TrainConfig, {"monitor": "pairs"}),
        (TrainConfig, {"scalar_weight": 0.0}),
        (TrainConfig, {"bt_weight": -1.0}),
    ],
)
def test_impossible_settings_are_refused(model, change):
    with pytest.raises(ValidationError):
        model(**change)


def test_heads_follow_from_the_weights():
    assert TrainConfig().heads == ("scalar",)
    only_pairs = TrainConfig(scalar_weight=0, pairs_weight=1, monitor="pairs")
    assert only_pairs.heads == ("scalar", "pairs") and only_pairs.weights == {"pairs": 1}


# ---------------------------------------------------------------------- semantics


def test_unused_settings_are_not_written():
    """So that records and keys from before they existed stay what they are."""
    for model in (RewardConfig, TrainConfig):
        assert not set(model().model_dump()) & model.later
        assert model.later <= set(model.model_fields)
        assert model.model_validate(model().model_dump(mode="json")) == model()
    changed = small("resnet18", yaws=(1, 0, -1), norm="running")
    told = changed.model_dump(mode="json")
    assert {k for k in told if k in RewardConfig.later} == {
        "backbone", "yaws", "image_size", "points", "norm"
    }  # fmt: skip
    assert RewardConfig.model_validate(told) == changed


def test_every_difference_is_a_setting_of_its_own():
    model, train = PAPER.model_settings(), PAPER.train_settings()
    of_the_data = {f.name for f in fields(Semantics)} - set(model) - set(train)
    assert of_the_data == {"anchors"}
    assert all(
        getattr(PAPER, f.name) != getattr(RELEASED, f.name)
        for f in fields(Semantics)
        if f.name not in {"activation", "latents", "anchors", "frozen", "norm", "batch"}
    )


@pytest.mark.parametrize("name", ["paper", "released"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_semantics_make_settings(name, backbone):
    how = semantics(name, backbone)
    model = RewardConfig(backbone=backbone, **how.model_settings())
    train = TrainConfig(**how.train_settings())
    assert set(train.weights) <= set(model.heads) == set(train.heads)
    assert (train.recon_weight > 0) == (name == "paper" and backbone == "unet3d")
    assert (how.anchors, model.latents, model.frozen) == (
        name == "paper" or backbone not in ("pointnet2", "curvenet"),
        "each" if name == "released" and model.representation != "sigma" else "one",
        name == "released" and model.representation == "depth",
    )


def test_semantics_of_another_name_are_refused():
    with pytest.raises(ValueError, match="'paper' or 'released', not 'authors'"):
        semantics("authors", "unet3d")


def test_released_views_are_of_other_shapes_but_the_first():
    z = latents([7, 8], 5)
    one, each = (view_latents([7, 8], 5, 3, kind) for kind in ("one", "each"))
    assert torch.equal(one, z[:, None].expand(-1, 3, -1))
    assert torch.equal(each[:, 0], z) and not torch.isclose(each[:, 1], z).any()
    assert view_latents([], 5, 3, "one").shape == (0, 3, 5)
    assert math.isclose(each[1, 2, 4], np.random.RandomState(8).randn(3, 5)[2, 4], rel_tol=1e-6)


def test_the_released_canonical_view_is_of_another_face():
    every = view_latents([7, 8], 5, 3, "each")
    assert torch.equal(seen_latents([7, 8], 5, (0.0,), "each"), every[:, 1:2])
    assert torch.equal(seen_latents([7, 8], 5, (1.0, 0.0, -1.0), "each"), every)
    assert torch.equal(seen_latents([7, 8], 5, (0.3,), "one"), view_latents([7, 8], 5, 1, "one"))
    with pytest.raises(ValueError, match="none is at"):
        seen_latents([7], 5, (0.3,), "each")


def test_clouds_of_maps_are_those_of_the_points_module():
    camera = frontal_label()
    maps = 2.5 + 0.3 * torch.rand(3, 1, 9, 9)
    bank = CloudBank(maps.numpy(), [5, 6, 7], camera)
    assert bank.shape == (81, 3)
    assert torch.equal(bank.take([7, 5]), depth_points(maps[[2, 0], 0], camera))
    with pytest.raises(ValueError, match="expected"):
        CloudBank(maps[:, 0].numpy(), [5, 6, 7], camera)

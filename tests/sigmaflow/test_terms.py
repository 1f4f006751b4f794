"""Rewards in the loop: bounds, units, ensembles, and every representation with its gradient."""

import copy

import pytest
import torch
from test_finetune import GRID, Noise, mean_sigma, settings

from sigmaflow.fields.depth import sample_depth
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.points import sample_points
from sigmaflow.finetune import Ensemble, ImageView, Member, RewardTerm, finetune, start_state
from sigmaflow.finetune.geometry import Semantics, bounded, geometry_terms, reward_loss
from sigmaflow.finetune.terms import DepthView, PointsView, SlabView, view_of
from sigmaflow.finetune.watch import best, turned
from sigmaflow.rewards.config import RewardConfig
from sigmaflow.rewards.model import RewardModel, mini_config

CLAMP = (-2.0, 6.0)


# ---------------------------------------------------------------------- bounds and units


def test_bounds_of_the_reward():
    r = torch.tensor([-100.0, -2.0, 2.0, 6.0, 100.0], requires_grad=True)
    for bound, low, high in (("clamp", -2, 6), ("tanh", -2, 6), ("softplus", -200, 0)):
        out = bounded(r, CLAMP, bound)
        assert out.min().item() == pytest.approx(low) and out.max().item() == pytest.approx(high)
        (slope,) = torch.autograd.grad(out.sum(), r)
        assert (slope >= 0).all() and slope[-1] == 0
        if bound != "softplus":
            assert slope[2] == 1 and slope[0] == 0
    smooth = torch.autograd.grad(bounded(r, CLAMP, "tanh").sum(), r)[0]
    assert 0 < smooth[3] < 1
    released = torch.nn.functional.softplus(torch.tensor(-2 * 0.3))
    assert -bounded(torch.tensor(0.3), CLAMP, "softplus") == released


def test_the_bound_is_a_setting_of_the_loop(tiny_gan):
    G, z = tiny_gan.G, torch.randn(3, 8, generator=torch.Generator().manual_seed(0))

    def loss(bound, **term):
        out = geometry_terms(G, G, z, RewardTerm(mean_sigma, GRID, **term), (-50, 50), None,
                             Semantics(bound=bound))  # fmt: skip
        return out["reward_loss"].item(), out["reward"]

    plain, raw = loss("clamp")
    assert plain == pytest.approx(-raw.mean().item(), rel=1e-5)
    smooth = loss("tanh")[0]
    assert smooth == pytest.approx(plain, rel=1e-2) and smooth != plain
    wanted = torch.nn.functional.softplus(-2 * raw).mean().item()
    assert loss("softplus")[0] == pytest.approx(wanted, rel=1e-5)
    units, same = loss("clamp", centre=raw.mean().item(), spread=0.5)
    assert units == pytest.approx(0, abs=1e-5) and torch.equal(raw, same)
    config = settings(bound="tanh", lambda_r=1.0)
    state = start_state(tiny_gan, config)
    tick = next(finetune(state, Noise(), config, RewardTerm(mean_sigma, GRID), tiny_gan.G_ema))
    rewards = torch.from_numpy(tick.samples["reward"])
    assert tick.metrics["reward_loss"] == pytest.approx(
        reward_loss(rewards, (-50, 50), Semantics(bound="tanh"))[0].item(), rel=1e-4)  # fmt: skip


def test_a_term_says_what_it_lacks():
    with pytest.raises(ValueError, match="a grid, or a view"):
        RewardTerm(mean_sigma)
    with pytest.raises(ValueError, match="spread 0"):
        RewardTerm(mean_sigma, GRID, spread=0.0)
    with pytest.raises(ValueError, match="no members"):
        Ensemble([])


# ---------------------------------------------------------------------- ensembles


def test_ensembles_combine_standardised_members():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    members = [Member(lambda x: 10 * x + 100, 120.0, 10.0), Member(lambda x: -x, -1.0, 2.0)]
    a, b = x.detach() - 2, (1 - x.detach()) / 2

    def raw(each):  # units of the first
        return each * 10 + 120

    assert torch.allclose(Ensemble(members)(x), raw((a + b) / 2))
    assert torch.allclose(Ensemble(members, "min")(x), raw(torch.minimum(a, b)))
    lower = Ensemble(members, "lower", 2.0)
    assert torch.allclose(lower(x), raw((a + b) / 2 - 2 * (a - b).abs() / 2), atol=1e-4)
    one = Ensemble(members[:1], "lower", 2.0)(x)
    assert torch.allclose(one, 10 * x + 100, atol=1e-3)
    one.sum().backward()
    assert torch.isfinite(x.grad).all()
    both = torch.stack([m.score(x.detach()) for m in members])
    assert torch.equal(Ensemble(members, "min").of(both), Ensemble(members, "min")(x.detach()))


# ---------------------------------------------------------------------- representations


def gradients(gan, term):
    """Rewards of two latents, and how much of each part of G they move."""
    G = copy.deepcopy(gan.G).requires_grad_(True)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    out = geometry_terms(G, gan.G_ema, z, term, (-1e4, 1e4), None)
    out["reward_loss"].backward()
    parts = {"mapping": G.backbone.mapping, "decoder": G.decoder, "sr": G.superresolution}
    moved = {n: sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)
             for n, part in parts.items()}  # fmt: skip
    return out["reward"].detach(), moved, z


def test_views_are_what_rewards_were_trained_on():
    grid = Grid(resolution=32, pads=SLAB_ENTIRE)
    assert view_of(mini_config(grid)) == SlabView(grid)
    assert view_of(RewardConfig(backbone="resnet18", yaws=(1.0, 0.0))) == DepthView((1.0, 0.0))
    assert view_of(RewardConfig(backbone="pointnet")) == PointsView()
    assert view_of(RewardConfig(backbone="pointnet"), 32) == PointsView(32)
    with pytest.raises(ValueError, match="train it with latents: one"):
        view_of(RewardConfig(backbone="resnet18", latents="each"))


@pytest.mark.parametrize("kind", ["slab", "depth", "points", "image"])
def test_every_representation_pulls_at_the_field(tiny_gan, kind):
    def mean(x):
        return x.flatten(1).mean(1)

    view = {
        "slab": SlabView(GRID), "depth": DepthView((1.0, 0.0), 8), "points": PointsView(8),
        "image": ImageView(0.2),
    }[kind]  # fmt: skip
    rewards, moved, z = gradients(tiny_gan, RewardTerm(mean, view=view))
    assert moved["mapping"] > 0 and moved["decoder"] > 0
    assert (moved["sr"] > 0) == (kind == "image")
    G = tiny_gan.G
    if kind == "slab":
        wanted = gradients(tiny_gan, RewardTerm(mean, GRID))[0]
        assert torch.equal(rewards, wanted)
        return
    with torch.no_grad():
        if kind == "depth":
            wanted = mean(torch.cat([sample_depth(G, one[None], (1.0, 0.0), resolution=8)
                                     for one in z]))  # fmt: skip
        elif kind == "points":
            wanted = mean(torch.cat([sample_points(G, one[None], resolution=8) for one in z]))
        else:
            ws = G.mapping(z, G.canonical_label().expand(2, -1))
            wanted = mean(view(G, G.planes(ws), ws))
    assert torch.allclose(rewards, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backbone", ["resnet18", "pointnet"])
def test_networks_of_other_representations_train_a_generator(tiny_gan, backbone):
    config = RewardConfig(backbone=backbone, image_size=32, points=64, trunk=(8, 8), trunk_out=8,
                          head=(8, 8))  # fmt: skip
    torch.manual_seed(0)
    net = RewardModel(config).eval().requires_grad_(False)
    view = DepthView(config.yaws, 16) if backbone == "resnet18" else PointsView(16)
    _, moved, _ = gradients(tiny_gan, RewardTerm(net, view=view))
    assert moved["mapping"] > 0 and moved["decoder"] > 0


# ---------------------------------------------------------------------- the watch


def test_the_watch_sees_rewards_part():
    up, down, still = [0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0], [1.0, 2.0, 1.0, 1.0]
    assert turned(up, down, 3) and turned(up, down, 1)
    assert not turned(up, up, 3) and not turned(down, down, 3) and not turned(up, still, 3)
    assert not turned(up[:3], down[:3], 3)  # not yet so many ticks
    assert best(still) == 1 and best(down) == 0 and best([1.0, 1.0]) == 0
    with pytest.raises(ValueError, match="4 ticks"):
        turned(up, down[:2], 1)

"""The loops: they learn what they are told, and resume to the same bytes."""

import copy

import numpy as np
import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.finetune import (
    AdversarialConfig,
    FinetuneConfig,
    HeldOut,
    RefineConfig,
    RewardTerm,
    WarmstartConfig,
    finetune,
    start_state,
    start_warm_state,
    warmstart,
)
from sigmaflow.finetune.geometry import geometry_terms
from sigmaflow.finetune.state import shuffled
from sigmaflow.finetune.warm import pick_rays, position
from sigmaflow.generators import RaySampling
from sigmaflow.generators.cameras import frontal_label
from sigmaflow.generators.discriminator import resize

GRID = Grid(resolution=12, kind="released", pads=SLAB_ENTIRE)
SMALL = dict(kimg=0.016, batch=2, tick_kimg=0.004, density_reg_points=16, r1_interval=2)


class Noise:
    """Images of nothing, with frontal cameras."""

    def __init__(self, n=10, resolution=16):
        from sigmaflow.generators.cameras import frontal_label

        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 255, (n, 3, resolution, resolution), dtype=np.uint8)
        self.pixels = torch.from_numpy(pixels)
        self.labels = torch.cat([frontal_label(yaw=0.1 * i) for i in range(n)])

    def __len__(self):
        return len(self.pixels)

    def batch(self, indices):
        return self.pixels[indices], self.labels[indices]


def mean_sigma(slab):
    return slab.mean(dim=(1, 2, 3))


def settings(**changes):
    base = dict(SMALL, consistency_resolution=8, clamp_low=-50, clamp_high=50)
    return FinetuneConfig(**{**base, **changes})


def weights(state):
    return {
        f"{n}/{k}": v.clone()
        for n in ("G", "D", "G_ema")
        for k, v in getattr(state, n).state_dict().items()
    }


def run(gan, config, reward=None, stop=None, path=None, resume=None):
    state = start_state(gan, config)
    if resume:
        state.restore(resume)
    ticks = []
    term = RewardTerm(mean_sigma, GRID) if reward else None
    for tick in finetune(state, Noise(), config, term, copy.deepcopy(gan.G_ema)):
        ticks.append((tick.images_seen, dict(tick.metrics)))
        if path:
            state.save(path)
        if tick.images_seen == stop:
            break
    return state, ticks


def test_a_killed_run_resumes_to_the_same_bytes(tiny_gan, tmp_path):
    config = settings(lambda_r=1.0)
    whole, ticks = run(tiny_gan, config, reward=True)
    assert [t for t, _ in ticks] == [4, 8, 12, 16]
    run(tiny_gan, config, reward=True, stop=8, path=tmp_path / "state")
    torch.manual_seed(99)  # what other code did to the generator must not matter
    resumed, rest = run(tiny_gan, config, reward=True, resume=tmp_path / "state")
    assert rest == ticks[2:]
    a, b = weights(whole), weights(resumed)
    assert all(torch.equal(a[k], b[k]) for k in a)
    whole.save(tmp_path / "a")
    resumed.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_reward_rises_with_it_and_not_without(tiny_gan):
    config = dict(kimg=0.06, lambda_c=0.0, r1_gamma=0.0, density_reg=0.0)

    def gain(state):
        z = torch.randn(8, 8, generator=torch.Generator().manual_seed(5))
        c = state.G.canonical_label().expand(8, -1)
        with torch.no_grad():
            a, b = (
                mean_sigma(G.sigma_grid(G.planes(G.mapping(z, c)), GRID)).mean()
                for G in (tiny_gan.G, state.G)
            )
        return float(b - a)

    with_reward = gain(run(tiny_gan, settings(lambda_r=10.0, **config), reward=True)[0])
    control = gain(run(tiny_gan, settings(lambda_r=0.0, **config))[0])
    assert with_reward > 0 and with_reward > 3 * abs(control)


def test_consistency_holds_the_field_back(tiny_gan):
    def moved(lambda_c):
        config = settings(kimg=0.04, lambda_r=10.0, lambda_c=lambda_c)
        ticks = run(tiny_gan, config, reward=True)[1]
        return ticks[-1][1]["consistency"]

    assert moved(1000.0) < 0.5 * moved(0.0)


def test_control_keeps_the_consistency(tiny_gan):
    ticks = run(tiny_gan, settings(lambda_r=0.0, lambda_c=0.01))[1]
    assert "consistency" in ticks[0][1] and "reward" not in ticks[0][1]


def test_reward_gradient_vanishes_outside_the_clamp(tiny_gan):
    G = tiny_gan.G
    term = RewardTerm(lambda slab: mean_sigma(slab) + torch.tensor([100.0, 0.0]), GRID)
    out = geometry_terms(G, G, torch.randn(2, 8), term, (-50, 50), None)
    assert out["saturation"].tolist() == [1.0, 0.0]
    assert out["reward_loss"].item() == pytest.approx(-(50 + out["reward"][1].item()) / 2, rel=1e-5)
    out["reward_loss"].backward()
    only = [p.grad.clone() for p in G.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in only)


def test_no_reward_is_asked_for_by_name(tiny_gan):
    config = settings(lambda_r=1.0)
    with pytest.raises(ValueError, match="lambda_r > 0 needs a reward"):
        next(finetune(start_state(tiny_gan, config), Noise(), config, None, tiny_gan.G_ema))
    with pytest.raises(ValueError, match="G_old"):
        next(finetune(start_state(tiny_gan, config), Noise(), config))


def test_every_image_is_read_once_an_epoch():
    read = np.concatenate([shuffled(3, i, 4, 10) for i in range(0, 20, 4)])
    assert sorted(read[:10]) == list(range(10)) and sorted(read[10:]) == list(range(10))
    assert not np.array_equal(read[:10], read[10:])


def test_checkpoint_of_another_network_is_refused(tiny_gan, tmp_path):
    config = AdversarialConfig(**SMALL)
    path = tmp_path / "state"
    start_state(tiny_gan, config).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="state"):
        start_state(tiny_gan, config).restore(path)


def test_warm_start_learns_and_resumes(tiny_gan, tmp_path):
    images = Noise(12)
    images.pixels[:] = (
        torch.linspace(0, 255, 6).repeat_interleave(2).to(torch.uint8)[:, None, None, None]
    )
    seeds = np.repeat(np.arange(6), 2)
    z = np.repeat(np.random.default_rng(1).standard_normal((6, 8)), 2, axis=0)
    config = WarmstartConfig(
        kimg=0.4, volume_kimg=0.3, identities=3, views=2, rays=16, tick_kimg=0.06, lr=0.01,
        coarse=8, fine=8, image_identities=2, image_views=1, warmup_kimg=0, ema_kimg=0.02,
    )  # fmt: skip
    heldout = HeldOut(images, seeds, z, 2)

    def fresh():
        return start_warm_state(copy.deepcopy(tiny_gan), config)

    whole = fresh()
    metrics = []
    for tick in warmstart(whole, images, seeds, z, config, heldout):
        metrics.append(tick.metrics)
        if len(metrics) == 3:
            whole.save(tmp_path / "state")
    rays = [m["ray_l1"] for m in metrics if "ray_l1" in m]
    assert rays[-1] < 0.8 * rays[0] and "image_l1" in metrics[-1]
    shown = [m["heldout_l1"] for m in metrics]
    assert shown[-1] < 0.8 * shown[0] and metrics[-1]["heldout_perceptual"] > 0
    resumed = fresh()
    resumed.restore(tmp_path / "state")
    rest = [t.metrics for t in warmstart(resumed, images, seeds, z, config, heldout)]
    assert rest == metrics[3:]
    a, b = weights(whole), weights(resumed)
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_refine_starts_with_a_picture_near_the_volume_rendering(tiny_gan):
    def distance(config):
        G = start_warm_state(copy.deepcopy(tiny_gan), config).G_ema
        z = torch.from_numpy(np.random.default_rng(0).standard_normal((2, G.z_dim))).float()
        sampling = RaySampling(deterministic=True)
        out = G(z, frontal_label().expand(2, -1), noise_mode="const", sampling=sampling)
        low = resize(out["image"], out["image_volume"].shape[-1])
        return float((low - out["image_volume"]).abs().mean())

    with torch.no_grad():
        plain = distance(WarmstartConfig(sigma_gain=1))
        assert distance(RefineConfig(sigma_gain=1, head_gain=1)) == plain
        assert distance(RefineConfig(sigma_gain=1, head_gain=0.05)) < 0.2 * plain


def test_rays_are_drawn_near_the_head():
    pictures = torch.ones(2, 3, 16, 16)
    pictures[0, :, 4:8, 4:8] = -1.0
    pictures[1, 0, 15, 15] = 0.0
    torch.manual_seed(0)
    near = pick_rays(pictures, 9, empty=0.0)
    rows, columns = near // 16, near % 16
    assert ((rows[0] >= 2) & (rows[0] < 10) & (columns[0] >= 2) & (columns[0] < 10)).all()
    assert ((rows[1] >= 13) & (columns[1] >= 13)).all()
    assert all(len(set(row.tolist())) == 9 for row in near)
    share = pick_rays(pictures[:1].expand(400, -1, -1, -1), 1, empty=0.25).flatten() % 16 < 10
    assert 0.5 < share.float().mean() < 0.98  # far ones too
    stripe = torch.zeros(400, 3, 16, 16)
    stripe[..., 8] = -1.0  # contrast 1 with columns 7 and 9
    columns = pick_rays(stripe, 1, empty=0.0, edges=3.0).flatten() % 16
    expected = 3 * 4 / (3 * 4 + 13)
    assert abs(((columns - 8).abs() <= 1).float().mean() - expected) < 0.1


def test_a_warm_start_goes_from_rays_to_images_without_leaving_an_identity_out():
    config = WarmstartConfig(
        kimg=1, volume_kimg=0.05, identities=4, views=4, image_identities=3, image_views=2
    )
    assert position(config, 0) == (True, 16, 0)
    assert position(config, 48) == (True, 16, 12)
    assert position(config, 64) == (False, 6, 16)
    assert position(config, 70) == (False, 6, 19)

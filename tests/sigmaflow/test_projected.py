"""The projected discriminator, its loop, the frozen part of EG3D's training, the bound on yaws."""

import copy

import numpy as np
import pytest
import torch

from sigmaflow.datasets.faces import around_label, view_label
from sigmaflow.datasets.labels import mirrored, yaws
from sigmaflow.finetune import (
    AdversarialConfig,
    FinetuneConfig,
    HeldOut,
    Pause,
    ProjectedConfig,
    ProjectedDiscriminator,
    Tick,
    finetune,
    start_projected_state,
    start_state,
    train_projected,
)
from sigmaflow.finetune.images import facing
from sigmaflow.finetune.projected import hinge_discriminator, hinge_generator
from sigmaflow.finetune.projected_loop import NAME, ProjectedStep, regression_weight
from sigmaflow.generators.cameras import frontal_label
from sigmaflow.metrics.vgg import VGGFeatures

SMALL = dict(kimg=0.024, batch=4, tick_kimg=0.008, identities=2, views=2, width=4, head_width=8,
             perceptual_stages=2)  # fmt: skip


class Pictures:
    """Two views of each of six identities: flat pictures of its grey, a little noisy."""

    def __init__(self, yaw=0.1, grey=None):
        rng = np.random.default_rng(0)
        levels = np.linspace(20, 235, 6) if grey is None else np.full(6, grey)
        flat = np.repeat(levels, 2)[:, None, None, None] + rng.normal(0, 4, (12, 3, 16, 16))
        self.pixels = torch.from_numpy(flat.clip(0, 255).astype(np.uint8))
        self.labels = torch.cat([frontal_label(yaw=yaw * i) for i in range(12)])
        self.seeds = np.repeat(np.arange(6), 2)
        self.latents = np.repeat(rng.standard_normal((6, 8)), 2, axis=0)
        self.asked = []

    def __len__(self):
        return len(self.pixels)

    def batch(self, indices):
        self.asked += list(indices)
        return self.pixels[indices], self.labels[indices]


def network(resolution=16, **changes):
    torch.manual_seed(0)
    return ProjectedDiscriminator(VGGFeatures(4), resolution, **{"width": 4, **changes})


def smooth(n, seed):
    """Pictures [n, 3, 16, 16] without detail."""
    coarse = torch.rand(n, 3, 3, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (16, 16), mode="bilinear")


def loop(state, config, images, **more):
    more.setdefault("real", images)
    real = more.pop("real")
    return train_projected(state, real, images, images.seeds, images.latents, config, **more)


def everything(state):
    return {f"{n}/{k}": v.clone() for n, net in state.networks().items()
            for k, v in net.state_dict().items()}  # fmt: skip


# ---------------------------------------------------------------------- network


def test_gradients_reach_images_and_heads_and_nothing_else():
    D = network()
    D.calibrate(smooth(8, 0))
    images = smooth(2, 1).requires_grad_(True)
    hinge_generator(D(images)).backward()
    assert images.grad.abs().sum(dim=(1, 2, 3)).min() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in D.heads.parameters())
    assert {n.split(".")[0] for n, _ in D.named_parameters()} == {"heads"}
    fixed = [*D.buffers(), *(x for stage in D.vgg._convs for pair in stage for x in pair)]
    assert fixed and not any(x.requires_grad for x in fixed)


@pytest.mark.parametrize("resolution", [16, 64])
def test_heads_end_in_patches_of_four(resolution):
    D = network(resolution)
    with torch.no_grad():
        maps = D.features(torch.zeros(1, 3, resolution, resolution))
        logits = D.judge(maps)
    assert [tuple(x.shape[1:]) for x in maps] == [
        (4 * 2**i, resolution // 2**i, resolution // 2**i) for i in range(4)
    ]
    sides = [min(4, resolution // 2**i) for i in range(4)]
    assert [tuple(x.shape) for x in logits] == [(1, 1, s, s) for s in sides]
    with pytest.raises(ValueError, match="resolution"):
        network(24)


def test_calibrated_features_are_of_size_one():
    D, images = network(), smooth(16, 0)
    with torch.no_grad():
        before = [float(x.square().mean().sqrt()) for x in D.features(images)]
        D.calibrate(images)
        scaled = [x * getattr(D, f"gain{i}")[:, None, None] for i, x in enumerate(D.vgg(images))]
        after = [float(x.square().mean().sqrt()) for x in D.features(images)]
    assert [float(x.square().mean()) for x in scaled] == pytest.approx([1.0] * 4, rel=1e-3)
    assert max(before) < 0.5 and all(0.3 < x < 4 for x in after)


def test_coarse_features_reach_fine_scales_and_not_the_reverse():
    D = network()
    images = smooth(2, 0)
    with torch.no_grad():
        before = D.features(images)
        D.gain3.zero_()
        without = D.features(images)
        D.gain3.fill_(1.0)
        D.gain0.zero_()
        other = D.features(images)
    assert all(not torch.equal(a, b) for a, b in zip(before, without))
    assert not torch.equal(before[0], other[0])
    assert all(torch.equal(a, b) for a, b in zip(before[1:], other[1:]))


def test_hinge_by_hand():
    real, fake = [torch.tensor([0.5, 3.0])], [torch.tensor([-2.0, 0.5])]
    assert hinge_discriminator(fake, real).item() == pytest.approx(0.25 + 0.75)
    assert hinge_discriminator(fake * 2, real * 2).item() == pytest.approx(2.0)
    assert hinge_generator(fake * 2).item() == pytest.approx(1.5)


def test_heads_learn_to_tell_two_sets_apart():
    D = network(width=8, head_width=16)
    D.calibrate(smooth(32, 0))
    noise = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(9)) * 0.4 - 0.2
    real, fake = smooth(64, 1), smooth(64, 2) + noise
    with torch.no_grad():
        seen = [D.features(x[:48]) for x in (fake, real)]
    adam = torch.optim.Adam(D.heads.parameters(), 0.002, betas=(0.0, 0.99))
    for _ in range(40):
        adam.zero_grad()
        hinge_discriminator(D.judge(seen[0]), D.judge(seen[1])).backward()
        adam.step()
    D.eval()
    with torch.no_grad():  # on pictures that no step has seen
        shown = [torch.stack([y.mean((1, 2, 3)) for y in D(x[48:])]).sum(0) for x in (fake, real)]
    assert (shown[1] > 0).float().mean() > 0.9 and (shown[0] < 0).float().mean() > 0.9
    norms = [torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)
             for m in D.heads.modules() if isinstance(m, torch.nn.Conv2d)]  # fmt: skip
    assert max(norms) < 1.25  # one power iteration a step lags a little behind


# ---------------------------------------------------------------------- loop


def test_weight_of_the_regression_by_hand():
    config = ProjectedConfig(kimg=2, regression_weight=9, regression_end=0.25, regression_floor=1)
    found = [regression_weight(config, seen) for seen in (0, 125, 250, 500, 1900)]
    assert found == pytest.approx([9, 7, 5, 1, 1])
    at_once = config.model_copy(update={"regression_end": 0.0})
    assert regression_weight(at_once, 0) == 1
    with pytest.raises(ValueError, match="regression_floor"):
        ProjectedConfig(regression_weight=1, regression_floor=2)


def test_generator_moves_towards_the_data(tiny_gan):
    """By its adversary alone, in pixels and in other features than it sees."""
    images, vgg = Pictures(grey=128), VGGFeatures(3)
    real = images.pixels[:8].float() / 127.5 - 1

    def distances(G):
        z = torch.randn(8, 8, generator=torch.Generator().manual_seed(5))
        c = images.labels[:8]
        with torch.no_grad():
            shown = G.synthesis(G.mapping(z, c), c, noise_mode="const")["image"]
            apart = vgg.distance(vgg(shown), vgg(real))
            return float((shown - real).abs().mean()), float(apart.mean())

    def trained(weight):
        config = ProjectedConfig(
            **SMALL | dict(kimg=0.08, g_lr=0.003, d_lr=0.002), adversarial_weight=weight,
            regression_weight=0, regression_floor=0,
        )  # fmt: skip
        state = start_projected_state(tiny_gan, images, config)
        ticks = list(loop(state, config, images))
        assert "image_l1" not in ticks[-1].metrics
        return distances(state.G)

    start, control, found = distances(tiny_gan.G), trained(0.0), trained(1.0)
    assert all(b < 0.8 * a for a, b in zip(control, found))
    assert all(b > 0.9 * a for a, b in zip(start, control))


def test_what_is_fixed_stays_and_the_rest_learns(tiny_gan):
    images, config = Pictures(), ProjectedConfig(**SMALL)
    state = start_projected_state(tiny_gan, images, config)
    before = everything(state)
    vgg = [x.clone() for stage in state.more[NAME].vgg._convs for pair in stage for x in pair]
    ticks = list(loop(state, config, images))
    after = everything(state)
    assert [t.images_seen for t in ticks] == [8, 16, 24]
    assert {"loss_g", "loss_d", "logits_real", "logits_fake", "image_l1", "perceptual",
            "volume_l1", "density_variation"} == set(ticks[0].metrics)  # fmt: skip
    mixing = [k for k in before if k.startswith(f"{NAME}/") and "heads" not in k]
    assert len(mixing) == 11 and all(torch.equal(before[k], after[k]) for k in mixing)
    same = zip(vgg, (x for stage in state.more[NAME].vgg._convs for pair in stage for x in pair))
    assert all(torch.equal(a, b) for a, b in same)
    for name in ("G", "G_ema", f"{NAME}/heads"):
        assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith(name))
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("D/"))
    torch.manual_seed(0)
    again = start_projected_state(tiny_gan, images, config)  # torch's own seed does not matter
    assert all(torch.equal(before[k], v) for k, v in everything(again).items())


def test_a_run_stopped_after_any_step_resumes_to_the_same_bytes(tiny_gan, tmp_path):
    images, config = Pictures(), ProjectedConfig(**SMALL, regression_end=0.4, known_latents=True)
    heldout = HeldOut(images, images.seeds, images.latents, 2)

    def run(resume=None, stop=None, path=None):
        state = start_projected_state(copy.deepcopy(tiny_gan), images, config)
        if resume:
            state.restore(resume)
        shown = []
        for one in loop(state, config, images, heldout=heldout, stop=stop):
            if isinstance(one, Tick):
                shown.append((one.images_seen, dict(one.metrics)))
            if path:
                state.save(path / str(one.images_seen))
        state.save(tmp_path / "end")
        return (tmp_path / "end").read_bytes(), shown

    saves = tmp_path / "saves"
    saves.mkdir()
    whole, ticks = run()
    assert "heldout_l1" in ticks[0][1] and "heldout_perceptual" in ticks[0][1]
    assert run(stop=lambda: True, path=saves) == (whole, ticks)
    assert sorted(int(p.name) for p in saves.iterdir()) == [4, 8, 12, 16, 20, 24]
    for seen in (4, 20):
        torch.manual_seed(99)
        end, rest = run(resume=saves / str(seen))
        assert end == whole and rest == [t for t in ticks if t[0] > seen]


def test_a_pause_is_yielded_only_where_it_is_asked_for(tiny_gan):
    images, config = Pictures(), ProjectedConfig(**SMALL)
    state = start_projected_state(tiny_gan, images, config)
    one = next(loop(state, config, images, stop=lambda: True))
    assert isinstance(one, Pause) and one.images_seen == 4


def test_latents_are_fresh_or_known_and_cameras_the_adversarys(tiny_gan):
    images, front = Pictures(yaw=0.2), Pictures(yaw=0.01)
    rows = torch.as_tensor(images.latents, dtype=torch.float32)
    table = np.arange(12).reshape(6, 2)

    def step(known):
        config = ProjectedConfig(**SMALL, known_latents=known)
        state = start_projected_state(tiny_gan, front, config)
        return ProjectedStep(state, front, images, table, images.latents, config, None)

    def among(z):
        return (z[:, None] == rows).all(2).any(1).tolist()

    assert among(step(True).z) == [True] * 4 and among(step(False).z) == [False] * 4
    one = step(False)
    assert torch.as_tensor(yaws(one.c.numpy())).abs().max() < 0.12
    z, c, target = one.known
    assert among(z) == [True] * 2 and len(c) == len(target) == 4
    for i in range(2):  # two views of the latent's own identity
        identity = int((z[i] == rows).all(1).nonzero()[0, 0]) // 2
        own = images.pixels[2 * identity : 2 * identity + 2].float() / 127.5 - 1
        assert all((own == view).all(dim=(1, 2, 3)).any() for view in target[2 * i : 2 * i + 2])


def test_states_of_other_phases_are_refused(tiny_gan, tmp_path):
    images, config, plain = Pictures(), ProjectedConfig(**SMALL), AdversarialConfig(batch=2)
    state, other = start_projected_state(tiny_gan, images, config), start_state(tiny_gan, plain)
    state.save(tmp_path / "projected")
    other.save(tmp_path / "plain")
    with pytest.raises(ValueError, match="projected"):
        start_state(tiny_gan, plain).restore(tmp_path / "projected")
    with pytest.raises(ValueError, match="without the network 'projected'"):
        state.restore(tmp_path / "plain")


def test_more_views_than_there_are_is_an_error(tiny_gan):
    images, config = Pictures(), ProjectedConfig(**SMALL | dict(views=3))
    with pytest.raises(ValueError, match="hold 2 views"):
        next(loop(start_projected_state(tiny_gan, images, config), config, images))


# ---------------------------------------------------------------------- frozen generator

PLAIN = dict(kimg=0.012, batch=2, tick_kimg=0.004, density_reg_points=16, r1_interval=2)


def test_a_frozen_generator_stays_and_its_discriminator_learns(tiny_gan):
    config = AdversarialConfig(**PLAIN, frozen_kimg=0.008, density_reg_interval=2)
    state = start_state(tiny_gan, config)
    with torch.no_grad():  # an average that has not caught up, which a step would move
        for p in state.G_ema.parameters():
            p += 0.01
    before, moved = everything(state), {}
    for tick in finetune(state, Pictures(), config):
        after = everything(state)
        moved[tick.images_seen] = {
            name for name in ("G", "D", "G_ema")
            if any(not torch.equal(before[k], v) for k, v in after.items()
                   if k.startswith(f"{name}/"))
        }  # fmt: skip
        before = after
        own = {"loss_g", "density_variation"} & set(tick.metrics)
        assert own == (set() if tick.images_seen <= 8 else {"loss_g", "density_variation"})
        assert {"loss_d", "logits_real", "logits_fake"} <= set(tick.metrics)
    assert moved == {4: {"D"}, 8: {"D"}, 12: {"G", "D", "G_ema"}}


def test_a_frozen_run_resumes_to_the_same_bytes(tiny_gan, tmp_path):
    config, images = AdversarialConfig(**PLAIN, frozen_kimg=0.006), Pictures()
    whole = start_state(tiny_gan, config)
    for one in finetune(whole, images, config, stop=lambda: True):
        whole.save(tmp_path / str(one.images_seen))
    for seen in (2, 6, 8):
        state = start_state(tiny_gan, config)
        state.restore(tmp_path / str(seen))
        assert [t.images_seen for t in finetune(state, images, config)][-1] == 12
        state.save(tmp_path / "end")
        assert (tmp_path / "end").read_bytes() == (tmp_path / "12").read_bytes()


def test_frozen_kimg_is_written_only_where_it_is_used():
    assert "frozen_kimg" not in AdversarialConfig().model_dump(mode="json")
    used = AdversarialConfig(frozen_kimg=2.0)
    assert AdversarialConfig(**used.model_dump(mode="json")) == used
    assert used.model_dump()["frozen_kimg"] == 2.0
    with pytest.raises(ValueError, match="frozen_kimg 2.0 is longer"):
        AdversarialConfig(kimg=1, frozen_kimg=2)
    with pytest.raises(ValueError, match="frozen_kimg"):
        FinetuneConfig(frozen_kimg=1)


# ---------------------------------------------------------------------- yaws


def test_yaw_is_the_angle_of_the_cameras_position():
    wanted = [0.0, 0.3, -0.9, 1.5, -2.8]
    labels = torch.cat([frontal_label(yaw=y, pitch=0.2) for y in wanted]).numpy()
    assert yaws(labels) == pytest.approx(wanted, abs=1e-5)
    assert yaws(labels[1]) == pytest.approx(0.3, abs=1e-5)
    assert yaws(mirrored(labels)) == pytest.approx([-y for y in wanted], abs=1e-5)


def test_adversaries_see_what_faces_them():
    rendered = [view_label(7, k) for k in range(40)] + [around_label(7, k) for k in range(40)]
    images = Pictures()
    images.labels = torch.as_tensor(np.stack(rendered))
    images.pixels = torch.arange(80, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    images.seeds = np.arange(80)
    front = facing(images, 0.95)
    kept = front.indices.tolist()
    assert kept[:40] == list(range(40))  # all of FFHQ's poses, and few from all sides
    assert 5 < len(kept) - 40 < 20 and len(front) == len(kept)
    assert np.abs(yaws(front.labels.numpy())).max() <= 0.95
    pixels, labels = front.batch(np.array([41, 2]))
    assert pixels[:, 0, 0, 0].tolist() == [kept[41], 2] == front.seeds[[41, 2]].tolist()
    assert torch.equal(labels, images.labels[[kept[41], 2]])
    assert facing(images, None) is images
    with pytest.raises(ValueError, match="raise max_yaw"):
        facing(images, 1e-6)

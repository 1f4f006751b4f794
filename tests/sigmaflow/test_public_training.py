"""What EG3D's training and the released fine-tune do and a default run here does not."""

import copy

import numpy as np
import pytest
import torch
from test_finetune import GRID, Noise, mean_sigma, settings, weights

from sigmaflow.fields.grid import Grid
from sigmaflow.fields.mesh import BORDER_VALUE
from sigmaflow.fields.released import released_cube
from sigmaflow.finetune import PAPER, RELEASED, RewardTerm, Semantics, finetune, start_state
from sigmaflow.finetune.augment import TRANSFORMS, Adaptation, AugmentPipe
from sigmaflow.finetune.geometry import Truncation, geometry_terms
from sigmaflow.finetune.losses import View
from sigmaflow.finetune.schedules import blur, blur_kernel, blur_sigma, swap_probability
from sigmaflow.generators.superresolution import SUPERRESOLUTION

TERM = RewardTerm(mean_sigma, GRID)
CUBE = Grid(resolution=8)


# ---------------------------------------------------------------------- blur and pose swapping


def test_schedules_fade():
    assert [blur_sigma(n, 10, 200) for n in (0, 50_000, 200_000, 900_000)] == [10, 7.5, 0, 0]
    assert blur_sigma(0, 10, 0) == 0
    assert [swap_probability(n, 0.5, 1000) for n in (0, 500_000, 2_000_000)] == [1, 0.75, 0.5]
    assert swap_probability(0, 0.3, 0) == 0.3


def test_blur_keeps_the_mean_and_spreads():
    dot = torch.zeros(1, 2, 65, 65)
    dot[:, 0, 32, 32] = 1
    out = blur(dot, 2.0)
    taps = blur_kernel(2.0)
    assert len(taps) == 13 and out[0, 0].sum() == pytest.approx(1, rel=1e-5)
    assert torch.allclose(out[0, 0, 26:39, 26:39], torch.outer(taps, taps), atol=1e-7)
    assert not out[0, 1].any()
    assert blur(dot, 0.3) is dot


# ---------------------------------------------------------------------- augmentation


def test_no_strength_changes_nothing_but_rounding():
    images = torch.rand(4, 6, 32, 32) * 2 - 1
    out = AugmentPipe(p=0.0)(images)
    # The orthogonal filters of the resampling give back an image that is not moved.
    assert (out - images).abs().mean() < 0.02
    assert torch.equal(AugmentPipe(0.0, **dict.fromkeys(TRANSFORMS, 0))(images), images)


def test_blits_put_pixels_where_they_belong():
    images = blur(torch.randn(2, 3, 32, 32), 1.5)  # what the bilinear sampling loses is gone
    only = dict.fromkeys(TRANSFORMS, 0.0)
    middle = slice(8, 24)
    flipped = AugmentPipe(**{**only, "xflip": 1})(images, percentile=0.7)
    turned = AugmentPipe(**{**only, "rotate90": 1})(images, percentile=0.3)
    for out, wanted in ((flipped, images.flip(3)), (turned, images.rot90(1, (2, 3)))):
        error = (out - wanted)[..., middle, middle].square().mean().sqrt()
        assert error < 0.05 * wanted.std()


def test_both_halves_of_a_pair_move_alike():
    rgb = torch.rand(3, 3, 24, 24)
    torch.manual_seed(0)
    out = AugmentPipe(1.0)(torch.cat([rgb, rgb], 1))
    assert torch.equal(out[:, :3], out[:, 3:])
    assert (out[:, :3] - rgb).abs().mean() > 0.1
    with pytest.raises(ValueError, match="RGB"):
        AugmentPipe()(torch.rand(1, 4, 8, 8))
    with pytest.raises(ValueError, match="xflop"):
        AugmentPipe(xflop=1)


def test_share_of_transformed_images_is_the_strength():
    only = dict.fromkeys(TRANSFORMS, 0.0)
    pipe = AugmentPipe(0.25, **{**only, "brightness": 1})
    torch.manual_seed(0)
    out = pipe(torch.zeros(4000, 3, 2, 2))
    assert (out[:, 0, 0, 0] != 0).float().mean() == pytest.approx(0.25, abs=0.03)


def test_adaptation_follows_the_signs():
    pipe = AugmentPipe(0.0)
    adaptation = Adaptation(pipe, target=0.6, interval=2, kimg=1)
    seen = []
    for batches, sign in enumerate((1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0), 1):
        adaptation.observe(torch.full((4, 1), sign))
        adaptation.step(batches, 4)
        seen.append(round(float(pipe.p), 6))
    assert seen == [0, 0.008, 0.008, 0.016, 0.016, 0.008, 0.008, 0, 0, 0]


def test_view_keeps_sizes():
    image, raw = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 8, 8)
    assert View()(image, raw) == (image, raw)
    out = View(1.0, AugmentPipe(1.0))(image, raw)
    assert [x.shape for x in out] == [image.shape, raw.shape]


@pytest.mark.parametrize("aug", ["fixed", "ada"])
def test_a_run_with_all_of_it_resumes_to_the_same_bytes(tiny_gan, tmp_path, aug):
    config = settings(
        lambda_r=1.0, aug=aug, aug_p=0.3, ada_interval=1, ada_kimg=0.05, ada_target=0.0,
        blur_init_sigma=3.0, blur_fade_kimg=0.02, gpc_reg_fade_kimg=0.02,
    )  # fmt: skip

    def go(state, stop=None):
        for tick in finetune(state, Noise(), config, TERM, copy.deepcopy(tiny_gan.G_ema)):
            if tick.images_seen == stop:
                break
        return state

    whole = go(start_state(tiny_gan, config))
    go(start_state(tiny_gan, config), stop=8).save(tmp_path / "state")
    resumed = start_state(tiny_gan, config)
    resumed.restore(tmp_path / "state")
    go(resumed)
    a, b = weights(whole), weights(resumed)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert torch.equal(whole.augment.p, resumed.augment.p)
    assert (float(whole.augment.p) == pytest.approx(0.3)) == (aug == "fixed")
    with pytest.raises(ValueError, match="aug"):
        start_state(tiny_gan, settings()).restore(tmp_path / "state")


# ---------------------------------------------------------------------- paper and released terms


def terms(tiny_gan, semantics, **changes):
    G, old = copy.deepcopy(tiny_gan.G), copy.deepcopy(tiny_gan.G_ema)
    with torch.no_grad():
        for network in (G, old):
            network.backbone.mapping.w_avg.normal_(generator=torch.Generator().manual_seed(1))
        for p in old.parameters():
            p.mul_(1.01)
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(2))
    values = dict(reward=TERM, clamp=(-50.0, 50.0), consistency=CUBE, semantics=semantics)
    return geometry_terms(G, old, z, **{**values, **changes}), G


def test_defaults_are_the_paper(tiny_gan):
    out, G = terms(tiny_gan, PAPER)
    before = terms(tiny_gan, Semantics(Truncation(1.0), Truncation(1.0)))[0]
    assert all(torch.equal(out[k], before[k]) for k in out)
    assert out["saturation"].shape == (3,)


def test_each_difference_does_what_it_says(tiny_gan):
    paper, untouched = terms(tiny_gan, PAPER)
    shifted = terms(tiny_gan, Semantics(offset=2.0))[0]
    difference = shifted["reward_loss"] - paper["reward_loss"]
    assert difference.item() == pytest.approx(2, rel=1e-5)
    summed = terms(tiny_gan, Semantics(consistency_over="sum"))[0]
    ratio = summed["consistency"] / paper["consistency"]
    assert ratio.item() == pytest.approx(3, rel=1e-4)
    nearer = terms(tiny_gan, Semantics(reward=Truncation(0.5)))[0]
    assert not torch.equal(nearer["reward"], paper["reward"])
    assert not torch.equal(nearer["consistency"], paper["consistency"])
    apart = terms(tiny_gan, Semantics(consistency=Truncation(0.5)))[0]
    assert torch.equal(apart["reward"], paper["reward"])
    assert torch.equal(apart["consistency"], nearer["consistency"])
    moved = terms(tiny_gan, Semantics(consistency=Truncation(0.5), update_w_avg=True))
    assert not torch.equal(moved[0]["consistency"], apart["consistency"])
    w_avg = untouched.backbone.mapping.w_avg
    for ws in untouched.mapping(
        torch.randn(3, 8, generator=torch.Generator().manual_seed(2)),
        untouched.canonical_label().expand(3, -1),
    )[:, 0]:
        w_avg = ws.lerp(w_avg, 0.998)
    assert torch.allclose(moved[1].backbone.mapping.w_avg, w_avg, atol=1e-6)


def test_clamp_of_the_mean_lets_single_rewards_pass(tiny_gan):
    def term(slab):
        return mean_sigma(slab) * 1e-3 + torch.tensor([20.0, 0.0, 0.0])

    values = dict(reward=RewardTerm(term, GRID), clamp=(-10.0, 10.0), consistency=None)
    each = terms(tiny_gan, PAPER, **values)[0]
    mean = terms(tiny_gan, RELEASED, **values)[0]
    assert each["saturation"].tolist() == [1, 0, 0] and float(mean["saturation"]) == 0
    assert each["reward_loss"].item() == pytest.approx(-10 / 3, rel=1e-2)
    assert mean["reward_loss"].item() == pytest.approx(-20 / 3, rel=1e-2)


# ---------------------------------------------------------------------- released volumes, heads


def test_released_cube_mirrors_and_empties_the_faces():
    cube = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    out = released_cube(cube)
    inside = (slice(3, -3),) * 3
    assert np.array_equal(out[inside], cube[::-1][inside])
    assert (out == BORDER_VALUE).sum() == 32**3 - 26**3
    assert (released_cube(cube[:8, :8, :8]) == BORDER_VALUE).all()  # as the script's slice does
    with pytest.raises(ValueError, match="N, N, N"):
        released_cube(cube[1:])


@pytest.mark.parametrize("name", sorted(SUPERRESOLUTION))
def test_super_resolution_heads(name):
    """Sizes, which inputs are resized, and what `image_raw` comes back as."""
    cls = SUPERRESOLUTION[name]
    torch.manual_seed(0)
    head = cls(4, 32, 0, True, w_dim=8, hidden_channels=(6, 5)).requires_grad_(False)
    wanted = 32 // cls.shrink
    ws = torch.randn(2, 3, 8)
    own_filter = "resample_filter" in head.state_dict()
    assert own_filter == (name not in ("SuperresolutionHybrid8XDC", "SuperresolutionHybrid1X"))
    for size in (wanted // 2, wanted, wanted * 2):
        x = torch.randn(2, 4, size, size)
        image, raw = head(x[:, :3], x, ws, "none")
        kept = name == "SuperresolutionHybrid4X" and size > wanted  # this head never shrinks
        assert image.shape == (2, 3, *(2 * [64 if kept else 32]))
        assert raw.shape == (2, 3, size, size)
        changed = not torch.equal(raw, x[:, :3])
        in_place = cls.last_up and not cls.first_up
        assert changed == ((size == wanted or kept) and in_place)

import math

import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.generators import (
    CheckpointError,
    RaySampling,
    cameras,
    digest,
    load_gan,
    load_generator,
    save_gan,
)


def test_frontal_camera_looks_down_the_z_axis():
    c = cameras.frontal_label()
    pose = c[0, :16].reshape(4, 4)
    assert torch.allclose(pose[:3, :3], torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-6)
    assert torch.allclose(pose[:3, 3], torch.tensor([0.0, 0.0, 2.7]), atol=1e-5)
    assert c[0, 16].item() == pytest.approx(4.26339102, abs=1e-6)


def test_yawed_camera_is_the_papers_side_view():
    c = cameras.frontal_label(yaw=-1.0)
    position = c[0, :16].reshape(4, 4)[:3, 3]
    assert position.tolist() == pytest.approx([-2.27197, 0.0, 1.45882], abs=1e-4) or (
        position.tolist() == pytest.approx([2.27197, 0.0, 1.45882], abs=1e-4)
    )


def test_rays_pass_through_pixel_centres():
    c = cameras.frontal_label()
    origins, directions = cameras.rays(c, 4)
    # The top-left pixel looks to image left (-x) and up (+y), away from the camera (-z).
    assert directions[0, 0, 0] < 0 < directions[0, 0, 1] and directions[0, 0, 2] < 0
    assert directions.norm(dim=-1).allclose(torch.ones(1, 16))
    slope = -directions[0, 0, 0] / -directions[0, 0, 2]
    assert slope.item() == pytest.approx((0.5 - 0.125) / 4.26339102, rel=1e-5)
    assert origins[0, 0].tolist() == pytest.approx([0, 0, 2.7], abs=1e-5)


def test_sigma_grid_is_sigma_at_the_grids_points(tiny_gan):
    G = tiny_gan.G_ema
    grid = Grid(resolution=12, kind="released", pads=SLAB_ENTIRE)
    with torch.no_grad():
        planes = G.planes(G.mapping(torch.randn(2, 8), G.canonical_label().expand(2, -1)))
        cube = G.sigma_grid(planes, grid)
        assert cube.shape == (2, *grid.shape)
        i, j, k = 2, 1, 3
        point = grid.points().reshape(*grid.shape, 3)[i, j, k].expand(2, 1, 3)
        assert torch.allclose(cube[:, i, j, k], G.sigma(planes, point)[:, 0], atol=1e-6)
        _, raw = G.field(planes, point)
        assert torch.allclose(raw[:, :, 0], G.sigma(planes, point), atol=1e-6)


@pytest.mark.parametrize(
    "third", [((0, 0, 1), (1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, 1), (1, 0, 0))]
)
def test_the_separable_grid_equals_points(tiny_gan, third):
    G = tiny_gan.G_ema
    G.plane_axes = torch.tensor([*G.plane_axes.tolist()[:2], third], dtype=torch.float32)
    grid = Grid(resolution=11, kind="regular", pads=SLAB_ENTIRE)
    planes = G.planes(G.mapping(torch.randn(2, 8), G.canonical_label().expand(2, -1)))
    by_points = G.sigma(planes, grid.points().expand(2, -1, -1)).reshape(2, *grid.shape)
    difference = (G.sigma_grid(planes, grid) - by_points).norm() / by_points.norm()
    assert difference < 3e-6  # the kernels' bound; random rows cancel
    planes = planes.detach().requires_grad_(True)
    one, two = (
        torch.autograd.grad(f().square().sum(), planes)[0]
        for f in (
            lambda: G.sigma_grid(planes, grid),
            lambda: G.sigma(planes, grid.points().expand(2, -1, -1)),
        )
    )
    assert (one - two).norm() / two.norm() < 1e-5


def test_truncation_moves_towards_the_mean(tiny_gan):
    G = tiny_gan.G
    z, c = torch.randn(4, 8), G.canonical_label().expand(4, -1)
    for _ in range(3):
        G.mapping(z, c, update_emas=True)
    full, none = G.mapping(z, c), G.mapping(z, c, truncation_psi=0.0)
    assert torch.allclose(none, G.backbone.mapping.w_avg.expand_as(none), atol=1e-6)
    half = G.mapping(z, c, truncation_psi=0.5)
    assert torch.allclose(half, (full + none) / 2, atol=1e-5)
    cut = G.mapping(z, c, truncation_psi=0.5, truncation_cutoff=1)
    assert torch.equal(cut[:, 1:], full[:, 1:]) and torch.equal(cut[:, :1], half[:, :1])


def test_deterministic_rendering_repeats_and_depth_lies_on_the_ray(tiny_gan):
    G = tiny_gan.G_ema
    z, c = torch.randn(2, 8), G.canonical_label().expand(2, -1)
    with torch.no_grad():
        ws = G.mapping(z, c)
        a, b = (
            G.synthesis(ws, c, noise_mode="const", sampling=RaySampling(deterministic=True))
            for _ in range(2)
        )
    assert torch.equal(a["image"], b["image"]) and a["image"].shape == (2, 3, 16, 16)
    assert a["image_raw"].shape == (2, 3, 8, 8)
    assert (a["image_depth"] >= 2.25).all() and (a["image_depth"] <= 3.3 + 1e-5).all()
    assert torch.equal(G.depth(G.planes(ws), c, 8), a["image_depth"])


def test_gradients_reach_every_weight(tiny_gan):
    G = tiny_gan.G
    z, c = torch.randn(2, 8), G.canonical_label().expand(2, -1)
    out = G(z, c)
    (out["image"].square().mean() + out["image_depth"].mean()).backward()
    without = [n for n, p in G.named_parameters() if p.grad is None]
    # The SR head adds no noise (superresolution_noise_mode none), so those strengths stay.
    assert all("superresolution" in n and "noise_strength" in n for n in without)
    assert all(math.isfinite(p.grad.sum().item()) for p in G.parameters() if p.grad is not None)


def test_checkpoint_round_trip(tiny_gan, tmp_path):
    save_gan(tiny_gan, tmp_path)
    read = load_gan(tmp_path)
    for name in ("G", "D", "G_ema"):
        ours, theirs = getattr(tiny_gan, name).state_dict(), getattr(read, name).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    first = digest(tmp_path)
    save_gan(read, tmp_path)
    assert digest(tmp_path) == first


def test_damaged_checkpoints_are_named(tiny_gan, tmp_path):
    save_gan(tiny_gan, tmp_path)
    path = tmp_path / "G_ema.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="G_ema.safetensors"):
        load_generator(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="config.json"):
        load_generator(tmp_path)


def test_unknown_superresolution_lists_the_known(tiny_gan):
    from sigmaflow.generators import TriPlaneGenerator

    kwargs = dict(tiny_gan.G.init_kwargs)
    kwargs["rendering_kwargs"] = {
        **kwargs["rendering_kwargs"],
        "superresolution_module": "training.x.SuperresolutionBig",
    }
    with pytest.raises(ValueError, match="SuperresolutionHybrid8XDC"):
        TriPlaneGenerator(**kwargs)


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_blocks_that_are_remade_give_the_same_gradients(tiny_gan, noise_mode):
    G = tiny_gan.G
    with torch.no_grad():
        for name, p in G.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.3)
    ws = torch.randn(2, G.num_ws, G.w_dim)
    weights = list(G.backbone.synthesis.parameters())

    def gradients(remade):
        torch.manual_seed(1)
        planes = G.planes(ws, noise_mode, remade)
        after = torch.rand(1)  # drawn later by somebody else
        return [planes, after, *torch.autograd.grad(planes.square().sum(), weights)]

    plain = gradients(0)
    for remade in (1, 2):
        assert all(torch.equal(a, b) for a, b in zip(plain, gradients(remade)))

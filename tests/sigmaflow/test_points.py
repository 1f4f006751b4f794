"""Point clouds: Eq. 3, the released preparation, and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sigmaflow.fields.depth import sample_depth, view_labels
from sigmaflow.fields.points import (
    augment,
    centre_and_scale,
    depth_points,
    point_input,
    sample_points,
    subset,
)
from sigmaflow.fields.slab import latents
from sigmaflow.generators import load_generator
from sigmaflow.generators.cameras import frontal_label, rays


@pytest.fixture
def G(tiny_checkpoint):
    return load_generator(tiny_checkpoint)


@pytest.fixture
def clouds():
    return torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(0)) + 3


def test_points_lie_at_their_depth_along_their_ray():
    depth = torch.rand(2, 5, 5) + 2
    c = torch.cat([frontal_label(), frontal_label(yaw=0.5)])
    points = depth_points(depth, c)
    origins, directions = rays(c, 5)
    torch.testing.assert_close((points - origins).norm(dim=2), depth.flatten(1))
    assert torch.nn.functional.cosine_similarity(points - origins, directions, 2).min() > 1 - 1e-6
    assert points[0, 0, 1] > points[0, -1, 1]  # the first row is the top
    with pytest.raises(ValueError, match="square"):
        depth_points(torch.zeros(1, 4, 5), c)


def test_clouds_of_a_generator_are_the_canonical_depth(G):
    z = latents([1, 2], G.z_dim)
    with torch.no_grad():
        points = sample_points(G, z, truncation_psi=0.7, resolution=8)
        depth = sample_depth(G, z, truncation_psi=0.7, resolution=8)[:, 1]
    assert points.shape == (2, 64, 3)
    torch.testing.assert_close(points, depth_points(depth, view_labels(G)[1:2]), atol=1e-5, rtol=0)


def test_gradient_reaches_the_latent(G):
    z = latents([1], G.z_dim).requires_grad_(True)
    point_input(sample_points(G, z, resolution=8), count=16).square().sum().backward()
    assert torch.isfinite(z.grad).all() and z.grad.abs().max() > 0


def test_gradient_of_the_preparation_is_its_slope():
    points = torch.randn(2, 30, 3, dtype=torch.float64, requires_grad=True,
                         generator=torch.Generator().manual_seed(2))  # fmt: skip
    assert torch.autograd.gradcheck(lambda p: point_input(p, 12), (points,))


def test_subset_is_even_or_random(clouds):
    even = subset(clouds, 5)
    assert torch.equal(even, clouds[:, [0, 125, 250, 374, 499]])  # 249.5 and 374.25: half to even
    g = torch.Generator().manual_seed(1)
    random = subset(clouds, 400, g)
    for item in random:
        assert len(torch.unique(item, dim=0)) == 400
    assert not torch.equal(random[0] - clouds[0, 0], random[1] - clouds[1, 0])
    again = subset(clouds, 400, torch.Generator().manual_seed(1))
    assert torch.equal(random, again)
    with pytest.raises(ValueError, match="count must be from 1 to the 500"):
        subset(clouds, 501)


def test_centre_and_scale(clouds):
    x = centre_and_scale(clouds * torch.tensor([1.0, 5.0, 0.1]))
    assert x.mean(1).abs().max() < 1e-6
    largest = x.abs().amax((1, 2))
    assert (largest < 1).all() and (largest > 1 - 1e-5).all()


def test_augmentation_is_the_generators(clouds):
    before = torch.get_rng_state()
    out = augment(clouds, torch.Generator().manual_seed(7))
    assert torch.equal(out, augment(clouds, torch.Generator().manual_seed(7)))
    assert torch.equal(before, torch.get_rng_state())
    ratio = (out / clouds)[clouds.abs().amin(2) > 1]
    assert ratio.min() > 0.95 - 0.0011 and ratio.max() < 1.05 + 0.0011
    medians = (out / clouds).median(1).values
    assert (medians - 1).abs().max() > 0.005  # one factor an axis and cloud, not one a point
    residual = out - clouds * medians[:, None]
    assert 0.0005 < residual.abs().max() < 0.01
    train = point_input(clouds, 100, torch.Generator().manual_seed(7))
    assert train.shape == (2, 3, 100) and not torch.equal(train, point_input(clouds, 100))


def released_cloud(seed):
    """A cloud of the golden set, by its recipe."""
    rs = np.random.RandomState(seed)
    g = (np.arange(128) + 0.5) / 64.0 - 1.0
    x = np.tile(g[None, :], (128, 1)) + 0.004 * rs.standard_normal((128, 128))
    y = np.tile(-g[:, None], (1, 128)) + 0.004 * rs.standard_normal((128, 128))
    z = np.zeros_like(x)
    for _ in range(8):
        cx, cy = rs.uniform(-0.8, 0.8, 2)
        w, a = rs.uniform(0.15, 0.6), rs.uniform(-1.0, 1.0)
        z = z + a / (1.0 + ((x - cx) ** 2 + (y - cy) ** 2) / w**2)
    z = z + 0.01 * rs.standard_normal((128, 128))
    sx, sy, sz = rs.uniform(0.25, 0.5, 3)
    return np.stack([sx * x, sy * y, sz * z], -1).reshape(16384, 3).astype(np.float32)


def test_golden_preparation(reference):
    d = np.load(reference / "golden" / "rewards" / "cases.npz")
    clouds = np.stack([released_cloud(s) for s in (312, 338, 322)])
    assert clouds[0].sum(dtype=np.float64) == pytest.approx(d["points/in0/check"][0])
    rows = subset(torch.arange(16384.0).reshape(1, -1, 1).expand(1, -1, 3))[0, :, 0]
    assert np.array_equal(rows.numpy(), d["points/subset_index"])
    ours = point_input(torch.from_numpy(clouds)).numpy()
    np.testing.assert_allclose(ours, d["points/prepared"], atol=2e-6)


def test_golden_unprojection(reference):
    from test_depth import released_maps

    d = np.load(reference / "golden" / "rewards" / "cases.npz")
    depth = torch.from_numpy(released_maps(21)[1:2])
    points = depth_points(depth, torch.as_tensor(d["unproject/cameras"])[1:2])[0].numpy()
    np.testing.assert_allclose(points[d["unproject/idx"]], d["unproject/xyz"], atol=2e-6)
    np.testing.assert_allclose(points.mean(0, dtype=np.float64), d["unproject/mean"], atol=2e-6)

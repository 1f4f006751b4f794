import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid, SlabPads
from sigmaflow.fields.slab import latents, normalise_slab, sample_slab


class BallGenerator:
    """A ball whose radius is the first latent: the four methods that a slab needs."""

    z_dim = 4

    def mapping(self, z, c, truncation_psi=1.0, truncation_cutoff=None):
        assert c.shape == (len(z), 25)
        self.seen = (truncation_psi, truncation_cutoff)
        return (z * truncation_psi)[:, None, :].expand(-1, 14, -1)

    def planes(self, ws, noise_mode="const"):
        assert noise_mode == "const"
        return ws[:, 0]

    def sigma_grid(self, planes, grid):
        distance = grid.points(planes.device).norm(dim=-1)
        radius = 0.3 + 0.05 * planes[:, :1]
        return (100 * (radius - distance)).reshape(len(planes), *grid.shape)

    def canonical_label(self):
        return torch.zeros(1, 25)


def test_slab_of_the_paper_has_its_shape_and_ranges():
    grid = Grid(resolution=256, kind="released", pads=SLAB_ENTIRE)
    assert grid.ranges == ((64, 192), (64, 205), (102, 231))
    assert grid.shape == (128, 141, 129)
    assert grid.size == 2_328_192
    assert Grid(resolution=32, pads=SLAB_ENTIRE).shape == (16, 18, 17)


def test_released_coordinates_of_the_paper_grid():
    grid = Grid(resolution=256, kind="released", pads=SLAB_ENTIRE)
    points = grid.points().reshape(*grid.shape, 3)
    golden = {
        (0, 0, 0): (-0.2480331, -0.24745709, -0.09999996),
        (0, 0, 1): (-0.24803305, -0.24744177, -0.0960784),
        (0, 1, 0): (-0.24801779, -0.24353552, -0.09999996),
        (1, 0, 0): (-0.24411154, -0.24745709, -0.09999996),
        (64, 70, 64): (0.00402343, 0.02803314, 0.15098041),
        (127, 140, 128): (0.2521584, 0.3035233, 0.40196085),
    }
    assert points.dtype == torch.float32
    for cell, expected in golden.items():
        np.testing.assert_allclose(points[cell].numpy(), expected, rtol=0, atol=4e-8)


def test_released_grid_leaks_lower_axes_and_regular_does_not():
    n = 8
    released = Grid(resolution=n).points().reshape(n, n, n, 3)
    regular = Grid(resolution=n, kind="regular").points().reshape(n, n, n, 3)
    shift = (released - regular) * (n - 1)
    i, j, k = 2, 5, 7
    np.testing.assert_allclose(shift[i, j, k], [j / n + k / n**2, k / n, 0], atol=1e-5)
    assert regular[0, 0, 0].tolist() == [-0.5, -0.5, -0.5]
    assert regular[-1, -1, -1].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert regular[0, 0, 1].tolist()[:2] == [-0.5, -0.5]


def test_axes_are_the_regular_coordinates():
    grid = Grid(resolution=16, kind="regular", length=2.0, pads=SLAB_ENTIRE)
    x, y, z = grid.axes
    cube = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).reshape(-1, 3)
    np.testing.assert_allclose(grid.points().numpy(), cube, atol=1e-6)
    assert grid.voxel == pytest.approx(2 / 15)


def test_no_pad_still_cuts_one_cell():
    assert Grid(resolution=16, pads=SlabPads()).ranges == ((1, 15),) * 3
    assert Grid(resolution=16).ranges == ((0, 16),) * 3


def test_grids_are_values():
    a = Grid(resolution=32, pads=SLAB_ENTIRE)
    b = Grid.from_dict(a.as_dict())
    assert a == b and hash(a) == hash(b) and len({a, b}) == 1
    assert Grid.from_dict(Grid(resolution=4).as_dict()).pads is None
    with pytest.raises(ValidationError):
        a.resolution = 64


@pytest.mark.parametrize(
    "fields",
    [
        {"resolution": 1},
        {"resolution": 8, "kind": "sheared"},
        {"resolution": 8, "length": 0},
        {"resolution": 8, "colour": 1},
        {"resolution": 8, "pads": {"top": 0.6, "bot": 0.6}},
        {"resolution": 8, "pads": {"top": -0.1}},
    ],
)
def test_impossible_grids_are_refused(fields):
    with pytest.raises(ValueError):
        Grid.from_dict(fields)


def test_latents_are_the_seeds():
    z = latents([7, 3], 16)
    assert z.dtype == torch.float32 and z.shape == (2, 16)
    np.testing.assert_array_equal(z[1], np.random.RandomState(3).randn(1, 16)[0].astype("float32"))
    assert latents([], 16).shape == (0, 16)


def test_slabs_are_sampled_and_differentiable():
    G, grid = BallGenerator(), Grid(resolution=16, pads=SLAB_ENTIRE)
    z = latents([1, 2, 3], G.z_dim).requires_grad_()
    slab = sample_slab(G, z, grid, truncation_psi=0.5, truncation_cutoff=14)
    assert slab.shape == (3, *grid.shape) and G.seen == (0.5, 14)
    normalise_slab(slab * slab)[:, 0, 0, 0].sum().backward()
    assert z.grad[:, 0].abs().min() > 0
    one = sample_slab(G, z[1:2], grid, truncation_psi=0.5)
    assert torch.equal(one[0], slab[1])


def test_normalisation_is_by_item():
    slab = torch.randn(3, 4, 5, 6) * torch.tensor([1.0, 10.0, 100.0])[:, None, None, None]
    scaled = normalise_slab(slab)
    assert scaled.flatten(1).amin(1).tolist() == [0, 0, 0]
    assert scaled.flatten(1).amax(1).tolist() == [100, 100, 100]
    assert torch.equal(normalise_slab(slab[1:2])[0], scaled[1])


def test_bad_slabs_are_named():
    slab = torch.randn(3, 2, 2, 2)
    slab[1] = 4.0
    slab[2, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"2 of 3 slabs.*item 1 spans \[4, 4\].*item 2"):
        normalise_slab(slab)
    assert torch.isnan(normalise_slab(slab, check=False)[1]).all()

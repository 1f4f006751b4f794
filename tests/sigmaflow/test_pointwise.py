"""Fields at points by compiled kernels against the formula in torch, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("numba")

from sigmaflow.generators import RaySampling, cameras, pointwise, sampler
from sigmaflow.generators.triplane import OSGDecoder, TriPlaneGenerator
from sigmaflow.generators.volume import march, march_weights, render_rays, sample_weights

SIZE = 16
OBLIQUE = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0.6, 0.8, 0), (-0.8, 0.6, 0), (0, 0, 1)),
    ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
)


def generator(size=SIZE, box_warp=1.0, **kwargs):
    torch.manual_seed(0)
    G = TriPlaneGenerator(
        z_dim=8,
        c_dim=25,
        w_dim=16,
        img_resolution=16,
        plane_resolution=size,
        channel_base=512,
        channel_max=8,
        sr_kwargs={"hidden_channels": [8, 8]},
        rendering_kwargs=dict(
            superresolution_module="SuperresolutionHybrid2X",
            box_warp=box_warp,
            ray_start=2.25,
            ray_end=3.3,
            depth_resolution=12,
            depth_resolution_importance=12,
        ),
        **kwargs,
    )
    with torch.no_grad():  # hidden units beyond 20, sigma of tens, biases that matter
        G.decoder.net[0].weight *= 6
        G.decoder.net[0].bias.uniform_(-1, 1)
        G.decoder.net[2].weight[0] *= 10
        G.decoder.net[2].bias.uniform_(-1, 1)
    return G


@pytest.fixture
def G():
    return generator()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def scene(batch=2, points=300, size=SIZE, seed=1):
    """Planes, points in and around a box of side 1 and on its borders, gradients."""
    rng = torch.Generator().manual_seed(seed)
    planes = torch.randn(batch, 3, 32, size, size, generator=rng)
    where = torch.rand(batch, points, 3, generator=rng) * 1.4 - 0.7
    where[:, :3] = torch.tensor([[0.5, -0.5, 0.5], [-0.5, 0.0, 0.5], [9.0, 0.1, -1e30]])
    half = 0.5 / size  # centres of texels of the border, half a texel outside, and the edges
    rows = torch.tensor([0.5 - half, -0.5 + half, 0.5 + half, -0.5 - half, 0.5, 0.0])
    where[:, 3:9] = rows[:, None]
    to_color = torch.randn(batch, points, 32, generator=rng)
    return planes, where, (to_color, torch.randn(batch, points, generator=rng))


def exact(G, planes, points, given):
    """Values and gradients of planes and decoder, by torch in float64."""
    decoder, planes = copy.deepcopy(G.decoder).double(), planes.double().requires_grad_(True)
    coords = points.double() * 2 / G.rendering_kwargs["box_warp"]
    inverse = torch.linalg.inv(G.plane_axes).double()
    coords = torch.einsum("bmi,nij->bnmj", coords, inverse)[..., :2]
    sampled = F.grid_sample(
        planes.flatten(0, 1), coords.flatten(0, 1)[:, None], align_corners=False
    )
    sampled = sampled[:, :, 0].reshape(*planes.shape[:3], -1).transpose(2, 3)
    colors, sigma = decoder(sampled)
    outputs = colors, sigma[..., 0]
    wanted = [planes, *decoder.parameters()]
    found = torch.autograd.grad(
        [o for o, g in zip(outputs, given) if g is not None],
        wanted,
        [g.double() for g in given if g is not None],
    )
    return *outputs, *found


def ours(G, planes, points, given):
    planes = planes.clone().requires_grad_(True)
    if given[0] is None:
        outputs = None, G.sigma(planes, points)
    else:
        colors, sigma = G.field(planes, points)
        outputs = colors, sigma[..., 0]
    pairs = [(o, g) for o, g in zip(outputs, given) if g is not None]
    wanted = [planes, *G.decoder.parameters()]
    found = torch.autograd.grad([o for o, _ in pairs], wanted, [g for _, g in pairs])
    return *outputs, *found


def close(found, wanted, bound=2e-6):
    """Relative error of the whole, and of the worst entry against the largest."""
    for a, b in zip(found, wanted, strict=True):
        if a is None:
            continue
        assert a.shape == b.shape
        assert (a.double() - b).norm() <= bound * b.norm()
        assert (a.double() - b).abs().max() <= 10 * bound * b.abs().max()


def compiled(G, planes, points):
    return G._compiled(planes, points.shape[1]) and pointwise.takes_points(points, len(planes))


@pytest.mark.parametrize("batch, points", [(1, 301), (2, 256), (3, 4099), (1, 70_001)])
def test_values_and_gradients(G, batch, points):
    planes, where, given = scene(batch, points)
    assert compiled(G, planes, where)
    close(ours(G, planes, where, given), exact(G, planes, where, given))


@pytest.mark.parametrize("which", ["colors", "sigma", "sigma alone"])
def test_one_of_two_gradients(G, which):
    planes, where, (to_color, to_sigma) = scene()
    given = {
        "colors": (to_color, torch.zeros_like(to_sigma)),
        "sigma": (torch.zeros_like(to_color), to_sigma),
        "sigma alone": (None, to_sigma),
    }[which]
    close(ours(G, planes, where, given), exact(G, planes, where, given))
    if which == "sigma alone":
        return
    planes.requires_grad_(True)  # and where the other is not asked for at all
    colors, sigma = G.field(planes, where)
    chosen, g = (colors, to_color) if which == "colors" else (sigma[..., 0], to_sigma)
    (found,) = torch.autograd.grad(chosen, planes, g)
    close([found], [exact(G, planes.detach(), where, given)[2]])


@pytest.mark.parametrize("axes", [OBLIQUE, OBLIQUE[:1], OBLIQUE[:2] * 2])
def test_any_planes(axes):
    G = generator(box_warp=0.7, plane_axes=axes)
    _, where, given = scene(points=257)
    planes = torch.randn(2, len(axes), 32, SIZE, SIZE)
    assert compiled(G, planes, where)
    # Oblique coordinates are rounded in float32: a texel's share moves by SIZE of their last bit.
    close(ours(G, planes, where, given), exact(G, planes, where, given), bound=2e-5)


def test_planes_that_are_not_square(G):
    _, where, given = scene()
    planes = torch.randn(2, 3, 32, 9, 21)
    assert compiled(G, planes, where)
    close(ours(G, planes, where, given), exact(G, planes, where, given))


def test_outside_is_the_decoder_of_zeros(G):
    planes = scene()[0]
    where = torch.full((2, 100, 3), 0.9)
    where[:, 50:] = torch.tensor([float("inf"), -1e38, float("nan")])
    colors, sigma = G.field(planes, where)
    wanted = G.decoder(torch.zeros(2, 3, 100, 32))
    torch.testing.assert_close((colors, sigma), wanted, rtol=1e-6, atol=1e-5)


def test_hidden_units_of_any_size(G):
    planes, where, _ = scene()
    with torch.no_grad():
        G.decoder.net[0].bias[:4] = torch.tensor([-1000.0, 1000.0, -90.0, 88.0])
    given = scene()[2]
    close(ours(G, planes, where, given), exact(G, planes, where, given), bound=5e-6)


def test_without_gradients_the_same_bytes(G):
    planes, where, given = scene()
    with torch.no_grad():
        colors, sigma = G.field(planes, where)
        alone = G.sigma(planes, where)
    found = ours(G, planes, where, given)
    assert torch.equal(colors, found[0]) and torch.equal(sigma[..., 0], found[1])
    assert torch.equal(alone, found[1])
    turned = G.for_points(planes, where.shape[1])
    assert turned.stride() != planes.stride() and torch.equal(turned, planes)
    assert torch.equal(G.sigma(turned, where), alone)


@pytest.mark.parametrize("batch, points", [(1, 20_000), (2, 70_000)])
def test_bytes_do_not_depend_on_threads(G, batch, points):
    planes, where, given = scene(batch, points)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 5, 2):
            torch.set_num_threads(threads)
            results.append(ours(G, planes, where, given))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("graph", [False, True])
def test_large_planes_turn_in_threads(G, graph, two_threads):
    planes, where, given = scene(1, 5000, 128)
    planes.requires_grad_(True)
    with torch.set_grad_enabled(graph):
        turned = G.for_points(planes, where.shape[1])
        assert turned.stride() != planes.stride() and torch.equal(turned, planes)
        assert turned.requires_grad == graph
        sigma = G.sigma(planes, where)
    assert torch.equal(sigma, G.sigma(turned, where))
    if graph:
        planes = planes.detach()
        close(ours(G, planes, where, given), exact(G, planes, where, given))


def test_bytes_do_not_depend_on_other_points_and_scenes(G):
    planes, where, _ = scene(2, 1000)
    whole = G.sigma(planes, where)
    assert torch.equal(G.sigma(planes[1:], where[1:, :128]), whole[1:, :128])


def test_only_what_is_asked_for(G):
    planes, where, given = scene()
    full = ours(G, planes, where, given)
    G.decoder.requires_grad_(False)
    planes.requires_grad_(True)
    colors, sigma = G.field(planes, where)
    (found,) = torch.autograd.grad([colors, sigma[..., 0]], [planes], given)
    assert torch.equal(found, full[2])
    G.decoder.requires_grad_(True)
    colors, sigma = G.field(planes.detach(), where)
    found = torch.autograd.grad([colors, sigma[..., 0]], list(G.decoder.parameters()), given)
    assert all(torch.equal(a, b) for a, b in zip(found, full[3:], strict=True))


# What torch does instead


def test_what_the_kernels_do_not_take(G):
    planes, where, _ = scene()
    assert compiled(G, planes, where)
    assert not compiled(G, planes.double(), where.double())
    assert not compiled(G, planes, where.double())
    assert not compiled(G, planes, where.clone().requires_grad_(True))
    assert not compiled(G, planes, where[:, :40])  # a copy of the planes would cost more
    assert not compiled(G, planes.to("meta"), where)
    assert not compiled(G, planes[:1], where)
    assert not compiled(G, planes[:, :2], where)
    assert not compiled(G, planes, where[..., :2])
    assert not compiled(copy.deepcopy(G).double(), planes, where)
    with torch.autocast("cpu", torch.bfloat16):
        assert not compiled(G, planes, where)
    with FlopCounterMode(display=False):
        assert not compiled(G, planes, where)
    seen = []
    torch.func.vmap(lambda p: (seen.append(compiled(G, planes, where)), p)[1])(planes)
    assert seen == [False]
    with torch.no_grad():
        assert compiled(G, planes, where.clone().requires_grad_(True))
    sampler.use("torch")
    try:
        assert not compiled(G, planes, where)
    finally:
        sampler.use("auto")
    G.decoder = OSGDecoder(32, decoder_output_dim=3)
    assert not compiled(G, planes, where)

    class Other(OSGDecoder):
        pass

    G.decoder = Other(32)
    assert not compiled(G, planes, where)


def test_torch_and_kernels_agree(G):
    planes, where, given = scene()
    found = ours(G, planes, where, given)
    sampler.use("torch")
    try:
        theirs = ours(G, planes, where, given)
    finally:
        sampler.use("auto")
    close(found, [t.double() for t in theirs], bound=5e-6)
    assert not torch.equal(found[0], theirs[0])  # else both were torch's


def test_gradients_of_points(G):
    planes, where, given = scene()
    where = where[:, 9:].clone().requires_grad_(True)
    G.sigma(planes, where).sum().backward()
    assert where.grad.abs().max() > 0


@pytest.mark.parametrize("colors", [True, False])
def test_gradients_of_gradients(G, colors):
    planes, where, _ = scene()

    def twice(G, planes, where):
        planes = planes.clone().requires_grad_(True)
        out = G.field(planes, where)[0] if colors else G.sigma(planes, where)
        (first,) = torch.autograd.grad(out.square().sum(), planes, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [planes, *G.decoder.parameters()])

    assert compiled(G, planes, where)
    found = twice(G, planes, where)
    wanted = twice(copy.deepcopy(G).double(), planes.double(), where.double())
    close(found, wanted, bound=1e-4)


def test_planes_changed_in_place_are_noticed(G):
    planes, where, _ = scene()
    turned = G.for_points(planes, where.shape[1]).requires_grad_(True)
    sigma = G.sigma(turned, where)
    with torch.no_grad():
        turned += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        sigma.sum().backward()


# Rays


def test_shares_of_samples_are_those_of_midpoints():
    torch.manual_seed(0)
    colors, sigmas = torch.rand(2, 5, 7, 4).double(), torch.randn(2, 5, 7, 1).double() * 5
    depths = torch.rand(2, 5, 7, 1).double().sort(dim=2)[0]
    weights = march_weights(sigmas, depths)
    midpoints = (weights * (colors[:, :, 1:] + colors[:, :, :-1]) / 2).sum(2)
    torch.testing.assert_close((sample_weights(weights) * colors).sum(2), midpoints)
    rgb, _, _ = march(colors, sigmas, depths, {})
    torch.testing.assert_close(rgb, 2 * midpoints - 1)


@pytest.mark.parametrize("white", [False, True])
def test_rays_in_order_of_evaluation_are_the_sorted_march(white):
    """Colours sorted and gathered, as the formula reads, with values and gradients."""
    torch.manual_seed(0)
    origins = torch.randn(2, 9, 3).double() * 0.01 + torch.tensor([0, 0, 2.7])
    directions = F.normalize(-origins + 0.1 * torch.randn(2, 9, 3), dim=-1)
    options = dict(ray_start=2.25, ray_end=3.3, depth_resolution=8, depth_resolution_importance=6)
    options["white_back"] = white
    scale = torch.randn(3, 4).double().requires_grad_(True)
    seen = []

    def field(points):
        seen.append(points)
        return torch.sigmoid(points @ scale), 20 - 60 * (points @ scale[:, :1]).abs()

    given = RaySampling(jitter=torch.rand(2, 9, 8, 1), u=torch.rand(18, 6).double())
    found = render_rays(field, origins, directions, options, given)
    points = torch.cat([p.reshape(2, 9, -1, 3) for p in seen], dim=2)
    depths = ((points - origins[:, :, None]) * directions[:, :, None]).sum(-1, keepdim=True)
    depths, order = depths.sort(dim=2)
    colors, sigmas = field(points)
    wanted = march(
        colors.gather(2, order.expand(-1, -1, -1, 4)), sigmas.gather(2, order), depths, options
    )
    wanted = *wanted[:2], wanted[2].sum(2)
    assert not torch.equal(order, torch.arange(14)[:, None].expand_as(order))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        g, h = (torch.autograd.grad(x.square().sum(), scale, retain_graph=True)[0] for x in (a, b))
        torch.testing.assert_close(g, h, rtol=1e-7, atol=1e-9)


def test_pictures_by_kernels_and_by_torch(G, two_threads):
    planes = scene(2)[0].requires_grad_(True)
    c = cameras.frontal_label(yaw=0.3).expand(2, -1)

    def picture():
        out = G.render(planes, c, 16, RaySampling(deterministic=True))
        wanted = [planes, *G.decoder.parameters()]
        loss = out["features"].square().mean() + out["weights_sum"].mean()  # no ray's depth: NaN
        return out["features"], out["image_depth"], *torch.autograd.grad(loss, wanted)

    found = picture()
    assert all(torch.equal(a, b) for a, b in zip(found, picture()))
    sampler.use("torch")
    try:
        theirs = picture()
    finally:
        sampler.use("auto")
    close(found, [t.double() for t in theirs], bound=2e-4)  # depths of the second pass amplify


@pytest.mark.parametrize("rays, samples", [(1, 1), (300, 7)])
def test_sums_over_samples(rays, samples, two_threads):
    torch.manual_seed(0)
    shares = torch.rand(2, rays, samples, 1, requires_grad=True)
    colors = torch.randn(2, rays, samples, 32, requires_grad=True)
    given = torch.randn(2, rays, 32)
    out = pointwise.sum_over_samples(shares, colors)
    found = out, *torch.autograd.grad(out, [shares, colors], given, create_graph=False)
    assert "SumOverSamples" in type(out.grad_fn).__name__
    a, b = (t.detach().double().requires_grad_(True) for t in (shares, colors))
    wanted = (a * b).sum(2)
    close(found, (wanted, *torch.autograd.grad(wanted, [a, b], given.double())))
    (first,) = torch.autograd.grad(
        pointwise.sum_over_samples(shares, colors).square().sum(), shares, create_graph=True
    )
    twice = torch.autograd.grad(first.square().sum(), [shares, colors])
    (first,) = torch.autograd.grad((a * b).sum(2).square().sum(), a, create_graph=True)
    close(twice, torch.autograd.grad(first.square().sum(), [a, b]), bound=1e-5)

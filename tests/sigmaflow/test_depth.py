"""Depth from density alone against full renderings, golden depth, and finite differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sigmaflow.fields.depth import (
    SINGLE,
    TRIPLE,
    depth_input,
    depth_of_planes,
    depth_of_ws,
    ray_depth,
    sample_depth,
    view_labels,
)
from sigmaflow.fields.slab import latents
from sigmaflow.generators import RaySampling, TriPlaneGenerator, load_generator
from sigmaflow.generators.cameras import rays

SURE = RaySampling(deterministic=True)


@pytest.fixture
def G(tiny_checkpoint):
    """A tiny generator whose density has surfaces."""
    return load_generator(tiny_checkpoint)


@pytest.fixture
def planes(G):
    with torch.no_grad():
        z = latents([1, 2], G.z_dim)
        return G.planes(G.mapping(z, G.canonical_label().expand(2, -1), 0.7))


def full(G, planes, c, resolution=8, sampling=SURE):
    """Depth [B, V, r, r] of whole renderings, one call a camera batch."""
    views = len(c)
    wide = planes.repeat_interleave(views, 0)
    out = G.render(wide, c.repeat(len(planes), 1), resolution, sampling)
    return out["image_depth"].reshape(len(planes), views, resolution, resolution)


# Values


@pytest.mark.parametrize("yaws", [SINGLE, TRIPLE])
@pytest.mark.parametrize("chunk", [None, 7, 64, 4096])
def test_equals_the_full_rendering_whatever_the_chunk(G, planes, yaws, chunk):
    c = view_labels(G, yaws)
    with torch.no_grad():
        ours = depth_of_planes(G, planes, c, 8, rays_per_chunk=chunk)
        theirs = full(G, planes, c)
    assert ours.shape == (2, len(yaws), 8, 8)
    assert theirs.std() > 0.01  # there is a surface
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"ray_start": "auto", "ray_end": "auto", "box_warp": 1.4},
        {"disparity_space_sampling": True},
        {"depth_resolution_importance": 0},
        {"white_back": True, "depth_resolution": 9},
    ],
)
def test_every_way_of_sampling_rays(G, planes, change):
    G.rendering_kwargs = {**G.rendering_kwargs, **change}
    c = view_labels(G)
    with torch.no_grad():
        ours = depth_of_planes(G, planes, c, 8, rays_per_chunk=50)
        torch.testing.assert_close(ours, full(G, planes, c), rtol=0, atol=2e-5)


def test_random_sampling_draws_what_the_full_rendering_draws(G, planes):
    c = view_labels(G)
    with torch.no_grad():
        torch.manual_seed(3)
        ours = depth_of_planes(G, planes[:1], c, 8, RaySampling(), rays_per_chunk=33)
        torch.manual_seed(3)
        theirs = full(G, planes[:1], c, sampling=RaySampling())
        torch.manual_seed(4)
        other = depth_of_planes(G, planes[:1], c, 8, RaySampling())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    assert (ours - other).abs().max() > 1e-3


def test_depth_of_a_wall_is_its_distance(G):
    """Solid below z = 0.1: seen along the ray, not along the axis."""
    options = {**G.rendering_kwargs, "depth_resolution": 48, "depth_resolution_importance": 48}
    origins, directions = rays(view_labels(G, SINGLE), 16)
    depth = ray_depth(lambda p: (0.1 - p[..., 2]) * 1e5, origins, directions, options)
    expected = (0.1 - origins[..., 2]) / directions[..., 2]
    assert (depth - expected).abs().max() < 1.05 / 47  # an interval of the first pass


def test_views_are_the_released_ones(G):
    c = view_labels(G)
    places = c[:, [3, 7, 11]]
    released = [[2.27197, 0, 1.45882], [0, 0, 2.7], [-2.27197, 0, 1.45882]]
    torch.testing.assert_close(places, torch.tensor(released), rtol=0, atol=1e-4)
    assert torch.equal(c[1:2], G.canonical_label())
    with pytest.raises(ValueError, match="yaws is empty"):
        view_labels(G, ())


def test_one_latent_for_all_views_and_one_for_each(G):
    z = latents([5, 6], G.z_dim)
    with torch.no_grad():
        triple = sample_depth(G, z, truncation_psi=0.7, resolution=8)
        ws = G.mapping(z, G.canonical_label().expand(2, -1), 0.7)
        c = view_labels(G)
        same = depth_of_ws(G, ws.unsqueeze(1).expand(-1, 3, -1, -1), c, resolution=8)
        torch.testing.assert_close(same, triple, rtol=0, atol=1e-5)
        swapped = torch.stack([ws[0], ws[1], ws[0]])[None]
        mixed = depth_of_ws(G, swapped, c, resolution=8)
    torch.testing.assert_close(mixed[0, 1], triple[1, 1], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed[0, 2], triple[0, 2], rtol=0, atol=1e-5)


def test_bad_arguments_are_named(G, planes):
    with pytest.raises(ValueError, match=r"c must be \[V, 25\] or \[2, V, 25\]"):
        depth_of_planes(G, planes, torch.zeros(3, 3, 25), 8)
    with pytest.raises(ValueError, match="rays_per_chunk"):
        depth_of_planes(G, planes, view_labels(G), 8, rays_per_chunk=0)


# Gradients


def gradients(G, planes, chunk, weight):
    planes = planes.clone().requires_grad_(True)
    G.decoder.requires_grad_(True)
    G.zero_grad()
    if chunk == "full":
        depth = full(G, planes, view_labels(G))
    else:
        depth = depth_of_planes(G, planes, view_labels(G), 8, rays_per_chunk=chunk)
    (depth * weight).sum().backward()
    return [planes.grad] + [p.grad.clone() for p in G.decoder.parameters()]


def test_gradient_is_the_full_renderings_whatever_the_chunk(G, planes):
    weight = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    theirs = gradients(G, planes, "full", weight)
    assert all(g.abs().max() > 0 for g in theirs)
    for chunk in (None, 50):
        for ours, g in zip(gradients(G, planes, chunk, weight), theirs):
            assert (ours - g).norm() < 1e-4 * g.norm()


def test_gradient_is_the_slope(G, planes):
    """Central differences in float64 without the second pass, whose places have no gradient."""
    G.rendering_kwargs = {**G.rendering_kwargs, "depth_resolution_importance": 0,
                          "depth_resolution": 24}  # fmt: skip
    G.double()
    c = view_labels(G)[:1].double()
    planes = planes[:1].double()
    g = torch.Generator().manual_seed(1)
    way = torch.randn(planes.shape, generator=g, dtype=torch.float64)
    weight = torch.randn(1, 1, 6, 6, generator=g, dtype=torch.float64)

    def value(t):
        return (depth_of_planes(G, planes + t * way, c, 6, rays_per_chunk=10) * weight).sum()

    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value(t), t)
    with torch.no_grad():
        step = 1e-5
        measured = (value(step) - value(-step)) / (2 * step)
    assert slope.abs() > 1e-3
    assert abs(slope - measured) < 1e-5 * abs(measured)


def test_empty_rays_have_the_largest_depth_and_no_gradient(G):
    origins, directions = rays(view_labels(G, SINGLE), 4)
    level = torch.full((16,), -60.0)
    level[5] = 60.0
    level.requires_grad_(True)
    options = G.rendering_kwargs
    depth = ray_depth(lambda p: level.repeat_interleave(p.shape[1] // 16)[None],
                      origins, directions, options)  # fmt: skip
    far = torch.linspace(2.25, 3.3, 4)[-1]
    assert torch.equal(depth[0, :5], far.expand(5)) and depth[0, 5] < 2.5
    depth.sum().backward()
    assert torch.isfinite(level.grad).all()


def test_recomputed_chunks_keep_less(G, planes):
    """What autograd saves between forward and backward, in numbers."""

    def kept(chunk):
        seen = {}

        def pack(t):
            seen[t.untyped_storage().data_ptr()] = t.numel()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            wide = planes.clone().requires_grad_(True)
            depth = depth_of_planes(G, wide, view_labels(G), 16, rays_per_chunk=chunk)
        depth.sum().backward()
        return sum(seen.values())

    assert kept(64) < kept(None) / 5


# Preprocessing


def test_network_input_by_hand():
    depth = torch.tensor([[[2.25, 3.3], [2.25, 3.3]]])
    x = depth_input(depth, size=4)
    assert x.shape == (1, 3, 4, 4)
    torch.testing.assert_close(x[0, 0, 0], torch.tensor([1, 0.75, 0.25, 0]), atol=1e-6, rtol=0)
    assert torch.equal(x[0, 0], x[0, 2])
    torch.testing.assert_close(depth_input(depth, 4, inverted=False), 1 - x)
    assert depth_input(torch.zeros(2, 3, 8, 8)).shape == (2, 3, 3, 224, 224)


# Golden


@pytest.fixture(scope="module", params=["eg3d_p64", "eg3d_p256"])
def golden(request, reference):
    folder = reference / "golden" / request.param
    config = json.loads((folder / "config.json").read_text())
    generator = TriPlaneGenerator(
        **config["init_kwargs"],
        plane_resolution=int(request.param[6:]),
        plane_axes=config["plane_axes"],
    )
    state = load_file(folder / "weights.safetensors")
    state.pop("dataset_label_std")
    generator.load_state_dict(state)
    return generator.eval().requires_grad_(False), config, dict(np.load(folder / "cases.npz"))


@pytest.mark.parametrize("case", ["r0", "r1", "r2", "r3", "r4", "r5"])
def test_golden_depth(golden, case):
    generator, config, d = golden
    meta = config["meta"]["cases"][case]
    ws = torch.as_tensor(d["ws_psi_cut14"])[meta["samples"]]
    c = torch.as_tensor(d["c_render"])[meta["samples"]]
    sampling = SURE
    if meta["jitter"] == "stored":
        jitter, u = (torch.as_tensor(d[f"{case}_{k}"]) for k in ("jitter", "u"))
        sampling = RaySampling(jitter=jitter, u=u)
    kept = generator.rendering_kwargs
    try:
        generator.rendering_kwargs = {**kept, **meta["rendering_overrides"]}
        ours = depth_of_ws(
            generator,
            ws,
            c[:, None],
            resolution=meta["neural_rendering_resolution"],
            sampling=sampling,
            rays_per_chunk=100,
        )
    finally:
        generator.rendering_kwargs = kept
    theirs = torch.as_tensor(d[f"{case}_image_depth"])
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def released_maps(seed):
    """The depth maps that the golden set was made from, by its recipe."""
    rs = np.random.RandomState(seed)
    g = (np.arange(128) + 0.5) / 64.0 - 1.0
    x, y = np.tile(g[None, :], (128, 1)), np.tile(-g[:, None], (1, 128))
    out = []
    for _ in range(3):
        z = np.zeros_like(x)
        for _ in range(8):
            cx, cy = rs.uniform(-0.8, 0.8, 2)
            w, a = rs.uniform(0.15, 0.6), rs.uniform(-1.0, 1.0)
            z = z + a / (1.0 + ((x - cx) ** 2 + (y - cy) ** 2) / w**2)
        out.append(2.8 - (0.3 * z + 0.002 * rs.standard_normal((128, 128))))
    return np.stack(out).astype(np.float32)


def test_golden_network_input(reference):
    d = np.load(reference / "golden" / "rewards" / "cases.npz")
    maps = released_maps(21)
    assert maps.sum(dtype=np.float64) == pytest.approx(d["depth/in0/check"][0])
    x = depth_input(torch.from_numpy(maps))[:, 0].flatten(1).numpy()
    for view in range(3):
        at, value = (d[f"depth/preprocessed_item0_view{view}/{k}"] for k in ("idx", "val"))
        np.testing.assert_allclose(x[view][at], value, atol=2e-6)

"""The separable form against sampling at points, by torch and by compiled kernels."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid, SlabPads
from sigmaflow.generators import sampler, separable
from sigmaflow.generators.triplane import TriPlaneGenerator

EG3D = ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 0, 1), (0, 1, 0))
AXES = {
    "eg3d": (*EG3D, ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
    "panohead": (*EG3D, ((0, 1, 0), (0, 0, 1), (1, 0, 0))),
    "fixed": (*EG3D, ((0, 0, 1), (0, 1, 0), (1, 0, 0))),
    "one pair": (EG3D[0], EG3D[0], ((0, 1, 0), (1, 0, 0), (0, 0, 1))),
    "no x": (((0, 1, 0), (0, 0, 1), (1, 0, 0)), ((0, 0, 1), (0, 1, 0), (1, 0, 0))),
}
SAMPLERS = [
    "torch",
    pytest.param(
        "numba",
        marks=pytest.mark.skipif("numba" not in sampler.available(), reason="numba is missing"),
    ),
]
# The kernels spend accuracy on speed; sums of these tests cancel to a fraction of their terms.
BOUND = {"torch": 1e-6, "numba": 3e-6}
NARROW = SlabPads(rhs=0.3, lhs=0.45, bot=0.1, top=0.6, rear=0.5, front=0.2)
GRIDS = {
    "regular": Grid(resolution=12, kind="regular"),
    "released": Grid(resolution=12, kind="released"),
    "regular odd": Grid(resolution=17, kind="regular", pads=SLAB_ENTIRE),
    "released odd": Grid(resolution=23, kind="released", pads=SLAB_ENTIRE),
    "narrow": Grid(resolution=31, kind="released", pads=NARROW),
    "one cell": Grid(resolution=3, kind="released", pads=SlabPads()),
    "two points": Grid(resolution=2, kind="released"),
    "beyond": Grid(resolution=13, kind="released", length=2.5),
    "beyond, regular": Grid(resolution=13, kind="regular", length=2.5),
    "inside": Grid(resolution=13, kind="released", length=0.4),
    "finer": Grid(resolution=40, kind="released", pads=SLAB_ENTIRE),
}


@pytest.fixture(params=SAMPLERS)
def chosen(request):
    sampler.use(request.param)
    yield request.param
    sampler.use("auto")


@pytest.fixture
def G(tiny_gan):
    G = tiny_gan.G_ema.eval()
    G.decoder = rescaled(G.decoder)
    return G.requires_grad_(True)


def rescaled(decoder):
    """A decoder whose sigma spans tens and whose hidden units reach beyond 20."""
    with torch.no_grad():
        decoder.net[0].weight *= 12
        decoder.net[0].bias.uniform_(-1, 1)
        decoder.net[2].weight[0] *= 20
        decoder.net[2].bias.fill_(-3)
    return decoder


def some_planes(axes, P=16, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, len(axes), 32, P, P, generator=generator) * 0.7


def with_axes(G, name, box_warp=1.0):
    G.plane_axes = torch.tensor(AXES[name], dtype=torch.float32)
    G.rendering_kwargs = {**G.rendering_kwargs, "box_warp": box_warp}
    return G


def by_points(G, planes, grid):
    points = grid.points().expand(len(planes), -1, -1)
    return G.sigma(planes, points).reshape(len(planes), *grid.shape)


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@torch.no_grad()
def test_grids_equal_points(G, chosen, name, grid):
    planes = some_planes(AXES[name], batch=2)
    for box_warp in (1.0, 0.7, 1.6):
        with_axes(G, name, box_warp)
        cube, expected = G.sigma_grid(planes, grid), by_points(G, planes, grid)
        assert cube.shape == expected.shape and cube.dtype == torch.float32
        assert relative(cube, expected) < BOUND[chosen]


@pytest.mark.parametrize("P", [1, 5, 33, 64])
@torch.no_grad()
def test_any_plane_resolution(G, chosen, P):
    with_axes(G, "panohead")
    planes = some_planes(AXES["panohead"], P=P)
    for kind in ("regular", "released"):
        grid = Grid(resolution=18, kind=kind)
        assert relative(G.sigma_grid(planes, grid), by_points(G, planes, grid)) < BOUND[chosen]


@pytest.mark.parametrize("kind", ["regular", "released"])
@torch.no_grad()
def test_coarse_grids_on_fine_planes(G, chosen, kind, monkeypatch):
    """Cells several texels apart, with the tables and by points."""
    planes = some_planes(AXES["eg3d"], P=96, batch=2)
    for grid in (Grid(resolution=7, kind=kind), Grid(resolution=21, kind=kind, pads=NARROW)):
        expected = by_points(G, planes, grid)
        assert relative(G.sigma_grid(planes, grid), expected) < BOUND[chosen]
        with monkeypatch.context() as patch:
            patch.setattr(separable, "few_cells", lambda sites: False)
            assert relative(G.sigma_grid(planes, grid), expected) < BOUND[chosen]


@pytest.mark.parametrize("name", ["eg3d", "fixed"])
@pytest.mark.parametrize("scale", [0.05, 1.0])
@torch.no_grad()
def test_many_rows_and_levels(G, chosen, name, scale):
    """Lines that are followed over many rows, where hidden units change little and much."""
    with_axes(G, name)
    planes = scale * some_planes(AXES[name], P=20)
    grid = Grid(resolution=72, kind="released", length=1.1)
    assert relative(G.sigma_grid(planes, grid), by_points(G, planes, grid)) < BOUND[chosen]


@torch.no_grad()
def test_half_precision_planes_are_sampled_in_float32(G, chosen):
    planes = some_planes(AXES["eg3d"]).half()
    grid = Grid(resolution=11)
    expected = by_points(G, planes.float(), grid)
    assert relative(G.sigma_grid(planes, grid), expected) < BOUND[chosen]


@torch.no_grad()
def test_softplus_over_its_whole_range(G, chosen):
    """Hidden units from -90 to 90, where exp overflows or vanishes."""
    with_axes(G, "eg3d")
    G.decoder.net[0].weight *= 10
    planes = some_planes(AXES["eg3d"])
    hidden = G.decoder.net[0](planes.permute(0, 1, 3, 4, 2).reshape(-1, 32))
    assert hidden.min() < -90 and hidden.max() > 90
    grid = Grid(resolution=16)
    assert relative(G.sigma_grid(planes, grid), by_points(G, planes, grid)) < BOUND[chosen]


@pytest.mark.parametrize("name", ["eg3d", "panohead"])
@pytest.mark.parametrize("kind", ["regular", "released"])
@pytest.mark.parametrize("size", [20, 75, 85, 500, 3e4])
@torch.no_grad()
def test_hidden_units_of_any_size(G, chosen, name, kind, size):
    """On both sides of the bound above which kernels take no products of exponentials."""
    with_axes(G, name)
    grid, planes = Grid(resolution=14, kind=kind), some_planes(AXES[name])
    weight = G.decoder.net[0].weight
    sampler.use("torch")
    (field,) = G._fields(planes, grid)
    sampler.use(chosen)
    weight *= size / sum(float(t.abs().max()) for t in field.tables if t is not None)
    G.decoder.net[0].bias.zero_()
    assert relative(G.sigma_grid(planes, grid), by_points(G, planes, grid)) < 1e-5


@torch.no_grad()
def test_infinite_hidden_units(G, chosen):
    grid, planes = Grid(resolution=6, kind="regular"), some_planes(AXES["eg3d"])
    G.decoder.net[0].bias[3] = -1000.0
    usual = G.sigma_grid(planes, grid)
    G.decoder.net[0].bias[3] = float("-inf")
    assert relative(G.sigma_grid(planes, grid), usual) < BOUND[chosen]
    G.decoder.net[0].bias[3] = float("inf")
    assert G.sigma_grid(planes, grid).isinf().all()


@torch.no_grad()
def test_not_a_number_stays_one(G, chosen):
    planes = some_planes(AXES["eg3d"])
    planes[0, 0, 3] = float("nan")
    assert G.sigma_grid(planes, Grid(resolution=8, length=0.5)).isnan().all()


@torch.no_grad()
def test_oblique_planes_take_the_way_by_points(G, chosen):
    turned = torch.tensor([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]])
    G.plane_axes = torch.stack([turned, torch.eye(3), torch.eye(3)])
    assert separable.pairs_of(G.plane_axes) is None
    planes, grid = some_planes(AXES["eg3d"], batch=2), Grid(resolution=9, pads=SLAB_ENTIRE)
    assert relative(G.sigma_grid(planes, grid), by_points(G, planes, grid)) < BOUND[chosen]
    blocks = [block for _, block in G.sigma_blocks(planes, grid, rows=3)]
    assert relative(torch.cat(blocks, dim=1), G.sigma_grid(planes, grid)) < BOUND[chosen]


@pytest.mark.parametrize("kind", ["regular", "released"])
@torch.no_grad()
def test_blocks_and_out_give_the_same_cube(G, chosen, kind):
    planes, grid = some_planes(AXES["eg3d"], batch=2), Grid(resolution=19, kind=kind)
    whole = G.sigma_grid(planes, grid)
    starts, blocks = zip(*G.sigma_blocks(planes, grid, rows=7))
    assert starts == (0, 7, 14)
    assert relative(torch.cat(blocks, dim=1), whole) < BOUND[chosen]
    out = torch.full_like(whole, float("nan"))
    assert G.sigma_grid(planes, grid, out=out) is out and torch.equal(out, whole)
    with pytest.raises(ValueError, match="out is"):
        G.sigma_grid(planes, grid, out=out[:1])


@pytest.mark.parametrize("kind", ["regular", "released"])
@torch.no_grad()
def test_equal_calls_give_equal_bytes(G, chosen, kind):
    planes, grid = some_planes(AXES["eg3d"], P=32), Grid(resolution=40, kind=kind)
    assert torch.equal(G.sigma_grid(planes, grid), G.sigma_grid(planes, grid))


@pytest.mark.skipif("numba" not in sampler.available(), reason="numba is missing")
@pytest.mark.parametrize("kind", ["regular", "released"])
@torch.no_grad()
def test_kernels_ignore_the_number_of_threads(G, kind):
    grid = Grid(resolution=40, kind=kind)
    planes = some_planes(AXES["panohead"], P=32)
    with_axes(G, "panohead")
    cubes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            cubes.append(G.sigma_grid(planes, grid))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(cubes[0], cubes[1]) and torch.equal(cubes[0], cubes[2])


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("kind", ["regular", "released"])
@pytest.mark.parametrize("N, P", [(14, 10), (6, 40), (50, 24)])
def test_gradients_equal_autograd_in_float64(G, name, kind, N, P):
    """Cells closer than texels, cells far apart, and more than one band of them."""
    with_axes(G.double(), name, box_warp=0.9)
    grid = Grid(resolution=N, kind=kind, length=1.1)
    planes = some_planes(AXES[name], P=P, batch=2).double().requires_grad_(True)
    wanted = [planes, *(p for p in G.decoder.parameters())]
    weights = torch.randn(2, *grid.shape, generator=torch.Generator().manual_seed(1)).double()
    one, two = (
        torch.autograd.grad((f(G, planes, grid) * weights).sum(), wanted)
        for f in (TriPlaneGenerator.sigma_grid, by_points)
    )
    for ours, theirs in zip(one, two):
        assert relative(ours, theirs) < 1e-10


@pytest.mark.parametrize("kind", ["regular", "released"])
def test_gradients_in_float32_and_their_bytes(G, chosen, kind):
    with_axes(G, "eg3d")
    grid = Grid(resolution=32, kind=kind, pads=SLAB_ENTIRE)
    planes = some_planes(AXES["eg3d"], P=32).requires_grad_(True)
    wanted = [planes, *G.decoder.parameters()]

    def gradients(field):
        return torch.autograd.grad(field(G, planes, grid).square().sum(), wanted)

    ours, again = gradients(TriPlaneGenerator.sigma_grid), gradients(TriPlaneGenerator.sigma_grid)
    assert all(torch.equal(a, b) for a, b in zip(ours, again))
    assert all(relative(a, b) < 1e-5 for a, b in zip(ours, gradients(by_points)))


@pytest.mark.skipif("numba" not in sampler.available(), reason="numba is missing")
@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("size", [1, 30])
def test_compiled_gradients(G, name, size):
    """Every set of axes, hidden units that are nearly all open or closed, any number of threads."""
    with_axes(G, name, box_warp=0.9)
    grid = Grid(resolution=37, kind="released", length=1.1, pads=NARROW)
    planes = (size * some_planes(AXES[name], P=24)).requires_grad_(True)
    wanted = [planes, *G.decoder.parameters()]

    def gradients(field):
        return torch.autograd.grad(field(G, planes, grid).square().sum(), wanted)

    ours = gradients(TriPlaneGenerator.sigma_grid)
    assert all(relative(a, b) < 1e-5 for a, b in zip(ours, gradients(by_points)))
    try:
        torch.set_num_threads(3)
        again = gradients(TriPlaneGenerator.sigma_grid)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(ours[0], again[0])


def test_what_needs_no_gradient_gets_none(G, chosen):
    grid = Grid(resolution=9)
    planes = some_planes(AXES["eg3d"])
    frozen = G.requires_grad_(False)
    assert not frozen.sigma_grid(planes, grid).requires_grad
    frozen.sigma_grid(planes.requires_grad_(True), grid).sum().backward()
    assert planes.grad.norm() > 0
    assert all(p.grad is None for p in G.parameters())


def test_second_derivatives_are_refused(G):
    planes = some_planes(AXES["eg3d"]).requires_grad_(True)
    cube = G.sigma_grid(planes, Grid(resolution=6))
    (first,) = torch.autograd.grad(cube.square().sum(), planes, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()


def test_out_takes_no_gradients(G):
    planes, grid = some_planes(AXES["eg3d"]).requires_grad_(True), Grid(resolution=6)
    with pytest.raises(ValueError, match="no_grad"):
        G.sigma_grid(planes, grid, out=torch.empty(1, *grid.shape))


def test_planes_must_be_square(G):
    with pytest.raises(ValueError, match="16 texels"):
        G.sigma_grid(torch.zeros(1, 3, 32, 8, 16), Grid(resolution=6))


@torch.no_grad()
def test_without_numba_torch_samples(G, monkeypatch):
    planes, grid = some_planes(AXES["eg3d"]), Grid(resolution=10)
    sampler.use("torch")
    expected = G.sigma_grid(planes, grid)
    sampler.use("auto")
    monkeypatch.setattr(sampler, "_has_numba", lambda: False)
    assert sampler.available() == ("torch",) and sampler.name() == "torch"
    assert torch.equal(G.sigma_grid(planes, grid), expected)
    with pytest.raises(ValueError, match="pip install numba"):
        sampler.use("numba")


def test_names_of_samplers():
    with pytest.raises(ValueError, match="auto, torch and numba"):
        sampler.use("cuda")
    sampler.use("torch")
    assert sampler.name() == "torch"
    sampler.use("auto")
    assert sampler.name() == sampler.available()[-1]
    assert sampler.name("cuda") == "torch"
    assert sampler.resolve(torch.device("cpu"), torch.float64, 64) == "torch"
    assert sampler.resolve(torch.device("cpu"), torch.float32, 32) == "torch"


CHILD = """
import sys, torch
from sigmaflow.fields.grid import Grid
from sigmaflow.generators import build
from tests.conftest import TINY
def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) * 1024
torch.manual_seed(0)
G = build(TINY).G_ema
planes = torch.randn(1, 3, 32, 256, 256)
with torch.no_grad():
    G.sigma_grid(planes, Grid(resolution=8, kind=sys.argv[1]))  # numba's own share
    before = status("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    cube = G.sigma_grid(planes, Grid(resolution=512, kind=sys.argv[1]))
print(status("VmHWM") - before - cube.numel() * 4)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["regular", "released"])
def test_memory_of_a_512_cube(kind):
    out = subprocess.run(
        [sys.executable, "-c", CHILD, kind], capture_output=True, text=True, check=True
    )
    assert int(out.stdout) <= 2**30


def test_softplus_is_torchs():
    x = torch.linspace(-100, 100, 4001)
    assert torch.allclose(separable.softplus_(x.clone()), F.softplus(x), rtol=1e-6, atol=1e-7)


@pytest.mark.skipif("numba" not in sampler.available(), reason="numba is missing")
def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    import numba

    from sigmaflow.generators import polynomials

    plain = numba.njit

    def no_cache(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return plain(function, **options)

    monkeypatch.setattr(numba, "njit", no_cache)
    assert polynomials.kernel(lambda x: x + 1)(2) == 3


DIGESTS = """
import hashlib, sys, torch
from sigmaflow.fields.grid import Grid, SLAB_ENTIRE
from sigmaflow.generators import build
from tests.conftest import TINY
torch.manual_seed(0)
torch.set_num_threads(1)
G = build(TINY).G_ema
planes = 8 * torch.randn(1, 3, 32, 24, 24)
with torch.no_grad():
    found = []
    for kind in sys.argv[1:]:
        for scale in (1, 50):  # with and without products of exponentials
            grid = Grid(resolution=23, kind=kind, pads=SLAB_ENTIRE)
            sigma = G.sigma_grid(scale * planes, grid)
            found.append((kind, scale, hashlib.sha256(sigma.numpy()).hexdigest()))
print(sorted(found))
"""


@pytest.mark.skipif("numba" not in sampler.available(), reason="numba is missing")
def test_a_process_that_compiles_gives_the_bytes_of_those_that_find_the_code(tmp_path):
    def child(cache: str, *kinds: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", DIGESTS, *kinds], capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / cache)},
        ).stdout  # fmt: skip

    compiled = child("cache", "regular", "released")
    assert list((tmp_path / "cache").rglob("*.nbc"))
    assert child("cache", "regular", "released") == compiled
    assert child("other", "released", "regular") == compiled

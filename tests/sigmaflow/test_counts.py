"""Counted operations and bytes against those of the networks themselves."""

import copy
import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.finetune import counts
from sigmaflow.generators import build, sampler
from sigmaflow.generators.checkpoint import MINI
from sigmaflow.rewards.model import RewardModel, mini_config

CONFIG = json.loads((MINI / "config.json").read_text())


class Moved(TorchDispatchMode):
    """Bytes that operations read and write; views move none."""

    def __init__(self, left_out):
        super().__init__()
        self.bytes, self._left_out = 0, {t.data_ptr() for t in left_out}

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        out = call(*args, **(kwargs or {}))
        if not call.is_view and call.namespace == "aten":
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(self._size(t) for t in tensors)
        return out

    def _size(self, t):
        stored = t.untyped_storage()
        return 0 if stored.data_ptr() in self._left_out else t.element_size() * t.numel()


def measured(call, modules):
    """Operations, bytes moved and bytes kept by `call`, without those of the modules' weights."""
    own = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    kept = {}

    def keep(t):
        if t.untyped_storage().data_ptr() not in {p.data_ptr() for p in own}:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        with FlopCounterMode(display=False) as flops:
            out = call()
    with torch.no_grad(), Moved(own) as moved:
        call()
    del out
    return flops.get_total_flops(), moved.bytes, sum(kept.values())


def config(**changes):
    found = copy.deepcopy(CONFIG)
    found["G"] |= changes
    return found


@pytest.fixture(scope="module")
def gan():
    torch.manual_seed(0)
    return build(copy.deepcopy(CONFIG))


def near(work, found, operations=1e-12, moved=0.1, kept=0.1):
    flops, read, held = found
    assert work.flops + work.half_flops == pytest.approx(flops, rel=operations)
    assert work.bytes == pytest.approx(read, rel=moved)
    assert work.kept == pytest.approx(held, rel=kept)


def test_backbone(gan):
    ws = torch.randn(1, gan.G.num_ws, gan.G.w_dim)
    found = measured(lambda: gan.G.planes(ws, noise_mode="const"), [gan.G])
    near(counts.backbone(CONFIG["G"]), found)


def test_mapping(gan):
    z, c = torch.randn(1, gan.G.z_dim), torch.randn(1, 25)
    flops, _, _ = measured(lambda: gan.G.mapping(z, c), [gan.G])
    assert counts.mapping(CONFIG["G"]).flops == flops


@pytest.mark.parametrize(
    "name, size", [("2X", 64), ("4X", 64), ("8X", 64), ("8XDC", 64)]
)
@pytest.mark.parametrize("half", [0, 4])
def test_superresolution(name, size, half):
    changed = config(img_resolution=size, sr_num_fp16_res=half)
    changed["G"]["rendering_kwargs"]["superresolution_module"] = f"a.b.SuperresolutionHybrid{name}"
    G = build(changed).G
    low = G.superresolution.input_resolution
    rgb, x = torch.randn(1, 3, low, low), torch.randn(1, 32, low, low)
    ws = torch.randn(1, G.num_ws, G.w_dim)
    found = measured(lambda: G.superresolution(rgb, x, ws, "none"), [G])
    work = counts.superresolution(changed["G"])
    assert (work.half_flops > 0) == (half > 0)
    flops, moved, kept = found
    scale = 2 if half else 1  # on a CPU all is float32
    near(work, (flops, moved / scale, kept / scale), moved=0.15, kept=0.15)


def test_render(gan):
    ws = torch.randn(1, gan.G.num_ws, gan.G.w_dim)
    c = torch.tensor(CONFIG["meta"].get("latent_cameras", gan.G.canonical_label().tolist()))[:1]
    planes = gan.G.planes(ws).detach().requires_grad_(True)
    near(counts.render(CONFIG["G"]), measured(lambda: gan.G.render(planes, c)["features"], [gan.G]))


@pytest.mark.parametrize("clamp", [None, 256])
def test_discriminator(clamp):
    changed = copy.deepcopy(CONFIG)
    changed["D"] |= dict(num_fp16_res=0, conv_clamp=clamp)
    D, r = build(changed).D, changed["G"].get("neural_rendering_resolution", 64)
    pair = torch.randn(1, 3, 64, 64), torch.randn(1, 3, r, r)
    one, two = (
        measured(lambda n=n: D(*(p.expand(n, -1, -1, -1) for p in pair), torch.randn(n, 25)), [D])
        for n in (1, 2)
    )  # the difference is of a sample: the layers also make weights with their gains
    near(counts.discriminator(changed["D"]), [b - a for a, b in zip(one, two)])


def test_unet():
    grid = Grid(resolution=64, pads=SLAB_ENTIRE)
    reward = RewardModel(mini_config(grid)).requires_grad_(False)
    slab = torch.randn(1, *grid.shape, requires_grad=True)
    found = measured(lambda: reward(slab), [reward])
    c = reward.config
    work = counts.unet(grid.shape, c.f_maps)
    near(work + counts.head(c.feature_size, c.trunk, c.trunk_out, c.head), found)


@pytest.mark.parametrize("grid", [Grid(resolution=64, pads=SLAB_ENTIRE), Grid(resolution=32)])
def test_sampler(gan, grid):
    planes = torch.randn(1, 3, 32, 64, 64)
    sampler.use("torch")
    try:
        flops, moved, _ = measured(lambda: gan.G.sigma_grid(planes, grid), [gan.G])
    finally:
        sampler.use("auto")
    span = [n / grid.resolution for n in grid.shape]
    work = counts.tables(CONFIG["G"], span) + counts.cells(grid.size, 64 / grid.resolution)
    assert work.flops == pytest.approx(flops, rel=0.3)
    assert work.bytes == pytest.approx(moved, rel=0.3)

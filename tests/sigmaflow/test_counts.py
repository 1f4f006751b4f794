"""Counted operations and bytes against those of the networks themselves."""

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.finetune import counts, estimate
from sigmaflow.finetune.losses import r1_penalty
from sigmaflow.generators import build, sampler, separable
from sigmaflow.generators.checkpoint import MINI
from sigmaflow.rewards.model import RewardModel, mini_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = json.loads((MINI / "config.json").read_text())


class Counted(TorchDispatchMode):
    """Operations, and bytes that they read and write but for the modules' own; views move none."""

    def __init__(self, modules):
        super().__init__()
        self.flops = self.bytes = 0
        own = [t for m in modules for t in (*m.parameters(), *m.buffers())]
        self._own = {t.untyped_storage().data_ptr() for t in own}

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = call(*args, **kwargs)
        if not call.is_view and call.namespace == "aten":
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(self._size(t) for t in tensors)
        if call.overloadpacket in flop_registry:
            self.flops += flop_registry[call.overloadpacket](*args, **kwargs, out_val=out)
        return out

    def _size(self, t):
        own = t.untyped_storage().data_ptr() in self._own
        return 0 if own else t.element_size() * t.numel()


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
    with torch.no_grad(), Counted(modules) as moved:
        call()
    del out
    assert moved.flops == flops.get_total_flops()
    return moved.flops, moved.bytes, sum(kept.values())


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
    "name, size", [("1X", 64), ("2X", 64), ("4X", 64), ("8X", 64), ("8XDC", 64)]
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


@pytest.mark.parametrize("grid", [Grid(resolution=128, pads=SLAB_ENTIRE), Grid(resolution=64)])
def test_sampler(gan, grid, monkeypatch):
    """In tiles of a GPU's size, cells one and two texels apart."""
    monkeypatch.setitem(separable.CELLS_PER_TILE, "cpu", separable.CELLS_PER_TILE["cuda"])
    planes = torch.randn(1, 3, 32, 128, 128)
    sampler.use("torch")
    try:
        with torch.no_grad(), Counted([gan.G]) as found:
            gan.G.sigma_grid(planes, grid)
    finally:
        sampler.use("auto")
    work = counts.sampler({"plane_resolution": 128}, grid.shape, grid.resolution)
    assert work.flops == pytest.approx(found.flops, rel=0.1)
    assert work.bytes == pytest.approx(found.bytes, rel=0.15)


# ---------------------------------------------------------------------- there and back


def there_and_back(call, modules):
    """Operations and bytes of `call` with its way back, over those of the way there."""
    with torch.no_grad(), Counted(modules) as there:
        call()
    with Counted(modules) as both:
        call().sum().backward()
    return both.flops / there.flops, both.bytes / there.bytes


def test_the_way_back(gan):
    c = gan.G.canonical_label()
    image, raw = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64)
    ws = torch.randn(1, gan.G.num_ws, gan.G.w_dim)
    for call in (lambda: gan.D(image, raw, c), lambda: gan.G.planes(ws)):
        found = there_and_back(call, [gan.G, gan.D])
        assert found == pytest.approx(estimate.TRAINED, rel=0.15)
    gan.D.requires_grad_(False)
    image.requires_grad_(True), raw.requires_grad_(True)
    found = there_and_back(lambda: gan.D(image, raw, c), [gan.D])
    assert found == pytest.approx(estimate.PASSED, rel=0.1)
    gan.D.requires_grad_(True)


def test_the_way_back_of_the_reward():
    grid = Grid(resolution=64, pads=SLAB_ENTIRE)
    reward = RewardModel(mini_config(grid)).requires_grad_(False)
    slab = torch.randn(1, *grid.shape, requires_grad=True)
    assert there_and_back(lambda: reward(slab), [reward]) == pytest.approx(estimate.VOLUME, rel=0.1)


def test_r1(gan):
    pair, c = (torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64)), gan.G.canonical_label()
    with torch.no_grad(), Counted([gan.D]) as there:
        gan.D(*pair, c)
    with Counted([gan.D]) as both:
        r1_penalty(gan.D, *pair, c).sum().backward()
    found = both.flops / there.flops, both.bytes / there.bytes
    assert found == pytest.approx(estimate.R1, rel=0.1)


# ---------------------------------------------------------------------- weights, and the estimate


def test_weights(gan):
    assert counts.generator_parameters(CONFIG["G"]) == sum(p.numel() for p in gan.G.parameters())
    assert counts.discriminator_parameters(CONFIG["D"]) == sum(
        p.numel() for p in gan.D.parameters()
    )


@pytest.fixture(scope="module")
def paper():
    """The paper's fine-tune: EG3D-512, the slab of 256."""
    kwargs = yaml.safe_load((ROOT / "sweeps" / "rehearsal.yaml").read_text())
    slab = Grid(resolution=256, pads=SLAB_ENTIRE)
    return estimate.Shape(kwargs["G"], kwargs["D"], slab.shape, slab.resolution)


def test_weights_of_the_paper(paper):
    assert counts.generator_parameters(paper.G) == 30_662_136  # of the public checkpoint
    assert counts.discriminator_parameters(paper.D) == 31_359_744


def test_the_micro_batch_fits_and_the_next_does_not(paper):
    found = estimate.estimate(paper)
    fits = found.micro_batch
    assert 1 <= fits < paper.batch
    assert found.memory(fits) <= found.card.memory < found.memory(2 * fits)
    small = dataclasses.replace(found.card, memory=found.fixed)
    assert estimate.estimate(paper, small).micro_batch == 0


def test_times_follow_the_card_and_the_settings(paper):
    one = estimate.estimate(paper)
    low, middle, high = one.seconds_per_kimg
    assert 0 < low < middle < high
    card = one.card
    twice = dataclasses.replace(
        card, flops=2 * card.flops, half_flops=2 * card.half_flops, bandwidth=2 * card.bandwidth
    )
    assert estimate.estimate(paper, twice).seconds_per_kimg[1] == pytest.approx(middle / 2)
    rare = estimate.estimate(dataclasses.replace(paper, r1_interval=32))
    assert rare.seconds["R1"][1] == pytest.approx(one.seconds["R1"][1] / 2)
    again = estimate.estimate(dataclasses.replace(paper, checkpoint=True))
    assert again.seconds["reward"][1] > one.seconds["reward"][1]
    assert again.sample["reward"] < one.sample["reward"]


def test_it_needs_no_torch():
    code = "import sys, sigmaflow.finetune.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

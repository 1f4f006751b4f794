"""What `doctor --gpu` measures: does a GPU compute what the CPU does, how much memory, how long."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.finetune import FinetuneConfig, RewardTerm, start_state
from sigmaflow.finetune.loop import Step
from sigmaflow.finetune.state import Means
from sigmaflow.generators import GANCheckpoint, RaySampling, load_gan
from sigmaflow.rewards.model import RewardConfig, RewardModel, mini_config

Net = TypeVar("Net", bound=nn.Module)

GIB = 2**30
SEEDS = (0, 1)


@dataclass(frozen=True)
class Cost:
    """Seconds (median) and peak bytes above the level before; bytes are None off CUDA."""

    what: str
    seconds: float
    peak: int | None


class NoiseImages:
    """Pictures of noise: a step costs the same as with faces."""

    def __init__(self, resolution: int, label: Tensor, count: int = 16):
        draw = np.random.default_rng(0).integers(0, 256, (count, 3, resolution, resolution))
        self.pixels = torch.from_numpy(draw.astype(np.uint8))
        self.labels = label.cpu().expand(count, -1)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        return self.pixels[indices], self.labels[indices]


def report(source: str, device: str, batch: int) -> str:
    """The measurements as Markdown, to be pasted into an issue. Raises ValueError, RuntimeError."""
    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no GPU; `--device cpu` shows what the report looks like")
    gan = load_gan(source)
    reward = reward_of(gan)
    rows = list(parity(gan, reward, where))
    costs = list(timings(gan, reward, where, batch))
    step = costs[-1].seconds
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else platform.processor()
    lines = [
        f"### sigmaflow on {where.type} {name}".rstrip(),
        "",
        f"torch {torch.__version__}, checkpoint `{source}`, slab {reward.config.grid.shape}, "
        f"batch {batch}, TF32 {'on' if torch.backends.cuda.matmul.allow_tf32 else 'off'}",
        "",
        "| against the CPU | relative L2 |",
        "|---|---|",
        *(f"| {key} | {value:.1e} |" for key, value in rows),
        "",
        "| cost | seconds | peak GiB |",
        "|---|---|---|",
        *(
            f"| {c.what} | {c.seconds:.4g} | {'-' if c.peak is None else f'{c.peak / GIB:.2f}'} |"
            for c in costs
        ),
        "",
        f"**{step / batch * 1000:.0f} s/kimg**, without scoring of fixed seeds",
    ]
    return "\n".join(lines)


def reward_of(gan: GANCheckpoint) -> RewardModel:
    """A reward with random weights: the released network, or mini's for small planes."""
    torch.manual_seed(0)
    big = gan.G_ema.init_kwargs["plane_resolution"] >= 256
    side = float(gan.G_ema.rendering_kwargs["box_warp"])
    if big:
        grid = Grid(resolution=256, kind="released", length=side, pads=SLAB_ENTIRE)
        config = RewardConfig(grid=grid)
    else:
        config = mini_config(Grid(resolution=32, kind="released", length=side, pads=SLAB_ENTIRE))
    return RewardModel(config).eval().requires_grad_(False)


def parity(
    gan: GANCheckpoint, reward: RewardModel, device: torch.device
) -> Iterator[tuple[str, float]]:
    """(quantity, relative L2) of `device` against the CPU, float32, same weights and latents."""
    ours, theirs = _quantities(gan, reward, torch.device("cpu")), _quantities(gan, reward, device)
    for key in ours:
        a, b = ours[key].double(), theirs[key].double().cpu()
        yield key, float((a - b).norm() / a.norm().clamp_min(1e-30))


def _quantities(gan: GANCheckpoint, reward: RewardModel, device: torch.device) -> dict[str, Tensor]:
    G, D, net = _on(gan.G_ema, device), _on(gan.D, device), _on(reward, device)
    z = latents(SEEDS, G.z_dim).to(device)
    c = G.canonical_label().expand(len(z), -1)
    with torch.no_grad():
        ws = G.mapping(z, c, truncation_psi=0.7)
        planes = G.planes(ws)
        out = G.synthesis(
            ws, c, noise_mode="const", planes=planes, sampling=RaySampling(deterministic=True)
        )
        logits = D(out["image"], out["image_raw"], c)
    one = planes[:1].detach().requires_grad_(True)
    slab = G.sigma_grid(one, net.config.grid)
    score = net(slab)
    (slope,) = torch.autograd.grad(score.sum(), one)
    return {
        "ws": ws,
        "planes": planes,
        "image": out["image"],
        "depth": out["image_depth"],
        "logits": logits,
        "slab": slab.detach(),
        "reward": score.detach(),
        "d reward / d planes": slope,
    }


def _on(module: Net, device: torch.device) -> Net:
    return copy.deepcopy(module).to(device).eval().requires_grad_(False)


def timings(
    gan: GANCheckpoint, reward: RewardModel, device: torch.device, batch: int
) -> Iterator[Cost]:
    """A slab, a reward with gradient, and a whole fine-tune step (the last) on `device`."""
    G, net = _on(gan.G_ema, device), _on(reward, device)
    z, grid = latents(SEEDS[:1], G.z_dim).to(device), net.config.grid

    def sample() -> Tensor:
        with torch.no_grad():
            return sample_slab(G, z, grid)

    slab = sample()

    def gradient() -> None:
        x = slab.clone().requires_grad_(True)
        net(x).sum().backward()

    yield measure("slab of one latent", sample, device)
    yield measure("reward of one slab, with gradient", gradient, device)
    start, ema = (copy.deepcopy(m).to(device) for m in (gan.G, gan.G_ema))
    critic = copy.deepcopy(gan.D).to(device)
    config = FinetuneConfig(batch=batch, density_reg_interval=4, r1_interval=16)
    state = start_state(GANCheckpoint(start, critic, ema), config)
    images = NoiseImages(G.img_resolution, G.canonical_label())
    term = RewardTerm(score=net, grid=grid)

    def step(number: int) -> Cost:
        state.images_seen = batch * number
        one = Step(state, images, config.resolved(), Means(), term, G)
        return measure("", one.run, device, repeats=1)

    step(1)  # the first one pays for what is allocated and chosen once
    full, plain = step(0), step(1)  # with both regularisers, and with neither
    seconds = plain.seconds + max(full.seconds - plain.seconds, 0) / config.density_reg_interval
    peak = None if full.peak is None else max(full.peak, plain.peak or 0)
    yield Cost(f"fine-tune step of {batch} (at most)", seconds, peak)


def measure(what: str, work: Callable[[], object], device: torch.device, repeats: int = 3) -> Cost:
    """Median seconds of `work`, after one run that does not count where it is repeated."""
    if repeats > 1:
        work()
    cuda = device.type == "cuda"
    before = 0
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated(device) - before if cuda else None
    return Cost(what, float(np.median(seconds)), peak)

"""Hours and memory of a fine-tune on one GPU, estimated from counts. Imports without torch.

Nothing here was measured on a GPU. Operations and bytes are those of `counts`; a card does them at
shares of its data sheet that are assumed (`SHARES`), one after the other. The loop is the paper's:
a generator phase with reward and consistency, density regularisation, discriminator, R1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import counts
from .counts import FLOAT, Work

# Way there and back over the way there, of operations and of bytes, as counted on small networks.
TRAINED = (3.0, 2.7)  # weights want gradients
PASSED = (2.0, 2.0)  # only the input does
VOLUME = (2.0, 3.6)  # the same of the U-Net, with its group norms
R1 = (6.0, 6.0)  # gradients of gradients
SAMPLER = (3.0, 2.6)  # hidden units are remade
AGAIN = 1.0  # one more way forward where activations are remade

CUDA_CONTEXT = 0.6e9  # bytes: context, cuDNN and cuBLAS workspaces
FRAGMENTS = 1.1  # what the allocator holds over what is in use


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet: operations a second, bytes a second, bytes."""

    name: str
    flops: float
    half_flops: float
    bandwidth: float
    memory: float


RTX_4090 = Card("RTX 4090", 82.6e12, 165.2e12, 1008e9, 24e9)
SHARES = {"low": (0.60, 0.85), "middle": (0.40, 0.70), "high": (0.25, 0.50)}
"""Assumed shares of operations and of bandwidth behind the lowest, middle and highest time."""


@dataclass(frozen=True)
class Shape:
    """What the counts need to know of a fine-tune.

    G, D: settings of the networks as in a checkpoint's `config.json`. slab: cells of the reward's
    grid along x, y, z, and resolution of that grid. f_maps, checkpoint: of the reward's U-Net.
    consistency: cells along a side. The intervals are those of Greg and R1 in steps. scored_share:
        latents scored at the end of a tick, over the images of a tick.
    """

    G: Mapping[str, Any]
    D: Mapping[str, Any]
    slab: tuple[int, int, int]
    resolution: int
    f_maps: Sequence[int] = (8, 16, 32, 64, 128, 256)
    checkpoint: bool = False
    consistency: int = 64
    batch: int = 16
    density_reg_interval: int = 4
    r1_interval: int = 16
    scored_share: float = 0.2


@dataclass(frozen=True)
class Estimate:
    """Per phase: seconds of an image at low, middle and high, share of steps included.

    fixed: bytes of weights, their gradients, moments and copies. sample: bytes of activations of
    one sample by phase. micro_batch: the most that fit, 0 where not even one does.
    """

    card: Card
    seconds: Mapping[str, tuple[float, float, float]]
    fixed: float
    sample: Mapping[str, float]
    batch: int

    @property
    def seconds_per_kimg(self) -> tuple[float, float, float]:
        """Low, middle, high."""
        low, middle, high = (1000 * sum(each) for each in zip(*self.seconds.values()))
        return low, middle, high

    @property
    def micro_batch(self) -> int:
        """The largest power of two up to the batch that fits the card; 0 where none does."""
        room = (self.card.memory - self.fixed) / FRAGMENTS
        most = min(int(room / max(self.sample.values())), self.batch)
        return 2 ** int(math.log2(most)) if most >= 1 else 0

    def memory(self, micro_batch: int) -> float:
        """Bytes on the card with so many samples at once."""
        return self.fixed + FRAGMENTS * micro_batch * max(self.sample.values())


def seconds(work: Work, card: Card, shares: tuple[float, float]) -> float:
    """Of operations and of bytes, one after the other."""
    operations = work.flops / card.flops + work.half_flops / card.half_flops
    return operations / shares[0] + work.bytes / card.bandwidth / shares[1]


def phases(shape: Shape) -> dict[str, Work]:
    """One sample of every phase there and back, each as often as it runs in a step."""
    G, D = shape.G, shape.D
    backbone = counts.mapping(G) + counts.backbone(G)
    pictures = counts.render(G) + counts.superresolution(G)
    judge = counts.discriminator(D)
    sampler = counts.sampler(G, shape.slab, shape.resolution)
    unet = counts.unet(shape.slab, shape.f_maps)
    box = counts.sampler(G, (shape.consistency,) * 3, shape.consistency)
    again = AGAIN if shape.checkpoint else 0.0
    looked_at = (backbone + sampler + unet).times(*(2 * (shape.scored_share,)))
    return {
        "Gmain": (backbone + pictures).times(*TRAINED) + judge.times(*PASSED),
        "reward": backbone.times(*TRAINED)
        + sampler.times(*SAMPLER)
        + unet.times(*(each + again for each in VOLUME)),
        "consistency": backbone + box + box.times(*SAMPLER),
        "Greg": backbone.times(*(each / shape.density_reg_interval for each in TRAINED)),
        "D": backbone + pictures + judge.times(*TRAINED) + judge.times(*TRAINED),
        "R1": judge.times(*(each / shape.r1_interval for each in R1)),
        "Adam and EMA": _updates(shape),
        "ticks": looked_at,
    }


def reward_phase_over_net(shape: Shape, card: Card = RTX_4090) -> tuple[float, float, float]:
    """Time of reward and consistency over that of the U-Net alone, at low, middle and high."""
    every = phases(shape)
    net = counts.unet(shape.slab, shape.f_maps).times(*VOLUME)
    both = every["reward"] + every["consistency"]
    low, middle, high = (seconds(both, card, s) / seconds(net, card, s) for s in SHARES.values())
    return low, middle, high


def estimate(shape: Shape, card: Card = RTX_4090) -> Estimate:
    """Seconds by phase, memory and the micro-batch that fits."""
    times: dict[str, tuple[float, float, float]] = {}
    for name, work in phases(shape).items():
        low, middle, high = (seconds(work, card, shares) for shares in SHARES.values())
        times[name] = low, middle, high
    return Estimate(card, times, _fixed(shape), _kept(shape), shape.batch)


def _kept(shape: Shape) -> dict[str, float]:
    """Bytes of activations of one sample, by phase."""
    G = shape.G
    backbone, judge = counts.backbone(G).kept, counts.discriminator(shape.D).kept
    pictures = counts.render(G).kept + counts.superresolution(G).kept
    unet = counts.unet(shape.slab, shape.f_maps).kept
    if shape.checkpoint:
        unet *= 0.5  # measured (docs/sampling.md): 0.81 of 1.71 GiB
    return {
        "Gmain": backbone + pictures + judge,
        "reward": backbone + counts.sampler(G, shape.slab, shape.resolution).kept + unet,
        "Greg": backbone,
        "D": 2 * judge,
        "R1": 3 * judge,  # the way back is kept too
    }


def _fixed(shape: Shape) -> float:
    """Weights of G, its average and its start, and D; gradients and two moments of G and D."""
    G, D = counts.generator_parameters(shape.G), counts.discriminator_parameters(shape.D)
    return FLOAT * (6 * G + 4 * D) + CUDA_CONTEXT


def _updates(shape: Shape) -> Work:
    """Adam reads and writes weights, gradients and moments some twelve times, the average three."""
    G, D = counts.generator_parameters(shape.G), counts.discriminator_parameters(shape.D)
    g_steps, d_steps = 1 + 1 / shape.density_reg_interval, 1 + 1 / shape.r1_interval
    moved = 14 * (g_steps * G + d_steps * D) + 3 * G
    return Work(bytes=FLOAT * moved / shape.batch)

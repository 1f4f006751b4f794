"""A step of the released fine-tune in its plain formulation, written from its description.

One sample at a time through each of its phases: sigma from `grid_sample` at a million points a
call, each call with its own pass of mapping and backbone; the whole decoder where only density is
wanted; a depth render that nobody looks at; the reward's weights with gradients; generator, reward
and discriminator phases one after the other, each with its own latents and optimiser.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.finetune.geometry import RELEASED, RewardTerm, field_distance, reward_loss
from sigmaflow.finetune.losses import (
    density_variation,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    real_pair,
)
from sigmaflow.finetune.state import step_optimizer, update_ema
from sigmaflow.generators import GANCheckpoint, TriPlaneGenerator

POINTS = 1_000_000  # of one call of the sampler


def sampled(
    G: TriPlaneGenerator, z: Tensor, c: Tensor, grid: Grid, psi: float, update_emas: bool = False
) -> Tensor:
    """Raw sigma [1, *grid.shape] of one latent: a pass of the backbone for each million points."""
    parts = []
    for points in grid.points(z.device).split(POINTS):
        ws = G.mapping(z, c, psi, 14, update_emas=update_emas)
        planes = G.planes(ws, noise_mode="const")
        parts.append(G.field(planes, points[None])[1][0, :, 0])
    return torch.cat(parts).reshape(1, *grid.shape)


class PlainStep:
    """The phases of one step, each a method without arguments that ends with its own Adam step."""

    def __init__(
        self,
        gan: GANCheckpoint,
        G_old: TriPlaneGenerator,
        reward: RewardTerm,
        consistency: Grid,
        pixels: Tensor,
        labels: Tensor,
        density_reg_points: int = 1000,
    ):
        """pixels [B, 3, R, R] in [-1, 1] with labels [B, 25]: the batch of every step."""
        self.G, self.D, self.G_ema, self.G_old = gan.G, gan.D, gan.G_ema, G_old
        self.reward, self.consistency, self.points = reward, consistency, density_reg_points
        self.pixels, self.labels = pixels, labels
        self.batch = len(pixels)
        adam = torch.optim.Adam
        self.optimizers = {
            "G": adam(self.G.parameters(), 0.002, (0.0, 0.99**0.8)),
            "geometry": adam(self.G.parameters(), 0.0025, (0.0, 0.99)),
            "D": adam(self.D.parameters(), 0.002 * 16 / 17, (0.0, 0.99 ** (16 / 17))),
        }

    def _samples(self):
        """Latent, label and image of each micro-batch of one."""
        for i in range(self.batch):
            one = slice(i, i + 1)
            yield torch.randn(1, self.G.z_dim), self.labels[one], self.pixels[one]

    def _fake(self, z: Tensor, c: Tensor) -> Tensor:
        fake = self.G.synthesis(self.G.mapping(z, c, update_emas=self._moves), c)
        return self.D(fake["image"], fake["image_raw"], c)

    def _begin(self, name: str, moves: bool = False) -> None:
        self._moves = moves
        self.D.requires_grad_(name == "D")
        self.G.requires_grad_(name != "D")
        self.optimizers[name].zero_grad(set_to_none=True)

    def g_main(self) -> None:
        self._begin("G")
        for z, c, _ in self._samples():
            (generator_loss(self._fake(z, c)).mean() / self.batch).backward()
        step_optimizer(self.optimizers["G"])

    def g_reg(self) -> None:
        self._begin("G")
        for z, c, _ in self._samples():
            planes = self.G.planes(self.G.mapping(z, c), noise_mode="random")
            variation = density_variation(self.G, planes, self.points, 0.004)
            (0.25 * variation / self.batch).backward()
        step_optimizer(self.optimizers["G"])

    def d_main(self) -> None:
        self._begin("D", moves=True)
        for z, c, pixels in self._samples():
            fake, _ = discriminator_loss(self._fake(z, c), torch.zeros(1, 1))
            (fake.mean() / self.batch).backward()
            real = self.D(*real_pair(pixels, self.G.neural_rendering_resolution), c)
            _, real = discriminator_loss(torch.zeros(1, 1), real)
            (real.mean() / self.batch).backward()
        step_optimizer(self.optimizers["D"])

    def d_reg(self) -> None:
        self._begin("D")
        for _, c, pixels in self._samples():
            pair = real_pair(pixels, self.G.neural_rendering_resolution)
            (10.0 * r1_penalty(self.D, *pair, c).mean() / self.batch).backward()
        step_optimizer(self.optimizers["D"])

    def geometry(self) -> None:
        """Reward and consistency, separate passes of everything, and the render of no use."""
        self._begin("geometry")
        for z, _, _ in self._samples():
            self.reward_of(z)
            self.consistency_of(z)
        step_optimizer(self.optimizers["geometry"])

    def reward_of(self, z: Tensor) -> None:
        c = self.G.canonical_label()
        # 64 pixels where the generator renders 128: half its resolution here too.
        unused = self.G.render(
            self.G.planes(self.G.mapping(z, c), noise_mode="const"), c,
            self.G.neural_rendering_resolution // 2,
        )["image_depth"]  # fmt: skip
        sigma = sampled(self.G, z, c, self.reward.grid, 1.0, update_emas=True)
        loss, _ = reward_loss(self.reward.score(sigma), (-10.0, 10.0), RELEASED)
        (10.0 * loss / self.batch).backward()
        del unused

    def consistency_of(self, z: Tensor) -> None:
        c = self.G.canonical_label()
        with torch.no_grad():
            target = sampled(self.G_old, z, c, self.consistency, 0.7)
        field = sampled(self.G, z, c, self.consistency, 0.7)
        (0.01 * field_distance(field, target, "sum") / self.batch).backward()

    def ema(self) -> None:
        update_ema(self.G_ema, self.G, 0.5 ** (self.batch / 5000))

"""Train a generator that a warm start fitted against a projected discriminator.

The fit leaves pictures of latents between the known ones smooth; the adversary sharpens them, while
a falling share of the fit's own regression keeps the known latents where they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sigmaflow.generators import GANCheckpoint
from sigmaflow.metrics.vgg import VGGFeatures

from .config import ProjectedConfig
from .losses import density_variation, swap_cameras
from .projected import ProjectedDiscriminator, hinge_discriminator, hinge_generator
from .state import (
    GANState,
    ImageSet,
    Pause,
    Tick,
    seed_step,
    shuffled,
    step_optimizer,
    to_float,
    update_ema,
)
from .warm import HeldOut, image_terms, pick_views, view_table

NAME = "projected"  # of the discriminator among the state's networks, and of its Adam
STAGES = 4  # of VGG-16 that it sees
CALIBRATION = 64  # real images


def start_projected_state(
    start: GANCheckpoint, real: ImageSet, config: ProjectedConfig
) -> GANState:
    """Copies of the start networks, a fresh projected discriminator, and cold optimisers.

    real: what the adversary will see as real; the discriminator is calibrated on some of it. The
    start's own D is carried along and not trained.
    """
    G, D, G_ema = copy.deepcopy(start.G), copy.deepcopy(start.D), copy.deepcopy(start.G_ema)
    G.train().requires_grad_(True)
    D.eval().requires_grad_(False)
    G_ema.eval().requires_grad_(False)
    state = GANState(G, D, G_ema, {}, meta=dict(start.meta))
    vgg = VGGFeatures(STAGES, state.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projected = ProjectedDiscriminator(
            vgg, G.img_resolution, config.width, config.head_width, config.precision
        )
    projected = projected.to(state.device).train()
    pixels, _ = real.batch(shuffled(config.seed, 0, CALIBRATION, len(real)))
    projected.calibrate(to_float(pixels, state.device))
    betas = config.beta1, config.beta2
    state.optimizers = {
        "G": torch.optim.Adam(G.parameters(), config.g_lr, betas, eps=1e-8),
        NAME: torch.optim.Adam(projected.heads.parameters(), config.d_lr, betas, eps=1e-8),
    }
    state.more = {NAME: projected}
    return state


def regression_weight(config: ProjectedConfig, images_seen: int) -> float:
    """Falls linearly from `regression_weight` to `regression_floor`, then stays."""
    length = config.regression_end * config.kimg * 1000
    left = max(1 - images_seen / length, 0.0) if length > 0 else 0.0
    return config.regression_floor + left * (config.regression_weight - config.regression_floor)


class ProjectedStep:
    """One batch: the heads one step on, then the generator against them.

    One set of fakes serves both, so that it is rendered and seen by VGG-16 once: the heads learn
    from its features without their graph, the generator from the graph and the newer heads.
    """

    def __init__(
        self,
        state: GANState,
        real: ImageSet,
        images: ImageSet,
        table: np.ndarray,
        latents: np.ndarray,
        config: ProjectedConfig,
        perceptual: VGGFeatures | None,
    ):
        self.state, self.config, self.perceptual = state, config, perceptual
        self.G, self.device = state.G, state.device
        self.D = cast(ProjectedDiscriminator, state.more[NAME])
        seen, batch = state.images_seen, config.batch
        rng = seed_step(config.seed, seen)
        pixels, labels = real.batch(shuffled(config.seed, seen, batch, len(real)))
        self.real = to_float(pixels, self.device)
        self.c = labels.to(self.device)[torch.as_tensor(rng.permutation(batch))]
        drawn = rng.integers(len(table), size=batch)
        self.z = torch.randn(batch, self.G.z_dim)
        if config.known_latents:
            self.z = torch.as_tensor(latents[table[drawn, 0]], dtype=torch.float32)
        self.z = self.z.to(self.device)
        self.weight = regression_weight(config, seen)
        self.known: tuple[Tensor, Tensor, Tensor] | None = None
        if self.weight > 0:
            count = config.identities
            who = shuffled(config.seed, seen // batch * count, count, len(table))
            picks = pick_views(rng, table[who], config.views)
            pixels, c = images.batch(picks.reshape(-1))
            z = torch.as_tensor(latents[picks[:, 0]], dtype=torch.float32, device=self.device)
            self.known = z, c.to(self.device), to_float(pixels, self.device)

    def run(self) -> None:
        """Both losses, their Adams, and the moving average."""
        state, config = self.state, self.config
        adam = state.optimizers["G"]
        adam.zero_grad(set_to_none=True)
        swapped = swap_cameras(self.c, config.gpc_reg_prob)
        ws = self.G.mapping(self.z, swapped, update_emas=True)
        planes = self.G.planes(ws, noise_mode=config.noise_mode)
        fake = self.G.synthesis(ws, self.c, noise_mode=config.noise_mode, planes=planes)["image"]
        features = self.D.features(fake)
        self.discriminator([x.detach() for x in features])
        self.generator(features, planes)
        if self.known is not None:
            self.regression(*self.known)
        step_optimizer(adam)
        state.images_seen += config.batch
        update_ema(state.G_ema, self.G, 0.5 ** (config.batch / (config.ema_kimg * 1000)))

    def discriminator(self, fake: list[Tensor]) -> None:
        """Hinge loss of the heads on features of real images and these; a step of their Adam."""
        adam = self.state.optimizers[NAME]
        self.D.heads.requires_grad_(True)
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            real = self.D.features(self.real)
        both = self.D.judge([torch.cat(pair) for pair in zip(real, fake)])
        logits = [x.split(len(self.real)) for x in both]
        loss = hinge_discriminator([f for _, f in logits], [r for r, _ in logits])
        self.state.means.add(loss_d=loss, logits_real=torch.stack([r.mean() for r, _ in logits]))
        loss.backward()
        step_optimizer(adam)

    def generator(self, features: list[Tensor], planes: Tensor) -> None:
        """Gradients of the generator's hinge loss and of the smoothness of its density."""
        config = self.config
        self.D.heads.eval().requires_grad_(False)  # spectral norms stay
        logits = self.D.judge(features)
        self.D.heads.train()
        loss = hinge_generator(logits)
        variation = density_variation(self.G, planes, 500, 0.004)
        self.state.means.add(loss_g=loss, logits_fake=torch.stack([x.mean() for x in logits]),
                             density_variation=variation)  # fmt: skip
        (config.adversarial_weight * loss + config.density_reg * variation).backward()

    def regression(self, z: Tensor, c: Tensor, target: Tensor) -> None:
        """Add the gradients of the regression of known latents, as in the warm start."""
        config = self.config
        swapped = swap_cameras(c[:: config.views], config.gpc_reg_prob)
        ws = self.G.mapping(z, swapped, update_emas=False)
        planes = self.G.planes(ws, noise_mode="const")
        terms = image_terms(self.G, ws, planes, c, target, self.perceptual, config)
        self.state.means.add(**{name: value for name, (value, _) in terms.items()})
        loss = cast(Tensor, sum(value * weight for value, weight in terms.values()))
        (self.weight * loss).backward()


def train_projected(
    state: GANState,
    real: ImageSet,
    images: ImageSet,
    seeds: np.ndarray,
    latents: np.ndarray,
    config: ProjectedConfig,
    heldout: HeldOut | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Tick | Pause]:
    """Run from where `state` (`start_projected_state`) is to `config.kimg`.

    real: images that the adversary takes for real, and whose cameras it shows the generator at.
    images: the regression's, of which seeds [n] say which show the same identity, and the rows of
    latents [n, z_dim] whose image it is. heldout is measured at every tick. Ticks, Pauses and exact
    resume as in `finetune`. Raises ValueError where `config.views` is more than the images have of
    an identity, and FloatingPointError after a step whose numbers are not finite.
    """
    table = view_table(np.asarray(seeds))
    if config.views > table.shape[1]:
        raise ValueError(f"views {config.views}: the images hold {table.shape[1]} views of an "
                         "identity; take fewer, or render more")  # fmt: skip
    vgg = None
    if config.perceptual_weight > 0:
        vgg = VGGFeatures(config.perceptual_stages, state.device)
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    while state.images_seen < total:
        ProjectedStep(state, real, images, table, latents, config, vgg).run()
        seen = state.images_seen
        if wrong := state.means.not_finite():
            raise FloatingPointError(
                f"{', '.join(wrong)} not finite after {seen} images; the last save is from before"
            )
        if seen >= total or seen // tick > (seen - config.batch) // tick:
            metrics = state.means.read()
            if heldout is not None:
                metrics |= heldout.measure(state.G_ema, vgg, config.precision)
            yield Tick(seen, metrics, state)
        elif stop is not None and stop():
            yield Pause(seen, state)

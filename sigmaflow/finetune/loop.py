"""The GAN loop with reward and consistency (paper section 3.2.3), phase by phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import TriPlaneGenerator

from .config import FinetuneConfig, LoopConfig
from .geometry import REMADE, geometry_terms, semantics_of
from .losses import (
    View,
    density_variation,
    discriminator_loss,
    generator_loss,
    judged,
    picture,
    r1_penalty,
    real_pair,
    swap_cameras,
)
from .micro import Piece, fitting_micro_batch, pieces_of
from .schedules import blur_sigma, swap_probability
from .shared import Shared
from .start import geometry_phase
from .state import (
    GANState,
    ImageSet,
    Means,
    Pause,
    Tick,
    seed_step,
    shuffled,
    step_optimizer,
    to_float,
    update_ema,
)
from .terms import RewardTerm


class Step:
    """One batch. The phases are its methods, in the order of `run`.

    config is resolved. Random numbers come in the order of the phases: it is part of the seed.
    """

    def __init__(
        self,
        state: GANState,
        images: ImageSet,
        config: LoopConfig,
        means: Means,
        reward: RewardTerm | None = None,
        G_old: TriPlaneGenerator | None = None,
    ):
        self.state, self.config, self.means = state, config, means
        self.G, self.D, self.device = state.G, state.D, state.device
        self.reward, self.G_old, self.phase = reward, G_old, geometry_phase(config)
        seen, batch = state.images_seen, config.batch
        self.frozen = seen < int(getattr(config, "frozen_kimg", 0) * 1000)
        rng = seed_step(config.seed, seen)
        pixels, labels = images.batch(shuffled(config.seed, seen, batch, len(images)))
        self.c_real = labels.to(self.device)
        self.c_fake = self.c_real[torch.as_tensor(rng.permutation(batch), device=self.device)]
        sigma = blur_sigma(seen, config.blur_init_sigma, config.blur_fade_kimg)
        self.swaps = swap_probability(seen, config.gpc_reg_prob, config.gpc_reg_fade_kimg)
        self.view = View(sigma, state.augment)
        pixels = to_float(pixels, self.device)
        self.real = real_pair(pixels, self.G.neural_rendering_resolution, sigma)
        size = config.micro_batch
        size = size if isinstance(size, int) else state.micro_batch or batch
        group = self.D.b4.mbstd_group_size if config.neighbours == "batch" else 1
        self.pieces = pieces_of(batch, size, group)
        self.share = 1 / len(self.pieces)

    def run(self) -> None:
        """All phases that are due, and the moving average; of the frozen part D's alone."""
        state, config = self.state, self.config
        number = state.images_seen // config.batch
        state.samples.begin(state.images_seen, config.batch)
        if not self.frozen:
            z = self.generator_main()
            step_optimizer(state.optimizers["G"])
            if config.density_reg > 0 and number % config.density_reg_interval == 0:
                self.density_regularisation(z)
        self.discriminator_main()
        if config.r1_gamma > 0 and number % config.r1_interval == 0:
            self.r1_regularisation()
        if self.phase == "separate":
            state.optimizers["reward"].zero_grad(set_to_none=True)
            z = self.latents()
            for piece in self.pieces:
                self.geometry(piece, z)
            step_optimizer(state.optimizers["reward"])
        state.images_seen += config.batch
        if not self.frozen:
            update_ema(state.G_ema, self.G, 0.5 ** (config.batch / (config.ema_kimg * 1000)))
        if state.adaptation is not None:
            state.adaptation.step(number + 1, config.batch)
        state.samples.end()

    def generator_main(self) -> Tensor:
        """Non-saturating loss of G, and Eq. 6's terms unless they have a phase of their own. Leaves
        the gradients, and returns the latents."""
        self.D.requires_grad_(False)
        self.state.optimizers["G"].zero_grad(set_to_none=True)
        z = self.latents()
        c = self.conditions()
        for piece in self.pieces:
            shared = None
            if self.phase == "shared":
                shared = Shared(self.G, z[piece], c[piece], self.config.noise_mode, REMADE)
            fake = self.fake(shared or self.G.mapping(z[piece], c[piece]), piece)
            logits = self.logits(fake, self.c_fake[piece])
            loss = generator_loss(logits).mean()
            self.means.add(loss_g=loss, logits_fake=logits)
            self.state.samples.put(piece, logit=logits)
            (loss * self.share).backward()
            if self.phase in ("summed", "shared"):
                self.geometry(piece, z, shared)
            if shared is not None:
                shared.back()
        return z

    def geometry(self, piece: Piece, z: Tensor, shared: Shared | None = None) -> None:
        """Add the gradients of Eq. 6's reward and Eq. 7's consistency at a piece of z."""
        assert isinstance(self.config, FinetuneConfig) and self.G_old is not None
        config = self.config
        box = self.G.rendering_kwargs["box_warp"]
        grid = Grid(resolution=config.consistency_resolution, length=box)
        clamp = config.clamp_low, config.clamp_high
        reward = self.reward if config.lambda_r > 0 else None
        how = semantics_of(config, reward.truncation_psi if reward else 1.0)
        terms = geometry_terms(self.G, self.G_old, z[piece], reward, clamp, grid, how, shared)
        self.state.samples.put(piece, consistency=terms.pop("consistency_each"))
        loss = config.lambda_c * terms["consistency"]
        if reward is not None:
            self.state.samples.put(piece, reward=terms["reward"], saturated=terms["saturation"])
            loss = loss + config.lambda_r * terms["reward_loss"]
        self.means.add(**terms)
        (loss * self.share).backward()

    def density_regularisation(self, z: Tensor) -> None:
        """EG3D's smoothness of the density at z; a step of its own."""
        config, adam = self.config, self.state.optimizers["G"]
        gain = config.density_reg_interval if config.lazy_gain else 1
        adam.zero_grad(set_to_none=True)
        c = self.conditions()
        how = config.density_reg_points, config.density_reg_p_dist
        for piece in self.pieces:
            planes = self.G.planes(self.G.mapping(z[piece], c[piece]), config.noise_mode)
            variation = density_variation(self.G, planes, *how)
            self.means.add(density_variation=variation)
            (config.density_reg * gain * variation * self.share).backward()
        step_optimizer(adam)

    def discriminator_main(self) -> None:
        """Non-saturating loss of D. Moves w_avg, as EG3D does, unless G is frozen."""
        adam = self.state.optimizers["D"]
        self.D.requires_grad_(True)
        adam.zero_grad(set_to_none=True)
        z = self.latents()
        c = self.conditions()
        together = [slice(None)] if self.config.neighbours == "batch" else self.pieces
        with torch.no_grad():
            moves = not self.frozen
            ws = torch.cat([self.G.mapping(z[p], c[p], update_emas=moves) for p in together])
        for piece in self.pieces:
            with torch.no_grad():
                fake = self.fake(ws[piece], piece)
            real = self.real[0][piece], self.real[1][piece]
            logits_real = self.logits(real, self.c_real[piece])
            logits_fake = self.logits(fake, self.c_fake[piece])
            parts = discriminator_loss(logits_fake, logits_real)
            loss = cast(Tensor, sum(part.mean() for part in parts))
            self.means.add(loss_d=loss, logits_real=logits_real)
            if self.frozen:
                self.means.add(logits_fake=logits_fake)
            (loss * self.share).backward()
            if self.state.adaptation is not None:
                self.state.adaptation.observe(logits_real)
        step_optimizer(adam)

    def r1_regularisation(self) -> None:
        """R1 over both real images; a step of its own."""
        config, adam = self.config, self.state.optimizers["D"]
        gain = config.r1_interval if config.lazy_gain else 1
        adam.zero_grad(set_to_none=True)
        for piece in self.pieces:
            real = self.view(self.real[0][piece], self.real[1][piece])
            penalty = r1_penalty(self.D, *real, self.c_real[piece], config.precision)
            self.means.add(r1_penalty=penalty)
            (config.r1_gamma / 2 * gain * penalty.mean() * self.share).backward()
        step_optimizer(adam)

    def latents(self) -> Tensor:
        return torch.randn(self.config.batch, self.G.z_dim, device=self.device)

    def conditions(self) -> Tensor:
        """Cameras [B, 25] for the mapping, some of them a neighbour's."""
        together = [slice(None)] if self.config.neighbours == "batch" else self.pieces
        return torch.cat([swap_cameras(self.c_fake[piece], self.swaps) for piece in together])

    def fake(self, ws: Tensor | Shared, piece: Piece) -> tuple[Tensor, Tensor]:
        how = self.config.noise_mode, self.config.precision
        return picture(self.G, ws, self.c_fake[piece], *how)

    def logits(self, pair: tuple[Tensor, Tensor], c: Tensor) -> Tensor:
        return judged(self.D, self.view(*pair), c, self.config.precision)


def finetune(
    state: GANState,
    images: ImageSet,
    config: LoopConfig,
    reward: RewardTerm | None = None,
    G_old: TriPlaneGenerator | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Tick | Pause]:
    """Run from where `state` is to `config.kimg`; yield a tick every `config.tick_kimg`.

    state: from `start_state`, or that with a checkpoint restored into it. With a plain
    AdversarialConfig this is EG3D's training; with a FinetuneConfig Eq. 6's terms are added, the
    consistency also where lambda_r is 0. G_old is the frozen start (needed for the consistency).
    stop is asked after every step; where it says yes and no tick is due, a Pause is yielded. The
    state of either is live: save it before asking for the next one. Resuming from it repeats the
    run to the same bytes on CPU, metrics included. Raises FloatingPointError after a step whose
    numbers are not finite, before it can be saved.
    """
    config = config.resolved()
    if isinstance(config, FinetuneConfig) and G_old is None:
        raise ValueError("finetune: G_old is needed, the consistency term compares with it")
    if getattr(config, "lambda_r", 0) > 0 and reward is None:
        raise ValueError("finetune: lambda_r > 0 needs a reward")
    if config.micro_batch == "auto" and state.micro_batch is None:
        state.micro_batch = fitting_micro_batch(state, config, reward, G_old)
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    while state.images_seen < total:
        Step(state, images, config, state.means, reward, G_old).run()
        seen = state.images_seen
        if wrong := state.means.not_finite():
            raise FloatingPointError(
                f"{', '.join(wrong)} not finite after {seen} images; the last save is from before"
            )
        if seen >= total or seen // tick > (seen - config.batch) // tick:
            yield Tick(seen, state.means.read(), state, state.samples.read())
        elif stop is not None and stop():
            yield Pause(seen, state)

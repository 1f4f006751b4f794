"""The GAN loop with reward and consistency (paper section 3.2.3)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import GANCheckpoint, TriPlaneGenerator

from .augment import Adaptation, AugmentPipe
from .config import AdversarialConfig, FinetuneConfig
from .geometry import RewardTerm, geometry_terms
from .losses import (
    View,
    density_variation,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    real_pair,
    swap_cameras,
)
from .schedules import blur_sigma, swap_probability
from .state import (
    GANState,
    ImageSet,
    Means,
    Tick,
    seed_step,
    shuffled,
    step_optimizer,
    to_float,
    update_ema,
)


def lazy_adam(parameters, lr: float, beta2: float, interval: int) -> torch.optim.Adam:
    """Adam whose rate and decay account for a regulariser every `interval` steps (StyleGAN2 B)."""
    ratio = interval / (interval + 1)
    return torch.optim.Adam(parameters, lr=lr * ratio, betas=(0.0, beta2**ratio), eps=1e-8)


def start_state(start: GANCheckpoint, config: AdversarialConfig) -> GANState:
    """Copies of the start networks with cold optimisers, at image 0."""
    G, D, G_ema = (copy.deepcopy(n) for n in (start.G, start.D, start.G_ema))
    G.train().requires_grad_(True)
    D.train().requires_grad_(True)
    G_ema.eval().requires_grad_(False)
    g_interval = config.density_reg_interval if config.density_reg > 0 else 1
    optimizers = {
        "G": lazy_adam(G.parameters(), config.g_lr, config.beta2, g_interval),
        "D": lazy_adam(D.parameters(), config.d_lr, config.beta2, config.r1_interval),
    }
    state = GANState(G, D, G_ema, optimizers, meta=dict(start.meta))
    if config.aug != "none":
        state.augment = AugmentPipe(config.aug_p).to(state.device)
    if config.aug == "ada":
        state.adaptation = Adaptation(
            state.augment, config.ada_target, config.ada_interval, config.ada_kimg
        )
    return state


def adversarial_step(
    state: GANState,
    images: ImageSet,
    config: AdversarialConfig,
    means: Means,
    reward: RewardTerm | None = None,
    G_old: TriPlaneGenerator | None = None,
) -> None:
    """One batch: Gmain (with Eq. 6's terms), Greg, Dmain, Dreg, moving average."""
    G, D, device = state.G, state.D, state.device
    step = state.images_seen // config.batch
    rng = seed_step(config.seed, state.images_seen)
    picks = shuffled(config.seed, state.images_seen, config.batch, len(images))
    pixels, labels = images.batch(picks)
    labels = labels.to(device)
    sigma = blur_sigma(state.images_seen, config.blur_init_sigma, config.blur_fade_kimg)
    swaps = swap_probability(state.images_seen, config.gpc_reg_prob, config.gpc_reg_fade_kimg)
    view = View(sigma, state.augment)
    real = real_pair(to_float(pixels, device), G.neural_rendering_resolution, sigma)
    c_fake = labels[torch.as_tensor(rng.permutation(config.batch), device=device)]
    z = torch.randn(config.batch, G.z_dim, device=device)

    D.requires_grad_(False)
    state.optimizers["G"].zero_grad(set_to_none=True)
    ws = G.mapping(z, swap_cameras(c_fake, swaps))
    fake = G.synthesis(ws, c_fake, noise_mode=config.noise_mode)
    logits = D(*view(fake["image"], fake["image_raw"]), c_fake)
    loss = generator_loss(logits).mean()
    means.add(loss_g=loss, logits_fake=logits)
    loss.backward()
    if isinstance(config, FinetuneConfig):
        geometry = geometry_terms(
            G,
            G_old,
            z,
            reward if config.lambda_r > 0 else None,
            (config.clamp_low, config.clamp_high),
            Grid(
                resolution=config.consistency_resolution, length=G.rendering_kwargs["box_warp"]
            ),
        )
        loss = config.lambda_c * geometry["consistency"]
        if "reward_loss" in geometry:
            loss = loss + config.lambda_r * geometry["reward_loss"]
        loss.backward()
        means.add(**geometry)
    step_optimizer(state.optimizers["G"])

    if config.density_reg > 0 and step % config.density_reg_interval == 0:
        state.optimizers["G"].zero_grad(set_to_none=True)
        ws = G.mapping(z, swap_cameras(c_fake, swaps))
        planes = G.planes(ws, noise_mode=config.noise_mode)
        variation = density_variation(
            G, planes, config.density_reg_points, config.density_reg_p_dist
        )
        means.add(density_variation=variation)
        (config.density_reg * config.density_reg_interval * variation).backward()
        step_optimizer(state.optimizers["G"])

    D.requires_grad_(True)
    state.optimizers["D"].zero_grad(set_to_none=True)
    z = torch.randn(config.batch, G.z_dim, device=device)
    with torch.no_grad():
        ws = G.mapping(z, swap_cameras(c_fake, swaps), update_emas=True)
        fake = G.synthesis(ws, c_fake, noise_mode=config.noise_mode)
    logits_real = D(*view(*real), labels)
    logits_fake = D(*view(fake["image"], fake["image_raw"]), c_fake)
    loss = sum(part.mean() for part in discriminator_loss(logits_fake, logits_real))
    means.add(loss_d=loss, logits_real=logits_real)
    loss.backward()
    step_optimizer(state.optimizers["D"])

    if config.r1_gamma > 0 and step % config.r1_interval == 0:
        state.optimizers["D"].zero_grad(set_to_none=True)
        penalty = r1_penalty(D, *view(*real), labels)
        means.add(r1_penalty=penalty)
        (config.r1_gamma / 2 * config.r1_interval * penalty.mean()).backward()
        step_optimizer(state.optimizers["D"])

    state.images_seen += config.batch
    update_ema(state.G_ema, G, 0.5 ** (config.batch / (config.ema_kimg * 1000)))
    if state.adaptation is not None:
        state.adaptation.observe(logits_real)
        state.adaptation.step(step + 1, config.batch)


def finetune(
    state: GANState,
    images: ImageSet,
    config: AdversarialConfig,
    reward: RewardTerm | None = None,
    G_old: TriPlaneGenerator | None = None,
) -> Iterator[Tick]:
    """Run from where `state` is to `config.kimg`; yield a tick every `config.tick_kimg`.

    state: from `start_state`, or that with a checkpoint restored into it. With a plain
    AdversarialConfig this is EG3D's training; with a FinetuneConfig Eq. 6's terms are added, the
    consistency also where lambda_r is 0. G_old is the frozen start (needed for the consistency).
    A tick's state is live: save it before asking for the next one. Resuming from a tick's state
    repeats the run to the same bytes on CPU.
    """
    if isinstance(config, FinetuneConfig) and G_old is None:
        raise ValueError("finetune: G_old is needed, the consistency term compares with it")
    if getattr(config, "lambda_r", 0) > 0 and reward is None:
        raise ValueError("finetune: lambda_r > 0 needs a reward")
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    means = Means()
    while state.images_seen < total:
        adversarial_step(state, images, config, means, reward, G_old)
        seen = state.images_seen
        if seen >= total or seen // tick > (seen - config.batch) // tick:
            yield Tick(seen, means.read(), state)

"""Fit a generator to views whose latents are known, with images as the only target.

Pretraining a GAN from nothing takes days; where the latent of each training image is known, as
for rendered sets, regressing the views first takes an hour. Geometry comes from the images
alone, with the defects that this brings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sigmaflow.generators import GANCheckpoint
from sigmaflow.generators.discriminator import resize

from .config import WarmstartConfig
from .losses import density_variation, swap_cameras
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


def start_warm_state(start: GANCheckpoint, config: WarmstartConfig) -> GANState:
    """The networks of `start` (used in place) with one Adam over the generator."""
    start.G.train().requires_grad_(True)
    start.G_ema.eval().requires_grad_(False)
    adam = torch.optim.Adam(
        start.G.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), eps=1e-8
    )
    return GANState(start.G, start.D, start.G_ema, {"G": adam}, meta=dict(start.meta))


def view_loss(prediction: Tensor, target: Tensor, edge_weight: float) -> Tensor:
    """L1 of pixels plus weighted L1 of their horizontal and vertical differences."""
    loss = (prediction - target).abs().mean()
    if edge_weight > 0:
        for axis in (2, 3):
            loss = loss + edge_weight * (
                prediction.diff(dim=axis) - target.diff(dim=axis)
            ).abs().mean()
    return loss


def warmstart(
    state: GANState, images: ImageSet, latents: np.ndarray, config: WarmstartConfig
) -> Iterator[Tick]:
    """Regress image i of `images` from row i of `latents` [n, z_dim] and its camera.

    Yields a tick every `config.tick_kimg`; exact resume as in `finetune`.
    """
    G, device = state.G, state.device
    adam = state.optimizers["G"]
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    means = Means()
    while state.images_seen < total:
        seed_step(config.seed, state.images_seen)
        done = state.images_seen / total
        left = (1 - done) / max(1 - config.decay_from, 1e-9)
        for group in adam.param_groups:
            group["lr"] = config.lr * min(max(left, 0.02), 1.0)
        picks = shuffled(config.seed, state.images_seen, config.batch, len(images))
        pixels, c = images.batch(picks)
        target, c = to_float(pixels, device), c.to(device)
        z = torch.as_tensor(latents[picks], dtype=torch.float32, device=device)
        adam.zero_grad(set_to_none=True)
        ws = G.mapping(z, swap_cameras(c, config.gpc_reg_prob), update_emas=True)
        planes = G.planes(ws, noise_mode="const")
        out = G.synthesis(ws, c, planes=planes)
        low = resize(target, G.neural_rendering_resolution)
        image = view_loss(out["image"], target, config.edge_weight)
        volume = view_loss(out["image_volume"], low, config.edge_weight)
        raw = (out["image_raw"] - low).abs().mean()
        variation = density_variation(G, planes, 1000, 0.004)
        (image + config.volume_weight * (volume + raw) + config.density_reg * variation).backward()
        step_optimizer(adam)
        means.add(image_l1=image, volume_l1=volume, density_variation=variation)
        state.images_seen += config.batch
        update_ema(state.G_ema, G, 0.5 ** (config.batch / (config.ema_kimg * 1000)))
        seen = state.images_seen
        if seen >= total or seen // tick > (seen - config.batch) // tick:
            yield Tick(seen, means.read(), state)

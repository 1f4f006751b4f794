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

from sigmaflow.generators import GANCheckpoint, TriPlaneGenerator, cameras
from sigmaflow.generators.discriminator import resize
from sigmaflow.generators.volume import render_rays

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
    """The networks of `start` (used in place) with one Adam over the generator.

    The mapping network has its own rate: its layers are built to learn a hundred times slower
    than the rest, which suits an adversary and not a regression.
    """
    start.G.train().requires_grad_(True)
    with torch.no_grad():
        start.G.decoder.net[2].weight[0] *= config.sigma_gain
        start.G_ema.load_state_dict(start.G.state_dict())
    start.G_ema.eval().requires_grad_(False)
    mapping = list(start.G.backbone.mapping.parameters())
    known = {id(p) for p in mapping}
    rest = [p for p in start.G.parameters() if id(p) not in known]
    groups = [{"params": rest, "gain": 1.0}, {"params": mapping, "gain": config.mapping_lr_gain}]
    adam = torch.optim.Adam(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=1e-8)
    return GANState(start.G, start.D, start.G_ema, {"G": adam}, meta=dict(start.meta))


def view_table(seeds: np.ndarray) -> np.ndarray:
    """Indices [identities, views] of the images of each seed; as many views as all have."""
    order = np.argsort(seeds, kind="stable")
    _, starts, counts = np.unique(seeds[order], return_index=True, return_counts=True)
    return np.stack([order[s : s + counts.min()] for s in starts])


def view_loss(prediction: Tensor, target: Tensor, edge_weight: float) -> Tensor:
    """L1 of pixels plus weighted L1 of their horizontal and vertical differences."""
    loss = (prediction - target).abs().mean()
    if edge_weight > 0:
        for axis in (2, 3):
            loss = loss + edge_weight * (
                prediction.diff(dim=axis) - target.diff(dim=axis)
            ).abs().mean()
    return loss


def ray_loss(
    G: TriPlaneGenerator, planes: Tensor, c: Tensor, target: Tensor, rays: int
) -> Tensor:
    """L1 of `rays` random rays a view, without super-resolution.

    planes of B scenes; c [B*V, 25] and target [B*V, 3, r, r], the V views of a scene together.
    """
    batch, resolution = len(planes), target.shape[-1]
    pick = torch.randint(resolution**2, (len(c), rays, 1), device=c.device)
    origins, directions = (
        x.gather(1, pick.expand(-1, -1, 3)).reshape(batch, -1, 3)
        for x in cameras.rays(c, resolution)
    )
    wanted = target.flatten(2).transpose(1, 2).gather(1, pick.expand(-1, -1, 3))
    count = origins.shape[1] * int(G.rendering_kwargs["depth_resolution"])
    planes = G.for_points(planes, count)
    features, _, _ = render_rays(
        lambda points: G.field(planes, points), origins, directions, G.rendering_kwargs
    )
    return (features[..., :3] - wanted.reshape(batch, -1, 3)).abs().mean()


def warm_step(
    state: GANState,
    images: ImageSet,
    table: np.ndarray,
    latents: np.ndarray,
    config: WarmstartConfig,
    means: Means,
) -> None:
    """One batch: `identities` scenes seen from `views` cameras each."""
    G, device = state.G, state.device
    adam = state.optimizers["G"]
    rng = seed_step(config.seed, state.images_seen)
    left = 1 - state.images_seen / (config.kimg * 1000)
    fade = min(max(left / max(1 - config.decay_from, 1e-9), 0.02), 1.0)
    for group in adam.param_groups:
        group["lr"] = config.lr * fade * group["gain"]
    who = shuffled(
        config.seed, state.images_seen // config.views, config.identities, len(table)
    )
    views = rng.permuted(np.tile(np.arange(table.shape[1]), (len(who), 1)), axis=1)
    picks = np.take_along_axis(table[who], views[:, : config.views], axis=1)
    pixels, c = images.batch(picks.reshape(-1))
    target, c = to_float(pixels, device), c.to(device)
    z = torch.as_tensor(latents[picks[:, 0]], dtype=torch.float32, device=device)
    c_cond = swap_cameras(c[:: config.views], config.gpc_reg_prob)
    adam.zero_grad(set_to_none=True)
    ws = G.mapping(z, c_cond, update_emas=True)
    planes = G.planes(ws, noise_mode="const")
    low = resize(target, G.neural_rendering_resolution)
    variation = density_variation(G, planes, 500, 0.004)
    loss = config.density_reg * variation
    if state.images_seen < config.volume_kimg * 1000:
        volume = ray_loss(G, planes, c, low, config.rays)
        means.add(ray_l1=volume, density_variation=variation)
        loss = loss + volume
    else:
        repeat = config.views
        out = G.synthesis(
            ws.repeat_interleave(repeat, 0), c, planes=planes.repeat_interleave(repeat, 0)
        )
        image = view_loss(out["image"], target, config.edge_weight)
        volume = view_loss(out["image_volume"], low, config.edge_weight)
        raw = (out["image_raw"] - low).abs().mean()
        means.add(image_l1=image, volume_l1=volume, density_variation=variation)
        loss = loss + image + volume + raw
    loss.backward()
    step_optimizer(adam)
    batch = config.identities * config.views
    state.images_seen += batch
    update_ema(state.G_ema, G, 0.5 ** (batch / (config.ema_kimg * 1000)))


def warmstart(
    state: GANState, images: ImageSet, seeds: np.ndarray, latents: np.ndarray,
    config: WarmstartConfig,
) -> Iterator[Tick]:
    """Regress each image from the row of `latents` [n, z_dim] of its identity, and its camera.

    seeds [n] say which images show the same identity. Yields a tick every `config.tick_kimg`;
    exact resume as in `finetune`.
    """
    table = view_table(np.asarray(seeds))
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    batch = config.identities * config.views
    means = Means()
    while state.images_seen < total:
        warm_step(state, images, table, latents, config, means)
        seen = state.images_seen
        if seen >= total or seen // tick > (seen - batch) // tick:
            yield Tick(seen, means.read(), state)

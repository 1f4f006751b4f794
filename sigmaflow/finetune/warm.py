"""Fit a generator to views whose latents are known, with images as the only target.

Pretraining a GAN from nothing takes days; where the latent of each training image is known, as
for rendered sets, regressing the views first takes an hour. Geometry comes from the images
alone, with the defects that this brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.generators import GANCheckpoint, TriPlaneGenerator, cameras
from sigmaflow.generators.discriminator import resize
from sigmaflow.generators.volume import RaySampling, render_rays
from sigmaflow.metrics.vgg import VGGFeatures

from .config import ProjectedConfig, RefineConfig, WarmstartConfig
from .losses import density_variation, half, swap_cameras
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


def start_warm_state(start: GANCheckpoint, config: WarmstartConfig) -> GANState:
    """The networks of `start` (used in place) with one Adam over the generator.

    The mapping network has its own rate: its layers are built to learn a hundred times slower
    than the rest, which suits an adversary and not a regression.
    """
    start.G.train().requires_grad_(True)
    with torch.no_grad():
        last: Any = start.G.decoder.net[2]
        last.weight[0] *= config.sigma_gain
        if isinstance(config, RefineConfig):
            for block in (start.G.superresolution.block0, start.G.superresolution.block1):
                block.torgb.weight.mul_(config.head_gain)
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


def pick_views(rng: np.random.Generator, table: np.ndarray, count: int) -> np.ndarray:
    """`count` different views of each row of `table` [n, views], at random: indices [n, count]."""
    order = rng.permuted(np.tile(np.arange(table.shape[1]), (len(table), 1)), axis=1)
    return np.take_along_axis(table, order[:, :count], axis=1)


def position(config: WarmstartConfig, images_seen: int) -> tuple[bool, int, int]:
    """Where a run is: whether steps still take rays, its number of images a step, and how many
    identities it has shown."""
    batch = config.identities * config.views
    volume = math.ceil(config.volume_kimg * 1000 / batch) * batch
    if images_seen < volume:
        return True, batch, images_seen // config.views
    shown = volume // config.views + (images_seen - volume) // config.image_views
    return False, config.image_identities * config.image_views, shown


def learning_rate(config: WarmstartConfig, images_seen: int) -> float:
    """Rises over `warmup_kimg`, stays, falls from `decay_from` on to a fiftieth."""
    left = 1 - images_seen / (config.kimg * 1000)
    fade = min(max(left / max(1 - config.decay_from, 1e-9), 0.02), 1.0)
    rise = min((images_seen + 1) / max(config.warmup_kimg * 1000, 1e-9), 1.0)
    return config.lr * fade * max(rise, 0.02)


def pick_rays(pictures: Tensor, count: int, empty: float, edges: float = 0.0) -> Tensor:
    """Indices [N, count] of different pixels of pictures [N, 3, r, r] in [-1, 1].

    Pixels within two of one that is not white are drawn with weight 1 plus `edges` times their
    contrast, in [0, 2], with the 3x3 pixels about them; the others with weight `empty`.
    """
    near = F.max_pool2d((pictures.amin(1, keepdim=True) < 0.98).float(), 5, stride=1, padding=2)
    weight = near.clamp_min(max(empty, 1e-6))
    if edges > 0:
        high, low = (F.max_pool2d(x, 3, stride=1, padding=1) for x in (pictures, -pictures))
        weight = weight + edges * near * (high + low).mean(1, keepdim=True)
    return torch.multinomial(weight.flatten(1), count)


class WarmStep:
    """One batch of a warm start: its loss, and the networks one step on."""

    def __init__(
        self,
        state: GANState,
        images: ImageSet,
        table: np.ndarray,
        latents: np.ndarray,
        config: WarmstartConfig,
        perceptual: VGGFeatures | None,
    ):
        self.state, self.config, self.perceptual = state, config, perceptual
        self.G, self.device = state.G, state.device
        rng = seed_step(config.seed, state.images_seen)
        self.by_rays, self.batch, shown = position(config, state.images_seen)
        count = config.identities if self.by_rays else config.image_identities
        self.views = self.batch // count
        who = shuffled(config.seed, shown, count, len(table))
        picks = pick_views(rng, table[who], self.views)
        pixels, c = images.batch(picks.reshape(-1))
        self.target, self.c = to_float(pixels, self.device), c.to(self.device)
        z = latents[picks[:, 0]]
        self.z = torch.as_tensor(z, dtype=torch.float32, device=self.device)

    def run(self, means: Means) -> None:
        """Loss, gradients, Adam and the moving average."""
        state, config = self.state, self.config
        adam = state.optimizers["G"]
        rate = learning_rate(config, state.images_seen)
        for group in adam.param_groups:
            group["lr"] = rate * group["gain"]
        adam.zero_grad(set_to_none=True)
        c = swap_cameras(self.c[:: self.views], config.gpc_reg_prob)
        ws = self.G.mapping(self.z, c, update_emas=True)
        planes = self.G.planes(ws, noise_mode="const")
        terms = self.ray_terms(planes) if self.by_rays else self.image_terms(ws, planes)
        variation = density_variation(self.G, planes, 500, 0.004)
        means.add(density_variation=variation, **{k: v for k, (v, _) in terms.items()})
        loss = config.density_reg * variation + sum(v * weight for v, weight in terms.values())
        loss.backward()
        step_optimizer(adam)
        state.images_seen += self.batch
        update_ema(state.G_ema, self.G, 0.5 ** (self.batch / (config.ema_kimg * 1000)))

    def ray_terms(self, planes: Tensor) -> dict[str, tuple[Tensor, float]]:
        """L1 of random rays of all views, with its weight."""
        config, side = self.config, self.target.shape[-1]
        pick = pick_rays(self.target, config.rays, config.empty_rays, config.edge_rays)

        def picked(x: Tensor) -> Tensor:
            """[B*V, r*r, 3] to [B, V*rays, 3]."""
            return x.gather(1, pick.unsqueeze(2).expand(-1, -1, 3)).reshape(len(planes), -1, 3)

        origins, directions = (picked(x) for x in cameras.rays(self.c, side))
        wanted = picked(self.target.flatten(2).transpose(1, 2))
        options = {
            **self.G.rendering_kwargs,
            "depth_resolution": config.coarse,
            "depth_resolution_importance": config.fine,
        }
        planes = self.G.for_points(planes, origins.shape[1] * config.coarse)
        features, _, _ = render_rays(
            lambda points: self.G.field(planes, points), origins, directions, options
        )
        return {"ray_l1": ((features[..., :3] - wanted).abs().mean(), 1.0)}

    def image_terms(self, ws: Tensor, planes: Tensor) -> dict[str, tuple[Tensor, float]]:
        """`image_terms` of this batch."""
        return image_terms(self.G, ws, planes, self.c, self.target, self.perceptual, self.config)


def image_terms(
    G: TriPlaneGenerator,
    ws: Tensor,
    planes: Tensor,
    c: Tensor,
    target: Tensor,
    perceptual: VGGFeatures | None,
    config: WarmstartConfig | ProjectedConfig,
) -> dict[str, tuple[Tensor, float]]:
    """Terms of the regression of whole images, with their weights.

    ws [B, num_ws, w_dim] and planes of B latents; c [B * V, 25] and target [B * V, 3, R, R] in
    [-1, 1]: V views of each in turn. L1 and perceptual distance of images, L1 of the raw volume
    rendering.
    """
    views = len(c) // len(ws)
    ws, planes = ws.repeat_interleave(views, 0), planes.repeat_interleave(views, 0)
    out = G.synthesis(ws, c, noise_mode="const", planes=planes)
    low = resize(target, out["image_volume"].shape[-1])
    terms = {
        "image_l1": ((out["image"] - target).abs().mean(), 1.0),
        "volume_l1": ((out["image_volume"] - low).abs().mean(), config.volume_weight),
    }
    if perceptual is not None:
        distance = perceptual_distance(perceptual, out["image"], target, config.precision)
        terms["perceptual"] = (distance.mean(), config.perceptual_weight)
    return terms


def perceptual_distance(
    vgg: VGGFeatures, images: Tensor, target: Tensor, precision: str = "float32"
) -> Tensor:
    """Distance [B] of images from target [B, 3, R, R]; no gradients to the target."""
    with half(precision, images.device):
        with torch.no_grad():
            wanted = vgg(target)
        return vgg.distance(vgg(images), wanted)


class HeldOut:
    """Views of identities that no step sees, and how near the moving average comes to them.

    images: a set with seeds; of the first `count` identities the first two views are measured.
    """

    def __init__(self, images: ImageSet, seeds: np.ndarray, latents: np.ndarray, count: int):
        table = view_table(np.asarray(seeds))[:count, :2]
        self.views = table.shape[1]
        self.pixels, self.c = images.batch(table.reshape(-1))
        self.z = torch.as_tensor(latents[table[:, 0]], dtype=torch.float32)

    @torch.no_grad()
    def measure(
        self, G: TriPlaneGenerator, vgg: VGGFeatures | None, precision: str = "float32"
    ) -> dict[str, float]:
        """Means over all views of |error| of images and volume, and the perceptual distance."""
        device = next(G.parameters()).device
        sums: dict[str, float] = {}
        step = 8
        for i in range(0, len(self.z), step):
            views = slice(i * self.views, (i + step) * self.views)
            c, target = self.c[views].to(device), to_float(self.pixels[views], device)
            ws = G.mapping(self.z[i : i + step].to(device), c[:: self.views])
            planes = G.planes(ws, noise_mode="const").repeat_interleave(self.views, 0)
            ws = ws.repeat_interleave(self.views, 0)
            out = G.synthesis(
                ws, c, noise_mode="const", planes=planes, sampling=RaySampling(deterministic=True)
            )
            low = resize(target, out["image_volume"].shape[-1])
            found = {
                "heldout_l1": (out["image"] - target).abs().mean((1, 2, 3)),
                "heldout_volume_l1": (out["image_volume"] - low).abs().mean((1, 2, 3)),
            }
            if vgg is not None:
                distance = perceptual_distance(vgg, out["image"], target, precision)
                found["heldout_perceptual"] = distance
            for name, values in found.items():
                sums[name] = sums.get(name, 0.0) + float(values.sum())
        return {name: value / len(self.c) for name, value in sums.items()}


def warmstart(
    state: GANState,
    images: ImageSet,
    seeds: np.ndarray,
    latents: np.ndarray,
    config: WarmstartConfig,
    heldout: HeldOut | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Tick | Pause]:
    """Regress each image from the row of `latents` [n, z_dim] of its identity, and its camera.

    seeds [n] say which images show the same identity. heldout is measured at every tick. Yields a
    tick every `config.tick_kimg`, and where `stop` says so a Pause; exact resume as in `finetune`.
    """
    table = view_table(np.asarray(seeds))
    for name in ("views", "image_views"):
        if getattr(config, name) > table.shape[1]:
            raise ValueError(f"{name} {getattr(config, name)}: the images hold {table.shape[1]} "
                             "views of an identity; take fewer, or render more")  # fmt: skip
    total, tick = int(config.kimg * 1000), max(int(config.tick_kimg * 1000), 1)
    vgg = None
    if config.perceptual_weight > 0:
        vgg = VGGFeatures(config.perceptual_stages, state.device)
    while state.images_seen < total:
        before = state.images_seen
        WarmStep(state, images, table, latents, config, vgg).run(state.means)
        seen = state.images_seen
        if seen >= total or seen // tick > before // tick:
            metrics = state.means.read()
            if heldout is not None:
                metrics |= heldout.measure(state.G_ema, vgg, config.precision)
            yield Tick(seen, metrics, state)
        elif stop is not None and stop():
            yield Pause(seen, state)

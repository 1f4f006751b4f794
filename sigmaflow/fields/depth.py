"""Depth maps from density alone: the expected depth of each ray (paper, Eq. 2).

The samples, weights and clamping are those of `sigmaflow.generators.volume`, so a map equals the
`image_depth` of a full rendering with the same sampling; the 32 colour features are never made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sigmaflow.generators import TriPlaneGenerator, cameras
from sigmaflow.generators.volume import RaySampling, coarse_depths, fine_depths, march_weights

SINGLE = (0.0,)
TRIPLE = (1.0, 0.0, -1.0)
"""Yaws of the released views in radians; 0 is the canonical camera."""

RESOLUTION = 128
NEAR, FAR = 2.25, 3.3
RAYS_PER_CHUNK = 1024  # small enough for a CPU cache: larger chunks are slower, not only larger

Limits = Literal["batch", "scene"]
Sigma = Callable[[Tensor], Tensor]
"""World points [B, M, 3] to raw sigma [B, M]."""


class DepthGenerator(Protocol):
    """What a generator must offer to be seen as depth. Planes are opaque here."""

    rendering_kwargs: Mapping[str, Any]

    def mapping(
        self,
        z: Tensor,
        c: Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor: ...

    def planes(self, ws: Tensor, noise_mode: str = "const") -> Any: ...

    def sigma(self, planes: Any, points: Tensor) -> Tensor: ...

    def canonical_label(self) -> Tensor: ...


def view_labels(G: DepthGenerator, yaws: Sequence[float] = TRIPLE) -> Tensor:
    """Cameras c `[V, 25]` at `yaws` radians, pitch 0, FOV 18.837 degrees.

    Radius and pivot are G's `avg_camera_radius` and `avg_camera_pivot`; positive yaw is image
    right, as in the released code, whose order is `TRIPLE`.
    """
    if not len(yaws):
        raise ValueError("yaws is empty; give at least one view, such as (0.0,)")
    kwargs = G.rendering_kwargs
    place = dict(
        radius=kwargs.get("avg_camera_radius", 2.7),
        pivot=kwargs.get("avg_camera_pivot", (0.0, 0.0, 0.2)),
    )
    views = torch.cat([cameras.frontal_label(yaw=float(yaw), **place) for yaw in yaws])
    return views.to(G.canonical_label().device)


def ray_depth(
    sigma: Sigma,
    origins: Tensor,
    directions: Tensor,
    options: Mapping[str, Any],
    sampling: RaySampling | None = None,
    rays_per_chunk: int | None = RAYS_PER_CHUNK,
    limits: Limits = "batch",
) -> Tensor:
    """Expected depth `[B, R]` in world units of rays `[B, R, 3]` with unit directions.

    options: EG3D's rendering_kwargs. sampling: as in a full rendering, deterministic when None;
    random draws come in the same order. rays_per_chunk bounds memory, since with gradients every
    chunk is computed again in the backward pass; None takes all rays at once and keeps everything.
    The result does not depend on it. limits: EG3D keeps depths within those of all samples of the
    "batch"; within those of the "scene" a map does not depend on what it is rendered with.

    Differentiable in whatever `sigma` is. A ray that meets nothing gets the largest depth of the
    batch (or scene) and no gradient (a full rendering's gradient is NaN there).
    """
    sampling = sampling or RaySampling(deterministic=True)
    batch, n_rays, _ = origins.shape
    if rays_per_chunk is not None and rays_per_chunk < 1:
        raise ValueError(f"rays_per_chunk must be at least 1 or None, got {rays_per_chunk}")
    start = coarse_depths(origins, directions, options, sampling)
    start = start.expand(batch, n_rays, -1, 1)
    count = int(options.get("depth_resolution_importance") or 0)
    u = _uniforms(batch, n_rays, count, sampling, origins.device)

    def part(o: Tensor, d: Tensor, start: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        return _march(sigma, o, d, start, u)

    step = rays_per_chunk or n_rays
    parts = []
    for i in range(0, n_rays, step):
        args = [x[:, i : i + step] for x in (origins, directions, start, u)]
        if rays_per_chunk and torch.is_grad_enabled():
            # Nothing random is left in `part`: the draws are arguments.
            parts.append(checkpoint(part, *args, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(part(*args))
    moment, total = (torch.cat([p[i] for p in parts], dim=1) for i in (0, 1))
    low = torch.stack([p[2] for p in parts]).amin(0)[:, None]
    high = torch.stack([p[3] for p in parts]).amax(0)[:, None]
    if limits == "batch":
        low, high = low.min(), high.max()
    full = total > 0
    mean = moment / torch.where(full, total, torch.ones_like(total))
    return torch.where(full, mean, high).clamp(low, high)


def _uniforms(
    batch: int, n_rays: int, count: int, sampling: RaySampling, device: torch.device
) -> Tensor:
    """Draws [B, R, N] of the second pass."""
    if sampling.u is not None and count:
        return sampling.u.reshape(batch, n_rays, count)
    if sampling.deterministic:
        return torch.linspace(0, 1, count, device=device).expand(batch, n_rays, count)
    return torch.rand(batch * n_rays, count, device=device).reshape(batch, n_rays, count)


def _march(
    sigma: Sigma, origins: Tensor, directions: Tensor, start: Tensor, u: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums over a ray of weight times depth and of weight, [B, R] each; the depths' range, [B]."""
    batch, n_rays, count = u.shape

    def query(depths: Tensor) -> Tensor:
        points = origins.unsqueeze(2) + depths * directions.unsqueeze(2)
        return sigma(points.reshape(batch, -1, 3)).reshape(depths.shape)

    depths, sigmas = start, query(start)
    if count:
        weights = march_weights(sigmas.detach(), start)
        fine = fine_depths(start, weights, count, RaySampling(u=u.reshape(-1, count)))
        sigmas = torch.cat([sigmas, query(fine)], dim=2)
        depths, order = torch.cat([start, fine], dim=2).sort(dim=2)
        sigmas = sigmas.gather(2, order)
    weights = march_weights(sigmas, depths)
    middle = (depths[:, :, :-1] + depths[:, :, 1:]) / 2
    moment, total = (weights * middle).sum((2, 3)), weights.sum((2, 3))
    reach = depths.detach().flatten(1)
    return moment, total, reach.amin(1), reach.amax(1)


def depth_of_planes(
    G: DepthGenerator,
    planes: Any,
    c: Tensor,
    resolution: int = RESOLUTION,
    sampling: RaySampling | None = None,
    rays_per_chunk: int | None = RAYS_PER_CHUNK,
    limits: Limits = "batch",
) -> Tensor:
    """Depth maps `[B, V, r, r]` in world units of B scenes, each seen by V cameras.

    c: `[V, 25]` (the same for every scene) or `[B, V, 25]`. Other arguments as in `ray_depth`; the
    rays of a scene are its views' one after the other, so `jitter` is `[B, V * r * r, S, 1]`.
    """
    batch = len(planes)
    c = c.expand(batch, -1, -1) if c.dim() == 2 else c
    if c.dim() != 3 or c.shape[0] != batch or c.shape[2] != 25:
        raise ValueError(f"c must be [V, 25] or [{batch}, V, 25], got {list(c.shape)}")
    views = c.shape[1]
    rays = cameras.rays(c.reshape(-1, 25), resolution)
    origins, directions = (x.reshape(batch, -1, 3) for x in rays)
    if isinstance(G, TriPlaneGenerator):
        count = min(origins.shape[1], rays_per_chunk or origins.shape[1])
        planes = G.for_points(planes, count * int(G.rendering_kwargs["depth_resolution"]))
    depth = ray_depth(
        lambda points: G.sigma(planes, points),
        origins,
        directions,
        G.rendering_kwargs,
        sampling,
        rays_per_chunk,
        limits,
    )
    return depth.reshape(batch, views, resolution, resolution)


def depth_of_ws(G: DepthGenerator, ws: Tensor, c: Tensor, noise_mode: str = "const",
                **options: Any) -> Tensor:  # fmt: skip
    """Depth maps `[B, V, r, r]` of latents; c and options as in `depth_of_planes`.

    ws: `[B, num_ws, w_dim]`, one latent for all views of an item, or `[B, V, num_ws, w_dim]`, one
    for each view.
    """
    if ws.dim() == 3:
        return depth_of_planes(G, G.planes(ws, noise_mode=noise_mode), c, **options)
    batch, views = ws.shape[:2]
    each = c.expand(batch, -1, -1).reshape(batch * views, 1, 25)
    planes = G.planes(ws.flatten(0, 1), noise_mode=noise_mode)
    depth = depth_of_planes(G, planes, each, **options)
    return depth.reshape(batch, views, *depth.shape[2:])


def sample_depth(
    G: DepthGenerator,
    z: Tensor,
    yaws: Sequence[float] = TRIPLE,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    noise_mode: str = "const",
    **options: Any,
) -> Tensor:
    """Depth maps `[B, len(yaws), r, r]` of z `[B, z_dim]`: one latent an item for all its views.

    The mapping is conditioned on the canonical camera, whatever the view (method of the paper).
    options: as in `depth_of_planes` (resolution 128 when left out). Differentiable in z and in
    G's parameters.
    """
    canonical = G.canonical_label().to(z.device).expand(len(z), -1)
    ws = G.mapping(z, canonical, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
    return depth_of_ws(G, ws, view_labels(G, yaws).to(z.device), noise_mode, **options)


def depth_input(
    depth: Tensor, size: int = 224, near: float = NEAR, far: float = FAR, inverted: bool = True
) -> Tensor:
    """What an image network sees of depth maps: `[..., H, W]` -> `[..., 3, size, size]`.

    Released preprocessing: bilinear resize (align_corners False), (d - near) / (far - near), one
    minus that where `inverted` (near is bright), three equal channels. Depths outside [near, far]
    are not clamped, and ImageNet's mean and deviation are not applied.
    """
    if depth.dim() < 2:
        raise ValueError(f"depth must be [..., H, W], got {list(depth.shape)}")
    flat = depth.reshape(-1, 1, *depth.shape[-2:])
    flat = F.interpolate(flat, size=(size, size), mode="bilinear", align_corners=False)
    scaled = (flat - near) / (far - near)
    scaled = 1 - scaled if inverted else scaled
    return scaled.expand(-1, 3, -1, -1).reshape(*depth.shape[:-2], 3, size, size)

"""Two-pass volume rendering of a density and feature field (EG3D section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import pointwise

Field = Callable[[Tensor], tuple[Tensor, Tensor]]
"""points [B, M, 3] to (features [B, M, C], raw sigma [B, M, 1])."""


@dataclass(frozen=True)
class RaySampling:
    """Where samples fall along rays.

    By default both passes draw from torch's generator. `deterministic` puts coarse samples on the
    regular depths and fine ones at evenly spaced quantiles; `jitter` [B, R, S, 1] and `u`
    [B*R, N] hand in the uniform draws themselves.
    """

    deterministic: bool = False
    jitter: Tensor | None = None
    u: Tensor | None = None


def _box_limits(origins: Tensor, directions: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """Entry and exit distances [B, R, 1] of rays through the centred cube of that side.

    Rays that miss get the nearest entry as start and the farthest *entry* as end, as EG3D does.
    """
    inverse = 1 / directions
    a, b = (-side / 2 - origins) * inverse, (side / 2 - origins) * inverse
    start = torch.minimum(a, b).amax(dim=-1, keepdim=True)
    end = torch.maximum(a, b).amin(dim=-1, keepdim=True)
    hit = end > start
    if hit.any():
        low, high = start[hit].min(), start[hit].max()
        start, end = torch.where(hit, start, low), torch.where(hit, end, high)
    return start, end


def coarse_depths(
    origins: Tensor, directions: Tensor, options: Mapping[str, Any], sampling: RaySampling
) -> Tensor:
    """Depths [B, R, S, 1] of the first pass along rays [B, R, 3]; "auto" limits need all rays."""
    batch, n_rays, _ = origins.shape
    steps = int(options["depth_resolution"])
    device = origins.device
    t = torch.linspace(0, 1, steps, device=device).reshape(1, 1, steps, 1)
    if sampling.jitter is not None:
        jitter = sampling.jitter
    elif sampling.deterministic:
        jitter = torch.zeros(batch, n_rays, steps, 1, device=device)
    else:
        jitter = torch.rand(batch, n_rays, steps, 1, device=device)
    if options["ray_start"] == "auto":
        start, end = _box_limits(origins, directions, options["box_warp"])
        start, end = start.unsqueeze(2), end.unsqueeze(2)
        # Rounded as in the public code, here and below: importance sampling makes bits matter.
        t = (torch.arange(steps, dtype=torch.float32, device=device) / (steps - 1)).view_as(t)
        return start + t * (end - start) + jitter * ((end - start) / (steps - 1))
    near, far = float(options["ray_start"]), float(options["ray_end"])
    if options.get("disparity_space_sampling"):
        t = t + jitter / (steps - 1)
        return 1 / (1 / near * (1 - t) + 1 / far * t)
    depths = torch.linspace(near, far, steps, device=device).reshape(1, 1, steps, 1)
    return depths + jitter * ((far - near) / (steps - 1))


@torch.no_grad()
def fine_depths(depths: Tensor, weights: Tensor, count: int, sampling: RaySampling) -> Tensor:
    """Draw `count` depths a ray where the coarse weights [B, R, S-1, 1] are large."""
    batch, n_rays, steps, _ = depths.shape
    z = depths.reshape(batch * n_rays, steps)
    w = weights.reshape(batch * n_rays, 1, steps - 1)
    w = F.max_pool1d(w, 2, 1, padding=1)
    w = F.avg_pool1d(w, 2, 1).squeeze(1) + 0.01
    edges = 0.5 * (z[:, :-1] + z[:, 1:])
    pdf = w[:, 1:-1] + 1e-5
    pdf = pdf / pdf.sum(dim=-1, keepdim=True)
    cdf = torch.cumsum(pdf, dim=-1)
    cdf = torch.cat([torch.zeros_like(cdf[:, :1]), cdf], dim=-1)
    if sampling.u is not None:
        u = sampling.u
    elif sampling.deterministic:
        u = torch.linspace(0, 1, count, device=z.device).expand(len(z), count)
    else:
        u = torch.rand(len(z), count, device=z.device)
    u = u.contiguous()
    above = torch.searchsorted(cdf, u, right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(pdf.shape[1])
    c0, c1 = cdf.gather(1, below), cdf.gather(1, above)
    e0, e1 = edges.gather(1, below), edges.gather(1, above)
    span = c1 - c0
    span = torch.where(span < 1e-5, torch.ones_like(span), span)
    fine = e0 + (u - c0) / span * (e1 - e0)
    return fine.reshape(batch, n_rays, count, 1)


def march_weights(sigmas: Tensor, depths: Tensor) -> Tensor:
    """Share [B,R,S-1,1] of a ray that ends in each interval: raw sigmas and depths [B,R,S,1]."""
    delta = depths[:, :, 1:] - depths[:, :, :-1]
    density = F.softplus((sigmas[:, :, :-1] + sigmas[:, :, 1:]) / 2 - 1)
    alpha = 1 - torch.exp(-density * delta)
    open_ = torch.cat([torch.ones_like(alpha[:, :, :1]), 1 - alpha + 1e-10], dim=-2)
    return alpha * torch.cumprod(open_, dim=-2)[:, :, :-1]


def sample_weights(weights: Tensor) -> Tensor:
    """Share [B, R, S, 1] of every sample in a sum over interval midpoints of shares [B,R,S-1,1]."""
    return (F.pad(weights, (0, 0, 1, 0)) + F.pad(weights, (0, 0, 0, 1))) / 2


def _mean_depth(weights: Tensor, depths: Tensor) -> Tensor:
    """Depth [B, R, 1] of `march`."""
    depth = (depths[:, :, :-1] + depths[:, :, 1:]) / 2
    mean = (weights * depth).sum(-2) / weights.sum(2)
    return torch.nan_to_num(mean, float("inf")).clamp(depths.min(), depths.max())


def _finished(rgb: Tensor, weights: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Features in [-1, 1] from sums [B, R, C] of values in [0, 1], over white if asked for."""
    if options.get("white_back"):
        rgb = rgb + 1 - weights.sum(2)
    return rgb * 2 - 1


def march(
    colors: Tensor, sigmas: Tensor, depths: Tensor, options: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrate along rays with values at interval midpoints.

    colors [B,R,S,C], raw sigmas [B,R,S,1], depths [B,R,S,1] sorted. Returns features [B,R,C] in
    [-1, 1], depth [B,R,1] in world units, weights [B,R,S-1,1]. Empty rays get the largest depth
    of the batch.
    """
    weights = march_weights(sigmas, depths)
    rgb = pointwise.sum_over_samples(sample_weights(weights), colors)
    return _finished(rgb, weights, options), _mean_depth(weights, depths), weights


def render_rays(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    options: Mapping[str, Any],
    sampling: RaySampling | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Coarse pass, importance pass, integration over the union.

    Returns features [B, R, C], depth [B, R, 1] and the summed weights [B, R, 1]. Colours stay in
    the order in which they were evaluated; only their shares of the rays are put in order.
    """
    sampling = sampling or RaySampling()
    batch, n_rays, _ = origins.shape
    start = coarse_depths(origins, directions, options, sampling)

    def query(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = origins.unsqueeze(2) + depths * directions.unsqueeze(2)
        colors, sigmas = field(points.reshape(batch, -1, 3))
        shape = (batch, n_rays, depths.shape[2], -1)
        return colors.reshape(shape), sigmas.reshape(shape)

    colors, sigmas = query(start)
    count = int(options.get("depth_resolution_importance") or 0)
    if count <= 0:
        rgb, depth, weights = march(colors, sigmas, start, options)
        return rgb, depth, weights.sum(2)
    with torch.no_grad():
        weights = march_weights(sigmas, start)
    fine = fine_depths(start, weights, count, sampling)
    fine_colors, fine_sigmas = query(fine)
    depths, order = torch.cat([start, fine], dim=2).sort(dim=2)
    weights = march_weights(torch.cat([sigmas, fine_sigmas], dim=2).gather(2, order), depths)
    shares = sample_weights(weights)
    shares = torch.zeros_like(shares).scatter(2, order, shares)
    coarse_shares, fine_shares = shares.split([start.shape[2], count], dim=2)
    rgb = pointwise.sum_over_samples(coarse_shares, colors)
    rgb = rgb + pointwise.sum_over_samples(fine_shares, fine_colors)
    return _finished(rgb, weights, options), _mean_depth(weights, depths), weights.sum(2)

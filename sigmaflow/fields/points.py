"""Point clouds of depth maps (paper, Eq. 3), and how the released code prepares them.

Clouds are `[B, N, 3]` in world units and differentiable in the depth they come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.depth import SINGLE, DepthGenerator, sample_depth, view_labels
from sigmaflow.generators import cameras

COUNT = 2048
SHRINK = 0.999999  # keeps the farthest coordinate inside the unit cube
SCALE, JITTER = (0.95, 1.05), 0.001


def depth_points(depth: Tensor, c: Tensor) -> Tensor:
    """Points o + d r of depth maps `[B, r, r]` seen by c `[B, 25]` or `[1, 25]`: `[B, r * r, 3]`.

    Row by row from the top left of the picture; directions r have unit length (Eq. 3).
    """
    if depth.dim() != 3 or depth.shape[1] != depth.shape[2]:
        raise ValueError(f"depth must be square maps [B, r, r], got {list(depth.shape)}")
    origins, directions = cameras.rays(c.to(depth).expand(len(depth), -1), depth.shape[-1])
    return origins + depth.reshape(len(depth), -1, 1) * directions


def sample_points(G: DepthGenerator, z: Tensor, **options: Any) -> Tensor:
    """Clouds `[B, r * r, 3]` of z `[B, z_dim]` from the canonical view (r is 128: 16,384 points).

    options: as in `sigmaflow.fields.depth.sample_depth`.
    """
    depth = sample_depth(G, z, yaws=SINGLE, **options)
    return depth_points(depth[:, 0], view_labels(G, SINGLE))


def subset(points: Tensor, count: int = COUNT, generator: torch.Generator | None = None) -> Tensor:
    """`[B, N, 3]` -> `[B, count, 3]`: evenly spaced rows, or random ones of a `generator`.

    Evenly spaced: round(linspace(0, N - 1, count)), rounded from float32 as released. Random:
    without repetition, another choice for every item.
    """
    batch, n, _ = points.shape
    if not 1 <= count <= n:
        raise ValueError(f"count must be from 1 to the {n} points of a cloud, got {count}")
    if generator is None:
        # In float64 one index of the usual 2048 of 16,384 would differ.
        line = np.linspace(0, n - 1, count).astype(np.float32)
        return points[:, torch.from_numpy(np.round(line).astype(np.int64)).to(points.device)]
    rows = [torch.randperm(n, generator=generator, device=generator.device)[:count]
            for _ in range(batch)]  # fmt: skip
    index = torch.stack(rows).to(points.device)
    return points.gather(1, index.unsqueeze(2).expand(-1, -1, 3))


def centre_and_scale(points: Tensor) -> Tensor:
    """Clouds `[B, N, 3]` about their mean, the largest |coordinate| of each just below 1.

    A cloud whose points all coincide is NaN, as released; differentiable elsewhere.
    """
    points = points - points.mean(1, keepdim=True)
    points = points - points.mean(1, keepdim=True)  # released: twice, which takes up rounding
    return points * (SHRINK / points.abs().amax((1, 2), keepdim=True))


def augment(points: Tensor, generator: torch.Generator) -> Tensor:
    """Released augmentation: each axis of each cloud by U(0.95, 1.05), each value +- 0.001."""
    device = generator.device
    low, high = SCALE
    scale = torch.rand(len(points), 1, 3, generator=generator, device=device)
    noise = torch.rand(points.shape, generator=generator, device=device)
    scale, noise = low + (high - low) * scale, JITTER * (2 * noise - 1)
    return points * scale.to(points) + noise.to(points)


def point_input(
    points: Tensor, count: int = COUNT, generator: torch.Generator | None = None
) -> Tensor:
    """What a point network sees of clouds: `[B, N, 3]` world units -> `[B, 3, count]`.

    Without a generator as in validation and fine-tuning: evenly spaced rows, centred and scaled.
    With one as in training: random rows, and augmented last. Differentiable in the points.
    """
    points = centre_and_scale(subset(points, count, generator))
    if generator is not None:
        points = augment(points, generator)
    return points.transpose(1, 2)

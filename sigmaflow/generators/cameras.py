"""Cameras in EG3D's conventions: OpenCV axes, intrinsics normalised by the image size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FFHQ_FOV_DEG = 18.837


def fov_to_intrinsics(fov_deg: float = FFHQ_FOV_DEG) -> Tensor:
    """[3, 3] intrinsics of a square image; EG3D's own constants 3.14159 and 1.414 are kept."""
    focal = 1 / (math.tan(fov_deg * 3.14159 / 360) * 1.414)
    return torch.tensor([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]], dtype=torch.float32)


def look_at(
    yaw: Tensor | float,
    pitch: Tensor | float,
    radius: float = 2.7,
    pivot: Sequence[float] = (0.0, 0.0, 0.2),
) -> Tensor:
    """cam2world [B, 4, 4] on an orbit about the origin, looking at `pivot`.

    yaw, pitch: radians, [B] or scalars; both pi/2 is the frontal view (EG3D's look-at sampler).
    """
    h = torch.as_tensor(yaw, dtype=torch.float32).reshape(-1)
    v = torch.as_tensor(pitch, dtype=torch.float32).reshape(-1).clamp(1e-5, math.pi - 1e-5)
    h, v = torch.broadcast_tensors(h, v)
    phi = torch.arccos(1 - 2 * (v / math.pi))
    origin = radius * torch.stack(
        [phi.sin() * (math.pi - h).cos(), phi.cos(), phi.sin() * (math.pi - h).sin()], dim=1
    )
    forward = F.normalize(torch.tensor(pivot, dtype=torch.float32) - origin, dim=1)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(forward)
    right = -F.normalize(torch.cross(up, forward, dim=1), dim=1)
    up = F.normalize(torch.cross(forward, right, dim=1), dim=1)
    out = torch.eye(4).repeat(len(h), 1, 1)
    out[:, :3, :3] = torch.stack([right, up, forward], dim=2)
    out[:, :3, 3] = origin
    return out


def label(cam2world: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera label c [B, 25] from cam2world [B, 4, 4] and intrinsics [3, 3] or [B, 3, 3]."""
    k = intrinsics.expand(len(cam2world), 3, 3)
    return torch.cat([cam2world.reshape(-1, 16), k.reshape(-1, 9)], dim=1)


def frontal_label(
    radius: float = 2.7,
    pivot: Sequence[float] = (0.0, 0.0, 0.2),
    fov_deg: float = FFHQ_FOV_DEG,
    yaw: float = 0.0,
    pitch: float = 0.0,
) -> Tensor:
    """c [1, 25] of the canonical camera, or of one `yaw`, `pitch` radians away from it."""
    return label(
        look_at(math.pi / 2 + yaw, math.pi / 2 + pitch, radius, pivot), fov_to_intrinsics(fov_deg)
    )


def rays(c: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Origins and unit directions [B, resolution**2, 3] of the pixels of cameras c [B, 25].

    Pixel (row, col) is at flat index row * resolution + col, sampled at its centre.
    """
    cam2world = c[:, :16].reshape(-1, 4, 4)
    k = c[:, 16:25].reshape(-1, 3, 3)
    centres = (torch.arange(resolution, dtype=torch.float32, device=c.device) + 0.5) / resolution
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    u, v = u.reshape(1, -1), v.reshape(1, -1)
    fx, fy, cx, cy, skew = (
        k[:, i, j].unsqueeze(1) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 1))
    )
    x = (u - cx + cy * skew / fy - skew * v / fy) / fx
    y = ((v - cy) / fy).expand_as(x)
    one = torch.ones_like(x)
    points = torch.stack([x, y, one, one], dim=-1)
    # Through the world point, not by rotation alone: pixels then round as in the public code.
    world = (cam2world @ points.transpose(1, 2)).transpose(1, 2)[..., :3]
    origins = cam2world[:, None, :3, 3].expand_as(world)
    return origins, F.normalize(world - origins, dim=2)

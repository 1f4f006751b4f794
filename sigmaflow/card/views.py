"""Pictures of a generator's seeds from chosen angles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sigmaflow.fields.slab import latents
from sigmaflow.generators import RaySampling
from sigmaflow.generators.cameras import frontal_label
from sigmaflow.metrics.generated import image_batch, to_uint8

BEHIND = 90.0  #: degrees of yaw from which the camera looks at the middle of the head


def view_label(yaw: float) -> Tensor:
    """Camera ``[1, 25]`` at ``yaw`` degrees (image right), pitch 0, on EG3D's orbit of 2.7.

    Up to ``BEHIND`` degrees it looks at EG3D's pivot (0, 0, 0.2), beyond at the origin, as the
    cameras of the rendered heads do.
    """
    pivot = (0.0, 0.0, 0.2) if abs(yaw) <= BEHIND else (0.0, 0.0, 0.0)
    return frontal_label(yaw=math.radians(yaw), pivot=pivot)


def view_pictures(G, seeds: Sequence[int], psi: float, yaws: Sequence[float]) -> Tensor:
    """uint8 ``[n, len(yaws), 3, R, R]`` on the CPU: every seed from every yaw in degrees.

    The mapping is conditioned on the canonical camera for all of them, so the head is the same;
    constant noise, rays without jitter.
    """
    device, step, out = next(G.parameters()).device, image_batch(G), []
    cameras = [view_label(yaw).to(device) for yaw in yaws]
    for i in range(0, len(seeds), step):
        z = latents(seeds[i : i + step], G.z_dim).to(device)
        with torch.no_grad():
            c = G.canonical_label().to(device).expand(len(z), -1)
            ws = G.mapping(z, c, truncation_psi=psi)
            planes = G.planes(ws, noise_mode="const")
            views = [
                G.synthesis(ws, camera.expand(len(z), -1), planes=planes, noise_mode="const",
                            sampling=RaySampling(deterministic=True))["image"]
                for camera in cameras
            ]  # fmt: skip
        out.append(torch.stack([to_uint8(v).cpu() for v in views], 1))
    return torch.cat(out)

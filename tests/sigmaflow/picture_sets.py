"""Sets of small shaded, textured heads for metric tests: cheap, varied, made of numpy only."""

from __future__ import annotations

import numpy as np
import torch


def head_pictures(n: int, seed: int, spread: float = 1.0, size: int = 64) -> torch.Tensor:
    """uint8 ``[n, 3, size, size]``: ellipsoid heads with eyes, nose, mouth, hair and light.

    ``spread`` scales all differences from the mean head, as truncation psi does.
    """
    random = np.random.RandomState(seed)
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(-axis, axis, indexing="ij")
    out = np.empty((n, size, size, 3), np.float32)
    for i in range(n):
        p = np.clip(random.randn(24), -2.2, 2.2) * spread
        width, height = 0.55 + 0.06 * p[0], 0.74 + 0.06 * p[1]
        turn = 0.16 * p[2]
        u, v = (x - 0.5 * turn) / width, (y + 0.05) / height
        inside = u**2 + v**2 < 1
        depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
        nose = np.exp(-(((u - turn) / 0.17) ** 2) - ((v + 0.12) / (0.3 + 0.05 * p[3])) ** 2)
        surface = depth + (0.28 + 0.08 * p[4]) * nose
        gy, gx = np.gradient(surface, 2 / size)
        normal = np.stack([-gx, gy, np.ones_like(gx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        light = np.array([0.5 * p[5], 0.35 + 0.2 * p[6], 1.0])
        shade = 0.4 + 0.6 * np.clip(normal @ (light / np.linalg.norm(light)), 0, 1)
        skin = np.clip(
            [
                0.78 + 0.09 * p[7],
                0.58 + 0.08 * p[7] + 0.02 * p[8],
                0.47 + 0.08 * p[7] - 0.02 * p[8],
            ],
            0.05,
            1,
        )
        hair = np.clip(np.array([0.3, 0.2, 0.13]) + 0.12 * p[9], 0.02, 0.9)
        back = np.clip(0.5 + 0.15 * p[10:13], 0, 1) * (0.85 + 0.15 * y[..., None])
        face = skin * shade[..., None]
        for side in (-1, 1):
            ex, ey = turn + side * (0.38 + 0.03 * p[13]), 0.15 + 0.03 * p[14]
            r = np.hypot((u - ex) / (0.16 + 0.02 * p[15]), (v - ey) / (0.07 + 0.01 * p[16]))
            white, iris = r < 1, np.hypot((u - ex) / 0.07, (v - ey) / 0.06) < 1
            face = np.where(white[..., None], 0.9 * shade[..., None], face)
            face = np.where(iris[..., None], hair * 0.6, face)
            brow = np.hypot((u - ex) / 0.22, (v - ey - 0.16) / 0.035) < 1
            face = np.where(brow[..., None], hair * 0.8, face)
        mouth = (
            np.hypot((u - turn) / (0.26 + 0.04 * p[17]), (v + 0.47) / (0.055 + 0.015 * p[18])) < 1
        )
        face = np.where(mouth[..., None], skin * [0.85, 0.5, 0.5] * shade[..., None], face)
        line = 0.62 + 0.1 * p[19] + 0.05 * np.sin((5 + p[20]) * u + p[21])
        strands = 1 + 0.25 * np.sin(u * (30 + 5 * p[22]) + 3 * v)[..., None]
        face = np.where((v > line)[..., None], hair * shade[..., None] * strands, face)
        cap = (u / 1.12) ** 2 + ((v - 0.1) / 1.08) ** 2 < 1
        behind = np.where((cap & (v > -0.2 - 0.3 * p[23]))[..., None], hair * 0.7 * strands, back)
        out[i] = np.where(inside[..., None], face, behind)
    out += random.randn(*out.shape).astype(np.float32) * 0.01
    pixels = np.clip(out * 255, 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def blurred(images: torch.Tensor, radius: float) -> torch.Tensor:
    """Gaussian blur by ``radius`` pixels (standard deviation)."""
    from scipy.ndimage import gaussian_filter

    done = gaussian_filter(images.numpy().astype(np.float32), (0, 0, radius, radius))
    return torch.from_numpy(np.clip(done + 0.5, 0, 255).astype(np.uint8))


def noisy(images: torch.Tensor, amount: float, seed: int = 0) -> torch.Tensor:
    """White noise of standard deviation ``amount`` grey values added."""
    noise = np.random.RandomState(seed).randn(*images.shape) * amount
    return torch.from_numpy(np.clip(images.numpy() + noise, 0, 255).astype(np.uint8))

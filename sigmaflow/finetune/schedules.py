"""What changes with the images seen, and the blur that fades so (EG3D's training code)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _progress(images_seen: float, fade_kimg: float) -> float:
    """Share of the fade that is over, in [0, 1]; without a fade, all of it."""
    return min(images_seen / (fade_kimg * 1000), 1.0) if fade_kimg > 0 else 1.0


def swap_probability(images_seen: float, final: float, fade_kimg: float) -> float:
    """Share of swapped conditioning cameras: from 1 linearly to `final` over `fade_kimg`."""
    done = _progress(images_seen, fade_kimg)
    return (1 - done) + done * final


def blur_sigma(images_seen: float, initial: float, fade_kimg: float) -> float:
    """Width of the discriminator's blur in pixels: from `initial` linearly to 0."""
    return (1 - _progress(images_seen, fade_kimg)) * initial


def blur_kernel(sigma: float, device: torch.device | str | None = None) -> Tensor:
    """Taps [2 k + 1] of sum 1, proportional to 2^-(x / sigma)^2, with k = floor(3 sigma)."""
    half = math.floor(3 * sigma)
    taps = torch.arange(-half, half + 1, dtype=torch.float32, device=device)
    taps = taps.div(sigma).square().neg().exp2()
    return taps / taps.sum()


def blur(images: Tensor, sigma: float) -> Tensor:
    """Images [B, C, H, W] blurred along rows and columns with zeros outside.

    Narrower than a third of a pixel it does nothing.
    """
    if math.floor(3 * sigma) < 1:
        return images
    taps = blur_kernel(sigma, images.device).to(images.dtype)
    half, shape = len(taps) // 2, images.shape
    x = images.reshape(-1, 1, *shape[2:])
    x = F.conv2d(x, taps.reshape(1, 1, 1, -1), padding=(0, half))
    x = F.conv2d(x, taps.reshape(1, 1, -1, 1), padding=(half, 0))
    return x.reshape(shape)

"""Resizing before the feature networks.

`clean_resize` is clean-fid's: PIL bicubic with antialiasing, channel by channel in float (Parmar et
al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation"). `tf1_resize` is what
FIDs of the StyleGAN line were taken with.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def check_images(images: torch.Tensor) -> None:
    """``ValueError`` unless ``images`` is uint8 ``[B, 3, H, W]``."""
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images must be uint8 [B, 3, H, W], got {images.dtype} {list(images.shape)}"
        )


def clean_resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 ``[B, 3, H, W]`` to float32 ``[B, 3, size, size]`` in [0, 255], not quantised.

    What ``cleanfid.resize.build_resizer("clean")`` does at size 299, at any size.
    """
    import numpy as np
    import torch
    from cleanfid.resize import make_resizer

    check_images(images)
    if images.shape[2] == size and images.shape[3] == size:
        return images.float()
    resize = make_resizer("PIL", False, "bicubic", (size, size))
    with warnings.catch_warnings():  # newer Pillow deprecates the mode= that clean-fid passes
        warnings.simplefilter("ignore", DeprecationWarning)
        done = [resize(image) for image in images.cpu().permute(0, 2, 3, 1).numpy()]
    stacked = np.stack(done) if done else np.zeros((0, size, size, 3), np.float32)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous().to(images.device)


def tf1_resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 ``[B, 3, H, W]`` to float32 ``[B, 3, size, size]`` in [0, 255], not quantised.

    What TensorFlow 1's ``resize_bilinear`` did and the Inception behind NVIDIA's FID does within
    itself: output pixel i is read at i * H / size, without half a pixel of offset and without
    antialiasing; beyond the last pixel it repeats.
    """
    check_images(images)
    return _lerp(_lerp(images.float(), size, 2), size, 3)


def _lerp(x: torch.Tensor, size: int, axis: int) -> torch.Tensor:
    """Linear interpolation of one axis at i * n / size."""
    import torch

    n = x.shape[axis]
    at = torch.arange(size, device=x.device, dtype=torch.float64) * n / size
    below = at.floor().long()
    above = (below + 1).clamp_max(n - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    share = (at - below).float().view(shape)
    low = x.index_select(axis, below)
    return low + (x.index_select(axis, above) - low) * share

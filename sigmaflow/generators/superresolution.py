"""EG3D's super-resolution heads: volume features to the final image (EG3D section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import SynthesisBlock
from .ops import binomial_filter


class Superresolution(nn.Module):
    """Two style-modulated blocks above the volume rendering.

    Class attributes give what the public variants fix; `hidden_channels` lets a small generator
    have a small head.
    """

    first_up = True  # block0 doubles the size
    last_up = True  # block1 does
    hidden = (128, 64)
    shrink = 4  # img_resolution over the resolution that enters block0
    resize_only_up = False  # the 4X head leaves larger inputs as they are
    own_filter = True  # an unused buffer `resample_filter`, in every public head but 8XDC

    def __init__(
        self,
        channels: int,
        img_resolution: int,
        sr_num_fp16_res: int,
        sr_antialias: bool,
        w_dim: int = 512,
        hidden_channels: Sequence[int] | None = None,
        **ignored: Any,  # channel_base, channel_max, ...: the public heads take and ignore them
    ):
        super().__init__()
        self.input_resolution = img_resolution // self.shrink
        self.sr_antialias = sr_antialias
        a, b = hidden_channels or self.hidden
        common: dict[str, Any] = dict(
            img_channels=3,
            use_fp16=sr_num_fp16_res > 0,
            conv_clamp=256 if sr_num_fp16_res > 0 else None,
        )
        between = img_resolution // 2 if self.last_up else img_resolution
        self.block0 = SynthesisBlock(channels, a, w_dim, between, up=self.first_up, **common)
        self.block1 = SynthesisBlock(a, b, w_dim, img_resolution, up=self.last_up, **common)
        if self.own_filter:
            self.register_buffer("resample_filter", binomial_filter())

    def forward(self, rgb: Tensor, x: Tensor, ws: Tensor, noise_mode: str) -> tuple[Tensor, Tensor]:
        """rgb [B,3,r,r], x [B,32,r,r], ws [B,n,w_dim] to (image [B,3,R,R], image_raw [B,3,r,r]).

        Where block0 keeps the size and nothing was resized, the public code adds block0's output
        to `image_raw` in place and returns it so; the second value is what it returns.
        """
        size = x.shape[-1]
        wanted = self.input_resolution
        resized = size < wanted if self.resize_only_up else size != wanted
        ws = ws[:, -1:].repeat(1, 3, 1)
        low, features = rgb, x
        if resized:
            shape = (wanted, wanted)
            mode: dict[str, Any] = dict(
                mode="bilinear", align_corners=False, antialias=self.sr_antialias
            )
            low = F.interpolate(rgb, shape, **mode)
            features = F.interpolate(x, shape, **mode)
        features, low = self.block0(features, low, ws, noise_mode)
        raw = low if self.last_up and not self.first_up and not resized else rgb
        return self.block1(features, low, ws, noise_mode)[1], raw


class SuperresolutionHybrid8X(Superresolution):
    """128 to 512 pixels."""


class SuperresolutionHybrid8XDC(Superresolution):
    """128 to 512 pixels with twice the channels: the head of the FFHQ-512 checkpoint."""

    hidden = (256, 128)
    own_filter = False


class SuperresolutionHybrid4X(Superresolution):
    """128 to 256 pixels."""

    first_up, shrink, resize_only_up = False, 2, True


class SuperresolutionHybrid2X(Superresolution):
    """64 to 128 pixels."""

    first_up, shrink = False, 2


class SuperresolutionHybrid1X(Superresolution):
    """Keeps the size. Not in EG3D: for a generator small enough to render every pixel, whose head
    only corrects the picture. `image_raw` is the volume rendering as it is."""

    first_up, last_up, shrink = False, False, 1
    own_filter = False


SUPERRESOLUTION = {
    c.__name__: c
    for c in (
        SuperresolutionHybrid8X,
        SuperresolutionHybrid8XDC,
        SuperresolutionHybrid4X,
        SuperresolutionHybrid2X,
        SuperresolutionHybrid1X,
    )
}


def superresolution_class(name: str) -> type[Superresolution]:
    """Class for a dotted name such as `training.superresolution.SuperresolutionHybrid8XDC`."""
    short = name.rsplit(".", 1)[-1]
    if short not in SUPERRESOLUTION:
        raise ValueError(f"superresolution_module {name!r}: one of {', '.join(SUPERRESOLUTION)}")
    return SUPERRESOLUTION[short]

"""EG3D's dual discriminator: the image and its raw volume rendering, judged as one."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import MappingNetwork
from .ops import Conv2dLayer, FullyConnectedLayer


class DiscriminatorBlock(nn.Module):
    """One residual step from `resolution` to half of it."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        img_channels: int,
        use_fp16: bool,
        conv_clamp: float | None,
    ):
        super().__init__()
        self.use_fp16 = use_fp16
        lrelu: dict[str, Any] = dict(activation="lrelu", conv_clamp=conv_clamp)
        if in_channels == 0:
            self.fromrgb = Conv2dLayer(img_channels, hidden, 1, **lrelu)
        self.conv0 = Conv2dLayer(hidden, hidden, 3, **lrelu)
        self.conv1 = Conv2dLayer(hidden, out_channels, 3, down=2, **lrelu)
        self.skip = Conv2dLayer(hidden, out_channels, 1, bias=False, down=2)
        self.register_buffer("resample_filter", self.skip.resample_filter.clone())

    def forward(self, x: Tensor | None, img: Tensor) -> Tensor:
        half = self.use_fp16 and img.device.type == "cuda"
        dtype = torch.float16 if half else torch.float32
        x = self.fromrgb(img.to(dtype)) if x is None else x.to(dtype)
        y = self.skip(x, gain=math.sqrt(0.5))
        return y + self.conv1(self.conv0(x), gain=math.sqrt(0.5))


def minibatch_std(x: Tensor, group_size: int) -> Tensor:
    """Append one channel: the mean standard deviation over groups of the batch.

    x [B, C, H, W]; B must be divisible by min(group_size, B), else ValueError.
    """
    n, c, h, w = x.shape
    g = min(group_size, n)
    if n % g:
        raise ValueError(f"batch {n} is not divisible by the minibatch-std group {g}")
    y = x.reshape(g, n // g, c, h, w)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    y = (y + 1e-8).sqrt().mean(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)
    return torch.cat([x, y.repeat(g, 1, h, w)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """4x4 features and the embedded camera to a logit [B, 1]."""

    def __init__(
        self, channels: int, cmap_dim: int, mbstd_group_size: int, conv_clamp: float | None
    ):
        super().__init__()
        self.cmap_dim, self.mbstd_group_size = cmap_dim, mbstd_group_size
        self.conv = Conv2dLayer(
            channels + 1, channels, 3, activation="lrelu", conv_clamp=conv_clamp
        )
        self.fc = FullyConnectedLayer(channels * 16, channels, activation="lrelu")
        self.out = FullyConnectedLayer(channels, cmap_dim)

    def forward(self, x: Tensor, cmap: Tensor) -> Tensor:
        x = self.conv(minibatch_std(x.float(), self.mbstd_group_size))
        x = self.out(self.fc(x.flatten(1)))
        return (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)


def resize(image: Tensor, size: int) -> Tensor:
    """Antialiased bilinear resize to [B, C, size, size], EG3D's default filter."""
    return F.interpolate(image, (size, size), mode="bilinear", align_corners=False, antialias=True)


class DualDiscriminator(nn.Module):
    """Logit [B, 1] of (image [B,3,R,R], image_raw [B,3,r,r], camera c [B,25])."""

    resample_filter: Tensor

    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 4,
        conv_clamp: float | None = 256,
        block_kwargs: Mapping[str, Any] | None = None,
        mapping_kwargs: Mapping[str, Any] | None = None,
        epilogue_kwargs: Mapping[str, Any] | None = None,
        disc_c_noise: float = 0,
    ):
        super().__init__()
        self.init_kwargs = copy.deepcopy(
            {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        )
        levels = int(math.log2(img_resolution))
        self.c_dim, self.img_resolution, self.disc_c_noise = c_dim, img_resolution, disc_c_noise
        self.block_resolutions = [2**i for i in range(levels, 2, -1)]
        width = {r: min(channel_base // r, channel_max) for r in self.block_resolutions + [4]}
        first_fp16 = max(2 ** (levels + 1 - num_fp16_res), 8)
        for res in self.block_resolutions:
            block = DiscriminatorBlock(
                width[res] if res < img_resolution else 0,
                width[res],
                width[res // 2],
                img_channels * 2,
                use_fp16=num_fp16_res > 0 and res >= first_fp16,
                conv_clamp=conv_clamp,
            )
            setattr(self, f"b{res}", block)
        self.mapping = MappingNetwork(
            0, c_dim, width[4], num_ws=None, w_avg_beta=None, **(mapping_kwargs or {})
        )
        group = (epilogue_kwargs or {}).get("mbstd_group_size", 4)
        self.b4 = DiscriminatorEpilogue(width[4], width[4], group, conv_clamp)
        self.register_buffer("resample_filter", self.b4.conv.resample_filter.clone())

    def forward(self, image: Tensor, image_raw: Tensor, c: Tensor) -> Tensor:
        img = torch.cat([image, resize(image_raw, image.shape[-1])], dim=1)
        if self.disc_c_noise > 0:
            c = c + torch.randn_like(c) * c.std(0) * self.disc_c_noise
        x: Tensor | None = None
        for res in self.block_resolutions:
            x = getattr(self, f"b{res}")(x, img)
        assert x is not None  # there is a block at least
        with torch.autocast(x.device.type, enabled=False):  # a logit needs all its digits
            return self.b4(x, self.mapping(None, c))

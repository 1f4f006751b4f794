"""StyleGAN2 mapping and synthesis networks, conditioned on the camera as EG3D does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .ops import (
    FullyConnectedLayer,
    activate,
    binomial_filter,
    modulated_conv2d,
    normalize_2nd_moment,
    upsample2d,
)

NOISE_MODES = ("random", "const", "none")


class MappingNetwork(nn.Module):
    """(z [B, z_dim], c [B, c_dim]) to ws [B, num_ws, w_dim], or w [B, w_dim] if num_ws is None.

    `z_dim` or `c_dim` may be 0. `w_avg` follows w with decay `w_avg_beta` where `update_emas`.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.998,
    ):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        embed = (embed_features or w_dim) if c_dim > 0 else 0
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embed)
        widths = [z_dim + embed, *[layer_features or w_dim] * (num_layers - 1), w_dim]
        for i in range(num_layers):
            layer = FullyConnectedLayer(
                widths[i], widths[i + 1], activation="lrelu", lr_multiplier=lr_multiplier
            )
            setattr(self, f"fc{i}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        parts = []
        if self.z_dim > 0:
            assert z is not None
            parts.append(normalize_2nd_moment(z.to(torch.float32)))
        if self.c_dim > 0:
            assert c is not None
            parts.append(normalize_2nd_moment(self.embed(c.to(torch.float32))))
        x = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            x = getattr(self, f"fc{i}")(x)
        if update_emas and self.num_ws is not None and self.w_avg_beta is not None:
            self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is None:
            return x
        x = x.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            cut = self.num_ws if truncation_cutoff is None else truncation_cutoff
            x = torch.cat([self.w_avg.lerp(x[:, :cut], truncation_psi), x[:, cut:]], dim=1)
        return x


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        up: int = 1,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self.register_buffer("resample_filter", binomial_filter())
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, noise_mode: str = "random", gain: float = 1.0):
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode {noise_mode!r}: one of {', '.join(NOISE_MODES)}")
        x = modulated_conv2d(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        if noise_mode == "random":
            shape = (x.shape[0], 1, self.resolution, self.resolution)
            x = x + (torch.randn(shape, device=x.device) * self.noise_strength).to(x.dtype)
        elif noise_mode == "const":
            x = x + (self.noise_const * self.noise_strength).to(x.dtype)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return activate(x, self.bias, "lrelu", gain=gain, clamp=clamp)


class ToRGBLayer(nn.Module):
    """Modulated 1x1 convolution to image (or plane) channels, without demodulation."""

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, conv_clamp: float | None = None
    ):
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv2d(x, self.weight, styles, self.weight, demodulate=False)
        return activate(x, self.bias, "linear", clamp=self.conv_clamp)


class SynthesisBlock(nn.Module):
    """One resolution of the 'skip' architecture. `up=False` keeps the size (EG3D's NoUp block)."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        conv_clamp: float | None = None,
        use_fp16: bool = False,
        up: bool = True,
    ):
        super().__init__()
        self.in_channels, self.resolution, self.up, self.use_fp16 = (
            in_channels,
            resolution,
            up,
            use_fp16,
        )
        self.register_buffer("resample_filter", binomial_filter())
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, 2 if up else 1, conv_clamp
            )
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, 1, conv_clamp)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp)
        self.num_conv = 1 if in_channels == 0 else 2

    def forward(self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise_mode: str):
        """ws: [B, num_conv + 1, w_dim]. Returns (features, image), the image in float32."""
        rows = iter(ws.unbind(dim=1))
        half = self.use_fp16 and ws.device.type == "cuda"
        dtype = torch.float16 if half else torch.float32
        if self.in_channels == 0:
            x = self.const.to(dtype).expand(ws.shape[0], -1, -1, -1)
        else:
            assert x is not None
            x = self.conv0(x.to(dtype), next(rows), noise_mode)
        x = self.conv1(x, next(rows), noise_mode)
        y = self.torgb(x, next(rows)).float()
        if img is None:
            return x, y
        return x, (upsample2d(img, self.resample_filter) if self.up else img) + y


class SynthesisNetwork(nn.Module):
    """ws [B, num_ws, w_dim] to [B, img_channels, img_resolution, img_resolution]."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 0,
        conv_clamp: float | None = None,
        fused_modconv_default: Any = None,  # accepted from public kwargs; both forms are equal
    ):
        super().__init__()
        levels = int(math.log2(img_resolution))
        if img_resolution < 4 or 2**levels != img_resolution:
            raise ValueError(f"img_resolution {img_resolution}: a power of two from 4 up")
        self.block_resolutions = [2**i for i in range(2, levels + 1)]
        first_fp16 = max(2 ** (levels + 1 - num_fp16_res), 8)
        self.num_ws = 1
        width = {r: min(channel_base // r, channel_max) for r in self.block_resolutions}
        for res in self.block_resolutions:
            block = SynthesisBlock(
                width[res // 2] if res > 4 else 0,
                width[res],
                w_dim,
                res,
                img_channels,
                conv_clamp=conv_clamp,
                use_fp16=num_fp16_res > 0 and res >= first_fp16,
            )
            setattr(self, f"b{res}", block)
            self.num_ws += block.num_conv

    def forward(self, ws: Tensor, noise_mode: str = "random", remade: int = 0) -> Tensor:
        """remade: so many of the last blocks keep nothing for the way back and run once more there.
        The numbers are the same."""
        x: Tensor | None = None
        img: Tensor | None = None
        row = 0
        kept = len(self.block_resolutions) - (remade if torch.is_grad_enabled() else 0)
        for level, res in enumerate(self.block_resolutions):
            block = getattr(self, f"b{res}")
            inputs = (x, img, ws[:, row : row + block.num_conv + 1], noise_mode)
            if level < kept:
                x, img = block(*inputs)
            else:
                drawn = noise_mode == "random"
                x, img = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=drawn)
            row += block.num_conv
        assert img is not None  # there is a block at least
        return img


class Generator(nn.Module):
    """Mapping and synthesis under the names of the public state dicts."""

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        mapping_kwargs: Mapping[str, Any] | None = None,
        **synthesis_kwargs: Any,
    ):
        super().__init__()
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))

"""ResNet-SE-3D-UNet: the sigma backbone of the paper (section 3.2.2), state-dict compatible.

Names of modules are those of the released state dict, so that its weights load strictly. Volumes
are `[B, C, z, y, x]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint as recomputed

from sigmaflow.rewards.config import RECON_CHANNELS
from sigmaflow.rewards.convolution import Conv3d

FEATURE_CHANNELS = 4


def run(step: Callable[..., torch.Tensor], again: bool, *inputs: torch.Tensor) -> torch.Tensor:
    """`step(*inputs)`; with `again` its insides are not kept for the backward pass but remade."""
    if again and torch.is_grad_enabled():
        # Nothing here is random, so there is no generator's state to bring back.
        return recomputed(step, *inputs, use_reentrant=False, preserve_rng_state=False)
    return step(*inputs)


class NormedConv(nn.Module):
    """GroupNorm, then a 3x3x3 convolution without bias; ReLU is left to the block."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.groupnorm = nn.GroupNorm(groups, channels)
        self.conv = Conv3d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.groupnorm(x))


class ChannelGate(nn.Module):
    """Gates every channel by a two-layer function of all channel means (reduction ratio 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.fc2 = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3, 4))))))
        return gate[:, :, None, None, None]


class SpaceGate(nn.Module):
    """Gates every cell by a linear function of its channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv3d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(x))


class SqueezeExcite(nn.Module):
    """The larger of the channel-gated and the space-gated input (concurrent scSE)."""

    def __init__(self, channels: int):
        super().__init__()
        self.cSE = ChannelGate(channels)
        self.sSE = SpaceGate(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.maximum(x * self.cSE(x), x * self.sSE(x))


class ResidualBlock(nn.Module):
    """1x1x1 convolution where channels change, two normed convolutions around it, then scSE."""

    def __init__(self, channels_in: int, channels: int, groups: int):
        super().__init__()
        same = channels_in == channels
        self.conv1 = nn.Identity() if same else Conv3d(channels_in, channels, 1)
        self.conv2 = NormedConv(channels, groups)
        self.conv3 = NormedConv(channels, groups)
        self.se_module = SqueezeExcite(channels)
        self.checkpoint = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.conv1(x)
        h = run(self._first, self.checkpoint, residual)
        h = run(self._second, self.checkpoint, h, residual)
        return run(self.se_module, self.checkpoint, h)

    def _first(self, residual: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv2(residual))

    def _second(self, h: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv3(h) + residual)


class Encoder(nn.Module):
    """Halves the volume (not at the first level), then a residual block."""

    def __init__(self, channels_in: int, channels: int, groups: int, pool: bool):
        super().__init__()
        self.pool = pool
        self.basic_module = ResidualBlock(channels_in, channels, groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.basic_module(F.max_pool3d(x, 2) if self.pool else x)


class Upsample(nn.Module):
    """Stride-2 transposed convolution, then nearest resize to the size of the skip."""

    def __init__(self, channels_in: int, channels: int):
        super().__init__()
        # The released name has one level more: upsampling.upsample.conv_transposed.
        conv = nn.ConvTranspose3d(channels_in, channels, 3, stride=2, padding=1, bias=False)
        self.upsample = nn.ModuleDict({"conv_transposed": conv})

    def forward(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        return F.interpolate(self.upsample["conv_transposed"](x), size=tuple(size))


class Decoder(nn.Module):
    """Upsamples, adds the skip, then a residual block."""

    def __init__(self, channels_in: int, channels: int, groups: int):
        super().__init__()
        self.upsampling = Upsample(channels_in, channels)
        self.basic_module = ResidualBlock(channels, channels, groups)

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.basic_module(skip + self.upsampling(x, skip.shape[2:]))


class UNet3D(nn.Module):
    """Volume in, a maximum per z slice (and a reconstruction) out.

    f_maps: channels of the levels; released (8, 16, 32, 64, 128, 256). Every one is a multiple of
        `groups`, and the first has at least the 8 channels that the two branches split.
    checkpoint: keep only what enters each block and remake the rest in the backward pass, step by
        step: the same numbers in less memory and more time. No part of the state dict.
    """

    def __init__(self, f_maps: Sequence[int], groups: int = 8, checkpoint: bool = False):
        super().__init__()
        self.checkpoint = checkpoint
        inputs = (1, *f_maps[:-1])
        self.encoders = nn.ModuleList(
            Encoder(a, b, groups, pool=level > 0)
            for level, (a, b) in enumerate(zip(inputs, f_maps))
        )
        down = list(f_maps)[::-1]
        self.decoders = nn.ModuleList(Decoder(a, b, groups) for a, b in zip(down, down[1:]))
        self.final_conv = Conv3d(f_maps[0], RECON_CHANNELS + FEATURE_CHANNELS, 1)
        # Never used, there or here; kept because the released state dict has it.
        self.conv1d_for_recon = nn.Conv1d(1, 1, 1)
        self.conv3d_for_recon = Conv3d(1, 1, 1)
        for conv in (self.conv1d_for_recon, self.conv3d_for_recon):
            nn.init.ones_(conv.weight)
            if conv.bias is not None:
                nn.init.uniform_(conv.bias, -0.005, 0.005)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                module.checkpoint = checkpoint

    def volume(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, 1, z, y, x]` -> `[B, 8, z, y, x]`."""
        skips = []
        for encoder in self.encoders:
            x = run(encoder, self.checkpoint, x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, skips[-2::-1]):
            x = run(decoder, self.checkpoint, skip, x)
        return self.final_conv(x)

    def slice_maxima(self, volume: torch.Tensor) -> torch.Tensor:
        """`[B, 8, z, y, x]` -> `[B, z]`: maximum over the last four channels, y and x."""
        return volume[:, -FEATURE_CHANNELS:].amax((1, 3, 4))

    def merged(self, volume: torch.Tensor) -> torch.Tensor:
        """`[B, 8, z, y, x]` -> `[B, 1, z, y, x]`: maximum over the first four channels."""
        return volume[:, :RECON_CHANNELS].amax(1, keepdim=True)

    def reconstruction(self, volume: torch.Tensor) -> torch.Tensor:
        """`[B, 8, z, y, x]` -> `[B, z, y, x]`: the input as the first four channels tell it."""
        return self.conv3d_for_recon(self.merged(volume))[:, 0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, 1, z, y, x]` -> `[B, z]` slice maxima."""
        return self.slice_maxima(self.volume(x))


def stretch(maxima: torch.Tensor, size: int) -> torch.Tensor:
    """`[B, D]` -> `[B, size]` global feature by adaptive maximum pooling.

    Entry i is the maximum of slices floor(D i / size) to ceil(D (i + 1) / size) - 1: with more
    entries than slices (released: 8192 from 129) a step function of the slices.
    """
    return F.adaptive_max_pool1d(maxima[:, None], size)[:, 0]

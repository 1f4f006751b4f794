"""Light sigma backbones, for sweeps that the U-Net is too dear for.

All take slabs as the U-Net does, `[B, 1, z, y, x]` in [0, upper], and none reconstructs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigmaflow.rewards.convolution import Conv3d

VOXNET_SIDE = 32


def pooled(x: Tensor) -> Tensor:
    """Mean and maximum over all positions: `[B, C, ...]` -> `[B, 2C]`."""
    flat = x.flatten(2)
    return torch.cat([flat.mean(2), flat.amax(2)], 1)


class Block(nn.Module):
    """Pre-activated residual block (He et al. 2016) of stride 2 with GroupNorm."""

    def __init__(self, channels_in: int, channels: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = Conv3d(channels_in, channels, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = Conv3d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = Conv3d(channels_in, channels, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(x))
        return self.shortcut(x) + self.conv2(F.relu(self.norm2(self.conv1(x))))


class ResNet3D(nn.Module):
    """A strided 3D ResNet: `[B, 1, z, y, x]` -> `[B, 2 * f_maps[-1]]`.

    Stem of stride 2, then a block of stride 2 for each further level. The full resolution, where
    the U-Net spends nearly all its time, is seen by the stem alone.
    """

    def __init__(self, f_maps: Sequence[int], groups: int = 8):
        super().__init__()
        self.stem = Conv3d(1, f_maps[0], 5, stride=2, padding=2, bias=False)
        self.blocks = nn.Sequential(*(Block(a, b, groups) for a, b in zip(f_maps, f_maps[1:])))
        self.norm = nn.GroupNorm(groups, f_maps[-1])

    def forward(self, x: Tensor) -> Tensor:
        return pooled(F.relu(self.norm(self.blocks(self.stem(x)))))


class Projections(nn.Module):
    """Pictures of the slab along its three axes: `[B, 1, z, y, x]` -> `[B, 6 * f_maps[-1]]`.

    Cells along an axis are the channels of a picture, mixed by a learnt 1x1 convolution (a shape
    is where along the ray the density rises) and read by strided 2D convolutions: the cost of
    images, not of volumes.
    sides: cells along (z, y, x).
    """

    def __init__(self, sides: Sequence[int], f_maps: Sequence[int], groups: int = 8):
        super().__init__()
        self.nets = nn.ModuleList(self._net(side, f_maps, groups) for side in sides)

    @staticmethod
    def _net(side: int, f_maps: Sequence[int], groups: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(side, f_maps[0], 1, bias=False)]
        for a, b in zip(f_maps, f_maps[1:]):
            layers += [nn.GroupNorm(groups, a), nn.ReLU()]
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)]
        return nn.Sequential(*layers, nn.GroupNorm(groups, f_maps[-1]), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        # Each axis in turn first, the other two in their order.
        along = (x[:, 0].movedim(axis, 1) for axis in (1, 2, 3))
        return torch.cat([pooled(net(v)) for net, v in zip(self.nets, along)], 1)


class VoxNet(nn.Module):
    """VoxNet (Maturana and Scherer 2015) up to its fully connected layers, without dropout.

    `[B, 1, z, y, x]` -> `[B, 6912]`. The slab, of whatever size, is brought to 32 cells a side by
    means over cells, and to [0, 1] by `upper`.
    """

    def __init__(self, upper: float):
        super().__init__()
        self.upper = upper
        self.conv1 = Conv3d(1, 32, 5, stride=2)
        self.conv2 = Conv3d(32, 32, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool3d(x / self.upper, VOXNET_SIDE)
        x = F.leaky_relu(self.conv1(x), 0.1)
        x = F.leaky_relu(self.conv2(x), 0.1)
        return F.max_pool3d(x, 2).flatten(1)

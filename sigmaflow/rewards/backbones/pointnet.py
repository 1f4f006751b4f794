"""PointNet (Qi et al. 2017) as the public code has it: without transforms, with softplus."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 1024)


class PointNet(nn.Module):
    """Cloud `[B, 3, N]` -> the maximum over points of a shared MLP, `[B, 1024]`.

    The order of the points does not matter. The layers' names are those of the released state
    dict, where they belong to the reward itself.
    """

    conv1: nn.Module
    conv2: nn.Module
    conv3: nn.Module
    bn1: nn.Module
    bn2: nn.Module
    bn3: nn.Module

    def __init__(self) -> None:
        super().__init__()
        for i, (a, b) in enumerate(zip((3, *WIDTHS), WIDTHS), start=1):
            self.add_module(f"conv{i}", nn.Conv1d(a, b, 1))
        for i, width in enumerate(WIDTHS, start=1):
            self.add_module(f"bn{i}", nn.BatchNorm1d(width))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.softplus(norm(conv(x)))
        return x.amax(2)

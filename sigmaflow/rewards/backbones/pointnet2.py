"""PointNet++ (Qi et al. 2017) with the sizes and names of the public code.

Farthest points are sampled from the first point of a cloud on (the public code starts anywhere, in
evaluation too), and of more than 64 neighbours the first in the order of the cloud count, which is
what torch_cluster's CUDA kernel does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sigmaflow.rewards.backbones.neighbours import farthest_points, first, rows, within

NEIGHBOURS = 64


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear, BatchNorm and ReLU for every two widths: `[rows, C]` -> `[rows, C']`."""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers)


class SetAbstraction(nn.Module):
    """Features of the neighbourhoods of a share of the points.

    x: `[B, N, C]` or None, cloud `[B, N, 3]` -> `[B, S, C']` and `[B, S, 3]` with
    S = ceil(ratio N). A neighbour's message is the MLP of its feature and its offset to the centre;
    the maximum over neighbours is kept.
    """

    def __init__(self, ratio: float, radius: float, widths: Sequence[int]):
        super().__init__()
        self.ratio, self.radius, self.width = ratio, radius, widths[-1]
        # The name that torch_geometric's layer has.
        self.point_conv = nn.ModuleDict({"local_nn": mlp(widths)})

    def forward(self, x: Tensor | None, cloud: Tensor) -> tuple[Tensor, Tensor]:
        centres = rows(cloud, farthest_points(cloud, math.ceil(self.ratio * cloud.shape[1])))
        centre, point = first(within(cloud, centres, self.radius), NEIGHBOURS)
        message = cloud.flatten(0, 1)[point] - centres.flatten(0, 1)[centre]
        if x is not None:
            message = torch.cat([x.flatten(0, 1)[point], message], 1)
        message = self.point_conv["local_nn"](message)
        out = message.new_zeros(centres.shape[0] * centres.shape[1], self.width)
        # Every centre is its own neighbour: none stays without a message.
        index = centre[:, None].expand_as(message)
        out = out.scatter_reduce(0, index, message, "amax", include_self=False)
        return out.view(*centres.shape[:2], -1), centres


class PointNet2(nn.Module):
    """Cloud `[B, 3, N]` -> `[B, 1024]`: two set abstractions, then an MLP and the maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.sa1_module = SetAbstraction(0.5, 0.2, (3, 64, 64, 128))
        self.sa2_module = SetAbstraction(0.25, 0.4, (128 + 3, 128, 128, 256))
        self.sa3_module = nn.ModuleDict({"mlp": mlp((256 + 3, 256, 512, 1024))})
        # Never used, there or here; kept because the released state dict has them.
        self.affine_offset = nn.Parameter(torch.tensor(0.0), requires_grad=False)
        self.affine_scale = nn.Parameter(torch.tensor(1.0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        near, centres = self.sa1_module(None, x.transpose(1, 2))
        far, centres = self.sa2_module(near, centres)
        both = torch.cat([far, centres], 2)
        return self.sa3_module["mlp"](both.flatten(0, 1)).view(*both.shape[:2], -1).amax(1)

"""CurveNet (Xiang et al. 2021) with the sizes and names of the public reward code.

Features are `[B, C, N]`, clouds `[B, 3, N]`. Unlike there, one cloud alone is a batch too, and a
cloud may have fewer points than 2048: the stages keep the same shares of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigmaflow.rewards.backbones.neighbours import ball, farthest_points, nearest, rows

NEIGHBOURS = 20
CURVES, STEPS = 100, 5  # of the first two stages
SLOPE = 0.2
STAGES = (  # name, one point in so many, radius, channels in and out, bottleneck, curves
    ("cic11", 2, 0.05, 32, 64, 2, True),
    ("cic12", 2, 0.05, 64, 64, 4, True),
    ("cic21", 2, 0.05, 64, 128, 2, True),
    ("cic22", 2, 0.1, 128, 128, 4, True),
    ("cic31", 8, 0.1, 128, 256, 2, False),
    ("cic32", 8, 0.2, 256, 256, 4, False),
    ("cic41", 32, 0.2, 256, 512, 2, False),
    ("cic42", 32, 0.4, 512, 512, 4, False),
)


def conv1(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(channels_in, channels, 1, bias=False), nn.BatchNorm1d(channels))


def conv2(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels))


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Points of every item: `[B, C, N]` and `[B, ...]` -> `[B, C, ...]`."""
    return rows(x.transpose(1, 2), index).movedim(-1, 1)


class LPFA(nn.Module):
    """Local point feature aggregation: neighbours' offsets in space, and in features.

    x `[B, C, N]` (None at the start), cloud `[B, 3, N]`, neighbours `[B, N, k]` -> `[B, C', N]`:
    the mean over neighbours, the maximum at the start.
    """

    def __init__(self, channels_in: int, channels: int, initial: bool):
        super().__init__()
        self.initial = initial
        if not initial:
            self.xyz2feature = conv2(9, channels_in)
        self.mlp = nn.Sequential(conv2(channels_in, channels).append(nn.LeakyReLU(SLOPE)))

    def forward(self, x: Tensor | None, cloud: Tensor, neighbours: Tensor) -> Tensor:
        there = gather(cloud, neighbours)
        here = cloud[..., None].expand_as(there)
        space = torch.cat([here, there, there - here], 1)
        if self.initial:
            return self.mlp(space).amax(3)
        assert x is not None  # None at the start alone
        offsets = gather(x, neighbours) - x[..., None]
        return self.mlp(F.leaky_relu(offsets + self.xyz2feature(space), SLOPE)).mean(3)


class Walk(nn.Module):
    """Curves through the feature space: at each step on to the best of the neighbours."""

    def __init__(self, channels: int):
        super().__init__()
        self.agent_mlp = conv2(2 * channels, 1)
        self.momentum_mlp = conv1(2 * channels, 2)

    def forward(self, x: Tensor, neighbours: Tensor, start: Tensor) -> Tensor:
        """x `[B, C, N]`, neighbours `[B, N, k]`, start `[B, n]` -> curves `[B, C, n, steps]`."""
        current = start
        here = describes = gather(x, start)  # the point's feature; the curve's so far
        curves = []
        for step in range(STEPS):
            if step:
                describes = self._momentum(here, describes)
            options = rows(neighbours, current)  # [B, n, k]
            features = gather(x, options)  # [B, C, n, k]
            expanded = describes[..., None].expand_as(features)
            logits = self.agent_mlp(torch.cat([features, expanded], 1))[:, 0]
            if step:
                logits = logits * self._onward(here - describes, features - here[..., None])
            choice = straight_through(logits)
            here = (features * choice[:, None]).sum(3)
            current = options.gather(2, choice.argmax(2, keepdim=True))[..., 0]
            curves.append(here)
        return torch.stack(curves, 3)

    def _momentum(self, here: Tensor, describes: Tensor) -> Tensor:
        share = self.momentum_mlp(torch.cat([here, describes], 1)).softmax(1)  # [B, 2, n]
        # The authors' code reads these numbers as [n, 2] without transposing them, so that the
        # shares of a curve are those of two neighbours in memory. Trained weights expect it.
        share = share.reshape(len(share), 1, -1, 2)
        return here * share[..., 0] + describes * share[..., 1]

    @staticmethod
    @torch.no_grad()
    def _onward(direction: Tensor, options: Tensor) -> Tensor:
        """1 for options ahead, falling to 0 for those straight back: `[B, n, k]`."""
        dot = (direction[..., None] * options).sum(1)
        lengths = direction.norm(dim=1)[..., None] * options.norm(dim=1)
        return (1 + dot / lengths.clamp_min(1e-8)).clamp(0, 1)


def straight_through(logits: Tensor) -> Tensor:
    """One-hot choice of the largest of the last axis, with the gradient of the softmax."""
    soft = logits.softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1)
    return (hard - soft).detach() + soft


class CurveGrouping(nn.Module):
    """Curves from the points that attention likes best."""

    def __init__(self, channels: int):
        super().__init__()
        self.att = nn.Conv1d(channels, 1, 1, bias=False)
        self.walk = Walk(channels)

    def forward(self, x: Tensor, neighbours: Tensor) -> Tensor:
        attention = self.att(x).sigmoid()
        start = attention[:, 0].topk(min(CURVES, x.shape[2]), dim=1, sorted=False).indices
        return self.walk(x * attention, neighbours, start)


class CurveAggregation(nn.Module):
    """Adds to every point what the curves hold, between curves and along them."""

    def __init__(self, channels: int):
        super().__init__()
        mid = channels // 2
        self.conva, self.convb, self.convc = (
            nn.Conv1d(channels, mid, 1, bias=False) for _ in range(3)
        )
        self.convn, self.convl = (nn.Conv1d(mid, mid, 1, bias=False) for _ in range(2))
        self.convd = conv1(2 * mid, channels)
        self.line_conv_att = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor, curves: Tensor) -> Tensor:
        """`[B, C, N]` and `[B, C, n, steps]` -> `[B, C, N]`."""
        attention = self.line_conv_att(curves)
        inter = self.conva((curves * attention.softmax(3)).sum(3))  # [B, mid, n]
        intra = self.convb((curves * attention.softmax(2)).sum(2))  # [B, mid, steps]
        query = self.convc(x).transpose(1, 2)
        found = [
            torch.bmm((query @ keys).softmax(2), values(keys).transpose(1, 2))
            for keys, values in ((inter, self.convn), (intra, self.convl))
        ]
        return F.leaky_relu(x + self.convd(torch.cat(found, 2).transpose(1, 2)), SLOPE)


class CIC(nn.Module):
    """Curve intervention convolution: a residual bottleneck on a share of the points."""

    def __init__(
        self, one_in: int, radius: float, channels_in: int, channels: int, bottleneck: int,
        curves: bool,
    ):  # fmt: skip
        super().__init__()
        self.one_in, self.radius = one_in, radius
        planes = channels_in // bottleneck
        self.curves = curves
        if curves:
            self.curveaggregation = CurveAggregation(planes)
            self.curvegrouping = CurveGrouping(planes)
        self.conv1 = conv1(channels_in, planes).append(nn.LeakyReLU(SLOPE))
        self.conv2 = conv1(planes, channels)
        if channels_in != channels:
            self.shortcut = conv1(channels_in, channels)
        self.lpfa = LPFA(planes, planes, initial=False)

    def forward(self, cloud: Tensor, x: Tensor, whole: int) -> tuple[Tensor, Tensor]:
        """`[B, 3, N]` and `[B, C, N]` -> `[B, 3, S]` and `[B, C', S]`, S = whole // one_in."""
        if cloud.shape[2] != whole // self.one_in:
            cloud, x = self._pool(cloud, x, whole // self.one_in)
        shortcut = self.shortcut(x) if hasattr(self, "shortcut") else x
        x = self.conv1(x)
        k = min(NEIGHBOURS, cloud.shape[2] - 1)
        neighbours = nearest(cloud.transpose(1, 2), k + 1)
        if self.curves:
            x = self.curveaggregation(x, self.curvegrouping(x, neighbours[:, :, 1:]))
        x = self.conv2(self.lpfa(x, cloud, neighbours[:, :, :k]))
        return cloud, F.leaky_relu(x + shortcut, SLOPE)

    def _pool(self, cloud: Tensor, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Farthest points with the maxima of their neighbourhoods."""
        points = cloud.transpose(1, 2)
        centres = rows(points, farthest_points(points, count))
        near = ball(points, centres, self.radius, NEIGHBOURS)
        return centres.transpose(1, 2), gather(x, near).amax(3)


class CurveNet(nn.Module):
    """Cloud `[B, 3, N]` -> maximum and mean over the last points, `[B, 2048]`."""

    def __init__(self) -> None:
        super().__init__()
        self.lpfa = LPFA(9, 32, initial=True)
        for name, one_in, radius, channels_in, channels, bottleneck, curves in STAGES:
            self.add_module(name, CIC(one_in, radius, channels_in, channels, bottleneck, curves))
        self.conv0 = conv1(512, 1024).append(nn.ReLU())
        # The classifier: never used, there or here, but in the released state dict.
        self.conv1 = nn.Linear(2048, 512, bias=False)
        self.conv2 = nn.Linear(512, 1)
        self.bn1 = nn.BatchNorm1d(512)

    def forward(self, cloud: Tensor) -> Tensor:
        whole = cloud.shape[2]
        x = self.lpfa(None, cloud, nearest(cloud.transpose(1, 2), NEIGHBOURS))
        for name, *_ in STAGES:
            cloud, x = self.get_submodule(name)(cloud, x, whole)
        x = self.conv0(x)
        return torch.cat([x.amax(2), x.mean(2)], 1)

"""Farthest points and neighbours of point clouds, vectorised, with fixed choices where others draw.

Clouds are `[B, N, 3]`. Indices are int64 and carry no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rows(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each item: `[B, N, C]` and `[B, ...]` -> `[B, ..., C]`."""
    item = torch.arange(len(values), device=values.device)
    return values[item.view(-1, *[1] * (index.dim() - 1)), index]


@torch.no_grad()
def farthest_points(cloud: Tensor, count: int) -> Tensor:
    """Farthest point sampling from the first point on: `[B, N, 3]` -> `[B, count]`.

    Next is always the first of those with the largest squared distance to what is chosen.
    """
    batch, n, _ = cloud.shape
    if not 1 <= count <= n:
        raise ValueError(f"count must be from 1 to the {n} points of a cloud, got {count}")
    item = torch.arange(batch, device=cloud.device)
    chosen = torch.zeros(batch, count, dtype=torch.long, device=cloud.device)
    nearest = torch.full((batch, n), torch.inf, dtype=cloud.dtype, device=cloud.device)
    for i in range(1, count):
        last = cloud[item, chosen[:, i - 1], None]
        nearest = torch.minimum(nearest, (cloud - last).square_().sum(2))
        chosen[:, i] = nearest.max(1).indices
    return chosen


@torch.no_grad()
def within(cloud: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Whether |p - c|^2 < radius^2: `[B, N, 3]` and `[B, S, 3]` -> bool `[B, S, N]`."""
    near = [(c[:, None] - p[None]).square_().sum(2) < radius**2 for p, c in zip(cloud, centres)]
    return torch.stack(near)


def first(near: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The first `limit` neighbours of every centre in the order of the cloud, as edges.

    near: bool `[B, S, N]`. Returns `(centre, point)`, each `[edges]`, rows of the flattened
    `[B * S]` centres and `[B * N]` points, ordered by centre and then by point.
    """
    batch, centres, n = near.shape
    kept = near & (near.cumsum(2) <= limit)
    item, centre, point = kept.nonzero(as_tuple=True)
    return item * centres + centre, item * n + point


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|^2 as |a|^2 - 2ab + |b|^2: `[B, S, 3]` and `[B, N, 3]` -> `[B, S, N]`.

    Rounded as CurveNet's searches round it: near ties fall as they do there.
    """
    cross = -2 * torch.matmul(a, b.transpose(1, 2))
    return cross + a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None]


@torch.no_grad()
def nearest(cloud: Tensor, count: int) -> Tensor:
    """The `count` nearest points of every point, nearest first: `[B, N, 3]` -> `[B, N, count]`.

    With itself, which comes first but for rounding.
    """
    squares = cloud.square().sum(2)
    inner = -2 * torch.matmul(cloud, cloud.transpose(1, 2))
    return (-squares[:, None] - inner - squares[:, :, None]).topk(count, dim=2).indices


@torch.no_grad()
def ball(cloud: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """The first `count` points with |p - c|^2 <= radius^2 in the order of the cloud.

    `[B, N, 3]` and `[B, S, 3]` -> `[B, S, count]`; where there are fewer, the first again.
    """
    n = cloud.shape[1]
    index = torch.arange(n, device=cloud.device).expand(*centres.shape[:2], n)
    index = index.masked_fill(squared_distances(centres, cloud) > radius**2, n)
    index = index.topk(min(count, n), dim=2, largest=False, sorted=True).values
    return torch.where(index == n, index[:, :, :1], index)

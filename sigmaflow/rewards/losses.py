"""Losses of the three heads on ranked items, better first (Eq. 4 and the public code's others).

Items have K shapes; pairs are all (better, worse) columns within one, in the order of
`torch.triu_indices`. Every function gives one value an item, the mean over its pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.rewards.config import Head
from sigmaflow.rewards.model import RewardModel

RELEASED_ORDERS = 3  # epochs in which the public code sees both orders of a pair


def columns(k: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Columns of the better and of the worse shape of every pair of K."""
    better, worse = torch.triu_indices(k, k, offset=1, device=device)
    return better, worse


def ranking_loss(scores: Tensor) -> Tensor:
    """Eq. 4 for scores `[n, K]`, better first: `[n]`, the mean over pairs of -log S(s_w - s_l).

    Of log lambda it is the Bradley-Terry loss: -log(l_w / (l_w + l_l)) = -log S(ln l_w - ln l_l).
    """
    better, worse = columns(scores.shape[1], scores.device)
    return F.softplus(scores[:, worse] - scores[:, better]).mean(1)


def pair_loss(forward: Tensor, backward: Tensor, swapped: Tensor | None = None) -> Tensor:
    """Cross-entropy of the pair classifier: logits `[n, P, 2]` -> `[n]`.

    forward: logits of (better, worse), whose right class is 0; backward: of (worse, better), class
    1. The mean of both orders, or where `swapped` (bool `[n, P]`) is given only the one it tells.
    """
    first = F.softplus(forward[..., 1] - forward[..., 0])
    second = F.softplus(backward[..., 0] - backward[..., 1])
    if swapped is not None:
        return torch.where(swapped, second, first).mean(1)
    return (0.5 * (first + second)).mean(1)


def pair_logits(model: RewardModel, features: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `[n, P, 2]` of every pair of features `[n, K, T]` in both orders."""
    better, worse = (features[:, c] for c in columns(features.shape[1], features.device))
    head = model.scalar_rwd_head_pairs
    return head(torch.cat([better, worse], -1)), head(torch.cat([worse, better], -1))


def head_loss(
    model: RewardModel, head: Head, features: Tensor, swapped: Tensor | None = None
) -> Tensor:
    """Loss `[n]` of one head from shared features `[n, K, T]`, before its weight."""
    if head == "pairs":
        return pair_loss(*pair_logits(model, features), swapped)
    return ranking_loss(head_scores(model, head, features))


def head_scores(model: RewardModel, head: Head, features: Tensor) -> Tensor:
    """Score or log lambda of shared features: `[..., T]` -> `[...]`."""
    net = model.scalar_rwd_head_BT if head == "bt" else model.scalar_rwd_head
    return net(features.reshape(-1, features.shape[-1]))[:, 0].view(features.shape[:-1])


def first_wins(forward: Tensor, backward: Tensor) -> Tensor:
    """Probability `[...]` that the first of a pair wins, the mean of both orders' softmax.

    The same pair asked the other way round gives one minus it: no order of asking matters.
    """
    return 0.5 * (forward.softmax(-1)[..., 0] + backward.softmax(-1)[..., 1])

"""Losses of the three heads on ranked items, better first (Eq. 4 and the public code's others).

Items have K shapes; pairs are all (better, worse) columns within one, in the order of
`torch.triu_indices`. Every function gives one value an item, the mean over its pairs (choices for
Plackett-Luce). `mask` `[n, K]` is True where an item has a shape; items are full without it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.rewards.config import Head, Likelihood
from sigmaflow.rewards.model import RewardModel

RELEASED_ORDERS = 3  # epochs in which the public code sees both orders of a pair


def columns(k: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Columns of the better and of the worse shape of every pair of K."""
    better, worse = torch.triu_indices(k, k, offset=1, device=device)
    return better, worse


def pair_mask(mask: Tensor) -> Tensor:
    """`[n, K]` -> `[n, P]`: pairs of which both are there."""
    better, worse = columns(mask.shape[1], mask.device)
    return mask[:, better] & mask[:, worse]


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the second axis, of what the mask lets through."""
    if mask is None:
        return values.mean(1)
    return values.masked_fill(~mask, 0.0).sum(1) / mask.sum(1)


def ranking_loss(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Eq. 4 for scores `[n, K]`, better first: `[n]`, the mean over pairs of -log S(s_w - s_l).

    Of log lambda it is the Bradley-Terry loss: -log(l_w / (l_w + l_l)) = -log S(ln l_w - ln l_l).
    """
    better, worse = columns(scores.shape[1], scores.device)
    losses = F.softplus(scores[:, worse] - scores[:, better])
    return _mean(losses, None if mask is None else pair_mask(mask))


def plackett_luce_loss(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Whole orders (Luce 1959, Plackett 1975), scores `[n, K]`, better first: `[n]`.

    Each shape is chosen from those that are left, with probability softmax of their scores; the
    mean over the K - 1 choices of minus its log, so that for K = 2 this is `ranking_loss`. Times
    K - 1 it is the negative log-likelihood of the order.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    # log of the summed exp over a shape and all below it
    left = scores.flip(1).logcumsumexp(1).flip(1)
    losses = left[:, :-1] - scores[:, :-1]
    return _mean(losses, None if mask is None else mask[:, 1:])


def pair_loss(
    forward: Tensor, backward: Tensor, swapped: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the pair classifier: logits `[n, P, 2]` -> `[n]`.

    forward: logits of (better, worse), whose right class is 0; backward: of (worse, better), class
    1. The mean of both orders, or where `swapped` (bool `[n, P]`) is given only the one it tells.
    Here `mask` is of pairs, `[n, P]`.
    """
    first = F.softplus(forward[..., 1] - forward[..., 0])
    second = F.softplus(backward[..., 0] - backward[..., 1])
    if swapped is not None:
        return _mean(torch.where(swapped, second, first), mask)
    return _mean(0.5 * (first + second), mask)


def pair_logits(model: RewardModel, features: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `[n, P, 2]` of every pair of features `[n, K, T]` in both orders."""
    better, worse = (features[:, c] for c in columns(features.shape[1], features.device))
    head = model.scalar_rwd_head_pairs
    return head(torch.cat([better, worse], -1)), head(torch.cat([worse, better], -1))


def head_loss(
    model: RewardModel, head: Head, features: Tensor, swapped: Tensor | None = None,
    mask: Tensor | None = None, likelihood: Likelihood = "pairs", bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Loss `[n]` of one head from shared features `[n, K, T]`, before its weight.

    likelihood: of scalar and bt, `ranking_loss` or `plackett_luce_loss`. bias: `[n, K]`, what the
    one who answered adds to their scores.
    """
    if head == "pairs":
        both = None if mask is None else pair_mask(mask)
        return pair_loss(*pair_logits(model, features), swapped, both)
    scores = head_scores(model, head, features)
    scores = scores if bias is None else scores + bias
    return (ranking_loss if likelihood == "pairs" else plackett_luce_loss)(scores, mask)


def head_scores(model: RewardModel, head: Head, features: Tensor) -> Tensor:
    """Score or log lambda of shared features: `[..., T]` -> `[...]`."""
    net = model.scalar_rwd_head_BT if head == "bt" else model.scalar_rwd_head
    return net(features.reshape(-1, features.shape[-1]))[:, 0].view(features.shape[:-1])


def first_wins(forward: Tensor, backward: Tensor) -> Tensor:
    """Probability `[...]` that the first of a pair wins, the mean of both orders' softmax.

    The same pair asked the other way round gives one minus it: no order of asking matters.
    """
    return 0.5 * (forward.softmax(-1)[..., 0] + backward.softmax(-1)[..., 1])


def win_probabilities(model: RewardModel, head: Head, features: Tensor) -> Tensor:
    """Probability `[n, P]` by one head that the better of each pair wins, from `[n, K, T]`.

    Exactly a half where the head cannot tell them apart, whichever is asked first.
    """
    if head == "pairs":
        return first_wins(*pair_logits(model, features))
    scores = head_scores(model, head, features)
    better, worse = columns(scores.shape[1], scores.device)
    return torch.sigmoid(scores[:, better] - scores[:, worse])


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """Their sum, without the zero that `sum` starts from."""
    return functools.reduce(operator.add, values)

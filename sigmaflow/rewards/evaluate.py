"""Accuracy of any scorer on ranked pairs, with intervals and the ceiling that label noise sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.config import Head
from sigmaflow.rewards.data import Bank, Items
from sigmaflow.rewards.losses import (
    first_wins,
    head_loss,
    head_scores,
    pair_logits,
    ranking_loss,
)
from sigmaflow.rewards.model import RewardModel

__all__ = [
    "Accuracy", "HeadReport", "accuracy", "head_reports", "mean_ranking_loss", "noise_ceiling",
    "ranking_loss", "score_seeds", "wilson",
]  # fmt: skip


@dataclass(frozen=True)
class Accuracy:
    """Share of right pairs in [0, 1], its 95 % Wilson interval, and how many pairs."""

    share: float
    low: float
    high: float
    n: int


def wilson(right: int, n: int, z: float = 1.959963984540054) -> Accuracy:
    """Wilson's score interval of a share; all of [0, 1] (share NaN) without any pair."""
    if n == 0:
        return Accuracy(math.nan, 0.0, 1.0, 0)
    p, z2 = right / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Accuracy(p, max(0.0, middle - half), min(1.0, middle + half), n)


def accuracy(scores: Mapping[int, float], items: Items) -> dict[str, Accuracy]:
    """Accuracy on `all` pairs and on `regular` ones (winner over loser, no anchor).

    A pair is right where the better shape scores strictly higher, so no order of asking matters.
    """
    table = np.array([[scores[seed] for seed in row] for row in items.seeds.tolist()])
    table = table.reshape(items.seeds.shape)
    right = {pair: int((table[:, pair[0]] > table[:, pair[1]]).sum()) for pair in items.pairs}
    return _shares(right, items)


def _shares(right: Mapping[tuple[int, int], int], items: Items) -> dict[str, Accuracy]:
    """Accuracies from how many items have each pair right."""
    return {
        "all": wilson(sum(right.values()), len(items) * len(right)),
        "regular": wilson(right[items.pairs[-1]], len(items)),
    }


def noise_ceiling(observed: Rankings, clean: Rankings) -> Accuracy:
    """Share of regular pairs whose label is the clean one: what a perfect scorer would reach.

    Both must hold the same questions in the same order. Raises ValueError otherwise.
    """
    same = observed.winners == clean.winners
    swapped = observed.winners == clean.losers
    if len(observed) != len(clean) or not bool(np.all(same | swapped)):
        raise ValueError("observed and clean labels are not of the same questions")
    return wilson(int(same.sum()), len(observed))


@torch.no_grad()
def score_seeds(
    model: RewardModel, bank: Bank, seeds: Sequence[int], batch: int = 8
) -> dict[int, float]:
    """Reward of every seed, computed on the model's device in blocks of `batch`."""
    return {
        seed: score
        for block, out in _by_blocks(model, model, bank, seeds, batch)
        for seed, score in zip(block, out.tolist())
    }


def _by_blocks(
    model: RewardModel, call: Callable[[torch.Tensor], torch.Tensor], bank: Bank,
    seeds: Sequence[int], batch: int,
) -> Iterator[tuple[list[int], torch.Tensor]]:  # fmt: skip
    """What `call` gives for the seeds, block by block, with the model in evaluation."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(seeds), batch):
            block = [int(seed) for seed in seeds[start : start + batch]]
            yield block, call(bank.take(block).to(device))
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class HeadReport:
    """How one head does: mean loss (before its weight) and accuracy on all and regular pairs."""

    loss: float
    accuracy: dict[str, Accuracy]


@torch.no_grad()
def head_reports(
    model: RewardModel, bank: Bank, items: Items, batch: int = 8
) -> dict[Head, HeadReport]:
    """Loss and accuracy of every head of a reward, each shape seen once.

    The scalar head's pair is right where the better score is higher, the Bradley-Terry head's where
    lambda is, the pair classifier's where the mean of both orders says so (the public code's
    accuracy of Table 1).
    """
    found = {}
    for block, out in _by_blocks(model, model.features, bank, items.shapes, batch):
        found.update(zip(block, out))
    features = torch.stack([torch.stack([found[s] for s in row]) for row in items.seeds.tolist()])
    reports: dict[Head, HeadReport] = {}
    for head in model.config.heads:
        if head == "pairs":
            right = first_wins(*pair_logits(model, features)) > 0.5
        else:
            scores = head_scores(model, head, features)
            right = torch.stack([scores[:, a] > scores[:, b] for a, b in items.pairs], 1)
        count = dict(zip(items.pairs, right.sum(0).tolist()))
        loss = head_loss(model, head, features).double().mean().item()
        reports[head] = HeadReport(loss, _shares(count, items))
    return reports


def mean_ranking_loss(scores: Mapping[int, float], items: Items) -> float:
    """Eq. 4 over all items from known scores (float64)."""
    table = [[scores[seed] for seed in row] for row in items.seeds.tolist()]
    return ranking_loss(torch.tensor(table, dtype=torch.float64)).mean().item()

"""Accuracy of any scorer on ranked pairs, with intervals and the ceiling that label noise sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.model import RewardModel


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
    model: RewardModel, bank: SlabBank, seeds: Sequence[int], batch: int = 8
) -> dict[int, float]:
    """Reward of every seed, computed on the model's device in blocks of `batch`."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    scores: dict[int, float] = {}
    for start in range(0, len(seeds), batch):
        block = [int(seed) for seed in seeds[start : start + batch]]
        scores.update(zip(block, model(bank.take(block).to(device)).tolist()))
    model.train(was_training)
    return scores


def ranking_loss(scores: torch.Tensor) -> torch.Tensor:
    """Eq. 4 for scores `[n, K]`, better first: `[n]`, the mean over pairs of -log S(s_w - s_l)."""
    k = scores.shape[1]
    better, worse = torch.triu_indices(k, k, offset=1, device=scores.device)
    return F.softplus(scores[:, worse] - scores[:, better]).mean(1)


def mean_ranking_loss(scores: Mapping[int, float], items: Items) -> float:
    """Eq. 4 over all items from known scores (float64)."""
    table = [[scores[seed] for seed in row] for row in items.seeds.tolist()]
    return ranking_loss(torch.tensor(table, dtype=torch.float64)).mean().item()

"""Accuracy of any scorer on ranked pairs, with intervals and the ceiling that label noise sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from sigmaflow.preferences.orders import PAD
from sigmaflow.preferences.rankings import Rankings
from sigmaflow.rewards.config import Head, Likelihood
from sigmaflow.rewards.data import Items, Source
from sigmaflow.rewards.losses import (
    head_loss,
    head_scores,
    plackett_luce_loss,
    ranking_loss,
    win_probabilities,
)
from sigmaflow.rewards.model import RewardModel
from sigmaflow.rewards.shares import Accuracy, wilson

__all__ = [
    "Accuracy", "HeadReport", "accuracy", "head_reports", "mean_ranking_loss", "noise_ceiling",
    "ranking_loss", "score_seeds", "wilson",
]  # fmt: skip


def accuracy(scores: Mapping[int, float], items: Items) -> dict[str, Accuracy]:
    """Accuracy on `all` pairs and on `regular` ones (winner over loser, no anchor).

    A pair is right where the better shape scores strictly higher, so no order of asking matters.
    """
    table = _by_item(scores, items)
    right = np.stack([table[:, a] > table[:, b] for a, b in items.pairs], axis=1)
    return _shares(right, items)


def _by_item(scores: Mapping[int, float], items: Items) -> np.ndarray:
    """Scores `[n, K]` of the items' shapes, NaN where there is none."""
    known = {**scores, PAD: math.nan} if items.mask is not None else scores
    table = np.array([[known[seed] for seed in row] for row in items.seeds.tolist()])
    return table.reshape(items.seeds.shape)


def _shares(right: np.ndarray, items: Items) -> dict[str, Accuracy]:
    """Accuracies from which pairs of which items are right, bool `[n, P]`."""
    there = items.pair_mask
    regular = there & items.regular
    return {
        name: wilson(int((right & of).sum()), int(of.sum()))
        for name, of in (("all", there), ("regular", regular))
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
    model: RewardModel, bank: Source, seeds: Sequence[int], batch: int = 8
) -> dict[int, float]:
    """Reward of every seed, computed on the model's device in blocks of `batch`."""
    return {
        seed: score
        for block, out in _by_blocks(model, model, bank, seeds, batch)
        for seed, score in zip(block, out.tolist())
    }


def _by_blocks(
    model: RewardModel, call: Callable[[torch.Tensor], torch.Tensor], bank: Source,
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
    """How one head does: mean loss (before its weight), accuracy on all and regular pairs, and the
    probabilities `[n, P]` it gives to the better of each pair."""

    loss: float
    accuracy: dict[str, Accuracy]
    probabilities: np.ndarray


@torch.no_grad()
def head_reports(
    model: RewardModel, bank: Source, items: Items, batch: int = 8, likelihood: Likelihood = "pairs"
) -> dict[Head, HeadReport]:
    """Loss and accuracy of every head of a reward, each shape seen once.

    The scalar head's pair is right where the better score is higher, the Bradley-Terry head's where
    lambda is, the pair classifier's where the mean of both orders says so (the public code's
    accuracy of Table 1).
    """
    found: dict[int, torch.Tensor] = {}
    for block, out in _by_blocks(model, model.features, bank, items.shapes, batch):
        found.update(zip(block, out))
    if items.mask is not None:
        found[PAD] = torch.zeros_like(next(iter(found.values())))
    features = torch.stack([torch.stack([found[s] for s in row]) for row in items.seeds.tolist()])
    mask = None if items.mask is None else torch.from_numpy(items.mask).to(features.device)
    reports: dict[Head, HeadReport] = {}
    for head in model.config.heads:
        first = win_probabilities(model, head, features)
        if head == "pairs":
            right = first > 0.5
        else:  # a sigmoid rounds small differences to a half
            scores = head_scores(model, head, features)
            right = torch.stack([scores[:, a] > scores[:, b] for a, b in items.pairs], 1)
        loss = head_loss(model, head, features, mask=mask, likelihood=likelihood)
        reports[head] = HeadReport(
            loss.double().mean().item(), _shares(right.cpu().numpy(), items), first.cpu().numpy()
        )
    return reports


def mean_ranking_loss(
    scores: Mapping[int, float], items: Items, likelihood: Likelihood = "pairs"
) -> float:
    """Eq. 4, or Plackett-Luce's loss, over all items from known scores (float64)."""
    loss = ranking_loss if likelihood == "pairs" else plackett_luce_loss
    table, mask = torch.from_numpy(_by_item(scores, items)).double(), items.mask
    if mask is not None:
        loss = partial(loss, mask=torch.from_numpy(mask))
        table = table.nan_to_num(nan=0.0)
    return loss(table).mean().item()

"""How many rankings are enough? Accuracy of rewards trained on more and more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from sigmaflow.rewards.config import RewardConfig, TrainConfig
from sigmaflow.rewards.curve import CurvePoint, enough
from sigmaflow.rewards.data import Items, Source
from sigmaflow.rewards.evaluate import accuracy, score_seeds
from sigmaflow.rewards.train import train_reward

__all__ = ["CurvePoint", "enough", "learning_curve", "subset"]


def subset(train: Items, questions: int, seed: int = 0) -> Items:
    """So many questions drawn by `seed`; the smaller draw is the beginning of the larger one."""
    if not 1 <= questions <= len(train):
        raise ValueError(f"{questions} of {len(train)} questions cannot be drawn")
    return train.take(np.random.default_rng(seed).permutation(len(train))[:questions])


def learning_curve(
    bank: Source, train: Items, val: Items, test: Items, sizes: Sequence[int],
    config: TrainConfig, model_config: RewardConfig, seeds: Sequence[int] = (0,),
    device: torch.device | str = "cpu",
) -> Iterator[CurvePoint]:  # fmt: skip
    """Train a reward for every size and seed and test it; yields points as they are found.

    Validation and test questions are always the same; a seed decides which questions are drawn,
    the first weights and the order. Raises ValueError for sizes beyond the training questions.
    """
    for size in sizes:
        subset(train, size)
    for seed in seeds:
        for size in sizes:
            part = subset(train, size, seed)
            settings = config.model_copy(update={"seed": seed})
            *_, last = train_reward(bank, part, val, settings, model_config, device=device)
            model = last.state.model().to(device)
            found = accuracy(score_seeds(model, bank, test.shapes), test)["regular"]
            pairs = int((part.pair_mask & part.regular).sum())
            yield CurvePoint(size, pairs, seed, found.share, found.low, found.high, found.n)

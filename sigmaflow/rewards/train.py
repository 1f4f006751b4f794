"""Learn a reward from ranked slabs (paper section 3.2.2, Eq. 4) as a generator of ticks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sigmaflow.rewards.config import TrainConfig, mini_training
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.evaluate import accuracy, mean_ranking_loss, ranking_loss, score_seeds
from sigmaflow.rewards.model import RewardConfig, RewardModel
from sigmaflow.rewards.state import RewardState

__all__ = ["RewardTick", "TrainConfig", "mini_training", "train_reward"]


@dataclass(frozen=True)
class RewardTick:
    """One result: optimiser steps so far, epoch (0-based) it belongs to, metrics, state handle.

    `train_*` metrics cover the questions since the last tick; ticks that end an epoch carry
    `val_*`, `best_val_loss` and `best_epoch` as well. `done` marks the last tick.
    """

    step: int
    epoch: int
    metrics: dict[str, float]
    state: RewardState
    done: bool


def train_reward(
    bank: SlabBank,
    train: Items,
    val: Items,
    config: TrainConfig,
    model_config: RewardConfig,
    resume: RewardState | str | Path | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[RewardTick]:
    """Train a reward; yields a tick per epoch (or oftener) until done.

    resume: a state or the file of one. On the CPU, with the same number of threads, what follows
    is the same bytes as without the interruption; a finished state yields its last tick again.
    Raises ValueError before any work where slabs, items, settings or state do not fit each other,
    FloatingPointError naming the seeds where the loss is not finite.
    """
    _check(bank, train, val, model_config)
    identity = _identity(train, val, config, model_config)
    if resume is not None and not isinstance(resume, RewardState):
        resume = RewardState.read(resume)
    if resume is not None and resume.progress["identity"] != identity:
        raise ValueError(
            "the state to resume is of another training (settings, model or questions differ);"
            " resume with the settings it was started with, or start afresh"
        )
    return _Training(bank, train, val, config, model_config, resume, device, identity).ticks()


def _check(bank: SlabBank, train: Items, val: Items, model_config: RewardConfig) -> None:
    if bank.shape != model_config.grid.shape:
        raise ValueError(f"slabs are {bank.shape}, the grid's {model_config.grid.shape}")
    for name, items in (("training", train), ("validation", val)):
        if len(items) == 0:
            raise ValueError(f"there are no {name} questions")
        bank.require(items.shapes)
    both = {tuple(row) for row in train.seeds[:, -2:].tolist()}
    both &= {tuple(row) for row in val.seeds[:, -2:].tolist()}
    if both:
        raise ValueError(f"{len(both)} pairs are in training and validation: {sorted(both)[:5]}")


def _identity(train: Items, val: Items, config: TrainConfig, model_config: RewardConfig) -> str:
    parts = [config.model_dump(mode="json"), model_config.model_dump(mode="json")]
    parts += [items.seeds.tolist() for items in (train, val)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _Training:
    def __init__(self, bank, train, val, config, model_config, resume, device, identity):
        self.bank, self.train, self.val, self.config = bank, train, val, config
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            model = RewardModel(model_config)
        # Halves the CPU time of the 3D convolutions, and is what GPUs like too.
        self.model = model.to(self.device, memory_format=torch.channels_last_3d).train()
        self.adam = torch.optim.Adam(
            self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self.best: dict[str, torch.Tensor] = {}
        self.progress = {
            "identity": identity,
            "epoch": 0,
            "cursor": 0,  # questions of this epoch that are done
            "step": 0,
            "best_val_loss": None,
            "best_epoch": None,
            "bad_epochs": 0,
            "done": False,
            "metrics": {},
            "tick_epoch": 0,
        }
        if resume is not None:
            self._restore(resume)

    def _restore(self, state: RewardState) -> None:
        self.progress = json.loads(json.dumps(state.progress))
        named = {part: {} for part in ("model", "best", "adam")}
        for name, tensor in state.tensors.items():
            part, _, rest = name.partition("/")
            named[part][rest] = tensor
        self.model.load_state_dict(named["model"])
        self.best = {k: v.clone().to(self.device) for k, v in named["best"].items()}
        for name, parameter in self.model.named_parameters():
            if f"{name}/step" in named["adam"]:
                # Laid out as the parameter is: vectorised arithmetic must meet the same elements.
                moments = {
                    key: torch.empty_like(parameter).copy_(named["adam"][f"{name}/{key}"])
                    for key in ("exp_avg", "exp_avg_sq")
                }
                step = named["adam"][f"{name}/step"].clone()
                self.adam.state[parameter] = {"step": step, **moments}

    def _state(self) -> RewardState:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.adam.state.get(parameter, {}).items():
                tensors[f"adam/{name}/{key}"] = value
        return RewardState(tensors, self.progress, self.model.config)

    def _tick(self) -> RewardTick:
        p = self.progress
        return RewardTick(p["step"], p["tick_epoch"], dict(p["metrics"]), self._state(), p["done"])

    def ticks(self) -> Iterator[RewardTick]:
        if self.progress["done"]:
            yield self._tick()
        while not self.progress["done"]:
            yield from self._epoch()

    def _epoch(self) -> Iterator[RewardTick]:
        p, config, n = self.progress, self.config, len(self.train)
        order = np.random.default_rng([config.seed, p["epoch"]]).permutation(n)
        every = config.questions_per_tick or n
        since = _Mean()
        while p["cursor"] < n:
            rows = order[p["cursor"] : p["cursor"] + config.batch]
            since.add(self._step(self.train.seeds[rows]), len(rows))
            p["cursor"] += len(rows)
            p["step"] += 1
            if p["cursor"] < n and since.n >= every:
                p["metrics"], p["tick_epoch"] = since.means(), p["epoch"]
                yield self._tick()
                since = _Mean()
        p["metrics"], p["tick_epoch"] = {**since.means(), **self._validate()}, p["epoch"]
        p["epoch"], p["cursor"] = p["epoch"] + 1, 0
        p["done"] = p["epoch"] >= config.epochs or p["bad_epochs"] >= config.patience
        yield self._tick()

    def _step(self, seeds: np.ndarray) -> dict[str, float]:
        slabs = self.bank.take(seeds.ravel()).to(self.device)
        if self.config.mirror:
            coins = np.random.default_rng([self.config.seed, self.progress["step"], 1])
            flip = torch.from_numpy(coins.random(len(slabs)) < 0.5).to(self.device)
            slabs = torch.where(flip.view(-1, 1, 1, 1), slabs.flip(1), slabs)
        if self.config.recon_weight > 0:
            scores, recon = self.model.score_and_reconstruct(slabs)
            recon = recon.mean()
        else:
            scores, recon = self.model(slabs), None
        scores = scores.view(seeds.shape)
        loss = rank_loss = ranking_loss(scores).mean()
        if recon is not None:
            loss = rank_loss + self.config.recon_weight * recon
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} on seeds {seeds.ravel().tolist()}")
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        regular = (scores[:, -2] > scores[:, -1]).float().mean()
        metrics = {"train_loss": rank_loss.item(), "train_accuracy_regular": regular.item()}
        if recon is not None:
            metrics["train_recon"] = recon.item()
        return metrics

    def _validate(self) -> dict[str, float]:
        p = self.progress
        scores = score_seeds(self.model, self.bank, self.val.shapes, self.config.eval_batch)
        loss = mean_ranking_loss(scores, self.val)
        if p["best_val_loss"] is None or loss < p["best_val_loss"]:
            p["best_val_loss"], p["best_epoch"], p["bad_epochs"] = loss, p["epoch"], 0
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            p["bad_epochs"] += 1
        found = accuracy(scores, self.val)
        return {
            "val_loss": loss,
            "val_accuracy_all": found["all"].share,
            "val_accuracy_regular": found["regular"].share,
            "best_val_loss": p["best_val_loss"],
            "best_epoch": float(p["best_epoch"]),
        }


class _Mean:
    """Running means of metrics, weighted by questions."""

    def __init__(self) -> None:
        self.n, self.sums = 0, {}

    def add(self, metrics: dict[str, float], n: int) -> None:
        self.n += n
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n

    def means(self) -> dict[str, float]:
        return {name: total / self.n for name, total in self.sums.items()}

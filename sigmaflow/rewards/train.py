"""Learn a reward from ranked shapes (paper section 3.2.2, Eq. 4) as a generator of ticks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigmaflow.preferences.orders import PAD
from sigmaflow.rewards.annotators import AnnotatorBias
from sigmaflow.rewards.config import TrainConfig, mini_training
from sigmaflow.rewards.data import Items, Source, mirrored
from sigmaflow.rewards.evaluate import (
    Accuracy,
    accuracy,
    head_reports,
    mean_ranking_loss,
    score_seeds,
)
from sigmaflow.rewards.losses import RELEASED_ORDERS, head_loss, head_scores, sum_of
from sigmaflow.rewards.model import RewardConfig, RewardModel
from sigmaflow.rewards.state import RewardState

__all__ = ["RewardTick", "TrainConfig", "mini_training", "train_reward"]

SMALL = 64  # pixels below which convolutions of channels last take longer on a CPU, not less


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
    bank: Source,
    train: Items,
    val: Items,
    config: TrainConfig,
    model_config: RewardConfig,
    resume: RewardState | str | Path | None = None,
    device: torch.device | str = "cpu",
    backbone: Mapping[str, torch.Tensor] | None = None,
) -> Iterator[RewardTick]:
    """Train a reward; yields a tick per epoch (or oftener) until done.

    bank: what `model_config` sees of the shapes, slabs, depth maps or clouds. train, val: items of
    best and worst or of whole orders; with `config.annotator_bias` `train` names who answered, and
    validation goes by the common opinion. backbone: weights the
    backbone starts from, such as torchvision's of ImageNet (`RewardModel.load_backbone`); its own
    first weights when None.

    resume: a state or the file of one. On the CPU, with the same number of threads, what follows
    is the same bytes as without the interruption; a finished state yields its last tick again.
    Raises ValueError before any work where bank, items, settings or state do not fit each other,
    FloatingPointError naming the seeds where the loss is not finite.
    """
    _check(bank, train, val, config, model_config)
    identity = _identity(train, val, config, model_config, backbone)
    if resume is not None and not isinstance(resume, RewardState):
        resume = RewardState.read(resume)
    if resume is not None and resume.progress["identity"] != identity:
        raise ValueError(
            "the state to resume is of another training (settings, model or questions differ);"
            " resume with the settings it was started with, or start afresh"
        )
    return _Training(
        bank, train, val, config, model_config, resume, device, identity, backbone
    ).ticks()


def _check(
    bank: Source, train: Items, val: Items, config: TrainConfig, model_config: RewardConfig
) -> None:
    model_config.check_shape(bank.shape)
    if absent := sorted(set(config.weights) - set(model_config.heads)):
        raise ValueError(f"losses of the heads {absent} are trained, which the model has not; name"
                         " them in heads or set their weights to 0")  # fmt: skip
    if config.recon_weight > 0 and model_config.backbone != "unet3d":
        raise ValueError(f"{model_config.backbone} reconstructs nothing; set recon_weight to 0")
    if config.mirror:
        mirrored(torch.zeros(1, *bank.shape), model_config)
    for name, items in (("training", train), ("validation", val)):
        if len(items) == 0:
            raise ValueError(f"there are no {name} questions")
        bank.require(items.shapes)
    if config.annotator_bias and train.annotators is None:
        raise ValueError("annotator_bias needs to know who answered; give the training items their"
                         " annotators (Items.of_orders), or set it to false")  # fmt: skip
    if both := _ranked_pairs(train) & _ranked_pairs(val):
        raise ValueError(f"{len(both)} pairs are in training and validation: {sorted(both)[:5]}")


def _ranked_pairs(items: Items) -> set[tuple[int, int]]:
    """Regular pairs, better first."""
    columns = [pair for pair, regular in zip(items.pairs, items.regular) if regular]
    pairs = {tuple(row) for a, b in columns for row in items.seeds[:, [a, b]].tolist()}
    return {pair for pair in pairs if PAD not in pair}


def _identity(
    train: Items, val: Items, config: TrainConfig, model_config: RewardConfig,
    backbone: Mapping[str, torch.Tensor] | None,
) -> str:  # fmt: skip
    parts: list[Any] = [config.model_dump(mode="json"), model_config.model_dump(mode="json")]
    parts += [items.seeds.tolist() for items in (train, val)]
    parts += [items.first for items in (train, val) if items.first is not None]
    if config.annotator_bias:
        assert train.annotators is not None  # `annotator_bias` needs them
        parts.append(train.annotators.tolist())
    if backbone is not None:
        weights = hashlib.sha256()
        for name, value in sorted(backbone.items()):
            raw = value.detach().cpu().reshape(-1).view(torch.uint8)
            weights.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            weights.update(raw.numpy().tobytes())
        parts.append(weights.hexdigest())
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _layout(model: RewardModel) -> torch.memory_format:
    """Channels last where all convolutions are of one sort, but not for small pictures."""
    ranks, config = {p.dim() for p in model.parameters()}, model.config
    if 5 in ranks and 4 not in ranks:
        return torch.channels_last_3d  # halves the CPU time of 3D convolutions, and GPUs like it
    if config.representation == "depth" and config.image_size < SMALL:
        return torch.preserve_format
    return torch.channels_last if 4 in ranks and 5 not in ranks else torch.preserve_format


class _Training:
    def __init__(self, bank, train, val, config, model_config, resume, device, identity, backbone):
        self.bank, self.train, self.val, self.config = bank, train, val, config
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            model = RewardModel(model_config)
        if backbone is not None:
            model.load_backbone(backbone)
        if config.recon_weight > 0 and config.recon_conv == "before":
            # The loss does not see its weight, which weight decay alone would lead through 0 to the
            # other sign, where the reconstruction is inverted.
            model.Conv3DModule.conv3d_for_recon.requires_grad_(False)
        placed: Any = model  # torch's hints have no layout beside a device
        self.model: RewardModel = placed.to(self.device, memory_format=_layout(model)).train()
        self.bias = None
        if config.annotator_bias:
            people = int(train.annotators.max()) + 1
            self.bias = AnnotatorBias(people, model_config.trunk_out).to(self.device)
        self.adam = torch.optim.Adam(
            [p for _, p in self._parameters() if p.requires_grad],
            lr=config.lr, weight_decay=config.weight_decay,
            # Of pictures' many weights Adam is a third of a step on a CPU, a tenth in one pass. The
            # others have few, and stay the bytes that they were.
            fused=model_config.representation == "depth",
        )  # fmt: skip
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

    def _parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """All that is learnt, by name: the model's, and what is learnt about annotators."""
        yield from self.model.named_parameters()
        if self.bias is not None:
            yield from self.bias.named_parameters("annotators")

    def _restore(self, state: RewardState) -> None:
        self.progress = json.loads(json.dumps(state.progress))
        named = {p: dict[str, torch.Tensor]() for p in ("model", "best", "adam", "annotators")}
        for name, tensor in state.tensors.items():
            part, _, rest = name.partition("/")
            named[part][rest] = tensor
        self.model.load_state_dict(named["model"])
        if self.bias is not None:
            self.bias.load_state_dict(named["annotators"])
        self.best = {k: v.clone().to(self.device) for k, v in named["best"].items()}
        for name, parameter in self._parameters():
            if f"{name}/step" in named["adam"]:
                # Laid out as the parameter is: vectorised arithmetic must meet the same elements.
                moments = {
                    key: torch.empty_like(parameter).copy_(named["adam"][f"{name}/{key}"])
                    for key in ("exp_avg", "exp_avg_sq")
                }
                step = named["adam"][f"{name}/step"].clone()
                if self.adam.defaults["fused"]:
                    step = step.to(parameter.device)
                self.adam.state[parameter] = {"step": step, **moments}

    def _state(self) -> RewardState:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        if self.bias is not None:
            tensors |= {f"annotators/{k}": v for k, v in self.bias.state_dict().items()}
        for name, parameter in self._parameters():
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
            with _tf32(config.tf32):
                since.add(self._step(self.train.take(rows)), len(rows))
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

    def _step(self, items: Items) -> dict[str, float]:
        seeds, mask = items.seeds, None
        features, recon = self._features(self._shown(seeds[seeds != PAD]))
        if items.mask is None:
            features = features.view(*seeds.shape, -1)
        else:
            mask = torch.from_numpy(items.mask).to(self.device)
            full = features.new_zeros(*seeds.shape, features.shape[-1])
            features = full.masked_scatter(mask[..., None], features)
        bias = None
        if self.bias is not None:
            who = torch.from_numpy(items.annotators).to(self.device)
            bias = self.bias(features, who)
        losses = {
            head: head_loss(
                self.model, head, features, self._swapped(head, seeds), mask,
                self.config.likelihood, bias,
            ).mean()
            for head in self.config.weights
        }  # fmt: skip
        # The first without a zero before it: the loss of one head stays what it is.
        loss = sum_of(self.config.weights[head] * value for head, value in losses.items())
        if self.bias is not None:
            loss = loss + self.config.annotator_decay * self.bias.length()
        if recon is not None:
            loss = loss + self.config.recon_weight * recon
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} on seeds {seeds.ravel().tolist()}")
        with torch.no_grad():
            scores = head_scores(self.model, "scalar", features)
        regular = _regular_share(scores, items)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        followed = losses[self.config.monitor].item()
        metrics = {"train_loss": followed, "train_accuracy_regular": regular}
        if len(losses) > 1:
            metrics |= {f"train_loss_{head}": value.item() for head, value in losses.items()}
        if recon is not None:
            metrics["train_recon"] = recon.item()
        return metrics

    def _shown(self, seeds: np.ndarray) -> torch.Tensor:
        shown = self.bank.take(seeds.ravel()).to(self.device)
        if self.config.mirror:
            flip = torch.from_numpy(self._coins(1).random(len(shown)) < 0.5).to(self.device)
            flip = flip.view(-1, *[1] * (shown.dim() - 1))
            shown = torch.where(flip, mirrored(shown, self.model.config), shown)
        return shown

    def _coins(self, *purpose: int) -> np.random.Generator:
        """Draws that depend on the seed and the step alone."""
        return np.random.default_rng([self.config.seed, self.progress["step"], *purpose])

    def _features(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self.config.recon_weight > 0:
            features, recon = self.model.features_and_reconstruct(shown, self.config.recon_conv)
            return features, recon.mean()
        draws = None
        if self.model.config.representation == "points" and self.model.config.augmented:
            draws = torch.Generator().manual_seed(int(self._coins(2).integers(2**62)))
        return self.model.features(shown, draws), None

    def _swapped(self, head: str, seeds: np.ndarray) -> torch.Tensor | None:
        """Which order of every pair the pair classifier sees, None for both."""
        late = self.progress["epoch"] >= RELEASED_ORDERS
        if head != "pairs" or self.config.pair_order == "both" or not late:
            return None
        shape = len(seeds), seeds.shape[1] * (seeds.shape[1] - 1) // 2
        return torch.from_numpy(self._coins(3).random(shape) < 0.5).to(self.device)

    def _validate(self) -> dict[str, float]:
        p = self.progress
        with _tf32(self.config.tf32):
            loss, found, others = self._judge()
        if p["best_val_loss"] is None or loss < p["best_val_loss"]:
            p["best_val_loss"], p["best_epoch"], p["bad_epochs"] = loss, p["epoch"], 0
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            p["bad_epochs"] += 1
        return {
            **others,
            "val_loss": loss,
            "val_accuracy_all": found["all"].share,
            "val_accuracy_regular": found["regular"].share,
            "best_val_loss": p["best_val_loss"],
            "best_epoch": float(p["best_epoch"]),
        }

    def _judge(self) -> tuple[float, dict[str, Accuracy], dict[str, float]]:
        """Loss and accuracies of the head that is followed; metrics of all trained heads."""
        batch, likelihood = self.config.eval_batch, self.config.likelihood
        if self.model.config.heads == ("scalar",):
            scores = score_seeds(self.model, self.bank, self.val.shapes, batch)
            loss = mean_ranking_loss(scores, self.val, likelihood)
            return loss, accuracy(scores, self.val), {}
        reports = head_reports(self.model, self.bank, self.val, batch, likelihood)
        followed, others = reports[self.config.monitor], {}
        for head in self.config.weights:
            others[f"val_loss_{head}"] = reports[head].loss
            for pairs, found in reports[head].accuracy.items():
                others[f"val_accuracy_{pairs}_{head}"] = found.share
        return followed.loss, followed.accuracy, others


def _regular_share(scores: torch.Tensor, items: Items) -> float:
    """Share of regular pairs whose better shape scores higher."""
    right = torch.stack([scores[:, a] > scores[:, b] for a, b in items.pairs], 1)
    regular = torch.from_numpy(items.pair_mask & items.regular).to(right.device)
    return right[regular].float().mean().item()


@contextmanager
def _tf32(allowed: bool | None) -> Iterator[None]:
    """TF32 on CUDA, for as long as this lasts; as torch is set when None."""
    if allowed is None:
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = allowed
        yield
    finally:
        for place, old in zip(places, before):
            place.allow_tf32 = old


class _Mean:
    """Running means of metrics, weighted by questions."""

    def __init__(self) -> None:
        self.n = 0
        self.sums: dict[str, float] = {}

    def add(self, metrics: dict[str, float], n: int) -> None:
        self.n += n
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n

    def means(self) -> dict[str, float]:
        return {name: total / self.n for name, total in self.sums.items()}

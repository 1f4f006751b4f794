"""What the stored cases of all reward networks share: inputs, trunk, heads, losses, gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sigmaflow.rewards.losses import head_loss, head_scores, pair_logits
from sigmaflow.rewards.model import RewardModel
from sigmaflow.rewards.semantics import RELEASED

from .folders import FIELD, PICTURE, Compared, Folder, absolute, relative

# Bars that the folder's README suggests, absolute where values are compared singly.
FEATURE, SCORE, GRADIENT, GRADIENT_LENGTH = 2e-4, 1e-4, 2e-3, 1e-3
RECON_WEIGHT, NORM_WEIGHT = 1e-2, 1e-8  # in the stored losses


def largest(ours: Tensor, theirs: Tensor) -> float:
    """The largest error over the largest magnitude."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def compare_keys(folder: Folder, case: str, model: RewardModel) -> Iterator[Compared]:
    """Names and shapes of the state dict."""
    if (key := f"{case}/keys") in folder:
        ours = {f"{n}|{'x'.join(map(str, v.shape))}" for n, v in model.state_dict().items()}
        yield Compared(key, ours == set(folder.arrays[key].tolist()), 0, theirs=True)


def compare_input(folder: Folder, name: str, x: Tensor) -> Iterator[Compared]:
    wide = x.double()
    stats = [wide.sum(), wide.min(), wide.max(), wide.std(unbiased=False)]
    yield Compared(f"{name}/check", stats, FIELD)
    at = folder[f"{name}/check_idx"].long()
    yield Compared(f"{name}/check_val", x.flatten()[at], 0)


def summary(folder: Folder, name: str, ours: Tensor, bar: float) -> Iterator[Compared]:
    """Mean, deviation, extremes and chosen entries of an array that is not stored whole."""
    wide = ours.double()
    stats = [wide.mean(), wide.std(unbiased=False), wide.min(), wide.max()]
    yield Compared(f"{name}/stats", stats, PICTURE)
    at = folder[f"{name}/idx"].long()
    yield Compared(f"{name}/val", ours.flatten()[at], bar)


@torch.no_grad()
def compare_heads(
    folder: Folder, case: str, model: RewardModel, feature: Tensor, recon: Tensor | None = None
) -> Iterator[Compared]:
    """Everything behind the feature `[3, F]` of one question's items, better first."""
    fbar = model.MLP(feature)
    item = fbar[None]
    scalar, bt = (head_scores(model, head, fbar) for head in ("scalar", "bt"))
    forward, backward = (logits[0] for logits in pair_logits(model, item))
    values = {
        "feature": (feature, FEATURE),
        "fbar": (fbar, SCORE),
        "scalar": (scalar, SCORE),
        "bt_raw": (bt, SCORE),
        "bt_lambda": (bt.exp(), SCORE),
        "pair_logits_ab": (forward, SCORE),
        "pair_logits_ba": (backward, SCORE),
        "f64/scalar": (scalar, SCORE),
        "f64/bt_raw": (bt, SCORE),
    }
    for name, (value, bar) in values.items():
        if (key := f"{case}/{name}") in folder:
            yield Compared(key, value, bar, measure=absolute)

    losses = {
        "paired_loss": RELEASED.pairs_weight * head_loss(model, "pairs", item)[0],
        "scalar_rwd_loss": RELEASED.scalar_weight * head_loss(model, "scalar", item)[0],
        "BT_rwd_loss": RELEASED.bt_weight * head_loss(model, "bt", item)[0],
        "l2_reg_lambda": NORM_WEIGHT * bt.exp().norm(),  # logged there, not trained
    }
    zero = torch.zeros([])
    weighted = zero if recon is None else RECON_WEIGHT * recon.mean()
    for part, extra in (("loss", zero), ("recon_on/loss", weighted)):
        every = losses | {"reco_loss": extra, "total_loss": sum(losses.values()) + extra}
        for name, value in every.items():
            if (key := f"{case}/{part}/{name}") in folder:
                yield Compared(key, value, PICTURE, measure=relative)


def compare_gradient(
    folder: Folder, case: str, model: RewardModel, item: Tensor, bar: float
) -> Iterator[Compared]:
    """Of the score of one item in its raw representation, through the preparation."""
    leaf = item.clone().requires_grad_(True)
    model(leaf[None]).sum().backward()
    grad = leaf.grad
    at = folder[f"{case}/grad_idx"].long()
    values = {
        "grad_norm": (grad.double().norm(), GRADIENT_LENGTH, relative),
        "grad_val": (grad.flatten()[at], bar, largest),
        "grad_full": (grad, bar, relative),
    }
    for name in ("grad_norm", "grad_val"):
        values[f"f64/{name}"] = values[name]
    if (key := f"{case}/grad_sum") in folder:
        # Nearly nothing is left of it, so that it is measured by the length.
        length = folder.arrays[f"{case}/grad_norm"]
        theirs = folder.arrays[key] / length
        yield Compared(key, grad.double().sum() / length, GRADIENT_LENGTH, theirs, absolute)
    # Single precision itself is this far from double on the large slab (README, section 7).
    values["f64/grad_val"] = (grad.flatten()[at], 2.5 * bar, largest)
    for name, (value, bar, measure) in values.items():
        if (key := f"{case}/{name}") in folder:
            yield Compared(key, value, bar, measure=measure)

"""The reward networks: the sigma U-Net with its heads, and the released split of the rankings."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.preferences.questions import anchors
from sigmaflow.preferences.rankings import read_rankings, split
from sigmaflow.rewards.evaluate import ranking_loss
from sigmaflow.rewards.model import RewardConfig, RewardModel, reconstruction_l1
from sigmaflow.rewards.unet3d import stretch

from .folders import FIELD, PICTURE, Compared, Folder, NotCovered, absolute, relative
from .recipe import Recipe, slab

# Bars that the folder's README suggests, absolute where values are compared singly.
FEATURE, SCORE, GRADIENT, GRADIENT_LENGTH = 2e-4, 1e-4, 2e-3, 1e-3
RANK_WEIGHT, RECON_WEIGHT = 1e-3, 1e-2  # in the stored losses
ANCHORS = 1000
PAIRS = ((0, 1), (0, 2), (1, 2))  # the better item first

ABSENT = {
    "depth": "reward networks on depth maps are not built",
    "points": "reward networks on point clouds are not built",
    "pointnet": "reward networks on point clouds are not built",
    "curvenet": "reward networks on point clouds are not built",
    "unproject": "reward networks on point clouds are not built",
}
OTHER_LOSSES = "the pair and Bradley-Terry losses are not trained with here"
OTHER_DRAWS = "questions keep their anchor here; the released loader draws one at every access"


def largest(ours: Tensor, theirs: Tensor) -> float:
    """The largest error over the largest magnitude."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def knows(folder: Folder) -> bool:
    return any(key.endswith("/slice_max") for key in folder.arrays)


def compare(folder: Folder) -> Iterator[Compared | NotCovered]:
    recipe = Recipe(folder.readme)
    for key in folder.arrays:
        if m := re.fullmatch(r"(.+)/slice_max", key):
            yield from compare_network(folder, m[1], recipe)
    yield from compare_split(folder)
    for prefix, reason in ABSENT.items():
        yield NotCovered(prefix, reason)


def grid_of(slices: int) -> Grid:
    """The paper's slab at the resolution that gives it so many z slices."""
    for resolution in (2**n for n in range(4, 11)):
        grid = Grid(resolution=resolution, pads=SLAB_ENTIRE)
        if grid.shape[2] == slices:
            return grid
    raise ValueError(f"no resolution gives the paper's slab {slices} slices")


def compare_network(
    folder: Folder, case: str, recipe: Recipe
) -> Iterator[Compared | NotCovered]:
    grid = grid_of(folder.arrays[f"{case}/slice_max"].shape[1])
    model = RewardModel(RewardConfig(grid=grid, heads=("scalar", "bt", "pairs"))).eval()
    recipe.fill(model, recipe.settings["salt"])
    model.requires_grad_(False)
    if "sigma/keys" in folder:
        ours = {f"{n}|{'x'.join(map(str, v.shape))}" for n, v in model.state_dict().items()}
        same = ours == set(folder.arrays["sigma/keys"].tolist())
        yield Compared("sigma/keys", same, 0, theirs=True)
    seeds = recipe.settings["slabs_" + case.removeprefix("sigma_")]
    slabs = [slab(seed, grid.shape) for seed in seeds]
    yield from compare_inputs(folder, case, slabs)
    yield from compare_scores(folder, case, model, slabs)
    yield from compare_gradient(folder, case, model, slabs[1])


def compare_inputs(folder: Folder, case: str, slabs: list[Tensor]) -> Iterator[Compared]:
    for i, x in enumerate(slabs):
        wide = x.double()
        stats = [wide.sum(), wide.min(), wide.max(), wide.std(unbiased=False)]
        yield Compared(f"{case}/slab{i}/check", stats, FIELD)
        at = folder[f"{case}/slab{i}/check_idx"].long()
        yield Compared(f"{case}/slab{i}/check_val", x.flatten()[at], 0)
    yield Compared(f"{case}/argmin", [x.flatten().argmin() for x in slabs], 0)
    yield Compared(f"{case}/argmax", [x.flatten().argmax() for x in slabs], 0)


def summary(folder: Folder, name: str, ours: Tensor, bar: float) -> Iterator[Compared]:
    """Mean, deviation, extremes and chosen entries of an array that is not stored whole."""
    wide = ours.double()
    stats = [wide.mean(), wide.std(unbiased=False), wide.min(), wide.max()]
    yield Compared(f"{name}/stats", stats, PICTURE)
    at = folder[f"{name}/idx"].long()
    yield Compared(f"{name}/val", ours.flatten()[at], bar)


@torch.no_grad()
def compare_scores(
    folder: Folder, case: str, model: RewardModel, slabs: list[Tensor]
) -> Iterator[Compared | NotCovered]:
    net = model.Conv3DModule
    layers: dict[str, Tensor] = {}
    start = f"{case}/layer/"
    names = {k.removeprefix(start).rsplit("/", 1)[0] for k in folder.arrays if k.startswith(start)}

    def keep_first(name: str):
        def hook(module, args, out):
            layers.setdefault(name, out)  # a hook that returns something replaces the output

        return hook

    hooks = [net.get_submodule(n).register_forward_hook(keep_first(n)) for n in sorted(names)]
    maxima, recon_losses = [], []
    for i, x in enumerate(slabs):
        given = model.network_input(x[None])
        volume = net.volume(given)
        maxima.append(net.slice_maxima(volume))
        recon = net.reconstruction(volume)
        recon_losses.append(reconstruction_l1(recon, given[:, 0]))
        if f"{case}/recon{i}/val" in folder:
            yield from summary(folder, f"{case}/recon{i}", recon[0], PICTURE)
            yield Compared(f"{case}/recon{i}/l1_normalised", recon_losses[-1][0], PICTURE)
            plain = (recon - given[:, 0]).abs().mean()
            yield Compared(f"{case}/recon{i}/l1_plain", plain, PICTURE)
    for hook in hooks:
        hook.remove()
    for name, out in layers.items():
        yield from summary(folder, start + name, out, PICTURE)
    yield from compare_heads(folder, case, model, torch.cat(maxima), torch.cat(recon_losses))


def compare_heads(
    folder: Folder, case: str, model: RewardModel, maxima: Tensor, recon: Tensor
) -> Iterator[Compared | NotCovered]:
    size = model.config.feature_size
    fbar = model.embed(maxima)
    scalar, bt = model.score(maxima), model.scalar_rwd_head_BT(fbar)[:, 0]
    better, worse = (fbar[[pair[i] for pair in PAIRS]] for i in (0, 1))
    pairs = model.scalar_rwd_head_pairs
    loss = RANK_WEIGHT * ranking_loss(scalar[None])[0]
    values = {
        "slice_max": (maxima, FEATURE),
        "feature": (stretch(maxima, size), FEATURE),
        "fbar": (fbar, SCORE),
        "scalar": (scalar, SCORE),
        "bt_raw": (bt, SCORE),
        "bt_lambda": (bt.exp(), SCORE),
        "pair_logits_ab": (pairs(torch.cat([better, worse], 1)), SCORE),
        "pair_logits_ba": (pairs(torch.cat([worse, better], 1)), SCORE),
        "loss/scalar_rwd_loss": (loss, PICTURE),
        "loss/reco_loss": (torch.zeros([]), PICTURE),
        "recon_on/loss/scalar_rwd_loss": (loss, PICTURE),
        "recon_on/loss/reco_loss": (RECON_WEIGHT * recon.mean(), PICTURE),
        "f64/scalar": (scalar, SCORE),
        "f64/bt_raw": (bt, SCORE),
    }
    for name, (value, bar) in values.items():
        if (key := f"{case}/{name}") in folder:
            yield Compared(key, value, bar, measure=relative if "loss" in name else absolute)
    for part in ("loss", "recon_on/loss"):
        for name in ("paired_loss", "BT_rwd_loss", "l2_reg_lambda", "total_loss"):
            yield NotCovered(f"{case}/{part}/{name}", OTHER_LOSSES)


def compare_gradient(
    folder: Folder, case: str, model: RewardModel, item: Tensor
) -> Iterator[Compared]:
    """Of the score of one item in its raw slab, through the min-max normalisation."""
    leaf = item.clone().requires_grad_(True)
    model(leaf[None]).sum().backward()
    grad = leaf.grad
    at = folder[f"{case}/grad_idx"].long()
    values = {
        "grad_norm": (grad.double().norm(), GRADIENT_LENGTH, relative),
        "grad_sum": (grad.double().sum(), 1e-5, absolute),
        "grad_val": (grad.flatten()[at], GRADIENT, largest),
        "grad_full": (grad, GRADIENT, relative),
    }
    for name in ("grad_norm", "grad_val"):
        values[f"f64/{name}"] = values[name]
    # Single precision itself is this far from double on the large slab (README, section 7).
    values["f64/grad_val"] = (grad.flatten()[at], 2.5 * GRADIENT, largest)
    for name, (value, bar, measure) in values.items():
        if (key := f"{case}/{name}") in folder:
            yield Compared(key, value, bar, measure=measure)


def rankings_file(folder: Folder) -> Path | None:
    """The released rankings beside the golden folders or in the reference folder."""
    roots = [folder.path.parent.parent]
    if root := os.environ.get("SIGMAFLOW_REFERENCE"):
        roots.append(Path(root))
    files = (root / "data" / "authors" / "rankedseedsall.csv" for root in roots)
    return next((file for file in files if file.is_file()), None)


def compare_split(folder: Folder) -> Iterator[Compared | NotCovered]:
    path = rankings_file(folder)
    if path is None:
        yield NotCovered("dataset/", "the released rankings file is not there")
        return
    rankings, pool = read_rankings(path), anchors(ANCHORS)
    if "dataset/csv_sha256" in folder:
        yield _same(folder, "dataset/csv_sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    questions, high = split(rankings), split(pool)
    for part in ("train", "val", "test"):
        mine = rankings.take(getattr(questions, part))
        chosen = pool[getattr(high, part)]
        arrays = {
            "index": mine.index,
            "index_sorted": np.sort(mine.index),
            "winner": mine.winners,
            "loser": mine.losers,
            "hq": chosen,
        }
        for key in folder.arrays:
            if not key.startswith(f"dataset/{part}/"):
                continue
            name = key.rsplit("/", 1)[1]
            if name == "n":
                yield Compared(key, [len(mine), len(chosen)], 0)
            elif m := re.fullmatch(r"(\w+)_first(\d+)", name):
                yield Compared(key, arrays[m[1]][: int(m[2])], 0)
            elif m := re.fullmatch(r"(\w+)_sha256", name):
                data = arrays[m[1]].astype("<i8").tobytes()
                yield _same(folder, key, hashlib.sha256(data).hexdigest())
        yield NotCovered(f"dataset/{part}/hq_draws", OTHER_DRAWS)


def _same(folder: Folder, key: str, ours: str) -> Compared:
    return Compared(key, ours == str(folder.arrays[key]), 0, theirs=True)

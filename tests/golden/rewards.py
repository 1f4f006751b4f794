"""The reward networks, the sigma U-Net among them, and the released split of the rankings."""

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
from sigmaflow.rewards.model import RewardConfig, RewardModel, reconstruction_l1
from sigmaflow.rewards.unet3d import stretch

from . import reward_views
from .folders import PICTURE, Compared, Folder, NotCovered, absolute
from .recipe import Recipe, slab
from .reward_heads import (
    FEATURE,
    GRADIENT,
    compare_gradient,
    compare_heads,
    compare_input,
    compare_keys,
    summary,
)

ANCHORS = 1000
OTHER_DRAWS = "questions keep their anchor here; the released loader draws one at every access"


def knows(folder: Folder) -> bool:
    return any(key.endswith("/slice_max") for key in folder.arrays)


def compare(folder: Folder) -> Iterator[Compared | NotCovered]:
    recipe = Recipe(folder.readme)
    for key in folder.arrays:
        if m := re.fullmatch(r"(.+)/slice_max", key):
            yield from compare_network(folder, m[1], recipe)
    yield from compare_split(folder)
    yield from reward_views.compare(folder, recipe)


def grid_of(slices: int) -> Grid:
    """The paper's slab at the resolution that gives it so many z slices."""
    for resolution in (2**n for n in range(4, 11)):
        grid = Grid(resolution=resolution, pads=SLAB_ENTIRE)
        if grid.shape[2] == slices:
            return grid
    raise ValueError(f"no resolution gives the paper's slab {slices} slices")


def compare_network(folder: Folder, case: str, recipe: Recipe) -> Iterator[Compared | NotCovered]:
    grid = grid_of(folder.arrays[f"{case}/slice_max"].shape[1])
    model = RewardModel(RewardConfig(grid=grid, heads=("scalar", "bt", "pairs"))).eval()
    recipe.fill(model, recipe.settings["salt"])
    model.requires_grad_(False)
    yield from compare_keys(folder, "sigma", model)
    seeds = recipe.settings["slabs_" + case.removeprefix("sigma_")]
    slabs = [slab(seed, grid.shape) for seed in seeds]
    yield from compare_inputs(folder, case, slabs)
    yield from compare_scores(folder, case, model, slabs)
    yield from compare_gradient(folder, case, model, slabs[1], GRADIENT)


def compare_inputs(folder: Folder, case: str, slabs: list[Tensor]) -> Iterator[Compared]:
    for i, x in enumerate(slabs):
        yield from compare_input(folder, f"{case}/slab{i}", x)
    yield Compared(f"{case}/argmin", [x.flatten().argmin() for x in slabs], 0)
    yield Compared(f"{case}/argmax", [x.flatten().argmax() for x in slabs], 0)


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
    maxima = torch.cat(maxima)
    yield Compared(f"{case}/slice_max", maxima, FEATURE, measure=absolute)
    feature = stretch(maxima, model.config.feature_size)
    yield from compare_heads(folder, case, model, feature, torch.cat(recon_losses))


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

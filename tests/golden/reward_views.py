"""The reward networks of depth maps and of point clouds, and how their inputs are made."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from sigmaflow.fields.depth import TRIPLE, depth_input
from sigmaflow.fields.points import depth_points, subset
from sigmaflow.generators import cameras
from sigmaflow.rewards.backbones.neighbours import farthest_points, first, rows, within
from sigmaflow.rewards.backbones.pointnet2 import NEIGHBOURS, SetAbstraction
from sigmaflow.rewards.model import RewardConfig, RewardModel

from .folders import FIELD, PICTURE, Compared, Folder, NotCovered, absolute
from .recipe import Recipe, cloud, depth_maps
from .reward_heads import (
    FEATURE,
    GRADIENT,
    compare_gradient,
    compare_heads,
    compare_input,
    compare_keys,
    summary,
)

CANONICAL = 1  # of the three views
HEADS = ("scalar", "bt", "pairs")
ELSEWHERE = "what another search of neighbours gives, told for information"


def compare(folder: Folder, recipe: Recipe) -> Iterator[Compared | NotCovered]:
    if "depth" in recipe.settings:
        yield from compare_depth(folder, recipe)
    if "clouds" in recipe.settings:
        yield from compare_points(folder, recipe)


def network(recipe: Recipe, backbone: str, **changes) -> RewardModel:
    model = RewardModel(RewardConfig(backbone=backbone, heads=HEADS, **changes)).eval()
    recipe.fill(model, recipe.settings["salt"])
    return model.requires_grad_(False)


@torch.no_grad()
def feature(model: RewardModel, x: Tensor) -> Tensor:
    return model.backbone(model.network_input(x))


def compare_depth(folder: Folder, recipe: Recipe) -> Iterator[Compared]:
    maps = [depth_maps(seed) for seed in recipe.settings["depth"]]
    for i, views in enumerate(maps):
        yield from compare_input(folder, f"depth/in{i}", views)
    for key in folder.arrays:
        if m := re.fullmatch(r"(depth/preprocessed_item(\d)_view(\d))/val", key):
            given = depth_input(maps[int(m[2])][int(m[3])])[:1][None]
            yield from summary(folder, m[1], given, FIELD)
    views = {"depth_single": slice(CANONICAL, CANONICAL + 1), "depth_triple": slice(None)}
    for case, chosen in views.items():
        if f"{case}/keys" not in folder:
            continue
        model = network(recipe, "resnet50", yaws=TRIPLE[chosen])
        items = torch.stack(maps)[:, chosen]
        yield from compare_keys(folder, case, model)
        yield from compare_heads(folder, case, model, feature(model, items))
        yield from compare_gradient(folder, case, model, items[1], GRADIENT)
    if "unproject/xyz" in folder:
        yield from compare_unprojection(folder, maps[0][CANONICAL])


def compare_unprojection(folder: Folder, depth: Tensor) -> Iterator[Compared]:
    views = torch.cat([cameras.frontal_label(yaw=yaw) for yaw in TRIPLE])
    yield Compared("unproject/cameras", views, FIELD)
    xyz = depth_points(depth[None], views[CANONICAL : CANONICAL + 1])[0]
    yield Compared("unproject/xyz", xyz[folder["unproject/idx"].long()], FIELD)
    yield Compared("unproject/mean", xyz.double().mean(0), FIELD)


def compare_points(folder: Folder, recipe: Recipe) -> Iterator[Compared | NotCovered]:
    clouds = torch.stack([cloud(seed) for seed in recipe.settings["clouds"]])
    for i, points in enumerate(clouds):
        yield from compare_input(folder, f"points/in{i}", points)
    order = torch.arange(clouds.shape[1], dtype=torch.float64).view(1, -1, 1)
    yield Compared("points/subset_index", subset(order)[0, :, 0], 0)
    for case in ("pointnet", "pointnet2", "curvenet"):
        if f"{case}/keys" not in folder:
            continue
        model = network(recipe, case)
        if case == "pointnet":
            yield Compared("points/prepared", model.network_input(clouds), FIELD)
        yield from compare_keys(folder, case, model)
        with_layers = watched(model, case)
        found = feature(model, clouds)
        yield from compare_heads(folder, case, model, found)
        if f"{case}/cos_heads/fbar" in folder:
            cosine = network(recipe, case, activation="cos")
            yield from compare_heads(folder, f"{case}/cos_heads", cosine, found)
        if f"{case}/grad_val" in folder:
            yield from compare_gradient(folder, case, model, clouds[1], GRADIENT)
        for name, (given, out) in with_layers.items():
            if case == "curvenet":
                # CurveNet's stages give their cloud before their features.
                out = out[-1] if isinstance(out, tuple) else out
                yield from summary(folder, f"curvenet/layer/{name}", out, PICTURE)
            else:
                yield from compare_abstraction(folder, name, model, given[1], out[0])
    yield NotCovered("pointnet2/alt_cpu_kdtree_cut", ELSEWHERE)


def watched(model: RewardModel, case: str) -> dict[str, tuple]:
    """Inputs and output of the layers of a case, filled when the model runs."""
    seen: dict[str, tuple] = {}

    def keep(name):
        def hook(module, args, out):
            seen[name] = (args, out)

        return hook

    wanted = {"pointnet2": r"sa[12]_module", "curvenet": r"lpfa|cic\d\d"}.get(case, r"")
    for name, module in model.backbone.named_children():
        if wanted and re.fullmatch(wanted, name):
            module.register_forward_hook(keep(name))
    return seen


def compare_abstraction(
    folder: Folder, name: str, model: RewardModel, points: Tensor, out: Tensor
) -> Iterator[Compared]:
    """What one set abstraction of PointNet++ chose, and what it gave."""
    layer: SetAbstraction = model.backbone.get_submodule(name)
    case = f"pointnet2/{name.removesuffix('_module')}"
    chosen = farthest_points(points, out.shape[1])
    yield Compared(f"{case}_fps", chosen, 0)
    near = within(points, rows(points, chosen), layer.radius)
    yield Compared(f"{case}_in_radius", near.sum(2), 0)
    few = near[:1, :8]
    centre, point = first(few, NEIGHBOURS)
    table = torch.full((8, NEIGHBOURS), -1)
    for i in range(8):
        mine = point[centre == i]
        table[i, : len(mine)] = mine
    yield Compared(f"{case}_neighbours_item0_first8", table, 0, measure=absolute)
    yield from summary(folder, f"{case}_out", out.flatten(0, 1), FEATURE)

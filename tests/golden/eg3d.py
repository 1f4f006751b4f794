"""A whole EG3D generator: latents, planes, field, released cube, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.fields.released import released_cube
from sigmaflow.fields.slab import latents
from sigmaflow.generators import RaySampling, TriPlaneGenerator, cameras

from .folders import FIELD, PICTURE, Compared, Folder

# XY, XZ, ZY: the planes of retrainings with the axes repaired.
FIXED_AXES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)
REGULAR = RaySampling(deterministic=True)


def knows(folder: Folder) -> bool:
    config = folder.config
    name = str(config.get("class_name", "")).rsplit(".", 1)[-1]
    rendering = config.get("init_kwargs", {}).get("rendering_kwargs", {})
    return name == "TriPlaneGenerator" and "triplane_depth" not in rendering


def build(folder: Folder) -> TriPlaneGenerator:
    """The generator with its weights, in eval mode and without gradients."""
    state = folder.weights()
    found = (re.match(r"backbone\.synthesis\.b(\d+)\.", key) for key in state)
    more = {"plane_resolution": max(int(m[1]) for m in found if m)}
    if "plane_axes" in folder.config:
        more["plane_axes"] = folder.config["plane_axes"]
    G = TriPlaneGenerator(**{**folder.config["init_kwargs"], **more})
    G.load_state_dict(state, strict=True)
    return G.eval().requires_grad_(False)


@contextmanager
def rendering(G: TriPlaneGenerator, **overrides):
    kept = G.rendering_kwargs
    G.rendering_kwargs = {**kept, **overrides}
    try:
        yield
    finally:
        G.rendering_kwargs = kept


def compare(folder: Folder) -> Iterator[Compared]:
    G = build(folder)
    yield from compare_latents(G, folder)
    last = f"ws_psi_cut{folder.meta['cutoffs'][-1]}"
    ws = folder[last if last in folder else "ws_psi"]
    yield from compare_planes(G, folder, ws)
    yield from compare_points(G, folder, G.planes(ws))
    if "grid" in folder.meta:
        yield from compare_grid(G, folder)
    for case in folder.meta.get("cases", {}):
        yield from compare_render(G, folder, case)
    yield from compare_forward(G, folder)
    if "sr_x" in folder:
        x, ws = folder["sr_x"].float(), folder["sr_w"]
        for mode in ("const", "none"):
            if f"sr_{mode}" in folder:
                image = G.superresolution(x[:, :3], x, ws, mode)[0]
                yield Compared(f"sr_{mode}", image, PICTURE)


def compare_latents(G: TriPlaneGenerator, folder: Folder) -> Iterator[Compared]:
    z, c, psi = folder["z"], folder["c_cond"], folder.meta["psi"]
    for key in folder.arrays:
        if m := re.fullmatch(r"ws_psi(1)?(?:_cut(\d+))?", key):
            ws = G.mapping(z, c, 1.0 if m[1] else psi, int(m[2]) if m[2] else None)
        elif key == "ws_condzero":
            with rendering(G, c_gen_conditioning_zero=True):
                ws = G.mapping(z, c)
        elif m := re.fullmatch(r"ws_cscale([\d.]+)", key):
            with rendering(G, c_scale=float(m[1])):
                ws = G.mapping(z, c)
        else:
            continue
        yield Compared(key, ws, FIELD)
    if "w_avg_after_ema" in folder:
        loaded = G.backbone.mapping.w_avg.clone()
        G.mapping(z, c, update_emas=True)
        after = moved_or_not(G, loaded, folder.arrays["w_avg_after_ema"])
        yield Compared("w_avg_after_ema", after, FIELD)


def moved_or_not(G: TriPlaneGenerator, loaded: Tensor, theirs: np.ndarray) -> Tensor:
    """w_avg as it is now, or as it was loaded, whichever is nearer; G gets the loaded one back.

    The EG3D folders store under `w_avg_after*` what the weights hold already, bit for bit: taken
    as a reference to a buffer that was put back, it seems. True updates are in the reward phase,
    where nothing is left to choose.
    """
    now = G.backbone.mapping.w_avg.clone()
    G.backbone.mapping.w_avg.copy_(loaded)
    there = torch.as_tensor(theirs)
    return min(loaded, now, key=lambda ours: float((ours - there).norm()))


def compare_planes(G: TriPlaneGenerator, folder: Folder, ws: Tensor) -> Iterator[Compared]:
    raw = G.planes(ws).flatten(1, 2)  # [B, 96, P, P]
    for key in folder.arrays:
        if key in ("planes_raw_at_idx", "planes_raw_none_at_idx"):
            values = raw if "none" not in key else G.planes(ws, noise_mode="none")
            yield Compared(key, values.flatten()[folder["planes_raw_idx"]], FIELD)
        elif key == "planes_raw_chan_mean":
            yield Compared(key, raw.mean((2, 3)), FIELD)
        elif key == "planes_raw_chan_std":
            yield Compared(key, raw.std((2, 3)), FIELD)
        elif m := re.fullmatch(r"planes_raw(\d)(?:_s(\d+))?", key):
            step = int(m[2] or 1)
            yield Compared(key, raw[int(m[1]), :, ::step, ::step], FIELD)


def compare_points(G: TriPlaneGenerator, folder: Folder, planes: Tensor) -> Iterator[Compared]:
    if "points" not in folder:
        return
    points = folder["points"].expand(len(planes), -1, -1)
    for key in folder.arrays:
        if key == "points_sigma":
            yield Compared(key, G.sigma(planes, points), FIELD)
        elif m := re.fullmatch(r"points_rgb_first(\d+)", key):
            yield Compared(key, G.field(planes, points[:, : int(m[1])])[0], PICTURE)
        elif key == "points_inside":
            half = G.rendering_kwargs["box_warp"] / 2
            yield Compared(key, (points[0].abs() <= half).all(1), 0)
        elif key == "points_sigma_fixedaxes":
            own = G.plane_axes.clone()
            G.plane_axes.copy_(torch.tensor(FIXED_AXES))
            yield Compared(key, G.sigma(planes, points), FIELD)
            G.plane_axes.copy_(own)


def compare_grid(G: TriPlaneGenerator, folder: Folder) -> Iterator[Compared]:
    meta, kwargs, n = folder.meta["grid"], G.rendering_kwargs, folder.meta["grid"]["N"]
    grid = Grid(resolution=n, length=-2 * meta["voxel_origin"][0])
    z, c = folder["grid_z"], folder["grid_c"]
    if "seed" in meta:
        yield Compared("grid_z", latents([meta["seed"]], G.z_dim), FIELD)
    if "fov_deg" in meta:
        canonical = cameras.frontal_label(
            kwargs["avg_camera_radius"], kwargs["avg_camera_pivot"], meta["fov_deg"]
        )
        yield Compared("grid_c", canonical, FIELD)
    points = grid.points()
    exact = 0 if n & (n - 1) == 0 else FIELD  # else the script's own float32 index is rounded
    for key in folder.arrays:
        if m := re.fullmatch(r"grid_points_(first|last)(\d+)", key):
            count = int(m[2])
            ours = points[:count] if m[1] == "first" else points[-count:]
            yield Compared(key, ours, exact)
    planes = G.planes(G.mapping(z, c, meta["psi"], meta["cutoff"]), meta["noise_mode"])
    cube = G.sigma_grid(planes, grid)[0]
    if "grid_sigma_before" in folder:
        yield Compared("grid_sigma_before", cube, FIELD)
    if "grid_sigma_after" in folder:
        yield Compared("grid_sigma_after", released_cube(cube.numpy()), FIELD)


def compare_render(G: TriPlaneGenerator, folder: Folder, case: str) -> Iterator[Compared]:
    meta = folder.meta["cases"][case]
    keys = [key for key in folder.arrays if key.startswith(f"{case}_")]
    if not keys:
        return
    rows = meta.get("samples", slice(None))
    sampling = REGULAR
    if "stored" in (meta.get("jitter"), meta.get("u")):
        sampling = RaySampling(jitter=folder[f"{case}_jitter"], u=folder[f"{case}_u"])
    with rendering(G, **meta.get("rendering_overrides", {})):
        out = G.synthesis(
            folder[meta["ws"]][rows],
            folder["c_render"][rows],
            meta["neural_rendering_resolution"],
            noise_mode=meta["backbone_noise_mode"],
            sampling=sampling,
        )
    out["image_raw_before_sr"] = out["image_volume"]
    for key in keys:
        name = key.removeprefix(f"{case}_")
        if m := re.fullmatch(r"features_first(\d+)", name):
            features = out["features"].flatten(2).transpose(1, 2)
            yield Compared(key, features[:, : int(m[1])], PICTURE)
        elif name in out:
            yield Compared(key, out[name], PICTURE)


def compare_forward(G: TriPlaneGenerator, folder: Folder) -> Iterator[Compared]:
    """One camera to condition on and to look through.

    The cutoff of the truncation is not recorded: none, or the last of the listed ones.
    """
    keys = [key for key in folder.arrays if key.startswith("fwd_")]
    if not keys:
        return
    sizes = [folder.arrays[k].shape[-1] for k in keys if k in ("fwd_image_raw", "fwd_image_depth")]
    z, c = folder["z"], folder["c_render"]
    outs = []
    for cutoff in {None, folder.meta["cutoffs"][-1]}:
        ws = G.mapping(z, c, folder.meta["psi"], cutoff)
        with rendering(G, superresolution_noise_mode="none"):
            outs.append(G.synthesis(ws, c, sizes[0], noise_mode="const", sampling=REGULAR))
    first = keys[0]
    theirs = torch.as_tensor(folder.arrays[first])
    out = min(outs, key=lambda o: float((o[first.removeprefix("fwd_")] - theirs).norm()))
    for key in keys:
        if (name := key.removeprefix("fwd_")) in out:
            yield Compared(key, out[name], PICTURE)

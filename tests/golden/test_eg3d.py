"""EG3D against outputs of the public code. Bars are relative L2 in float32 on the CPU."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import DualDiscriminator, RaySampling, TriPlaneGenerator

FIELD, PICTURE = 1e-5, 1e-4
SETS = {"eg3d_p64": 64, "eg3d_p256": 256}


def relative(ours, theirs) -> float:
    a = torch.as_tensor(np.asarray(ours)).double()
    b = torch.as_tensor(np.asarray(theirs)).double()
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module", params=SETS)
def golden(request, reference):
    folder = reference / "golden" / request.param
    config = json.loads((folder / "config.json").read_text())
    G = TriPlaneGenerator(
        **config["init_kwargs"],
        plane_resolution=SETS[request.param],
        plane_axes=config["plane_axes"],
    )
    state = load_file(folder / "weights.safetensors")
    state.pop("dataset_label_std")
    G.load_state_dict(state, strict=True)
    return G.eval().requires_grad_(False), config, dict(np.load(folder / "cases.npz"))


def test_ws_planes_and_sigma(golden):
    G, config, d = golden
    z, c = torch.as_tensor(d["z"]), torch.as_tensor(d["c_cond"])
    psi = config["meta"]["psi"]
    assert relative(G.mapping(z, c), d["ws_psi1"]) < FIELD
    assert relative(G.mapping(z, c, psi), d["ws_psi"]) < FIELD
    ws = G.mapping(z, c, psi, 14)
    assert relative(ws, d["ws_psi_cut14"]) < FIELD
    planes = G.planes(ws)
    flat = planes.reshape(len(planes), -1)[0]
    if "planes_raw0" in d:
        assert relative(flat, d["planes_raw0"].reshape(-1)) < FIELD
    points = torch.as_tensor(d["points"]).expand(2, -1, -1)
    assert relative(G.sigma(planes, points), d["points_sigma"]) < FIELD


def test_released_cube(golden):
    G, config, d = golden
    grid = config["meta"]["grid"]
    z, c = torch.as_tensor(d["grid_z"]), torch.as_tensor(d["grid_c"])
    planes = G.planes(G.mapping(z, c.float(), grid["psi"], grid["cutoff"]))
    cube = G.sigma_grid(planes, Grid(resolution=grid["N"], kind="released"))[0]
    assert relative(cube, d["grid_sigma_before"]) < FIELD


@pytest.mark.parametrize("case", ["r0", "r1", "r2", "r3", "r4", "r5"])
def test_renders(golden, case):
    G, config, d = golden
    meta = config["meta"]["cases"][case]
    ws = torch.as_tensor(d["ws_psi_cut14"])[meta["samples"]]
    c = torch.as_tensor(d["c_render"])[meta["samples"]]
    if meta["jitter"] == "zero":
        sampling = RaySampling(deterministic=True)
    else:
        jitter, u = (torch.as_tensor(d[f"{case}_{k}"]) for k in ("jitter", "u"))
        sampling = RaySampling(jitter=jitter, u=u)
    kept = G.rendering_kwargs
    try:
        G.rendering_kwargs = {**kept, **meta["rendering_overrides"]}
        resolution = meta["neural_rendering_resolution"]
        out = G.synthesis(
            ws, c, resolution, noise_mode=meta["backbone_noise_mode"], sampling=sampling
        )
    finally:
        G.rendering_kwargs = kept
    names = [k for k in ("image", "image_raw", "image_depth") if f"{case}_{k}" in d]
    assert len(names) >= 2
    for name in names:
        assert relative(out[name], d[f"{case}_{name}"]) < PICTURE, name


def test_discriminator(reference):
    folder = reference / "golden" / "eg3d_loss"
    config = json.loads((folder / "config.json").read_text())
    d = np.load(folder / "cases.npz")
    D = DualDiscriminator(**config["D_init_kwargs"]).requires_grad_(False)
    D.load_state_dict(load_file(folder / "weights_D.safetensors"), strict=True)
    image, raw = (
        torch.as_tensor(d[k]).float() / 127.5 - 1 for k in ("D_image_u8", "D_image_raw_u8")
    )
    c = torch.as_tensor(d["real_c"])
    assert relative(D(image, raw, c), d["D_logits_b4"]) < PICTURE
    assert relative(D(image[:2], raw[:2], c[:2]), d["D_logits_b2"]) < PICTURE

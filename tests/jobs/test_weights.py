"""Tensors that do not fit their checkpoint are named before any work, by headers alone."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.launch import main
from jobs.prefetch import main as prefetch
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.kinds import KINDS
from jobs.sweep.outside import NO_NETWORKS
from jobs.sweep.weights import (
    backbone_shapes,
    check_finite,
    discriminator_shapes,
    whole_safetensors,
)
from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator
from sigmaflow.generators.checkpoint import MINI
from sweeps import SCALES, write_sweep

DISCRIMINATORS = (
    {"c_dim": 25, "img_resolution": 64, "channel_base": 2048, "channel_max": 96},
    {"c_dim": 25, "img_resolution": 512, "mapping_kwargs": {}, "epilogue_kwargs": None},
    {"c_dim": 3, "img_resolution": 8, "img_channels": 1, "channel_max": 4,
     "mapping_kwargs": {"layer_features": 5, "embed_features": 7, "num_layers": 3}},
)  # fmt: skip


def state(made):
    return {name: tuple(value.shape) for name, value in made.state_dict().items()}


@pytest.mark.parametrize("arguments", DISCRIMINATORS, ids=str)
def test_the_shapes_of_d_are_those_of_its_class(arguments):
    with torch.device("meta"):
        assert dict(discriminator_shapes(arguments)) == state(DualDiscriminator(**arguments))


@pytest.mark.parametrize("changes", [{}, {"plane_resolution": 256, "channel_base": 32768}, {
    "c_dim": 0, "mapping_kwargs": {"num_layers": 5, "layer_features": 9}}], ids=str)  # fmt: skip
def test_the_shapes_of_the_backbone_are_those_of_its_class(changes):
    arguments = {**json.loads((MINI / "config.json").read_text())["G"], **changes}
    with torch.device("meta"):
        made = state(TriPlaneGenerator(**arguments))
    found = dict(backbone_shapes(arguments))
    assert found == {name: made[name] for name in found}
    assert {k for k in made if k.startswith("backbone.mapping.fc")} <= set(found)


@pytest.mark.parametrize("name", ["G", "G_ema", "D"])
def test_headers_tell_the_shapes(name):
    path = MINI / f"{name}.safetensors"
    assert whole_safetensors(path) == {k: tuple(v.shape) for k, v in load_file(path).items()}


def changed(folder, name, change):
    path = folder / f"{name}.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)


def wider(tensors):
    tensors["decoder.net.2.bias"] = torch.zeros(40)


def argued(folder, network, key, value):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config[network][key] = value
    path.write_text(json.dumps(config))


FAULTS = [
    (
        lambda f: changed(f, "G", wider),
        "G.safetensors: decoder.net.2.bias is [40], and by G_ema.safetensors [33]",
    ),
    (
        lambda f: changed(f, "G", lambda t: t.pop("decoder.net.2.bias")),
        "G.safetensors: holds no"
        " tensor decoder.net.2.bias, and by G_ema.safetensors it has one of [33]",
    ),
    (
        lambda f: changed(f, "D", lambda t: t.update({"b4.out.bias": torch.zeros(3)})),
        "D.safetensors: b4.out.bias is [3], and by config.json [",
    ),
    (
        lambda f: changed(f, "D", lambda t: t.update({"extra": torch.zeros(3)})),
        "D.safetensors: holds extra, [3], which by config.json it has not",
    ),
    (lambda f: argued(f, "D", "channel_max", 5), "D.safetensors: b16.fromrgb.weight is ["),
    (lambda f: argued(f, "G", "z_dim", 5), "G_ema.safetensors: backbone.mapping.fc0.weight is ["),
    (lambda f: argued(f, "D", "channel_base", "wide"), "config.json: its arguments of D make no"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_what_does_not_fit_is_named(tmp_path, tiny_checkpoint, tiny_images, capsys, fault, said):
    folder = tmp_path / "gan"
    shutil.copytree(tiny_checkpoint, folder)
    sweep = write_sweep(tmp_path, folder, tiny_images)
    load_kind(sweep, KINDS, None, (), SCALES, NO_NETWORKS)
    fault(folder)
    with pytest.raises(ConfigError) as refused:
        load_kind(sweep, KINDS, None, (), SCALES, NO_NETWORKS)
    (line,) = refused.value.problems
    assert f"checkpoint: '{folder}': {folder}/{said}" in line
    assert "convert or copy the checkpoint again" in line
    assert main([str(sweep), "--dry-run", "--runs", str(tmp_path / "runs")]) == 2
    assert prefetch([str(sweep)]) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("network", ["G", "D", "G_ema"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(tmp_path, tiny_checkpoint, network, kind, value):
    file = tmp_path / f"{network}.safetensors"
    state = load_file(tiny_checkpoint / f"{network}.safetensors")
    name = sorted(n for n in state if n.endswith("weight"))[-1]
    state = {n: v.to(kind) if v.is_floating_point() else v for n, v in state.items()}
    save_file(state, file)
    check_finite(file)
    state[name].view(-1)[-1] = value
    save_file(state, file)
    with pytest.raises(ValueError, match=f"{network}.safetensors: {name} holds NaN or infinity"):
        check_finite(file)


def test_a_launch_names_it_before_any_work(tmp_path, tiny_checkpoint, tiny_images, capsys):
    gan = shutil.copytree(tiny_checkpoint, tmp_path / "gan")
    state = load_file(gan / "D.safetensors")
    name = next(n for n in state if n.endswith("weight"))
    state[name].view(-1)[0] = float("nan")
    save_file(state, gan / "D.safetensors")
    sweep = write_sweep(tmp_path, gan, tiny_images)
    assert main([str(sweep), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 2
    assert f"D.safetensors: {name} holds NaN" in capsys.readouterr().err

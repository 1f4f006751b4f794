"""Snapshots in the public layout: every tensor bit for bit, and not a line of theirs is run."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file

from sigmaflow.generators import load_gan, load_generator
from sigmaflow.generators.pickles import PickleError, read_snapshot
from sigmaflow.generators.pickles.build import convert_pickle, load_pickle, load_pickle_generator

FULL = {"G": 178, "D": 74, "G_ema": 178, "augment_pipe": 3}
COUNTS = {
    "eg3d_p4": FULL,
    "eg3d_p3": FULL,
    "eg3d_p2_noG": {k: v for k, v in FULL.items() if k != "G"},
    "eg3d_cudaaxes_p4": FULL,
    "eg3d_torch113_p4": FULL,
    "eg3d_p64_gema_only_p4": {"G_ema": 140},
    "panohead_p4": {"G": 221, "D": 74, "G_ema": 221},
}
PLANES = {"panohead_p4": "panohead", "eg3d_p64_gema_only_p4": "eg3d_p64"}
EG3D = [name for name in COUNTS if name.startswith("eg3d")]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Where executed text of a pickle would leave its mark; checked at the end."""
    marker = tmp_path / "canary"
    monkeypatch.setenv("SIGMAFLOW_CANARY", str(marker))
    monkeypatch.chdir(tmp_path)
    yield
    assert not marker.exists()
    assert not [name for name in os.listdir(tmp_path) if "CANARY" in name.upper()]


@pytest.fixture
def pickled(reference, canary):
    return lambda name: reference / "golden" / "pickles" / f"{name}.pkl"


def golden(reference, name):
    folder = reference / "golden" / PLANES.get(name, "eg3d_p256")
    config = json.loads((folder / "config.json").read_text())
    return load_file(folder / "weights.safetensors"), config


def equal(ours, theirs):
    assert set(ours) == set(theirs)
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype, name
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("name", COUNTS)
def test_every_tensor_is_theirs(reference, pickled, name):
    want, config = golden(reference, name)
    snapshot = read_snapshot(pickled(name))
    found = {k: len(v.stored) for k, v in snapshot.networks.items()}
    assert found == COUNTS[name]
    for key in ("G_ema", "G"):
        if key in found:
            equal(snapshot.networks[key].state(), want)
    network = snapshot.networks["G_ema"]
    assert network.plane_axes == config["plane_axes"]
    assert network.init_kwargs == config["init_kwargs"]
    assert network.class_name == "TriPlaneGenerator"
    last = 16 if "p64" in name else 64  # what was rendered last
    assert network.attributes["neural_rendering_resolution"] == last
    assert all(
        network.attributes["rendering_kwargs"][k] == v
        for k, v in config["init_kwargs"]["rendering_kwargs"].items()
    )
    if name != "eg3d_p64_gema_only_p4":
        assert snapshot.training_set_kwargs["resolution"] == 128


@pytest.mark.parametrize("name", EG3D)
def test_networks_are_built_and_converted(reference, pickled, tmp_path, name):
    want, config = golden(reference, name)
    stored = dict(want)
    want.pop("dataset_label_std")
    done = convert_pickle(pickled(name), tmp_path / "gan")
    assert done.plane_axes == "XY, XZ, ZX"
    assert done.plane_resolution == (64 if "p64" in name else 256)
    equal(load_file(tmp_path / "gan" / "G_ema.safetensors"), stored)
    for G in (load_generator(tmp_path / "gan"), load_pickle_generator(pickled(name))):
        equal(G.state_dict(), want)
        assert G.plane_axes.tolist() == config["plane_axes"]
    if "G" in COUNTS[name]:
        for gan in (load_gan(tmp_path / "gan"), load_pickle(pickled(name))):
            equal(gan.G.state_dict(), want)
            assert len(gan.D.state_dict()) == 74


def test_other_generators_are_read_and_not_built(pickled, tmp_path):
    with pytest.raises(PickleError, match="t_mapping, torgb is read, but not built yet"):
        convert_pickle(pickled("panohead_p4"), tmp_path / "gan")
    assert not (tmp_path / "gan").exists()


@pytest.mark.parametrize("letter", "GD")
def test_the_public_architecture_at_full_size(reference, letter):
    """Names and shapes of FFHQ-512, without memory for the numbers."""
    from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator

    lines = (reference / "reference" / "state_dicts" / f"eg3d_ffhq512_{letter}.tsv").read_text()
    theirs = dict(line.split("\t")[:2] for line in lines.splitlines() if "\t" in line)
    with torch.device("meta"):
        if letter == "D":
            module = DualDiscriminator(c_dim=25, img_resolution=512)
        else:
            module = TriPlaneGenerator(
                512, 25, 512, 512, sr_num_fp16_res=4, mapping_kwargs={"num_layers": 2},
                rendering_kwargs={
                    "superresolution_module": "training.superresolution.SuperresolutionHybrid8XDC"
                },
            )  # fmt: skip
    ours = {k: "x".join(map(str, v.shape)) or "scalar" for k, v in module.state_dict().items()}
    assert {k: v for k, v in theirs.items() if k in ours} == ours
    assert set(theirs) - set(ours) <= {"dataset_label_std", "name", "key"}


@pytest.mark.parametrize("name", ["eg3d_p4", "eg3d_p64_gema_only_p4"])
def test_the_way_back_has_their_names_and_shapes(reference, pickled, tmp_path, name):
    from sigmaflow.generators.export import export_state

    want, _ = golden(reference, name)
    convert_pickle(pickled(name), tmp_path / "gan")
    equal(export_state(tmp_path / "gan", label_std=True), want)
    want.pop("dataset_label_std")
    equal(export_state(tmp_path / "gan"), want)
    equal(export_state(load_generator(tmp_path / "gan")), want)
    assert "plane_axes" not in want


def test_the_way_back_of_a_discriminator(reference):
    from sigmaflow.generators import DualDiscriminator
    from sigmaflow.generators.export import export_state

    folder = reference / "golden" / "eg3d_loss"
    config = json.loads((folder / "config.json").read_text())
    want = load_file(folder / "weights_D.safetensors")
    D = DualDiscriminator(**config["D_init_kwargs"])
    D.load_state_dict(want, strict=True)
    equal(export_state(D), want)

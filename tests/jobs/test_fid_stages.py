"""FID through the stages: any sharding, statistics by name, and no column of two protocols."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import jobs.reference
from jobs.output.tables import latex, sweep_tables, write_table
from jobs.run.attempt import run_task
from jobs.store.stage import walk
from jobs.sweep.config import ConfigError, load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from sigmaflow.datasets.images import ImageZip
from sigmaflow.metrics.protocol import ProtocolError
from sigmaflow.metrics.reference import features_beside, source_of
from sweeps import SCALES, TINY_SWEEP, markers, write_sweep


class Colours:
    """Features that take no time: means of an image and of its left half."""

    dim, key = 6, "colours"

    def __call__(self, images):
        x = images.float()
        return torch.cat([x.mean((2, 3)), x[..., : x.shape[3] // 2].mean((2, 3))], 1)


@pytest.fixture
def colours(monkeypatch):
    monkeypatch.setattr("sigmaflow.metrics.features.of_protocol", lambda *_: Colours())


def graph_of(folder, checkpoint, images, **evaluation):
    sweep = write_sweep(
        folder, checkpoint, images, evaluation={**TINY_SWEEP["evaluation"], **evaluation}
    )
    return SweepGraph(load(sweep, SweepConfig, scales=SCALES))


def measured(graph, store):
    """The folder of the start's FID, made with all that it needs."""
    for task in walk(graph.fid_start):
        result = run_task(str(store), task)
        assert result.ok, result.error
    return result.path


def test_any_sharding_gives_the_same_number(tmp_path, tiny_checkpoint, tiny_images, colours):
    folders = []
    for size in (100, 200, 300):
        graph = graph_of(tmp_path, tiny_checkpoint, tiny_images, fid_images=250, fid_shard=size)
        assert len(graph.fid_start.inputs["shards"]) == -(-250 // size)
        folders.append(measured(graph, tmp_path / "runs" / "store"))
    assert len({f.name for f in folders}) == 3
    for name in ("fid.json", "influence.npy"):
        assert len({(f / name).read_bytes() for f in folders}) == 1, name
    said = json.loads((folders[0] / "fid.json").read_text())
    assert said["images"] == 250 and said["real_images"] == 24 and said["fid"] > 0
    assert said["fid_low"] < said["fid"] < said["fid_high"] and said["kid_low"] < said["kid_high"]
    assert said["protocol_hash"] == graph.protocol.hash
    stages = [marker["stage"] for _, marker in markers(tmp_path / "runs")]
    assert sorted(stages) == ["features"] * 5 + ["fid"] * 3 + ["real"]  # 200-249 is shared


def test_statistics_by_name_give_the_same_number(
    tmp_path, tiny_checkpoint, tiny_images, colours, capsys
):
    file = tmp_path / "faces-mini.npz"
    assert jobs.reference.main([str(tiny_images), str(file), "--protocol", "mini"]) == 0
    assert "24 images, protocol mini" in capsys.readouterr().out
    store = tmp_path / "runs" / "store"
    plain = graph_of(tmp_path, tiny_checkpoint, tiny_images)
    by_name = graph_of(tmp_path, tiny_checkpoint, tiny_images, fid_reference=str(file))
    assert source_of(file) == plain.protocol.real and by_name.protocol == plain.protocol
    folders = [measured(g, store) for g in (plain, by_name)]
    assert folders[0] != folders[1]
    assert len({(f / "fid.json").read_bytes() for f in folders}) == 1
    assert [m["stage"] for _, m in markers(tmp_path / "runs")].count("features") == 1
    features_beside(file).unlink()
    without = json.loads((measured(graph_of(tmp_path, tiny_checkpoint, tiny_images,
                                            fid_reference=str(file)), store)
                          / "fid.json").read_text())  # fmt: skip
    assert without["kid"] is None and without["fid"] > 0


def test_statistics_of_another_protocol_are_refused(
    tmp_path, tiny_checkpoint, tiny_images, colours
):
    file = tmp_path / "mirrored.npz"
    assert jobs.reference.main([str(tiny_images), str(file), "--protocol", "mini", "--mirror"]) == 0
    graph = graph_of(tmp_path, tiny_checkpoint, tiny_images, fid_reference=str(file))
    for task in walk(graph.fid_start):
        result = run_task(str(tmp_path / "runs" / "store"), task)
    assert not result.ok and "mirror: True against False (file against run)" in result.error
    with pytest.raises(ConfigError, match="python -m jobs.reference"):
        graph_of(tmp_path, tiny_checkpoint, tiny_images, fid_reference=str(tmp_path / "none.npz"))
    with pytest.raises(ConfigError, match="multiple of 100"):
        graph_of(tmp_path, tiny_checkpoint, tiny_images, fid_shard=150)


def test_a_folder_of_images_is_as_good_as_their_zip(tmp_path, tiny_checkpoint, tiny_images):
    folder = tmp_path / "set"
    shutil.unpack_archive(tiny_images, folder)
    found = []
    for images in (tiny_images, folder):
        real = graph_of(tmp_path, tiny_checkpoint, images).real
        result = run_task(str(tmp_path / "runs" / "store"), real)
        assert result.status == "done", result.error
        with np.load(result.path / "reference.npz") as arrays:
            found.append((arrays["n"], arrays["mean"], arrays["scatter"]))
    for one, other in zip(*found):
        assert np.array_equal(one, other)


def test_mirror_images_count_as_if_they_were_in_the_set(tmp_path, tiny_images, colours):
    folder = tmp_path / "both"
    folder.mkdir()
    with ImageZip(tiny_images) as images:
        labels = [[f"{i}.png", images.labels[i % 24].tolist()] for i in range(48)]
        for i in range(48):
            pixels = images[i % 24][0].permute(1, 2, 0).numpy()
            Image.fromarray(pixels[:, ::-1] if i >= 24 else pixels).save(folder / f"{i}.png")
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    zipped = shutil.make_archive(str(tmp_path / "both"), "zip", folder)
    for source, target, more in ((tiny_images, "a", ["--mirror"]), (zipped, "b", [])):
        assert (
            jobs.reference.main(
                [str(source), str(tmp_path / f"{target}.npz"), "--protocol", "mini", *more]
            )
            == 0
        )
    a, b = (np.load(tmp_path / f"{name}.npz") for name in "ab")
    assert np.array_equal(a["mean"], b["mean"]) and np.array_equal(a["scatter"], b["scatter"])
    assert a["n"] == 48 and str(a["sha256"]) != str(b["sha256"])


def test_the_command_says_what_is_missing(tmp_path, tiny_images, capsys):
    for arguments, said in (
        ([tiny_images, tmp_path / "a.txt"], "must end in .npz"),
        ([tmp_path / "none.zip", tmp_path / "a.npz"], "none.zip"),
        ([tiny_images, tmp_path / "a.npz"], "needs the path of its weights"),
    ):
        assert jobs.reference.main([str(a) for a in arguments]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- tables


def inputs_of(runs):
    """What the tables stage of a finished tiny sweep was given, by name."""
    found = {m["stage"]: p for p, m in markers(runs)}
    task = json.loads((found["tables"] / "task.json").read_text())
    place = {json.loads((p / "task.json").read_text())["key"]: p for p, _ in markers(runs)}
    inputs = {k: [place[i] for i in v] if isinstance(v, list) else place[v]
              for k, v in task["inputs"].items()}  # fmt: skip
    return inputs, task["config"]


def test_two_protocols_refuse_one_column(runs):
    inputs, config = inputs_of(runs)
    assert sweep_tables(inputs, config)["fid"]["protocol"].nunique() == 1
    path = inputs["trials"][1] / "protocol.json"
    protocol = json.loads(path.read_text())
    path.write_text(json.dumps({**protocol, "psi": 0.7}))
    with pytest.raises(ProtocolError, match=r"trial 0 \(mini, .*trial 1 .* differ in psi: 1.0 "):
        sweep_tables(inputs, config)
    path.write_text(json.dumps(protocol))
    with pytest.raises(ProtocolError, match="the column is called fid50k, but"):
        sweep_tables(inputs, {**config, "fid_name": "fid50k"})


def test_numbers_and_words_of_one_setting_are_a_column_of_words(runs, tmp_path):
    inputs, config = inputs_of(runs)
    tried = [10, {"deviations": 1.5}]
    inputs = {**inputs, "trials": []}
    for number, (trial, clamp) in enumerate(zip(inputs_of(runs)[0]["trials"], tried)):
        inputs["trials"].append(Path(shutil.copytree(trial, tmp_path / str(number))))
        summary = json.loads((trial / "summary.json").read_text())
        (tmp_path / str(number) / "summary.json").write_text(json.dumps(summary | {"clamp": clamp}))
    config = {
        **config,
        "params": [*config["params"], "clamp"],
        "space": {**config["space"], "clamp": {"choices": tried}},
    }
    tables = sweep_tables(inputs, config)
    for name, frame in tables.items():
        write_table(tmp_path / f"{name}.parquet", frame, "tables 0")
    read = pd.read_parquet(tmp_path / "trials.parquet")["clamp"]
    assert read.tolist() == ["10", "deviations:1.5"]
    assert "deviations:1.5" in latex(tables, config)["fid"]


def test_another_protocol_measures_images_again_and_nothing_else(
    tmp_path, tiny_checkpoint, tiny_images
):
    def keys(**evaluation):
        graph = graph_of(tmp_path, tiny_checkpoint, tiny_images, **evaluation)
        shards = graph.fid_start.inputs["shards"]
        return graph.start.key, graph.real.key, shards[0].key, graph.fid_start.key

    before = keys()
    for evaluation, changed in (
        ({"fid_psi": 0.7}, (False, False, True, True)),
        ({"fid_mirror": True}, (False, True, False, True)),
        ({"fid_images": 200}, (False, False, True, True)),
        ({"fid_shard": 200}, (False, False, False, False)),
        ({"seeds": 9}, (True, False, False, False)),
    ):
        now = keys(**evaluation)
        assert tuple(a != b for a, b in zip(before, now)) == changed, evaluation

"""The paper's sizes from a pickle to the tables: on a tiny GAN always, at full size when slow."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from jobs.launch import main

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
SMALL = {
    "scale": "mini",
    "threads": 1,
    "slab": {"resolution": 16},
    "annotator": {"resolution": 16},
    "reward": {"f_maps": [8, 16], "train": {"epochs": 1}},
}


def rehearse(path, runs):
    assert main([str(path), "--on", "inline", "--runs", str(runs)]) == 0
    (gan,) = (runs / "store" / "rehearsal").glob("*/gan")
    assert not list(gan.parent.glob("*.pkl"))
    trials = pd.read_parquet(runs / "tables" / "rehearsal-trials.parquet")
    assert len(trials) == 1 and trials["fid"].notna().all()
    assert trials["reward_delta_mean"].iloc[0] != 0  # a step was made
    config = json.loads((gan / "config.json").read_text())
    assert len(config["meta"]["source_sha256"]) == 64
    return config


def test_a_small_one(tmp_path, tiny_checkpoint):
    tiny = json.loads((tiny_checkpoint / "config.json").read_text())
    networks = {"G": tiny["G"], "D": tiny["D"]}
    sweep = yaml.safe_load((SWEEPS / "rehearsal.yaml").read_text()) | SMALL | networks
    sweep["evaluation"] |= {"mesh_resolution": 32}
    (tmp_path / "rehearsal.yaml").write_text(yaml.safe_dump(sweep))
    config = rehearse(tmp_path / "rehearsal.yaml", tmp_path / "runs")
    assert config["G"]["img_resolution"] == tiny["G"]["img_resolution"]


@pytest.mark.slow
def test_at_the_papers_size(tmp_path):
    config = rehearse(SWEEPS / "rehearsal.yaml", tmp_path / "runs")
    assert config["G"]["img_resolution"] == 512 and config["G"]["plane_resolution"] == 256
    (reward,) = (tmp_path / "runs" / "models").glob("*-reward.json")
    network = json.loads(reward.read_text())["config"]
    assert network["grid"]["resolution"] == 256 and network["feature_size"] == 8192

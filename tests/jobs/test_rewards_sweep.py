"""`kind: rewards` over words and truths: every representation on the same questions; Table 1."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torchvision import models

from jobs.stages.comparison import chosen
from jobs.store.stage import walk
from jobs.store.store import Store
from jobs.sweep.comparison import RewardsGraph, proposals
from jobs.sweep.config import ConfigError, load
from jobs.sweep.kinds import RewardsConfig
from sigmaflow.fields.depth import TRIPLE, sample_depth
from sigmaflow.fields.slab import latents
from sigmaflow.generators import load_generator
from sigmaflow.rewards.model import RewardModel
from sigmaflow.rewards.semantics import view_latents
from sweeps import SCALES, TINY_SWEEP, launch, write_sweep

KEPT = ("scale", "block", "slab", "rankings", "annotator")
ROWS = {
    "sigma": {"backbone": "unet3d"},
    "single": {"backbone": "resnet18"},
    "triple": {"backbone": "resnet18", "views": "triple"},
    "triple_each": {"backbone": "resnet18", "views": "triple", "latents": "each"},
    "points": {"backbone": "pointnet"},
    "points_released": {"backbone": "pointnet2", "semantics": "released"},
}
SEARCH = {"sampler": "random", "trials": 2,
          "space": {"reward.train.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}  # fmt: skip


def write(folder, checkpoint, images, **changes):
    reward = {**TINY_SWEEP["reward"], "view_resolution": 12, "image_size": 32, "points": 64,
              "train": {"epochs": 1, "batch": 4, "mirror": False}}  # fmt: skip
    path = write_sweep(folder, checkpoint, images, kind="rewards", name="few", reward=reward,
                       rows=ROWS, search=SEARCH)  # fmt: skip
    values = yaml.safe_load(path.read_text())
    unread = ("finetune", "evaluation", "images")
    kept = {k: v for k, v in values.items() if k not in unread}
    path.write_text(yaml.safe_dump({**kept, **changes}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory, tiny_checkpoint, tiny_images):
    """The finished sweep: its runs, its graph, what it said."""
    folder = tmp_path_factory.mktemp("few")
    sweep = write(folder, tiny_checkpoint, tiny_images)
    code, said = launch(sweep, folder / "runs")
    assert code == 0, said
    return folder / "runs", RewardsGraph(load(sweep, RewardsConfig, scales=SCALES)), said


def rows_of(runs, name):
    return pd.read_parquet(runs / "tables" / f"few-{name}.parquet")


def test_every_row_has_the_same_budget_and_shows_its_best_by_validation(few):
    runs = few[0]
    candidates, table = rows_of(runs, "candidates"), rows_of(runs, "table1")
    assert candidates["row"].value_counts().to_dict() == dict.fromkeys(ROWS, 2)
    assert candidates.groupby("row")["train.lr"].apply(tuple).nunique() == 1
    assert table["row"].tolist() == list(ROWS)
    best = candidates.groupby("row")["val_loss"].min()
    assert (table.set_index("row")["val_loss"] == best[table["row"]]).all()


def test_rows_say_what_they_are_and_what_the_paper_has(few):
    table = rows_of(few[0], "table1").set_index("row")
    assert table["representation"].tolist() == ["sigma", "depth", "depth", "depth", "points",
                                                "points"]  # fmt: skip
    assert table["view"].tolist() == ["volume", "single", "triple", "triple", "cloud", "cloud"]
    assert table.loc["triple_each", "latents"] == table.loc["points_released", "latents"] == "each"
    assert table.loc["points_released", "head"] == "pairs"
    assert table.loc["triple", "paper_regular"] == 0.74 and table.loc["sigma", "paper_all"] == 0.97
    assert (table["regular_low"] <= table["regular"]).all()
    assert not table["pretrained"].any()
    text = (few[0] / "tables" / "few-table1.tex").read_text()
    assert "resnet18 stands beside its resnet50" in text and "random ones: unet3d" in text
    triple = next(line for line in text.splitlines() if "& triple &" in line)
    assert triple.count("[") == 4  # both latents side by side, all and regular pairs
    assert "a latent for each view" in few[2] and "the paper has 0.74" in few[2]


def test_shares_are_those_of_the_trained_rewards(few):
    runs, graph, _ = few
    task = graph.table()
    store = Store(runs / "store")
    table = rows_of(runs, "candidates")
    for i, reward in enumerate(task.inputs["rewards"]):
        found = pd.read_parquet(store.find(reward) / "accuracy.parquet")
        scorer = "head pairs" if table["head"][i] == "pairs" else "reward"
        share = found[(found["scorer"] == scorer) & (found["pairs"] == "regular")]["share"].item()
        assert share == table["regular"][i]
    network = json.loads((store.find(task.inputs["rewards"][4]) / "reward.json").read_text())
    assert network["config"]["yaws"] == list(TRIPLE)


def test_views_are_made_once_and_shared_and_rankings_are_a_sweeps_own(few):
    tasks = walk(few[1].table())
    views = {task.label for task in tasks if task.stage.name == "views"}
    kinds = {label.split(" of anchors")[0].rstrip("0123456789-").strip() for label in views}
    assert kinds == {
        "single-view depth", "triple-view depth", "triple-view depth, a latent for each view",
        "single-view depth, a latent for each view",
    }  # fmt: skip
    assert sum(task.stage.name == "rankings" for task in tasks) == 1


@pytest.mark.parametrize("kind", ["one", "each"])
def test_maps_are_of_the_latents_that_they_say(few, tiny_checkpoint, kind):
    runs, graph, _ = few
    task = next(t for t in walk(graph.table()) if t.stage.name == "views"
                and t.config["latents"] == kind and len(t.config["yaws"]) == 3)  # fmt: skip
    folder = Store(runs / "store").find(task)
    seeds, maps = np.load(folder / "seeds.npy")[:2], np.load(folder / "maps.npy")[:2]
    G = load_generator(tiny_checkpoint)
    drawn = view_latents(seeds, G.z_dim, 3, kind)
    assert torch.equal(drawn[:, 0], latents(seeds, G.z_dim))
    with torch.no_grad():
        for v, yaw in enumerate(TRIPLE):
            one = sample_depth(G, drawn[:, v], (yaw,), resolution=12)
            # Limits of depth are those of all rays at once: of rays that meet nothing they differ.
            same = torch.isclose(one[:, 0], torch.from_numpy(maps[:, v]), atol=1e-4)
            assert same.float().mean() > 0.9


def test_rewards_can_be_loaded_and_take_what_they_were_trained_on(few):
    runs, graph, _ = few
    reward = graph.table().inputs["rewards"][8]
    model = RewardModel.load(Store(runs / "store").find(reward) / "reward.safetensors")
    assert model.config.representation == "points" and model.config.latents == "one"
    assert model(torch.rand(2, 144, 3)).shape == (2,)


def test_again_there_is_nothing_to_do(few, tmp_path, tiny_checkpoint, tiny_images):
    code, said = launch(write(tmp_path, tiny_checkpoint, tiny_images), few[0])
    assert code == 0 and "nothing to do" in said


def test_proposals_are_the_same_for_all_and_every_time(few):
    config = few[1].config
    assert proposals(config.search, 0) == proposals(config.search, 0)
    assert proposals(config.search, 0) != proposals(config.search, 1)


def test_of_equal_losses_the_first_is_chosen():
    frame = pd.DataFrame({"row": ["a", "a", "b"], "val_loss": [0.5, 0.5, math.inf]})
    assert chosen(frame)["chosen"].tolist() == [True, False, True]


@pytest.mark.parametrize("save, name", [(torch.save, "w.pth"), (save_file, "w.safetensors")])
def test_a_backbone_starts_from_the_file_that_is_given(
    few, tmp_path, tiny_checkpoint, tiny_images, save, name
):
    torch.manual_seed(0)
    weights = models.resnet18().state_dict()
    save(weights, tmp_path / name)
    reward = {**load(write(tmp_path, tiny_checkpoint, tiny_images), RewardsConfig,
                     scales=SCALES).reward.model_dump(mode="json", exclude_unset=True),
              "pretrained": {"resnet18": str(tmp_path / name)}, "frozen": True}  # fmt: skip
    for unread in ("points", "f_maps", "feature_size"):  # which have no effect here
        del reward[unread]
    del reward["train"]["lr"]
    only = {"rows": {"single": ROWS["single"]}, "search": {**SEARCH, "trials": 1}}
    sweep = write(tmp_path, tiny_checkpoint, tiny_images, name="given", reward=reward, **only)
    code, said = launch(sweep, few[0])
    assert code == 0, said
    graph = RewardsGraph(load(sweep, RewardsConfig, scales=SCALES))
    trained = Store(few[0] / "store").find(graph.table().inputs["rewards"][0])
    model = RewardModel.load(trained / "reward.safetensors")
    assert torch.equal(model.backbone.resnet18.conv1.weight, weights["conv1.weight"])
    assert pd.read_parquet(few[0] / "tables" / "given-table1.parquet")["pretrained"].all()


@pytest.mark.parametrize("changes, said", [
    ({"rows": {"a": {"backbones": "unet3d"}}}, "rows.a.backbones is no setting"),
    ({"rows": {"a": {"backbone": "unet3d", "train.lr": 0.1}}}, "is searched as well"),
    ({"rows": {"a": {"backbone": "resnet18", "train.recon_weight": 0.1}}}, "reconstructs nothing"),
    ({"search": {**SEARCH, "sampler": "tpe"}}, "take grid, ablation or random"),
    ({"search": {**SEARCH, "space": {"lambda_r": {"low": 0, "high": 1}}}}, "nothing is fine-tuned"),
])  # fmt: skip
def test_bad_rows_are_refused_by_name(tmp_path, tiny_checkpoint, tiny_images, changes, said):
    sweep = write(tmp_path, tiny_checkpoint, tiny_images, **changes)
    with pytest.raises(ConfigError, match=said):
        load(sweep, RewardsConfig, scales=SCALES)

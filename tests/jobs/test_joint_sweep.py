"""A sweep over the reward's backbone: rewards train once and all judge, an ensemble too."""

import shutil

import numpy as np
import pandas as pd
import pytest

from jobs.sweep import judges
from jobs.sweep.config import ConfigError, load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from sweeps import SCALES, TINY_SWEEP, attempts, launch, ran, write_sweep

SEARCH = {
    "trials": 3, "parallelism": 2,
    "space": {
        "reward.backbone": {"choices": ["unet3d", "voxnet"]},
        "lambda_r": {"low": 0.0, "high": 30.0},
    },
    "first": [
        {"reward.backbone": "unet3d", "lambda_r": 10.0},
        {"reward.backbone": "voxnet", "lambda_r": 10.0},
        {"reward.backbone": "voxnet", "lambda_r": 1.0},
    ],
}  # fmt: skip
REWARD = {**TINY_SWEEP["reward"], "ensemble": 2}


@pytest.fixture(scope="module")
def joint(tiny_sweep, tmp_path_factory, tiny_checkpoint, tiny_images):
    folder = tmp_path_factory.mktemp("joint")
    runs = folder / "runs"
    shutil.copytree(tiny_sweep.runs / "store", runs / "store")
    before = attempts(runs)
    sweep = write_sweep(folder, tiny_checkpoint, tiny_images, name="joint", search=SEARCH,
                        reward=REWARD)  # fmt: skip
    code, said = launch(sweep, runs)
    assert code == 0, said
    return runs, sweep, ran(before, attempts(runs))


@pytest.mark.slow
def test_every_reward_trains_once(joint):
    runs, sweep, stages = joint
    # The file's own two are the tiny sweep's: of voxnet one for two trials, and two members.
    assert stages["reward"] == 1 + 2 and stages["finetune"] == 2
    graph = SweepGraph(load(sweep, SweepConfig, scales=SCALES))
    trials = [graph.trial(n, p) for n, p in enumerate(SEARCH["first"])]
    assert trials[0].reward == graph.reward and trials[1].reward == trials[2].reward
    members = graph.members
    assert len({m.key for m in members} | {graph.reward.key, graph.heldout.key}) == 4
    assert {m.config["split_seed"] for m in members} == {graph.reward.config["split_seed"]}


@pytest.mark.slow
def test_every_fine_tune_is_scored_by_all_rewards(joint):
    table = pd.read_parquet(joint[0] / "tables" / "joint-judges.parquet")
    names = ["reward", "heldout", "reward of trial 1", "member 0", "member 1",
             "reward, regular grid", "ensemble mean", "ensemble minimum",
             "ensemble mean - sd"]  # fmt: skip
    assert table["judge"].tolist() == names * 3
    trials = pd.read_parquet(joint[0] / "tables" / "joint-trials.parquet")
    own = table[table["judge"] == "heldout"]["delta_mean"].to_numpy()
    np.testing.assert_allclose(own, trials["heldout_delta_mean"], rtol=1e-5, atol=1e-6)
    regular = table[table["judge"] == "reward, regular grid"]["before_mean"].iloc[0]
    assert regular != table[table["judge"] == "reward"]["before_mean"].iloc[0]


@pytest.mark.slow
def test_accuracy_says_which_network_it_is_of(joint):
    table = pd.read_parquet(joint[0] / "tables" / "joint-accuracy.parquet").set_index("model")
    assert set(table.loc["trial 1", "backbone"]) == {"voxnet"}
    assert set(table.loc["reward", "backbone"]) == {"unet3d"}
    assert set(table["representation"]) == {"sigma"} and set(table["latents"]) == {"one"}


def test_the_ensemble_is_of_its_members_seed_by_seed():
    scores = pd.DataFrame({"seed": [1, 2], "reward": [9.0, 9.0], "member 0": [1.0, 4.0],
                           "member 1": [3.0, 4.0]})  # fmt: skip
    found = judges.judged(scores)
    assert found["ensemble mean"].tolist() == [2.0, 4.0]
    assert found["ensemble minimum"].tolist() == [1.0, 4.0]
    assert found["ensemble mean - sd"].tolist() == [1.0, 4.0]


def test_a_sweep_of_one_reward_has_no_judges(tiny_sweep):
    assert not (tiny_sweep.runs / "tables" / "tiny-judges.parquet").exists()


@pytest.mark.parametrize("changes, said", [
    ({"reward": {**TINY_SWEEP["reward"], "backbone": "pointnet", "latents": "each"}},
     "reward.latents is each: pointnet"),
    ({"search": {**SEARCH, "first": [], "space": {
        "reward.backbone": {"choices": ["unet3d", "resnet18"]},
        "reward.semantics": {"choices": ["paper", "released"]}}}},
     "no trial can have reward.backbone = resnet18, reward.semantics = released"
     r".*\(of semantics released\).*set reward.latents to one"),
])  # fmt: skip
def test_rewards_of_other_latents_are_not_followed(
    tmp_path, tiny_checkpoint, tiny_images, changes, said
):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, **changes)
    with pytest.raises(ConfigError, match=said):
        load(sweep, SweepConfig, scales=SCALES)

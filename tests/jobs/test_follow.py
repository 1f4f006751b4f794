"""Fine-tunes that follow rewards of depth maps and of points, through the stages."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from test_finetune_stage import in_pieces, with_needs

from jobs.compare import main as compare
from jobs.run.attempt import try_task
from jobs.stages.judge import JUDGE
from jobs.store.stage import Task
from jobs.store.store import Store
from jobs.sweep.config import ConfigError, load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import ScoreConfig, SweepConfig
from sigmaflow.fields.depth import TRIPLE, sample_depth
from sigmaflow.fields.points import sample_points
from sigmaflow.fields.slab import latents
from sigmaflow.generators import load_gan
from sigmaflow.rewards.model import RewardModel
from sweeps import SCALES, TINY_SWEEP, launch, outputs, write_sweep

VIEW = {"view_resolution": 12, "image_size": 32, "points": 100}
TRAIN = {"epochs": 1, "batch": 4, "mirror": False}
REWARDS = {
    "single": {"backbone": "resnet18"},
    "triple": {"backbone": "resnet18", "views": "triple", "semantics": "paper"},
    "points": {"backbone": "pointnet"},
}
STRONG = {"lambda_r": 30.0, "lambda_c": 0.0}
PULLED = {"g_lr": 0.005, "kimg": 0.04, "standardise": True, "clamp": {"deviations": 1000.0}}


def graph_of(tiny_sweep, folder, reward, **finetune):
    """The tiny sweep's graph with another reward, and a fine-tune that hardly minds the GAN."""
    plain = load(tiny_sweep.sweep, SweepConfig, scales=SCALES)
    leave = {"resnet18": {"points", "f_maps"}, "pointnet": {"image_size", "f_maps"}}
    leave = leave.get(reward.get("backbone"), set(VIEW))  # what has no effect on it
    section = {**TINY_SWEEP["reward"], **VIEW}
    section = {key: value for key, value in section.items() if key not in leave}
    section |= {**reward, "train": TRAIN}
    path = write_sweep(folder, plain.checkpoint, plain.images, reward=section,
                       finetune={**TINY_SWEEP["finetune"], **finetune})  # fmt: skip
    return SweepGraph(load(path, SweepConfig, scales=SCALES))


def alone(G, seeds, kind, psi):
    """What a reward sees of seeds, each rendered by itself."""
    z = latents(seeds, G.z_dim)
    how = dict(truncation_psi=psi, resolution=VIEW["view_resolution"])
    with torch.no_grad():
        if kind == "points":
            return torch.cat([sample_points(G, one[None], **how) for one in z])
        yaws = TRIPLE if kind == "triple" else (0.0,)
        return torch.cat([sample_depth(G, one[None], yaws, **how) for one in z])


@pytest.mark.parametrize("kind, more", [
    ("triple", {}),
    ("points", {"watch": {"heldout": "warn", "ticks": 1}, "ensemble": {"size": 2}}),
    ("single", {"reward_phase": "shared", "noise_mode": "const"}),
    ("points", {"reward_phase": "shared", "noise_mode": "const"}),
])  # fmt: skip
def test_a_fine_tune_follows_it_and_goes_on_to_the_same_bytes(tiny_sweep, tmp_path, kind, more):
    graph = graph_of(tiny_sweep, tmp_path, REWARDS[kind], **PULLED, **more)
    trial = graph.trial(0, STRONG)
    whole = Store(tiny_sweep.runs / "store")
    once = with_needs(whole, tmp_path / "once", trial.finetune)
    shutil.copytree(once.root, tmp_path / "again")
    assert try_task(str(once.root), trial.finetune).ok
    again = Store(tmp_path / "again")
    assert in_pieces(again.root, trial.finetune, seed=1, damage=True) >= 2
    folder = once.path(trial.finetune)
    assert outputs(again.path(trial.finetune)) == outputs(folder)

    means = pd.read_parquet(folder / "ticks.parquet").groupby("images_seen")["reward"].mean()
    assert means.iloc[-1] > means.iloc[0]
    reward = RewardModel.load(once.path(trial.reward) / "reward.safetensors")
    assert reward.config.representation == ("points" if kind == "points" else "depth")
    tuned = load_gan(folder / "gan").G_ema
    ticks = pd.read_parquet(folder / "ticks.parquet")
    ends = ticks[ticks["images_seen"] == ticks["images_seen"].max()]
    with torch.no_grad():
        seen = reward(alone(tuned, ends["seed"], kind, graph.config.rankings.psi))
    np.testing.assert_allclose(ends["reward"], seen, rtol=1e-4, atol=1e-5)
    assert (folder / "heldout.parquet").exists() == ("watch" in more)


@pytest.mark.parametrize("kind", ["single", "points"])
def test_measures_and_judges_show_what_it_was_trained_on(tiny_sweep, tmp_path, kind):
    graph = graph_of(tiny_sweep, tmp_path, REWARDS[kind])
    start, e = graph.start, graph.config.evaluation
    store = with_needs(Store(tiny_sweep.runs / "store"), tmp_path / "once", start)
    assert try_task(str(store.root), start).ok
    found = pd.read_parquet(store.path(start) / "rewards.parquet")
    judged = Task(
        JUDGE, {**graph.config.stage_base(), "seeds": e.seeds, "first_seed": e.first_seed,
                "psi": e.psi, "judges": [{"name": "own", "grid": "",
                                          "resolution": VIEW["view_resolution"]}]},
        {"generator": graph.generator, "rewards": (graph.reward,)}, "judge",
    )  # fmt: skip
    assert try_task(str(store.root), judged).ok
    own = pd.read_parquet(store.path(judged) / "scores.parquet")
    assert own["own"].tolist() == found["reward"].tolist()
    G = load_gan(graph.config.checkpoint).G_ema
    for column, task in (("reward", graph.reward), ("heldout", graph.heldout)):
        reward = RewardModel.load(store.path(task) / "reward.safetensors")
        with torch.no_grad():
            seen = reward(alone(G, found["seed"], kind, e.psi))
        np.testing.assert_allclose(found[column], seen, rtol=1e-4, atol=1e-5)


def test_it_is_compared_with_its_start_by_what_it_followed(tiny_sweep, tmp_path):
    graph = graph_of(tiny_sweep, tmp_path, REWARDS["points"])
    tuned, runs = graph.trial(0, STRONG).finetune, tmp_path / "runs"
    store = with_needs(Store(tiny_sweep.runs / "store"), runs / "store", tuned)
    assert try_task(str(store.root), tuned).ok
    asked = [graph.config.checkpoint, tuned.key[:8], "--name", "it", "--no-fid", "--control",
             "none", "--runs", str(runs), "--on", "inline"]  # fmt: skip
    more = {"seeds": 4, "evaluation.mesh_seeds": 1, "evaluation.mesh_resolution": 32}
    assert compare([*asked, *(p for k, v in more.items() for p in ("--set", f"{k}={v}"))]) == 0
    found = pd.read_parquet(runs / "tables" / "it-rewards.parquet")
    followed = store.path(graph.reward) / "reward.safetensors"
    reward, G = RewardModel.load(followed), load_gan(store.path(tuned) / "gan").G_ema
    with torch.no_grad():
        seen = reward(alone(G, found["seed"], "points", 0.7))
    np.testing.assert_allclose(found["after"], seen, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="sees 100 points, but .* squared = 64"):
        load(SCALES.parent / "score.yaml", ScoreConfig, overrides=[
            f"before={graph.config.checkpoint}", f"after={graph.config.checkpoint}",
            f"reward_model={followed}", "reward.view_resolution=8"])  # fmt: skip


def test_keys_of_sigma_rewards_know_nothing_of_views(tiny_sweep, tmp_path):
    plain = graph_of(tiny_sweep, tmp_path, {})
    tasks = (plain.start, plain.trial(0, STRONG).finetune)
    assert not any("view_resolution" in task.config for task in tasks)
    with pytest.raises(ConfigError, match="view_resolution: has no effect"):
        graph_of(tiny_sweep, tmp_path, {"view_resolution": 16})


@pytest.mark.slow
def test_a_sweep_of_the_mini_generator_searches_representations(tmp_path):
    choices = ["unet3d", "resnet18", "pointnet"]
    search = {
        "trials": 3, "parallelism": 2,
        "space": {"reward.backbone": {"choices": choices}, "lambda_r": {"low": 0, "high": 30}},
        "first": [{"reward.backbone": one, "lambda_r": 10.0} for one in choices],
    }  # fmt: skip
    reward = {**TINY_SWEEP["reward"], "view_resolution": 32, "image_size": 32, "points": 192}
    runs = tmp_path / "runs"
    sweep = write_sweep(tmp_path, "mini", "mini", name="seen", search=search, reward=reward)
    code, said = launch(sweep, runs)
    assert code == 0, said
    judges = pd.read_parquet(runs / "tables" / "seen-judges.parquet")
    names = ["reward", "heldout", "reward of trial 1", "reward of trial 2",
             "reward, regular grid"]  # fmt: skip
    assert judges["judge"].tolist() == names * 3
    assert np.isfinite(judges["delta_mean"]).all()
    accuracy = pd.read_parquet(runs / "tables" / "seen-accuracy.parquet").set_index("model")
    assert set(accuracy.loc["trial 1", "representation"]) == {"depth"}
    assert set(accuracy.loc["trial 2", "representation"]) == {"points"}
    trials = pd.read_parquet(runs / "tables" / "seen-trials.parquet")
    assert trials["trial"].tolist() == [0, 1, 2] and trials["heldout_delta_mean"].notna().all()

"""The fine-tune as a stage: stopped at any step, watched, with other rewards beside its own."""

import json
import random
import shutil

import pandas as pd
import pytest
import torch
from killing import the_task

from jobs.run.attempt import Context, try_task
from jobs.stages.finetune import run_finetune
from jobs.store.store import CHECKPOINT, Store
from jobs.sweep.config import load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from sigmaflow.generators import load_gan
from sigmaflow.rewards.model import RewardModel
from sweeps import SCALES, TINY_SWEEP, outputs, write_sweep


class StopAfter:
    """A request that is there from the so many-th time that somebody asks."""

    def __init__(self, times):
        self.left = times

    def asked(self):
        self.left -= 1
        return self.left < 0


def with_needs(whole, root, task):
    """A store with the task's inputs: the sweep's where it made them."""
    store = Store(root)
    for need in task.needs():
        if store.find(need) is not None:
            continue
        if (found := whole.find(need)) is not None:
            shutil.copytree(found, store.path(need))
        else:
            deep = with_needs(whole, root, need)
            assert (result := try_task(str(deep.root), need)).ok, result.error
    return store


def finetune_task(tiny_sweep, folder, first=None, **changes):
    """The sweep's first fine-tune under other settings, from the sweep's own inputs."""
    plain = load(tiny_sweep.sweep, SweepConfig, scales=SCALES)
    path = write_sweep(folder, plain.checkpoint, plain.images,
                       finetune={**TINY_SWEEP["finetune"], **changes})  # fmt: skip
    graph = SweepGraph(load(path, SweepConfig, scales=SCALES))
    return graph.trial(0, first or graph.config.search.first[0]).finetune


def in_pieces(root, task, seed, damage=False):
    """Run a task, stopped at random steps, its newest checkpoint cut short now and then."""
    rng, stops = random.Random(seed), 0
    while True:
        result = try_task(str(root), task, StopAfter(rng.randrange(4)))
        if result.status != "stopped":
            assert result.ok, result.error
            return stops
        stops += 1
        saved = sorted(p for p in root.glob(f"**/{CHECKPOINT}/*") if p.name.isdigit())
        if damage and len(saved) > 1 and rng.random() < 0.4:
            saved[-1].write_bytes(saved[-1].read_bytes()[: rng.randrange(1, 5000)])


@pytest.mark.parametrize("changes", [{}, {"semantics": "released", "aug": "ada"}])
def test_stopped_at_random_steps_it_ends_in_the_same_bytes(tiny_sweep, tmp_path, changes):
    whole = Store(tiny_sweep.runs / "store")
    task = finetune_task(tiny_sweep, tmp_path, kimg=0.032, tick_kimg=0.012, **changes)
    once = with_needs(whole, tmp_path / "once", task)
    for seed in range(3):
        shutil.copytree(once.root, tmp_path / f"runs{seed}")
    assert try_task(str(once.root), task).ok
    want = outputs(once.path(task))
    assert {"metrics.jsonl", "ticks.parquet", "samples.parquet", "settings.json"} <= set(want)
    for seed in range(3):
        store = Store(tmp_path / f"runs{seed}")
        assert in_pieces(store.root, task, seed, damage=seed > 0) >= 2
        assert outputs(store.path(task)) == want


def test_watched_with_an_ensemble_it_ends_in_the_same_bytes(tiny_sweep, tmp_path):
    whole = Store(tiny_sweep.runs / "store")
    task = finetune_task(
        tiny_sweep, tmp_path, semantics="released", standardise=True, clamp={"deviations": 2.0},
        tick_kimg=0.008, watch={"heldout": "warn", "ticks": 1},
        ensemble={"size": 2, "combine": "lower"},
    )  # fmt: skip
    once = with_needs(whole, tmp_path / "once", task)
    shutil.copytree(once.root, tmp_path / "again")
    assert try_task(str(once.root), task).ok
    again = Store(tmp_path / "again")
    assert in_pieces(again.root, task, 5) >= 1
    want = outputs(once.path(task))
    assert outputs(again.path(task)) == want
    folder = once.path(task)
    used = json.loads((folder / "settings.json").read_text())
    assert (used["semantics"], used["micro_batch"], used["consistency_psi"]) == ("released", 1, 0.7)
    assert used["reward_spread"] > 0 and used["clamp_high"] == 2.0
    samples = pd.read_parquet(folder / "samples.parquet")
    assert list(samples["images_seen"].unique()) == [0, 4, 8] and len(samples) == 12
    assert list(samples["sample"][:4]) == [0, 1, 2, 3] and not samples.isna().any(axis=None)
    assert set(samples["saturated"]) <= {0.0, 1.0}
    watched = json.loads((folder / "watch.json").read_text())
    assert watched["ended"] is None and watched["kept"] == 12
    held = pd.read_parquet(folder / "heldout.parquet")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["seeds_heldout"] == pytest.approx(
        held[held["images_seen"] == 12]["reward"].mean(), rel=1e-6)  # fmt: skip


def test_it_ends_with_the_best_where_the_held_out_reward_turns(tiny_sweep, tmp_path):
    """A held-out reward that is the negative of the trained one falls as soon as that rises."""
    whole = Store(tiny_sweep.runs / "store")
    task = finetune_task(
        tiny_sweep, tmp_path, g_lr=0.01, kimg=0.04, clamp={"deviations": 1000.0},
        watch={"heldout": "stop", "ticks": 1},
    )  # fmt: skip
    reward = RewardModel.load(whole.path(task.inputs["reward"]) / "reward.safetensors")
    with torch.no_grad():
        for p in reward.scalar_rwd_head.output_layer.parameters():
            p.neg_()
    (tmp_path / "negative").mkdir()
    reward.save(tmp_path / "negative" / "reward.safetensors")

    class Here(Context):
        def input(self, name):
            if name == "heldout":
                return tmp_path / "negative"
            return whole.path(task.inputs[name]) if name == "reward" else super().input(name)

    (tmp_path / "out").mkdir()
    run_finetune(Here(whole, task, tmp_path / "out"))
    watched = json.loads((tmp_path / "out" / "watch.json").read_text())
    ticks = pd.read_parquet(tmp_path / "out" / "ticks.parquet")
    means = ticks.groupby("images_seen")["reward"].mean()
    assert watched["ended"] == watched["alarms"][-1] == means.index[-1] <= 40
    assert means.iloc[-1] > means.iloc[-2] and watched["kept"] == means.idxmin()
    tuned = load_gan(tmp_path / "out" / "gan").G_ema.state_dict()
    plain = load(tiny_sweep.sweep, SweepConfig, scales=SCALES)
    start = load_gan(plain.checkpoint).G_ema.state_dict()
    moved = any(not torch.equal(tuned[k], start[k]) for k in tuned)
    assert moved == (watched["kept"] > 0)


def test_a_reward_of_another_grid_is_refused(tiny_sweep, tmp_path):
    whole = Store(tiny_sweep.runs / "store")
    task = the_task(str(tiny_sweep.sweep), "finetune")
    (tmp_path / "out").mkdir()
    ctx = Context(whole, task, tmp_path / "out")
    ctx.config = {**ctx.config, "grid": {**ctx.config["grid"], "resolution": 32}}
    with pytest.raises(ValueError, match="another grid: resolution is 32"):
        run_finetune(ctx)

"""`kind: pretrain`: its phases, and the projected one as a stage."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.run.attempt import try_task
from jobs.stages.pretrain import ADVERSARIAL, PROJECTED, WARMSTART
from jobs.store.stage import Task, walk
from jobs.store.store import Store
from jobs.sweep.config import load
from jobs.sweep.cost import Costs
from jobs.sweep.kinds import PretrainConfig
from jobs.sweep.outside import NO_NETWORKS
from jobs.sweep.pretrain_graph import pretrain_graph
from sigmaflow.datasets.faces import ZipWriter, around_label, view_label
from sigmaflow.generators import load_gan
from sweeps import outputs

SMALL = dict(kimg=0.012, batch=4, tick_kimg=0.004, identities=2, width=4, head_width=8,
             perceptual_stages=2)  # fmt: skip
WARM = dict(kimg=0.012, volume_kimg=0.006, identities=2, views=2, rays=8, coarse=4, fine=4,
            image_identities=2, image_views=1, tick_kimg=0.006, perceptual_stages=2)  # fmt: skip
PLAIN = dict(kimg=0.008, batch=2, tick_kimg=0.004, density_reg_points=16, frozen_kimg=0.004)


class StopAfter:
    """A request that is there from the so many-th time that somebody asks."""

    def __init__(self, times):
        self.left = times

    def asked(self):
        self.left -= 1
        return self.left < 0


@pytest.fixture(scope="module")
def networks(tiny_checkpoint):
    """Settings of the tiny G and D."""
    return json.loads((tiny_checkpoint / "config.json").read_text())


@pytest.fixture
def made(pictures, networks):
    """A configuration: defaults of this file, and changes."""

    def make(projected=SMALL, **changes):
        return PretrainConfig(**{
            "kind": "pretrain", "name": "tiny", "images": str(pictures),
            "G": networks["G"], "D": networks["D"], "warmstart": WARM,
            "projected": projected, "adversarial": PLAIN, **changes,
        })  # fmt: skip

    return make


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five identities, two views with FFHQ's poses and one from behind, 16 pixels."""
    path = tmp_path_factory.mktemp("set") / "faces.zip"
    rng = np.random.default_rng(0)
    with ZipWriter(path) as out:
        for seed in range(5):
            behind = next(k for k in range(99) if around_label(seed, k)[11] < 0)
            for label in (view_label(seed, 0), view_label(seed, 1), around_label(seed, behind)):
                stream = io.BytesIO()
                pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(stream, "PNG")
                out.add(stream.getvalue(), "png", label, seed)
    return path


def test_the_projected_phase_stands_between_the_others(made):
    last = pretrain_graph(made())
    projected, warm = last.inputs["start"], last.inputs["start"].inputs["start"]
    assert (last.stage, projected.stage, warm.stage) == (ADVERSARIAL, PROJECTED, WARMSTART)
    assert last.config["max_yaw"] == projected.config["max_yaw"] == 0.95
    assert last.config["adversarial"]["frozen_kimg"] == 0.004
    assert pretrain_graph(made(None)).inputs["start"].key == warm.key


def test_without_the_new_settings_a_key_says_what_it_said(made):
    plain = {k: v for k, v in PLAIN.items() if k != "frozen_kimg"}
    last = pretrain_graph(made(None, max_yaw=None, adversarial=plain))
    assert [task.stage.name for task in walk(last)] == ["warmstart", "adversarial"]
    assert set(last.config) == {"threads", "sampler", "adversarial"}
    assert "frozen_kimg" not in last.config["adversarial"]


def test_the_projected_phase_is_told_of_the_held_out_set(made):
    rendered = dict(images="mini", training=dict(identities=8, first_seed=0, views=2, around=1))
    projected = pretrain_graph(made(**rendered)).inputs["start"]
    assert projected.inputs["heldout"] is projected.inputs["start"].inputs["heldout"]
    with pytest.raises(ValueError, match="projected.views: 4, but training renders 3"):
        made({**SMALL, "views": 4}, **rendered)


def test_every_phase_has_a_cost(made, tmp_path):
    costs = {task.stage.name: Costs(tmp_path, "mini").of(task) for task in walk(
        pretrain_graph(made()))}  # fmt: skip
    assert list(costs) == ["warmstart", "projected", "adversarial"]
    assert all(cost.seconds.middle > 0 and cost.bytes.middle > 0 for cost in costs.values())


def test_phases_run_and_the_projected_one_resumes_to_the_same_bytes(made, tmp_path):
    tasks = list(walk(pretrain_graph(made())))
    once, pieces = Store(tmp_path / "once"), Store(tmp_path / "pieces")
    for task in tasks:
        assert (result := try_task(str(once.root), task)).ok, result.error
    warm, projected, last = (load_gan(once.path(task) / "gan") for task in tasks)
    assert not same(warm.G, projected.G) and same(projected.G, projected.G_ema)
    assert same(warm.D, projected.D) and not same(projected.D, last.D)
    shutil.copytree(once.path(tasks[0]), pieces.path(tasks[0]))
    statuses = []
    while not statuses or statuses[-1] == "stopped":
        statuses.append(try_task(str(pieces.root), tasks[1], StopAfter(2)).status)
    assert len(statuses) > 1
    assert outputs(pieces.path(tasks[1])) == outputs(once.path(tasks[1]))


@pytest.mark.parametrize("index", [1, 2])
def test_adversaries_are_held_to_the_bound(made, tmp_path, index):
    tasks = list(walk(pretrain_graph(made(max_yaw=1e-9))))
    start = list(walk(pretrain_graph(made(None, max_yaw=None))))[0]
    assert try_task(str(tmp_path), start).ok
    inputs = {**tasks[index].inputs, "start": start}
    result = try_task(str(tmp_path), Task(tasks[index].stage, tasks[index].config, inputs))
    assert not result.ok and "raise max_yaw" in str(result.error)


def test_a_set_without_seeds_cannot_be_fitted(made, tiny_images, tmp_path):
    warm = next(iter(walk(pretrain_graph(made(images=str(tiny_images))))))
    result = try_task(str(tmp_path), warm)
    assert not result.ok and "has no seeds" in str(result.error)


def same(a, b):
    """Whether two networks hold the same numbers."""
    one, two = a.state_dict(), b.state_dict()
    return all(torch.equal(value, two[name]) for name, value in one.items())


def test_the_shipped_pretraining_takes_the_hours_that_were_measured(tmp_path):
    """On one core: 11.5 h of rays at 29 views a second, 5 h of pictures, 7 h and 1 h of GANs."""
    path = Path(__file__).resolve().parents[2] / "sweeps" / "pretrain_mini.yaml"
    config = load(path, PretrainConfig, None, ["training.identities=1000", "block=1000"],
                  path.parent / "scales", NO_NETWORKS)  # fmt: skip
    costs = {task.label: Costs(tmp_path, "mini").of(task).seconds
             for task in walk(pretrain_graph(config))}  # fmt: skip
    measured = {"warm start by rays": 1_200_000 / 29, "warm start by images": 5 * 3600,
                "projected training": 7 * 3600, "adversarial training": 3600}  # fmt: skip
    for label, seconds in measured.items():
        assert costs[label].middle == pytest.approx(seconds, rel=0.15)
        assert costs[label].low < seconds < costs[label].high

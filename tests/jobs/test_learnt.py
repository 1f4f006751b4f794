"""What rewards learn from: shares of the answers, whole orders, several annotators."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from test_rewards_sweep import write

from jobs.stages.reward import load_bank
from jobs.store.store import Store
from jobs.sweep.comparison import RewardsGraph
from jobs.sweep.config import ConfigError, load
from jobs.sweep.idle_reward import OF_BACKBONE, OF_REPRESENTATION
from jobs.sweep.kinds import RewardsConfig, SweepConfig
from sigmaflow.preferences.agreement import agreement
from sigmaflow.preferences.orders import Orders, read_orders, split_questions, write_orders
from sigmaflow.preferences.rankings import Rankings, RankingsError, write_rankings
from sigmaflow.rewards.checks import check_orders
from sigmaflow.rewards.config import REPRESENTATIONS, TrainConfig
from sigmaflow.rewards.data import Items
from sigmaflow.rewards.learning import subset
from sigmaflow.rewards.model import RewardConfig, RewardModel
from sigmaflow.rewards.train import train_reward
from sweeps import SCALES, TINY_SWEEP, launch, write_sweep

GRID = {"sampler": "grid", "space": {}}
TRAIN = {"epochs": 1, "batch": 4, "mirror": False}


def orders_file(path, questions=16, annotators=("ann", "bob"), first=40_000):
    """Orders of 2 to 4 shapes by people who agree now and then; every third question by one."""
    rng = np.random.default_rng(3)
    orders, numbers, people, seed = [], [], [], first
    for question in range(questions):
        shapes = list(range(seed, seed + 2 + question % 3))
        seed += len(shapes)
        for who in annotators[: 1 if question % 3 == 2 else None]:
            orders.append(tuple(rng.permutation(shapes).tolist()))
            numbers.append(question)
            people.append(who)
    write_orders(path, Orders(tuple(orders), np.array(numbers), tuple(people)))
    return path


def rewards_sweep(folder, checkpoint, images, rows, space, **changes):
    search = {**GRID, "space": {f"reward.{k}": {"choices": v} for k, v in space.items()}}
    path = write(folder, checkpoint, images, rows=rows, search=search, **changes)
    values = yaml.safe_load(path.read_text())
    seen = {REPRESENTATIONS[row["backbone"]] for row in rows.values()}
    for key, wanted in OF_REPRESENTATION.items():  # what none of these rows heeds is refused
        if not seen & set(wanted):
            values["reward"].pop(key, None)
    if not {row["backbone"] for row in rows.values()} & set(OF_BACKBONE["f_maps"]):
        del values["reward"]["f_maps"]
    if "file" in values["rankings"]:
        del values["annotator"]
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def finished(sweep, runs):
    """Folders of the rewards and of their calibrations, and what the launch said."""
    code, said = launch(sweep, runs)
    assert code == 0, said
    table = RewardsGraph(load(sweep, RewardsConfig, scales=SCALES)).table()
    store = Store(runs / "store")
    found = [[store.find(task) for task in table.inputs[name]]
             for name in ("rewards", "calibrations")]  # fmt: skip
    return *found, said


def weights(folder):
    return RewardModel.load(folder / "reward.safetensors").state_dict()


def same(one, other):
    return all(torch.equal(one[k], other[k]) for k in one)


# ---------------------------------------------------------------------- shares of the answers


@pytest.fixture(scope="module")
def curve(tmp_path_factory, tiny_checkpoint, tiny_images):
    """Sweep and runs of learning curves of two rows: shares 0.25, 0.5 and 1, two seeds."""
    folder = tmp_path_factory.mktemp("curve")
    rows = {"sigma": {"backbone": "voxnet"}, "points": {"backbone": "pointnet"}}
    sweep = rewards_sweep(folder, tiny_checkpoint, tiny_images, rows,
                          {"share": [0.25, 0.5, 1.0], "seed": [42, 7]}, name="curve")  # fmt: skip
    return sweep, folder / "runs", finished(sweep, folder / "runs")


def test_a_learning_curve_has_a_point_for_each_row_share_and_seed(curve):
    table = pd.read_parquet(curve[1] / "tables" / "curve-pairs.parquet")
    assert table["row"].tolist() == ["sigma"] * 6 + ["points"] * 6
    assert table["share"].tolist() == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0] * 2
    assert table["pairs"].tolist() == [4, 4, 7, 7, 14, 14] * 2  # of the 14 to train on
    assert set(table["seed"]) == {42, 7} and (table["n_regular"] == 3).all()
    assert (table["regular_low"] <= table["regular"]).all()
    text = (curve[1] / "tables" / "curve-pairs.tex").read_text()
    assert text.count("sigma") == 3 and "Test pairs are the same throughout" in text
    for kind in ("pairs", "calibration"):
        assert (curve[1] / "figures" / f"curve-{kind}.png").stat().st_size > 10_000
    assert "come within 0.01 of that" in curve[2][2]


def test_a_share_is_drawn_by_the_seed_and_the_rest_stays(curve):
    graph = RewardsGraph(load(curve[0], RewardsConfig, scales=SCALES))
    tasks = graph.table().inputs["rewards"]
    assert [t.config.get("share") for t in tasks[:6]] == [0.25, 0.25, 0.5, 0.5, None, None]
    assert {t.config["split_seed"] for t in tasks} == {42}
    # Seed and share of before: the key of a sweep's own reward, which is found.
    plain = graph.config.reward.model_copy(update={"backbone": "voxnet"})
    assert tasks[4].key == graph._reward(plain, 42, "reward").key
    rewards = [weights(folder) for folder in curve[2][0][:6]]
    assert not any(same(rewards[i], rewards[j]) for i in range(6) for j in range(i))


def test_every_reward_is_calibrated_on_its_test_pairs(curve):
    _, calibrated, _ = curve[2]
    for folder in calibrated:
        said = json.loads((folder / "answers.json").read_text())
        assert said["val"] == said["test"] == {"answers": 3, "pairs": 3}
        bins = pd.read_parquet(folder / "calibration.parquet")
        assert bins["n"].sum() == 3 and (bins["pairs"] == 3).all()
        gap = (bins["n"] * (bins["confidence"] - bins["share"]).abs()).sum() / 3
        assert gap == pytest.approx(bins["ece"].iloc[0])
    table = pd.read_parquet(curve[1] / "tables" / "curve-calibration.parquet")
    assert list(table["model"].unique()) == ["sigma", "points"]


def test_no_curve_where_all_learn_from_everything(curve, tmp_path, tiny_checkpoint, tiny_images):
    sweep = rewards_sweep(tmp_path, tiny_checkpoint, tiny_images, {"a": {"backbone": "voxnet"}},
                          {"seed": [42]}, name="whole")  # fmt: skip
    finished(sweep, curve[1])
    names = {p.name for p in (curve[1] / "tables").glob("whole-*")}
    assert {"whole-table1.parquet", "whole-calibration.parquet"} <= names
    assert "whole-pairs.parquet" not in names and "whole-agreement.parquet" not in names


# ---------------------------------------------------------------------- whole orders


@pytest.fixture(scope="module")
def people(tmp_path_factory, tiny_checkpoint, tiny_images):
    """Rewards of a file of two annotators' orders: four ways to learn from them."""
    folder = tmp_path_factory.mktemp("people")
    file = orders_file(folder / "orders.csv")
    rows = {
        "pairs": {"backbone": "voxnet"},
        "orders": {"backbone": "voxnet", "train.likelihood": "plackett_luce"},
        "biased": {"backbone": "voxnet", "train.annotator_bias": True},
        "ends": {"backbone": "voxnet", "answers": "best_and_worst"},
    }
    sweep = rewards_sweep(
        folder, tiny_checkpoint, tiny_images, rows, {"seed": [42]}, name="people",
        rankings={"file": str(file), "anchors": {"count": 8, "use": "always"}},
    )  # fmt: skip
    return file, sweep, folder / "runs", finished(sweep, folder / "runs")


def test_the_stage_learns_what_the_package_learns_from_the_file(people):
    file, sweep, runs, (rewards, _, _) = people
    graph = RewardsGraph(load(sweep, RewardsConfig, scales=SCALES))
    tasks = graph.table().inputs["rewards"]
    store = Store(runs / "store")
    bank = load_bank([store.find(task) for task in tasks[1].inputs["slabs"]])
    parts = split_questions(read_orders(file), 42)
    for task, folder in zip(tasks[1:3], rewards[1:3]):
        from jobs.stages.learnt import items_of
        from sigmaflow.preferences.questions import anchors
        from sigmaflow.preferences.rankings import split

        high = anchors(8)
        pools = split(high, 42)
        items = [items_of(part, high[rows])
                 for part, rows in zip(parts, (pools.train, pools.val))]  # fmt: skip
        config = TrainConfig(**task.config["train"])
        assert (config.likelihood == "plackett_luce") != config.annotator_bias
        *_, last = train_reward(bank, *items, config,
                                RewardConfig.model_validate(task.config["network"]))  # fmt: skip
        assert same(last.state.model().state_dict(), weights(folder))


def test_ways_to_learn_differ_and_count_their_pairs(people):
    file, _, _, (rewards, calibrated, _) = people
    learnt = [weights(folder) for folder in rewards]
    assert not any(same(learnt[i], learnt[j]) for i in range(4) for j in range(i))
    train = split_questions(read_orders(file), 42)[0]
    counts = [json.loads((f / "answers.json").read_text())["train"] for f in calibrated]
    assert {c["answers"] for c in counts} == {len(train)}
    every = sum(len(o) * (len(o) - 1) // 2 for o in train)
    assert [c["pairs"] for c in counts] == [every, every, every, len(train)]


def test_agreement_is_a_table(people):
    file, _, runs, (rewards, _, _) = people
    table = pd.read_parquet(runs / "tables" / "people-agreement.parquet")
    orders = read_orders(file)
    assert table.to_dict("records") == [
        {"questions": 16, "answers": len(orders), **vars(agreement(orders))}
    ]
    for folder in rewards:  # of whole orders, whatever is learnt of them
        assert pd.read_parquet(folder / "agreement.parquet").equals(table)


@pytest.mark.slow
def test_a_sweep_follows_what_people_ranked(people, tmp_path, tiny_checkpoint, tiny_images):
    """Also: trivial scorers, the second split, tables and figures on a file of whole orders."""
    reward = {**TINY_SWEEP["reward"], "train": {**TRAIN, "likelihood": "plackett_luce",
                                                "annotator_bias": True}}  # fmt: skip
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, name="own", reward=reward,
                        rankings={"file": str(people[0]), "anchors": {"use": "never"}})  # fmt: skip
    code, said = launch(sweep, tmp_path / "runs")
    assert code == 0, said
    tables = tmp_path / "runs" / "tables"
    accuracy = pd.read_parquet(tables / "own-accuracy.parquet")
    assert {"reward", "slab_mean"} <= set(accuracy["scorer"])
    assert "noise_ceiling" not in set(accuracy["scorer"])
    assert pd.read_parquet(tables / "own-agreement.parquet")["annotators"].item() == 2


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("form", ["none", "pairs"])
def test_a_bias_needs_to_know_who_answered(tmp_path, tiny_checkpoint, tiny_images, form):
    rankings = dict(TINY_SWEEP["rankings"])
    if form == "pairs":
        write_rankings(tmp_path / "r.csv", Rankings.of([(i, i + 100) for i in range(8)]))
        rankings["file"] = str(tmp_path / "r.csv")
    reward = {**TINY_SWEEP["reward"], "train": {**TRAIN, "annotator_bias": True}}
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, reward=reward, rankings=rankings)
    with pytest.raises(ConfigError, match="annotator_bias needs to know who answered"):
        load(sweep, SweepConfig, scales=SCALES)


def test_orders_that_cannot_be_split_are_refused_with_lines(tmp_path, tiny_checkpoint, tiny_images):
    few = orders_file(tmp_path / "few.csv", questions=3)
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, rankings={"file": str(few)})
    with pytest.raises(ConfigError, match="few.csv.* has 3 questions; give at least 4"):
        load(sweep, SweepConfig, scales=SCALES)
    shared = Orders.of([(1, 2), (3, 4), (5, 6), (7, 8), (1, 9)])
    write_orders(tmp_path / "shared.csv", shared)
    found = [split_questions(shared, seed) for seed in range(20)]
    apart = next(seed for seed, parts in enumerate(found)
                 if not any({0, 4} <= set(part.questions.tolist()) for part in parts))  # fmt: skip
    with pytest.raises(RankingsError, match=r"shared.csv:2.*'1'.*") as error:
        check_orders(tmp_path / "shared.csv", None, apart)
    assert "line 6" in str(error.value) and "in two parts" in str(error.value)


def test_a_share_of_items_is_at_least_one():
    from jobs.stages.learnt import trained_on

    items = Items(np.arange(20).reshape(10, 2))
    found = trained_on(items, {"share": 0.01, "train": {"seed": 3}})
    assert np.array_equal(found.seeds, subset(items, 1, 3).seeds)
    assert trained_on(items, {"train": {"seed": 3}}) is items

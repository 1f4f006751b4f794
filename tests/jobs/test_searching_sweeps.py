"""A whole sweep over words, truths and settings of the reward, with a bound."""

import json
import shutil

import pandas as pd
import pytest

from jobs import report
from jobs.search.outcomes import known_numbers
from jobs.sweep.config import load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from sweeps import SCALES, attempts, launch, ran, write_sweep

SEARCH = {
    "sampler": "random",
    "trials": 3,
    "parallelism": 2,
    "space": {
        "clamp": {"low": 1.0, "high": 5.0, "step": 2.0},
        "noise_mode": {"choices": ["random", "none"]},
        "reward.train.mirror": {"choices": [True, False]},
        "reward.f_maps": {"choices": [[8, 16], [8, 8]]},
    },
    "first": [
        {"clamp": 5, "noise_mode": "none", "reward.train.mirror": True, "reward.f_maps": [8, 16]},
        {"clamp": 1, "noise_mode": "none", "reward.train.mirror": True, "reward.f_maps": [8, 16]},
        {"clamp": 3, "noise_mode": "random", "reward.train.mirror": False, "reward.f_maps": [8, 8]},
    ],
    "constraints": {"clamp_high": {"max": 4}, "closeness_n": {"min": 1}},
}


@pytest.fixture(scope="module")
def mixed(tiny_sweep, tmp_path_factory, tiny_checkpoint, tiny_images):
    """That sweep, on top of the finished tiny one: runs, file, what it said, what it ran."""
    folder = tmp_path_factory.mktemp("mixed")
    runs = folder / "runs"
    shutil.copytree(tiny_sweep.runs / "store", runs / "store")
    before = attempts(runs)
    sweep = write_sweep(folder, tiny_checkpoint, tiny_images, search=SEARCH, name="mixed")
    code, said = launch(sweep, runs)
    assert code == 0, said
    return runs, sweep, said, ran(before, attempts(runs))


def table(runs, name):
    return pd.read_parquet(runs / "tables" / f"mixed-{name}.parquet")


def test_rewards_are_trained_once_for_equal_settings(mixed):
    runs, sweep, said, stages = mixed
    graph = SweepGraph(load(sweep, SweepConfig, scales=SCALES))
    asked = table(runs, "trials")[list(SEARCH["space"])].to_dict("records")
    trials = [
        graph.trial(n, {**p, "reward.f_maps": json.loads(p["reward.f_maps"])})
        for n, p in enumerate(asked)
    ]
    own = {t.reward.key for t in trials} - {graph.reward.key}
    assert trials[0].reward == trials[1].reward != trials[2].reward
    assert stages["reward"] == len(own) and stages["finetune"] == 3
    assert stages["evaluate"] == 3 + len(own) and stages["rankings"] == 0
    assert "noise_mode none" in said and "heldout" not in said


def test_tables_have_every_type_and_what_is_feasible(mixed):
    runs = mixed[0]
    trials = table(runs, "trials")
    assert trials["noise_mode"].tolist() == ["none", "none", "random"]
    assert trials["reward.train.mirror"].tolist() == [True, True, False]
    assert trials["reward.f_maps"].tolist() == ["[8, 16]", "[8, 16]", "[8, 8]"]
    assert trials["feasible"].tolist() == (trials["clamp_high"] <= 4).tolist()
    assert trials["feasible"].tolist() == [False, True, True]
    assert not (trials["pareto"] & ~trials["feasible"]).any() and trials["pareto"].any()
    slices = table(runs, "slices")
    assert set(slices["objective"]) == {"heldout_gain", "fid_mini"} and len(slices) == 3 * 4 * 2
    clamp = slices[slices["parameter"] == "clamp"]
    assert clamp["value"].isin([1.0, 3.0, 5.0]).all() and clamp["label"].isna().all()
    judged = table(runs, "accuracy")["model"].unique()
    assert set(judged) == {"reward", "heldout", *(f"trial {n}" for n in range(3))}
    latex = (runs / "tables" / "mixed-trials.tex").read_text()
    assert "reward.train.mirror" in latex
    gains = slices[(slices["parameter"] == "clamp") & (slices["objective"] == "heldout_gain")]
    assert gains["outcome"].tolist() == trials["heldout_delta_mean"].tolist()


def test_it_is_found_again_and_its_report_is_the_same(mixed, tmp_path, capsys):
    runs, sweep = shutil.copytree(mixed[0], tmp_path / "runs"), mixed[1]
    before = attempts(runs)
    code, said = launch(sweep, runs)
    assert code == 0 and "nothing to do" in said and not ran(before, attempts(runs))
    whole = table(runs, "trials")
    for name in ("tables", "trial"):
        folders = sorted(p for p in (runs / "store" / name).iterdir() if p.name[0] != ".")
        params = SEARCH["first"][2]
        gone = [
            p
            for p in folders
            if name == "tables"
            or json.loads((p / "task.json").read_text())["config"]["params"] == params
        ]
        for path in gone:
            shutil.rmtree(path)
    assert report.main(["mixed", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 trials" in said and "feasible" in said and "2 are" in said
    part = pd.read_parquet(runs / "tables" / "mixed+partial-trials.parquet")
    same = whole[whole["trial"] != 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.drop(columns="pareto"), same.drop(columns="pareto"))


def test_constraints_may_name_every_number_of_a_summary(tiny_sweep):
    found = set()
    for path in (tiny_sweep.runs / "store" / "trial").glob("[!.]*/summary.json"):
        summary = json.loads(path.read_text())
        found |= {k for k, v in summary.items() if not isinstance(v, (str, bool))}
    assert found - {"lambda_r", "lambda_c"} == known_numbers()

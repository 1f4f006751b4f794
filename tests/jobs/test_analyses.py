"""Analyses that a sweep file asks for: tasks, tables, figures, and what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pyarrow import parquet
from test_compare import compare, fine_tune

import jobs.stages.analysis
import jobs.stages.tables
from jobs import report
from jobs.output.tables import SCHEMA
from jobs.sweep.config import ConfigError, load
from jobs.sweep.kinds import ScoreConfig, SweepConfig
from sigmaflow.generators import load_generator
from sigmaflow.measuring import measure
from sigmaflow.quantities.reward import QUANTITY
from sweeps import SCALES, TINY_SWEEP, attempts, launch, ran, write_sweep

ASKED = {"truncation": {"psis": [0.0, 0.7, 1.0]}}


def table(runs, name):
    return pd.read_parquet(runs / "tables" / f"{name}.parquet")


@pytest.fixture
def asked(tiny_checkpoint, tiny_images, tmp_path):
    """The tiny sweep, which asks for Table 5 as well."""
    return write_sweep(tmp_path, tiny_checkpoint, tiny_images, analyses=ASKED)


def test_a_sweep_makes_table_5_of_what_is_there(runs, asked, tiny_checkpoint):
    before = attempts(runs)
    code, said = launch(asked, runs)
    assert code == 0, said
    # Three truncations of the start and one of each of two trials; 8 seeds from 210000 are a task.
    assert ran(before, attempts(runs)) == {
        "quantity_reward": 5, "analysis_truncation": 3, "report_truncation": 1,
    }  # fmt: skip
    found = table(runs, "tiny-truncation")
    assert found["generator"].tolist() == ["original"] * 3 + ["trial 0", "trial 1"]
    assert found["role"].tolist() == ["original"] * 3 + ["tuned", "control"]
    assert found["psi"].tolist() == [0.0, 0.7, 1.0, 0.7, 0.7] and set(found["n"]) == {8}
    assert found["sd"][0] == 0 and (found["sd"][1:] > 0).all()
    assert found["paper_mean"].tolist()[:4] == [17.93, 5.76, 2.78, 18.64]
    assert np.isnan(found["paper_mean"][4])
    rewards = table(runs, "tiny-rewards")
    for trial in (0, 1):  # the same numbers as the sweep's own measurement of seed after seed
        own = rewards[rewards["trial"] == trial]
        assert found["mean"][1] == pytest.approx(own["reward_before"].mean(), abs=1e-5)
        assert found["mean"][3 + trial] == pytest.approx(own["reward_after"].mean(), abs=1e-5)
    assert ((found["mean_low"] <= found["mean"]) & (found["mean"] <= found["mean_high"])).all()

    schema = parquet.read_schema(runs / "tables" / "tiny-truncation.parquet")
    assert schema.metadata[SCHEMA.encode()] == b"report_truncation 1"
    columns = json.loads(schema.metadata[b"sigmaflow.columns"])
    assert columns["mean"] == {"meaning": "mean reward", "unit": "reward"}
    text = (runs / "tables" / "tiny-truncation.tex").read_text()
    assert text.count("original & 0.") + text.count("original & 1.") == 3
    with Image.open(runs / "figures" / "tiny-truncation.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 1

    before = attempts(runs)
    code, said = launch(asked, runs)
    assert code == 0 and "nothing to do" in said and not ran(before, attempts(runs))


def test_more_seeds_share_blocks_with_fewer(runs, asked):
    code, said = launch(asked, runs, "--set", "analyses.truncation.psis=[0.7]")
    assert code == 0, said
    before = attempts(runs)
    code, said = launch(asked, runs, "--set", "analyses.truncation.psis=[0.7, 1.0]")
    assert code == 0, said
    assert ran(before, attempts(runs)) == {
        "quantity_reward": 1, "analysis_truncation": 3, "report_truncation": 1,
    }  # fmt: skip


def test_a_dry_run_names_them_and_counts_their_cost(runs, asked):
    code, said = launch(asked, runs, "--dry-run")
    assert code == 0 and "report on truncation" in said and "reward of original at psi 0" in said
    code, said = launch(asked, runs, "--dry-run", "--set", "search.trials=4")
    assert code == 0 and "analyses: truncation" in said


def test_pairs_are_compared_under_the_rewards_of_their_trial(runs, asked):
    before = attempts(runs)
    code, said = launch(asked, runs, "--set", "analyses={reward_shift: {}}")
    assert code == 0, said
    # Start and two trials under two rewards.
    assert ran(before, attempts(runs)) == {
        "quantity_reward": 6, "analysis_reward_shift": 2, "report_reward_shift": 1,
    }  # fmt: skip
    found, trials = table(runs, "tiny-reward_shift"), table(runs, "tiny-trials")
    assert found["generator"].tolist() == ["trial 0"] * 2 + ["trial 1"] * 2
    assert found["judge"].tolist() == ["reward", "heldout"] * 2
    for i, row in found.iterrows():
        summary = trials.iloc[i // 2]
        for name in ("before_mean", "delta_mean", "delta_low", "delta_sd", "positive", "share_low"):
            expected = summary[f"{row['judge']}_{name}"]
            assert row[name] == pytest.approx(expected, abs=2e-6), (row["judge"], name)
    seeds = table(runs, "tiny-reward_seeds")
    assert len(seeds) == 4 * 8 and seeds["seed"].nunique() == 8
    for name in ("trial_0", "trial_1"):
        assert (runs / "figures" / f"tiny-reward_shift-{name}.pdf").exists()


def test_annotator_and_shapes_say_what_the_trial_said(runs, asked):
    code, said = launch(asked, runs, "--set", "analyses.preference={seeds: 4}",
                        "analyses.closeness={resolution: 8}")  # fmt: skip
    assert code == 0, said
    trials = table(runs, "tiny-trials")
    for name, columns in {
        "preference": ["n", "tuned", "none", "share_tuned", "share_none_low", "cohens_h_high"],
        "closeness": ["n", "share_closer", "to_original", "to_reference", "alpha", "residual_low"],
        "diversity": ["before", "after", "ratio", "ratio_low"],
    }.items():
        found = table(runs, f"tiny-{name}")
        assert found["generator"].tolist() == ["trial 0", "trial 1"]
        for column in columns:
            expected = trials[f"{name}_{column}"].tolist()
            assert found[column].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-5), column
    changes = table(runs, "tiny-measure_changes").set_index(["generator", "measure"])["change"]
    for trial in (0, 1):
        for name in ("roughness", "nose"):
            expected = trials[f"annotator_{name}_change"][trial]
            assert changes[f"trial {trial}", name] == pytest.approx(expected, abs=1e-6)


def test_an_unfinished_sweep_has_those_of_its_finished_trials(
    tiny_checkpoint, tiny_images, tmp_path, monkeypatch
):
    """Analyses of a trial are made when it ends, not when all have."""
    runs = tmp_path / "runs"
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, analyses={"truncation": {}})

    def fail(ctx):
        raise RuntimeError("no tables today")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.stages.tables, "run_tables", fail)
        patch.setattr(jobs.stages.analysis, "run_report", fail)
        code, said = launch(sweep, runs)
    assert code == 1 and "no tables today" in said
    for path in (runs / "store" / "trial").glob("[!.]*/done.json"):
        if json.loads((path.parent / "task.json").read_text())["config"]["params"]["lambda_r"] == 0:
            shutil.rmtree(path.parent)
    assert report.main(["tiny", "--runs", str(runs)]) == 0
    found = table(runs, "tiny+partial-truncation")
    assert found["generator"].tolist() == ["original"] * 5 + ["trial 0", "trial 1"]
    assert set(found["role"]) == {"original", "tuned", "control"}
    metadata = parquet.read_schema(runs / "tables" / "tiny+partial-truncation.parquet").metadata
    assert list(json.loads(metadata[b"sigmaflow.partial"])) == ["1"]
    assert (runs / "figures" / "tiny+partial-truncation.png").exists()
    assert "Partial: trials" in (runs / "tables" / "tiny+partial-truncation.tex").read_text()
    assert launch(sweep, runs)[0] == 0
    assert not list(runs.glob("*/tiny+partial-*"))
    assert len(table(runs, "tiny-truncation")) == 7


def test_analyses_of_a_trial_are_asked_when_it_ends(tiny_checkpoint, tiny_images, tmp_path):
    search = {**TINY_SWEEP["search"], "parallelism": 1}
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, analyses={"truncation": {}},
                        search=search)  # fmt: skip
    code, said = launch(sweep, tmp_path / "runs")
    assert code == 0, said
    ended = [line for line in said.splitlines() if " done " in line]
    first, second = (
        next(i for i, line in enumerate(ended) if text in line)
        for text in ("truncation of trial 0", "compare lambda_r=0")
    )
    assert first < second


def test_histograms_of_sigma_are_drawn_of_all_generators(runs, asked):
    code, said = launch(asked, runs, "--set", "analyses={sigma_histogram: {resolution: 8}}")
    assert code == 0, said
    found = table(runs, "tiny-sigma_histogram")
    assert found["generator"].tolist() == [n for n in ("original", "trial 0", "trial 1")
                                           for _ in range(2)]  # fmt: skip
    assert found["region"].tolist() == ["box", "slab"] * 3 and set(found["n"]) == {8}
    assert ((found["positive"] > 0) & (found["positive"] <= 1)).all()
    bins = table(runs, "tiny-sigma_bins")
    whole = (bins["density"] * (bins["high"] - bins["low"])).groupby(
        [bins["generator"], bins["region"]]).sum()  # fmt: skip
    assert ((whole > 0.5) & (whole <= 1 + 1e-9)).all()
    assert "trial 0 & slab & 8 &" in (runs / "tables" / "tiny-sigma_histogram.tex").read_text()
    with Image.open(runs / "figures" / "tiny-sigma_histogram.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 1


def test_the_plan_is_the_same_with_and_without(asked, tiny_checkpoint, tiny_images, tmp_path):
    from jobs.store.ledger import plan_id

    bare = write_sweep(tmp_path / "..", tiny_checkpoint, tiny_images)
    plans = {plan_id(load(p, SweepConfig, scales=SCALES).model_dump(mode="json"), ())
             for p in (asked, bare)}  # fmt: skip
    assert len(plans) == 1


def test_two_generators_and_a_control_by_the_same_analysis(runs, capsys):
    tuned = fine_tune(runs, 10.0)
    settings = json.dumps(ASKED["truncation"])
    assert compare(runs, tuned, "--name", "it", "--no-fid",
                   "--set", f"analyses.truncation={settings}") == 0  # fmt: skip
    found, rewards = table(runs, "it-truncation"), table(runs, "it-rewards")
    assert found["generator"].tolist() == ["original"] * 3 + ["control", "tuned"]
    expected = [rewards[name].mean() for name in ("before", "control", "after")]
    assert found["mean"][[1, 3, 4]].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_quantity_in_a_notebook_gives_the_numbers_of_its_tasks(runs, asked, tiny_checkpoint):
    assert launch(asked, runs)[0] == 0
    (reward,) = {p.parent for p in runs.glob("store/reward/[!.]*/reward.safetensors")
                 if json.loads((p.parent / "task.json").read_text())["key"]
                 in json.dumps([json.loads(t.read_text()) for t in
                                runs.glob("store/quantity_reward/[!.]*/task.json")])}  # fmt: skip
    G = load_generator(tiny_checkpoint)
    found = measure(QUANTITY, G, range(210000, 210008), 1.0, reward=reward)
    (stored,) = [
        pd.read_parquet(p.parent / "values.parquet")
        for p in runs.glob("store/quantity_reward/[!.]*/task.json")
        if "of original at psi 1" in json.loads(p.read_text())["label"]
    ]
    assert found["score"].tolist() == stored["score"].tolist()
    few = measure(QUANTITY, G, range(210003, 210005), 1.0, reward=reward)
    assert few.seeds == (210003, 210004)
    assert few["score"].tolist() == found["score"][3:5].tolist()


@pytest.mark.parametrize("given,said", [
    ({"truncaton": {}}, "analyses.truncaton.*truncation"),
    ({"truncation": {"psis": [0.5, 1.5]}}, "analyses.truncation.psis.*1.5 is no truncation_psi"),
    ({"truncation": {"psis": [0.5, 0.5]}}, "named twice"),
    ({"truncation": {"seeds": 9}}, "analyses.truncation: seeds 9: .* 8 seeds"),
    ({"truncation": {"seed": 9}}, "analyses.truncation.seed"),
])  # fmt: skip
def test_what_cannot_be_asked_is_named(tiny_checkpoint, tiny_images, tmp_path, given, said):
    path = write_sweep(tmp_path, tiny_checkpoint, tiny_images, analyses=given)
    with pytest.raises(ConfigError, match=said):
        load(path, SweepConfig, scales=SCALES)


def test_kinds_without_generators_refuse_them(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"kind": "score", "name": "x", "analyses": ASKED}))
    with pytest.raises(ConfigError):
        load(path, ScoreConfig, scales=SCALES)

"""The whole method on a GAN of a few thousand weights, through the command that users type."""

import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import cluster.executor
import jobs.stages.finetune
from jobs.sweep.config import load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from jobs.track.ingest import catch_up
from sweeps import SCALES, attempts, launch, markers, outputs, ran, write_sweep

TABLES = {
    "accuracy": {"model", "scorer", "pairs", "share", "low", "high", "n"},
    "calibration": {"model", "head", "pairs", "ece", "brier", "nll", "confidence", "share", "n"},
    "fid": {
        "configuration", "trial", "lambda_r", "lambda_c", "fid_mini", "low", "high", "kid",
        "kid_low", "kid_high", "change", "change_low", "change_high", "protocol",
    },
    "preferences": {"trial", "lambda_r", "lambda_c", "share_tuned", "cohens_h"},
    "questions": {"question", "rank1", "rank2", "flipped", "score1", "score2", "shapes"},
    "rewards": {
        "trial", "seed", "reward_before", "reward_after", "heldout_before", "heldout_after",
    },
    "ticks": {"trial", "images_seen", "seed", "reward"},
    "slices": {"parameter", "objective", "trial", "value", "label", "outcome", "feasible"},
    "importances": {"objective", "parameter", "importance", "evaluator", "trials"},
    "trials": {
        "trial", "lambda_r", "lambda_c", "control", "pareto", "feasible", "reward_delta_mean",
        "slope_slope", "heldout_delta_mean", "preference_share_tuned", "closeness_share_closer",
        "fid", "fid_start", "fid_change", "kid", "fid_protocol", "saturation", "clamp_low",
        "clamp_high",
    },
}  # fmt: skip
FIGURES = {
    "rewards", "trajectories", "final_against_initial", "pareto", "slices", "meshes", "pictures",
    "calibration",
}  # fmt: skip
STAGES = Counter(
    measures=3,
    rankings=1,
    slabs=2,
    reward=2,
    calibration=2,
    real=1,
    evaluate=3,
    features=3,
    fid=3,
    finetune=2,
    trial=2,
    tables=1,
)


def table(runs, name):
    return pd.read_parquet(runs / "tables" / f"tiny-{name}.parquet")


def test_a_sweep_runs_whole(tiny_sweep):
    assert tiny_sweep.code == 0, tiny_sweep.said
    assert ran({}, attempts(tiny_sweep.runs)) == STAGES
    for said in (
        "trial 0",
        "trial 1",
        "fid_mini",
        "best trivial scorer",
        "25 stages run",
        "python -m jobs.ui",
    ):
        assert said in tiny_sweep.said, tiny_sweep.said


def test_every_table_has_its_columns_and_rows(tiny_sweep):
    runs = tiny_sweep.runs
    assert {p.name for p in (runs / "tables").iterdir()} == {
        *(f"tiny-{name}.parquet" for name in TABLES),
        *(
            f"tiny-{name}.tex"
            for name in ("accuracy", "calibration", "fid", "preferences", "trials")
        ),
    }
    for name, columns in TABLES.items():
        assert columns <= set(table(runs, name).columns), name
    trials = table(runs, "trials")
    assert trials[["lambda_r", "lambda_c"]].values.tolist() == [[10.0, 0.01], [0.0, 0.01]]
    assert trials["control"].tolist() == [False, True] and trials["pareto"].any()
    assert trials["feasible"].all() and table(runs, "importances")["importance"].isna().all()
    assert len(table(runs, "slices")) == 2 * 2 * 2 and "2 are" in tiny_sweep.said
    assert (trials["fid"] > 0).all() and trials["saturation"].between(0, 1).iloc[0]
    assert len(table(runs, "rewards")) == 2 * 8 and len(table(runs, "questions")) == 20
    ticks = table(runs, "ticks")
    assert sorted(ticks["images_seen"].unique()) == [0, 4, 8, 12] and len(ticks) == 2 * 4 * 4
    start = ticks[ticks["images_seen"] == 0].groupby("trial")["reward"].apply(list)
    assert start[0] == start[1]
    scorers = set(table(runs, "accuracy")["scorer"])
    assert {"reward", "noise_ceiling", "slab_mean", "total_variation", "fraction_above"} <= scorers


def test_tables_tell_nothing_of_clock_host_or_attempt(tiny_sweep):
    runs = tiny_sweep.runs
    words = [platform.node(), str(runs), str(os.getcwd()), time.strftime("%Y-%m-%d")]
    words += [m["attempt"] for _, m in markers(runs)]
    for path in (runs / "tables").iterdir():
        data = path.read_bytes()
        assert not [w for w in words if len(w) > 3 and w.encode() in data], path.name
        if path.suffix == ".parquet":
            columns = {c.lower() for c in pd.read_parquet(path).columns}
            assert not columns & {"time", "date", "host", "attempt", "seconds", "path", "user"}


def test_every_figure_shows_something(tiny_sweep):
    folder = tiny_sweep.runs / "figures"
    kinds = {(name, suffix) for name in FIGURES for suffix in (".png", ".pdf")}
    found = {(p.stem.removeprefix("tiny-"), p.suffix) for p in folder.iterdir()}
    assert found - kinds == {("mesh-start-210000", ".ply"), ("mesh-trial0-210000", ".ply")}
    assert kinds <= found
    for name in FIGURES:
        pixels = np.asarray(Image.open(folder / f"tiny-{name}.png").convert("RGB"))
        assert min(pixels.shape[:2]) > 200 and pixels.std() > 5, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name
        assert (folder / f"tiny-{name}.pdf").read_bytes().startswith(b"%PDF")


def test_mlflow_has_the_sweep_its_trials_and_their_stages(tiny_sweep):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tiny_sweep.runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], max_results=100)
    assert {r.info.status for r in found} == {"FINISHED"}
    below = {}
    for run in found:
        below.setdefault(run.data.tags.get("mlflow.parentRunId"), []).append(run)
    (sweep,) = below[None]
    children = {r.info.run_name: r for r in below[sweep.info.run_id]}
    assert {"trial 0", "trial 1", "reward", "held-out reward", "real images"} <= set(children)
    artifacts = {f.path for f in client.list_artifacts(sweep.info.run_id, "figures")}
    assert "figures/pareto.png" in artifacts
    # Launches of copies leave theirs here too, since the database says where artefacts are.
    launched = min(client.list_artifacts(sweep.info.run_id, "launches"), key=lambda f: f.path)
    made = {f.path.split("/")[-1] for f in client.list_artifacts(sweep.info.run_id, launched.path)}
    assert {"provenance.json", "environment.txt"} <= made
    assert sweep.data.tags["sigmaflow.profile"] == "inline"
    assert "tiny.yaml" in sweep.data.tags["sigmaflow.command"]
    assert sweep.data.params["scale"] == "mini"
    for number, lambda_r in ((0, "10.0"), (1, "0.0")):
        trial = children[f"trial {number}"]
        assert trial.data.params["lambda_r"] == lambda_r
        row = table(tiny_sweep.runs, "trials").iloc[number]
        for metric in ("reward_delta_mean", "fid"):
            assert trial.data.metrics[metric] == pytest.approx(row[metric])
        assert trial.data.metrics["Objective/fid_mini"] == trial.data.metrics["fid"]
        stages = {r.data.tags["sigmaflow.stage"].split()[0]: r for r in below[trial.info.run_id]}
        assert set(stages) == {"finetune", "evaluate", "features", "fid", "trial"}
        history = client.get_metric_history(stages["finetune"].info.run_id, "seeds_gain")
        assert sorted(m.step for m in history) == [4, 8, 12]


def test_a_second_launch_does_nothing_and_says_so(tiny_sweep, runs, monkeypatch):
    def no_executor(profile):
        raise AssertionError("an executor was started")

    monkeypatch.setattr(cluster.executor, "start", no_executor)
    before = attempts(runs)
    begun = time.process_time()
    code, said = launch(tiny_sweep.sweep, runs, "--on", "local")
    assert (code, ran(before, attempts(runs))) == (0, {}), said
    assert "nothing to do" in said and "0 stages run, 25 found" in said
    assert time.process_time() - begun < 15


@pytest.mark.parametrize(
    "changed, expected",
    [
        ("evaluation.seeds=9", dict(evaluate=3, trial=2, tables=1)),
        ("finetune.kimg=0.008", dict(finetune=2, evaluate=2, features=2, fid=2, trial=2, tables=1)),
    ],
)
def test_a_changed_field_reruns_only_what_depends_on_it(tiny_sweep, runs, changed, expected):
    before = attempts(runs)
    code, said = launch(tiny_sweep.sweep, runs, "--set", changed)
    assert code == 0, said
    assert ran(before, attempts(runs)) == expected


def test_truncated_outputs_rerun_only_their_stages(tiny_sweep, runs):
    before, whole = attempts(runs), outputs(runs / "store")
    reward = next(p for p, m in markers(runs) if m["stage"] == "reward")
    finetune = next(p for p, m in markers(runs) if m["stage"] == "finetune")
    tables = next(p for p, m in markers(runs) if m["stage"] == "tables")
    for path in (
        reward / "reward.safetensors", finetune / "ticks.parquet", tables / "tables/trials.parquet",
    ):  # fmt: skip
        path.write_bytes(path.read_bytes()[:-7])
    code, said = launch(tiny_sweep.sweep, runs)
    assert code == 0, said
    assert ran(before, attempts(runs)) == dict(reward=1, finetune=1, tables=1)
    assert outputs(runs / "store") == whole
    assert len(list((runs / "store").glob("*/.broken-*"))) == 3


def test_ray_gives_the_same_bytes(tiny_sweep, tmp_path):
    """In a process of its own, since the tests of `cluster` may hold a Ray in this one."""
    profile = tmp_path / "two.yaml"
    profile.write_text("kind: ray\ncpus: 2\ngpus: 0\nparallel: 2\n")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.launch", str(tiny_sweep.sweep), "--runs",
         str(tmp_path / "runs"), "--on", str(profile)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("store", "tables", "figures"):
        assert outputs(tmp_path / "runs" / part) == outputs(tiny_sweep.runs / part)


def test_a_failed_trial_stops_nobody_else(tiny_sweep, runs, monkeypatch):
    real = jobs.stages.finetune.run_finetune

    def breaks(ctx):
        if ctx.config["finetune"]["lambda_r"] == 10.0:
            raise RuntimeError("the reward ran away")
        real(ctx)

    monkeypatch.setattr(jobs.stages.finetune, "run_finetune", breaks)
    before = attempts(runs)
    code, said = launch(tiny_sweep.sweep, runs, "--set", "finetune.kimg=0.008")
    assert code == 1
    assert ran(before, attempts(runs)) == dict(
        finetune=1, evaluate=1, features=1, fid=1, trial=1, tables=1
    )
    assert "failed: fine-tune lambda_r=10 lambda_c=0.01" in said and "the reward ran away" in said
    assert "blocked: compare lambda_r=10 lambda_c=0.01" in said
    for name in ("trials", "rewards", "ticks", "preferences"):
        assert set(table(runs, name)["trial"]) == {1}, name
    assert table(runs, "fid")["configuration"].tolist() == ["start", "trial 1"]
    monkeypatch.undo()
    before = attempts(runs)
    code, said = launch(tiny_sweep.sweep, runs, "--set", "finetune.kimg=0.008")
    assert code == 0, said
    assert ran(before, attempts(runs)) == dict(
        finetune=1, evaluate=1, features=1, fid=1, trial=1, tables=1
    )
    assert set(table(runs, "trials")["trial"]) == {0, 1}


def states(runs):
    """How many runs of MLflow have each status."""
    with sqlite3.connect(runs / "mlflow.db") as base:
        return Counter(row[0] for row in base.execute("SELECT status FROM runs"))


def test_mlflow_can_wait(tiny_sweep, runs):
    """A launch that is to be tracked later leaves all that the next report enters."""
    before = states(runs)
    (runs / "mlflow.db").unlink()
    shutil.rmtree(runs / ".mlflow")
    code, _ = launch(tiny_sweep.sweep, runs, "--track", "later")
    assert code == 0 and not (runs / "mlflow.db").exists()
    catch_up(runs, ["tiny"], "later")
    assert not (runs / "mlflow.db").exists()
    catch_up(runs, ["tiny"])
    assert states(runs) == before


def test_ctrl_c_says_how_to_go_on(tiny_sweep, runs):
    """Stopped in the middle of a training that would take hours; then the short one is done."""
    command = [
        sys.executable, "-m", "jobs.launch", str(tiny_sweep.sweep), "--runs", str(runs),
        "--on", "inline", "--set",
    ]  # fmt: skip
    work = runs / "store" / "finetune"
    process = subprocess.Popen(
        [*command, "finetune.kimg=100"], stdout=subprocess.PIPE, text=True,
        # A test run in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list(work.glob(".work/*/checkpoint/*.sha256")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "the same command goes on from here" in said and "Traceback" not in said
    assert not list(work.glob(".claim-*"))
    assert states(runs)["KILLED"] >= 3 and not states(runs)["RUNNING"]  # sweep, trial, stage
    before = attempts(runs)
    code, said = launch(tiny_sweep.sweep, runs)
    assert code == 0 and "nothing to do" in said and ran(before, attempts(runs)) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
@pytest.mark.parametrize("on", ["inline", pytest.param("local", marks=pytest.mark.slow)])
def test_a_signal_ends_the_step_and_the_same_command_the_sweep(tiny_sweep, tmp_path, number, on):
    runs = tmp_path / "runs"
    shutil.copytree(tiny_sweep.runs / "store", runs / "store")
    for stage in ("finetune", "tables"):
        shutil.rmtree(runs / "store" / stage)
    command = [
        sys.executable, "-m", "jobs.launch", str(tiny_sweep.sweep), "--runs", str(runs), "--on", on,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    work = runs / "store" / "finetune"
    while not list(work.glob(".work/*/progress.json")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(number)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 75, said + errors
    assert "all is saved" in said and "the same command goes on" in said
    assert "comes to its next save" in errors and "Traceback" not in said + errors
    assert list(work.glob(".work/*/checkpoint/*.sha256")) and not list(work.glob(".claim-*"))
    code, said = launch(tiny_sweep.sweep, runs)
    assert code == 0, said
    assert outputs(runs / "store") == outputs(tiny_sweep.runs / "store")


def test_an_interrupted_sweep_is_completed_by_the_same_command(tiny_sweep, tmp_path, monkeypatch):
    """Ctrl-C as a stage meets it, in three places; the end is that of an undisturbed sweep."""
    runs = tmp_path / "runs"
    for stage in ("measures", "slabs", "real"):  # what is slow and not at stake
        shutil.copytree(tiny_sweep.runs / "store" / stage, runs / "store" / stage)
    for target in ("reward:run_reward", "finetune:run_finetune", "evaluate:run_evaluate"):
        module, name = target.split(":")
        with monkeypatch.context() as patched:
            patched.setattr(f"jobs.stages.{module}.{name}", interrupted)
            code, said = launch(tiny_sweep.sweep, runs)
        assert code == 130 and "the same command goes on from here" in said, said
    code, said = launch(tiny_sweep.sweep, runs)
    assert code == 0, said
    assert outputs(runs / "store") == outputs(tiny_sweep.runs / "store")


def interrupted(ctx):
    (ctx.folder / "half.txt").write_text("half")
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["config.json", "D.safetensors"])
def test_another_file_of_the_checkpoint_is_another_sweep(
    tiny_checkpoint, tiny_images, tmp_path, name
):
    """Keys count files by content: the same bytes elsewhere are a hit, others are not."""

    def key(folder):
        path = write_sweep(tmp_path, folder, tiny_images)
        return SweepGraph(load(path, SweepConfig, scales=SCALES)).start.key

    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    assert key(copy) == key(tiny_checkpoint)
    if name == "config.json":
        with open(copy / name, "ab") as file:
            file.write(b" ")
    else:
        save_file({k: v + 1 for k, v in load_file(copy / name).items()}, copy / name)
    assert key(copy) != key(tiny_checkpoint)

"""What MLflow shows is what lies on disk, whenever and however often it is entered."""

import contextlib
import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from launches import SAID, child, launch, until
from toys import FAIL, counting, graph

import jobs.track.ingest
import jobs.track.track
from jobs.run.attempt import METRICS, Context
from jobs.store.ledger import Ledger, plan_id
from jobs.store.stage import Task
from jobs.store.store import Store
from jobs.track import view
from jobs.track.ingest import catch_up, current, ingest, local_uri, tracking_uri
from jobs.track.track import HOME, KEY, Tracker


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database with its tables, which take seconds to make."""
    folder = tmp_path_factory.mktemp("empty")
    Tracker(local_uri(folder), "toy", "nobody", folder / "mlartifacts")
    return folder


@pytest.fixture
def runs(empty, tmp_path):
    """A results folder with that database; the experiment's files still go to ours."""
    shutil.copy(empty / "mlflow.db", tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute(
            "UPDATE experiments SET artifact_location = ?",
            [(tmp_path / "mlartifacts" / "toy").as_uri()],
        )
    return tmp_path


def tables(runs):
    """All that MLflow has of runs that were not deleted, without what it makes up: ids and the
    order in the tables. Tags that say when or where are left to themselves."""
    with sqlite3.connect(runs / "mlflow.db") as base:
        alive = dict(
            base.execute(
                "SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active'"
            ).fetchall()
        )
        said = {}
        for name, columns in (
            ("runs", "run_uuid, status, start_time"), ("params", "run_uuid, key, value"),
            ("metrics", "run_uuid, key, step, value, timestamp"), ("tags", "run_uuid, key, value"),
        ):  # fmt: skip
            said[name] = sorted(
                (alive[row[0]], *row[1:])
                for row in base.execute(f"SELECT {columns} FROM {name}")
                if row[0] in alive and row[1] != "mlflow.parentRunId"
            )
    return said


def client_of(runs, name="toy"):
    tracker = Tracker(local_uri(runs), name, jobs.track.ingest.home_id(runs))
    return tracker.client, {run.info.run_name: run for run in tracker.runs().values()}


def enter(runs):
    return ingest(runs, "toy", local_uri(runs))


def test_entering_twice_changes_nothing(runs):
    launch(runs, "toy", graph(steps=12))
    assert enter(runs) == 5
    first = tables(runs)
    assert {row[1] for row in first["runs"]} == {"FINISHED"} and len(first["runs"]) == 5
    assert len(first["metrics"]) == 3 * 12
    assert current(runs, "toy", local_uri(runs))
    assert enter(runs) == 0
    assert tables(runs) == first
    # Killed before its last word: everything is written again, to the same end.
    with sqlite3.connect(runs / "mlflow.db") as base:
        base.execute("DELETE FROM tags WHERE key IN ('sigmaflow.row', 'sigmaflow.in.curves')")
    assert enter(runs) == 5
    assert tables(runs) == first


@contextlib.contextmanager
def at_work(runs, task):
    """The context and the claim of a stage that a launch runs."""
    with Ledger(runs, "toy", plan_id({}, [task]), **SAID) as ledger:
        ledger.add(task)
        store = Store(runs / "store")
        with store.claim(task) as work:
            yield Context(store, task, work.folder), work


def test_a_running_stage_is_shown_as_far_as_it_is_and_continued(runs):
    """Entered at every moment of its life, or once at its end: the same."""
    with at_work(runs, counting(steps=9)) as (ctx, work):
        for step in range(9):
            ctx.log(step, total=step)
            if step in (2, 3, 6):
                enter(runs)
                client, found = client_of(runs)
                assert found["count"].info.status == "RUNNING"
                assert found["toy"].info.status == "RUNNING"
                history = client.get_metric_history(found["count"].info.run_id, "total")
                assert sorted(m.step for m in history) == list(range(step + 1))
        work.publish()
        again = found["count"].info.run_id
    enter(runs)
    client, found = client_of(runs)
    assert found["count"].info.run_id == again and found["count"].info.status == "FINISHED"
    watched = tables(runs)
    with sqlite3.connect(runs / "mlflow.db") as base:
        for name in ("metrics", "latest_metrics", "params", "tags", "runs"):
            base.execute(f"DELETE FROM {name}")
    enter(runs)
    once = tables(runs)
    assert watched == once


def test_a_rewritten_curve_replaces_the_one_that_was_shown(runs):
    """A stage that went back to a checkpoint has no points of the attempt that got further."""
    with at_work(runs, counting(steps=9)) as (ctx, _):
        for step in range(6):
            ctx.log(step, total=step)
        enter(runs)
        ctx.rewind(2)
        ctx.log(3, total=33)
        enter(runs)
        client, found = client_of(runs)
        history = client.get_metric_history(found["count"].info.run_id, "total")
        assert sorted((m.step, m.value) for m in history) == [(0, 0), (1, 1), (2, 2), (3, 33)]


def test_who_died_is_killed_and_who_goes_on_is_running(runs):
    """kill -9 of a launch, found by whoever looks next; then the same command again."""
    process = child(runs, "toy", 1.0, 1)
    until(runs, "toy", lambda sweep: sweep.counts["running"] == 1 and sweep.tasks[0].progress)
    enter(runs)
    states = {name: run.info.status for name, run in client_of(runs)[1].items()}
    assert states == {"toy": "RUNNING", "count": "RUNNING"}
    process.kill()
    process.communicate()
    enter(runs)
    found = client_of(runs)[1]
    assert {run.info.status for run in found.values()} == {"KILLED"}
    assert all("without a word" in run.data.tags[view.WHY] for run in found.values())
    launch(runs, "toy", graph(seeds=(1,), pause=1.0))
    enter(runs)
    found = client_of(runs)[1]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert not any(view.WHY in run.data.tags for run in found.values())


def test_a_failed_stage_is_failed_and_says_why(runs, tmp_path):
    task = Task(FAIL, {"threads": 1, "mended": str(tmp_path / "mended")})
    launch(runs, "toy", task)
    enter(runs)
    found = client_of(runs)[1]
    assert {run.info.status for run in found.values()} == {"FAILED"}
    assert "not mended yet" in found["fail"].data.tags[view.ERROR]
    (tmp_path / "mended").touch()
    launch(runs, "toy", task)
    enter(runs)
    found = client_of(runs)[1]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert view.ERROR not in found["fail"].data.tags


def test_a_run_of_no_launch_does_not_stay_running(runs):
    launch(runs, "toy", counting())
    enter(runs)
    tracker = Tracker(local_uri(runs), "toy", jobs.track.ingest.home_id(runs))
    left = tracker.client.create_run(
        tracker.experiment,
        tags={HOME: jobs.track.ingest.home_id(runs), KEY: "x"},
    )
    foreign = tracker.client.create_run(
        tracker.experiment, tags={HOME: "of somebody else", KEY: "x"}
    )
    enter(runs)
    assert tracker.client.get_run(left.info.run_id).info.status == "KILLED"
    assert tracker.client.get_run(foreign.info.run_id).info.status == "RUNNING"


def test_long_curves_are_thinned_and_whole_beside(runs, tmp_path):
    import pandas as pd

    launch(runs, "toy", counting(steps=2500, every=5000))
    enter(runs)
    client, found = client_of(runs)
    run = found["count"].info.run_id
    steps = sorted(m.step for m in client.get_metric_history(run, "total"))
    assert len(steps) <= 1000 and steps[0] == 0 and steps[-1] == 2499
    path = client.download_artifacts(run, "curves.parquet", str(tmp_path))
    frame = pd.read_parquet(path)
    lines = next((runs / "store" / "count").glob(f"[!.]*/{METRICS}")).read_text().splitlines()
    assert frame["step"].tolist() == list(range(2500)) and set(frame["metric"]) == {"total"}
    assert frame["value"].tolist() == [json.loads(line)["total"] for line in lines]


def test_large_outputs_are_named_with_size_and_digest(runs, monkeypatch):
    monkeypatch.setattr(view, "LARGEST", 3)
    task = counting(steps=8)
    store = launch(runs, "toy", task)
    enter(runs)
    client, found = client_of(runs)
    run = found["count"]
    said = [value for name, value in run.data.tags.items() if name.startswith("sigmaflow.file.")]
    marker = json.loads((store.path(task) / "done.json").read_text())
    entry = marker["files"]["deep/total.json"]
    path = store.path(task) / "deep" / "total.json"
    assert f"{entry['size']} bytes, sha256 {entry['sha256']}, {path}" in said
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["outputs.json"]


def test_a_locked_database_is_waited_for(runs, monkeypatch):
    launch(runs, "toy", counting())
    calls = []
    sync = Tracker.sync

    def locked(self, rows):
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("(sqlite3.OperationalError) database is locked")
        return sync(self, rows)

    monkeypatch.setattr(jobs.track.ingest, "PATIENCE", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Tracker, "sync", locked)
    assert enter(runs) == 2 and len(calls) == 3


def test_a_broken_database_only_warns(tmp_path, caplog):
    launch(tmp_path, "toy", counting())
    (tmp_path / "mlflow.db").write_text("not a database")
    with caplog.at_level(logging.WARNING):
        catch_up(tmp_path, ["toy"])
    assert "all of it is on disk" in caplog.text


def test_one_row_that_cannot_be_written_leaves_out_no_other(runs, monkeypatch):
    launch(runs, "toy", graph())
    create = Tracker._create

    def fails(self, row, parent):
        if row.name == "join":
            raise ValueError("no join today")
        return create(self, row, parent)

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "_create", fails)
        with pytest.raises(ValueError, match="no join today"):
            enter(runs)
    assert len(tables(runs)["runs"]) == 4
    assert enter(runs) == 1 and len(tables(runs)["runs"]) == 5


def test_where_a_sweep_is_tracked(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tmp_path, "toy") == local_uri(tmp_path)
    task = counting()
    with Ledger(tmp_path, "toy", "p", track="http://there", **SAID) as ledger:
        ledger.add(task)
    assert tracking_uri(tmp_path, "toy") == "http://there"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert tracking_uri(tmp_path, "toy") == "http://elsewhere"
    assert tracking_uri(tmp_path, "toy", "local") == local_uri(tmp_path)
    assert tracking_uri(tmp_path, "toy", "http://said") == "http://said"


def test_the_process_beside_a_launch_ends_with_it(runs):
    """Also when the launch is killed outright."""
    process = child(runs, "toy", 5.0, 1)
    until(runs, "toy", lambda sweep: sweep.counts["running"] == 1)
    (folder,) = (runs / "sweeps" / "toy").iterdir()
    beside = subprocess.Popen(
        [sys.executable, "-m", "jobs.track.ingest", str(runs), "toy", "--beside", str(folder)]
    )
    try:
        end = time.monotonic() + 60
        while not tables(runs)["runs"] and time.monotonic() < end:
            time.sleep(0.2)
        process.kill()
        process.communicate()
        assert beside.wait(60) == 0
    finally:
        beside.kill()
        beside.wait()
    assert {row[1] for row in tables(runs)["runs"]} == {"KILLED"}


def test_the_core_imports_nothing_heavy():
    code = (
        "import sys, json, jobs.store.store, jobs.store.stage, jobs.run.attempt,"
        "jobs.sweep.config, jobs.run.driver, jobs.search.search, jobs.track.track,"
        "jobs.track.ingest, jobs.output.notify, jobs.track.provenance, jobs.run.system,"
        "cluster.executor, cluster.profile, cluster.inline;"
        "print(json.dumps([m for m in ('torch', 'ray', 'mlflow', 'optuna', 'numpy')"
        " if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

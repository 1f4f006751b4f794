import json
import logging
import os
import subprocess
import sys

import pytest
from toys import counting

import jobs.track
from jobs.run import run_task
from jobs.track import Tracker, flat


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert Tracker(folder, "lambda").open()
    return folder


def ingest_all(runs, store, task):
    tracker = Tracker(runs, "lambda")
    sweep = tracker.run("s" * 64, "the sweep", params={"seed": 1})
    trial = tracker.run("t0", "trial 0", sweep, params={"lambda_r": 10.0, "bad%name": 1})
    stage = tracker.ingest(trial, task, run_task(str(store), task).path)
    tracker.end(trial, {"gain": 1.5})
    tracker.end(sweep)
    return tracker, sweep, trial, stage


def test_sweep_trial_and_stage_are_nested_and_ingested_once(runs, tmp_path, capfd):
    task = counting(steps=1500, every=500, deep={"er": 2})
    tracker, *first = ingest_all(runs, tmp_path, task)
    again, *second = ingest_all(runs, tmp_path, task)
    assert first == second and None not in first
    client = again._client
    found = client.search_runs([again._experiment])
    assert len(found) == 3 and {r.info.status for r in found} == {"FINISHED"}
    sweep, trial, stage = (client.get_run(run) for run in first)
    assert trial.data.tags["mlflow.parentRunId"] == sweep.info.run_id
    assert stage.data.tags["mlflow.parentRunId"] == trial.info.run_id
    assert stage.data.tags["sigmaflow.key"] == task.key
    assert stage.data.params["deep.er"] == "2" and trial.data.params["lambda_r"] == "10.0"
    assert trial.data.metrics["gain"] == 1.5
    history = client.get_metric_history(stage.info.run_id, "total")
    assert sorted(m.step for m in history) == list(range(1500))
    assert [f.path for f in client.list_artifacts(stage.info.run_id, "deep")] == ["deep/total.json"]
    assert (runs / "mlartifacts").is_dir() and not os.path.exists("mlruns")
    assert capfd.readouterr().out == ""


def test_a_half_ingested_stage_is_ingested_anew(runs, tmp_path, monkeypatch):
    task, store = counting(seed=5), tmp_path
    tracker = Tracker(runs, "lambda")
    sweep = tracker.run("half", "sweep")
    folder = run_task(str(store), task).path
    monkeypatch.setattr(Tracker, "_curves", lambda *a: 1 / 0)
    assert tracker.ingest(sweep, task, folder) is None
    monkeypatch.undo()
    run = Tracker(runs, "lambda").ingest(sweep, task, folder)
    again = Tracker(runs, "lambda")
    assert again.ingest(sweep, task, folder) == run is not None
    assert len(again._client.get_metric_history(run, "total")) == 8


def test_a_locked_database_is_waited_for(runs, monkeypatch):
    tracker, calls = Tracker(runs, "lambda"), []
    tracker.open()
    create = tracker._client.create_run

    def locked(*args, **kwargs):
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("(sqlite3.OperationalError) database is locked")
        return create(*args, **kwargs)

    monkeypatch.setattr(jobs.track, "PATIENCE", (0.0, 0.0, 0.0))
    monkeypatch.setattr(tracker._client, "create_run", locked)
    assert tracker.run("locked", "x") is not None and len(calls) == 3


def test_a_broken_tracker_only_warns(tmp_path, caplog):
    (tmp_path / "mlflow.db").write_text("not a database")
    tracker = Tracker(tmp_path, "lambda")
    with caplog.at_level(logging.WARNING):
        sweep = tracker.run("a", "b")
        assert tracker.ingest(sweep, counting(), tmp_path) is None
        tracker.end(sweep, {"x": 1.0})
    assert "results are safe" in caplog.text


def test_flat():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_the_core_imports_nothing_heavy():
    code = (
        "import sys, json, jobs.store, jobs.stage, jobs.run, jobs.config, jobs.driver,"
        "jobs.search, jobs.track, cluster.executor, cluster.profile, cluster.inline;"
        "print(json.dumps([m for m in ('torch', 'ray', 'mlflow', 'optuna', 'numpy')"
        " if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

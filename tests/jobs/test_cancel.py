"""Stopping a launch loses nothing: what follows ends in the same bytes."""

import json
import os
import signal
import stat
import time

import pytest
import toys
from launches import SAID, child, launch, until

from jobs import cancel
from jobs.run.signals import terminable
from jobs.store.claim import STALE
from jobs.store.ledger import CANCEL, LAUNCH, Ledger, launches, plan_id
from jobs.store.store import Store
from jobs.track import ingest
from sweeps import outputs


def test_nothing_runs(tmp_path, capsys):
    assert cancel.main(["--runs", str(tmp_path)]) == 0
    assert "nothing runs" in capsys.readouterr().out
    assert cancel.main(["lamda", "--runs", str(tmp_path)]) == 2
    launch(tmp_path, "toy", toys.counting())
    assert cancel.main(["toy", "--runs", str(tmp_path)]) == 0
    assert "nothing runs of toy" in capsys.readouterr().out


def stopped_in_the_middle(runs, how, kind="inline"):
    process = child(runs, "toy", 0.1, 1, 2, kind=kind)
    until(runs, "toy", lambda s: any((o.progress or {}).get("done", 0) > 3 for o in s.tasks))
    how()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    # Ray's workers end a moment after their driver.
    sweep = until(runs, "toy", lambda s: not s.counts["running"])
    assert sweep.latest.state == "stopped" and sweep.counts["done"] < 3
    assert sweep.counts["failed"] == 0


def test_cancelled_in_the_middle_and_finished_later(tmp_path, capsys):
    whole = launch(tmp_path / "whole", "toy", toys.graph(seeds=(1, 2), pause=0.1))
    runs = tmp_path / "runs"

    def by_command():
        assert cancel.main(["toy", "--runs", str(runs)]) == 0

    stopped_in_the_middle(runs, by_command)
    said = capsys.readouterr().out
    assert "left a request" in said and "signalled" in said and "toy: stopped" in said
    store = launch(runs, "toy", toys.graph(seeds=(1, 2), pause=0.1))
    assert outputs(store.root) == outputs(whole.root)


def test_a_request_alone_is_enough(tmp_path):
    """As from another machine that shares the disk."""

    def by_file():
        (launches(tmp_path / "sweeps" / "toy")[0].folder / CANCEL).write_text("{}")

    stopped_in_the_middle(tmp_path, by_file)


def test_on_ray_too(tmp_path):
    """Ray has an answer of its own to the signal, which must not be the one that counts."""
    stopped_in_the_middle(
        tmp_path, lambda: cancel.main(["toy", "--runs", str(tmp_path)]), kind="ray"
    )


def test_a_launch_signals_itself_once_at_most():
    """Ray's shutdown restores the system's answer to the signal: a second one would kill."""
    heard = []
    before = signal.getsignal(signal.SIGTERM)
    try:
        with terminable() as stop_us:
            with pytest.raises(KeyboardInterrupt):
                stop_us()
                time.sleep(10)
            signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
            stop_us()
        stop_us()
        assert not heard and signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_process_of_the_same_number_is_left_alone(tmp_path):
    with Ledger(tmp_path, "toy"):
        (found,) = launches(tmp_path / "sweeps" / "toy")
        driver = {**found.record["driver"], "started": 1.0}
        assert not cancel._signal(driver)
        assert not cancel._signal({**driver, "pid": 2**22 + 1})


def test_slurm_jobs_are_ended(tmp_path, monkeypatch, capsys):
    """A dead driver's workers may still run; a scancel that only writes down what it is told."""
    with Ledger(tmp_path, "toy") as ledger:
        ledger.slurm_job("17_3")
        ledger.slurm_job("18")
    folder = ledger.folder
    record = json.loads((folder / LAUNCH).read_text())
    record |= {"state": "running", "driver": {**record["driver"], "started": 1.0}}
    (folder / LAUNCH).write_text(json.dumps(record))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert cancel.main(["toy", "--runs", str(tmp_path), "--wait", "0"]) == 1
    assert "on the cluster: scancel 17_3 18" in capsys.readouterr().out
    fake = tmp_path / "bin" / "scancel"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert cancel.main(["toy", "--runs", str(tmp_path), "--wait", "0"]) == 0
    assert (tmp_path / "told").read_text().split() == ["17_3", "18"]
    assert "SLURM was told to end 17_3, 18" in capsys.readouterr().out


def in_mlflow(runs):
    """Status of every run, by name."""
    import mlflow

    client = mlflow.MlflowClient(ingest.local_uri(runs))
    (experiment,) = client.search_experiments(filter_string="name = 'toy'")
    return {one.info.run_name: one.info.status for one in
            client.search_runs([experiment.experiment_id])}  # fmt: skip


def test_cancel_tells_mlflow_what_slurm_kept_a_follower_from_telling(tmp_path):
    """SLURM ends all processes of an allocation, the one that enters its end too."""
    launch(tmp_path / "other", "toy", toys.counting())
    ingest.ingest(tmp_path / "other", "toy", ingest.local_uri(tmp_path / "other"))  # imports
    process = child(tmp_path, "toy", 2.0, 1, 2)
    until(tmp_path, "toy", lambda s: any((o.progress or {}).get("done", 0) > 0 for o in s.tasks))
    ingest.ingest(tmp_path, "toy", ingest.local_uri(tmp_path))
    assert "RUNNING" in in_mlflow(tmp_path).values()
    assert cancel.main(["toy", "--runs", str(tmp_path)]) == 0
    process.communicate(timeout=60)
    assert len(in_mlflow(tmp_path)) > 1
    assert "RUNNING" not in in_mlflow(tmp_path).values()


def test_a_worker_of_another_machine_is_awaited_until_its_claim_is_old(tmp_path):
    task = toys.counting()
    store = Store(tmp_path / "store")
    with Ledger(tmp_path, "toy", plan_id({}, [task]), **SAID) as ledger:
        ledger.add([task])
        work = store.claim(task)
        work.claim._end()  # its process is gone
        said = json.loads(work.claim.path.read_text()) | {"host": "elsewhere", "boot": "other"}
        work.claim.path.write_text(json.dumps(said))
        ingest.ingest(tmp_path, "toy", ingest.local_uri(tmp_path))
        ledger.close("stopped")
    begun = time.time()
    os.utime(work.claim.path, (begun, begun - STALE + 2))
    ingest.settle(tmp_path, "toy", 0.0)
    assert in_mlflow(tmp_path)["count"] == "RUNNING"
    ingest.settle(tmp_path, "toy", 30.0)
    assert in_mlflow(tmp_path)["count"] == "KILLED" and time.time() - begun < 25

"""A real tracking server on loopback: down during the launch, entered when it is up."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

import pytest
from launches import SAID
from toys import graph

from jobs import ui
from jobs.run.driver import Driver
from jobs.store.ledger import Ledger, plan_id
from jobs.store.store import Store
from jobs.track import ingest
from jobs.track.ingest import Follower

pytestmark = pytest.mark.slow  # a server takes 15 to 30 s to come up


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve(tmp_path):
    """Starts the server when it is called."""
    port, processes = free_port(), []

    def start():
        place = tmp_path / "server"
        place.mkdir()
        log = open(place / "log", "wb")  # noqa: SIM115 - open while it runs
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri",
             f"sqlite:///{place / 'm.db'}", "--artifacts-destination", str(place / "artifacts"),
             "--serve-artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true",
                              "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        ))  # fmt: skip
        end = time.monotonic() + 180
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    return
            except OSError:
                assert processes[0].poll() is None, (place / "log").read_text()
                time.sleep(0.5)
        raise AssertionError("the server never came up")

    yield f"http://127.0.0.1:{port}", start
    for process in processes:
        os.killpg(process.pid, 15)
        process.wait(60)


def launch(runs, uri):
    """As `jobs.launch`, of toys: with a process beside it that cannot reach its server."""
    task = graph(steps=1500, every=5000)
    store = Store(runs / "store")
    from cluster.executor import Lazily
    from cluster.profile import InlineProfile

    with Ledger(runs, "toy", plan_id({}, [task]), track=uri, **SAID) as ledger:
        follower = Follower(runs, "toy", ledger.folder, uri)
        follower.start()
        ledger.add(task)
        driver = Driver(store, Lazily(InlineProfile()), ledger.event)
        driver.add(task)
        while driver.busy:
            driver.step()
    return follower.finish(), all(result.ok for result in driver.results.values())


def counts(uri, runs):
    from jobs.track.track import Tracker

    tracker = Tracker(uri, "toy", ingest.home_id(runs))
    found = tracker.runs().values()
    points = Counter()
    for run in found:
        for name in run.data.metrics:
            history = tracker.client.get_metric_history(run.info.run_id, name)
            points[run.info.run_name] += len(history)
    files = sum(len(tracker.client.list_artifacts(run.info.run_id)) for run in found)
    return len(found), points, files, Counter(run.info.status for run in found)


def test_a_server_that_was_down_gets_all_of_it_later(tmp_path, serve, capfd, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri, start = serve
    runs = tmp_path / "runs"
    word, ok = launch(runs, uri)
    assert ok and "all of it is on disk" in word and not (runs / "mlflow.db").exists()
    start()
    ingest.catch_up(runs, ["toy"])  # as report does; it knows the server from the launch
    said = capfd.readouterr()
    assert "MLflow" not in said.err and "View run" not in said.out
    first = counts(uri, runs)
    assert first[0] == 5 and first[3] == {"FINISHED": 5}
    assert first[1] == {"count": 3 * 751}  # every second of 1500, and the last
    assert first[2] == 3 * 3 + 2  # three counts with their curves, and the join
    assert ingest.main([str(runs), "toy", "--track", uri]) == 0
    assert "0 runs brought up to date" in capfd.readouterr().out
    assert counts(uri, runs) == first
    assert ui.main(["--runs", str(runs), "--track", uri]) == 0
    assert uri in capfd.readouterr().out and not (runs / "mlflow.db").exists()

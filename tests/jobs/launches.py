"""Launches of toy tasks, in this process or in one that may be killed.

    python launches.py RUNS NAME PAUSE PROFILE SEED...

runs a join of counts, slow enough to be disturbed, on "inline" or "ray".
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import toys

from cluster.executor import Lazily
from cluster.profile import InlineProfile, RayProfile
from jobs.run.driver import Driver
from jobs.run.signals import terminable
from jobs.status import Sweep, look
from jobs.store.ledger import Ledger, plan_id
from jobs.store.stage import Task
from jobs.store.store import Store

SAID = {"kind": "sweep", "scale": "mini", "on": "inline", "trials": 0}


def launch(runs: str | Path, name: str, *tasks: Task, kind: str = "inline") -> Store:
    """Run tasks to the end with a ledger, as `jobs.launch` does."""
    profile = InlineProfile() if kind == "inline" else RayProfile(cpus=2, gpus=0, parallel=2)
    store = Store(Path(runs) / "store")
    with (
        terminable() as stop,
        Ledger(runs, name, plan_id({}, tasks), stop, **SAID) as ledger,
        Lazily(profile) as executor,
    ):
        ledger.add(tasks)
        driver = Driver(store, executor, ledger.event)
        driver.add(tasks)
        while driver.busy:
            driver.step()
        ledger.close("done" if all(r.ok for r in driver.results.values()) else "failed")
    return store


def child(
    runs: Path, name: str, pause: float, *seeds: int, kind: str = "inline"
) -> subprocess.Popen:
    """A launch of `toys.graph(seeds=seeds, pause=pause)` in a process of its own."""
    command = [sys.executable, __file__, str(runs), name, str(pause), kind, *map(str, seeds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(runs: Path, name: str, good, patience: float = 120.0) -> Sweep:
    """Look until a sweep stands as wished."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            sweep = look(runs, name)
            if good(sweep):
                return sweep
        except LookupError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{name} never stood as wished")


if __name__ == "__main__":
    runs, name, pause, kind, *seeds = sys.argv[1:]
    graph = toys.graph(seeds=tuple(map(int, seeds)), pause=float(pause))
    try:
        launch(runs, name, graph, kind=kind)
    except KeyboardInterrupt:
        sys.exit(130)

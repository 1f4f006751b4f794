"""Two launches of one sweep, each in a process of its own: they share the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toys

from jobs.store.store import Store

HERE = Path(__file__).resolve().parent
DRIVE = """
import os, sys, time, toys
from cluster.executor import start
from cluster.profile import InlineProfile, RayProfile
from jobs.run.driver import run_graph
from jobs.store.store import Store
runs, kind, *order = sys.argv[1:]
profile = RayProfile(cpus=2, gpus=0) if kind == "ray" else InlineProfile()
parts = [toys.counting(seed=int(s), runs=runs + "/log", pause=0.05) for s in order]
task = toys.graph(runs + "/log", seeds=tuple(range(8)), pause=0.05)
with start(profile) as executor:
    handle = executor.submit(len, "warm")
    while not executor.wait([handle], 1):
        pass
    open(f"{runs}/ready-{os.getpid()}", "w").close()
    while sum(name.startswith("ready-") for name in os.listdir(runs)) < 2:
        time.sleep(0.01)
    results = run_graph([*parts, task], Store(runs + "/store"), executor)
print(sum(r.status == "done" for r in results.values()), all(r.ok for r in results.values()))
"""


def drive(runs: Path, kind: str, order) -> subprocess.Popen:
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    return subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(runs), kind, *map(str, order)],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("kinds", [("inline", "inline"), ("inline", "ray")], ids="-".join)
def test_two_drivers_share_the_work_and_do_nothing_twice(tmp_path, kinds):
    both = [drive(tmp_path, kinds[0], range(8)), drive(tmp_path, kinds[1], range(7, -1, -1))]
    said = [one.communicate(timeout=200)[0].split() for one in both]
    assert [one[1] for one in said] == ["True", "True"]
    made = (tmp_path / "log").read_text().split()
    assert sorted(made) == sorted([*map(str, range(8)), "join"]), "something was made twice"
    done = [int(one[0]) for one in said]
    assert sum(done) == 9 and min(done) >= 1, "one of them did nothing"
    store = Store(tmp_path / "store")
    assert store.verify(toys.graph(tmp_path / "log", seeds=tuple(range(8)), pause=0.05))
    assert not list((tmp_path / "store").glob("*/.work/*"))
    assert not list((tmp_path / "store").glob("*/.claim-*"))

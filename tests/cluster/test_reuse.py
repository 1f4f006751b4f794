"""Processes that run one function after another, and what the next one must not notice."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import calls
import pytest
import toys

import jobs
from cluster.executor import Resources
from cluster.inline import InlineExecutor
from cluster.profile import RayProfile
from cluster.ray_cluster import ClusterRay
from cluster.ray_tasks import RayTasks
from jobs.run.driver import run_graph
from jobs.store.stage import Task
from jobs.store.store import Store

TRAINING = Resources(actor=True)


def value(executor, function, *args, resources=TRAINING):
    handle = executor.submit(function, *args, resources=resources)
    assert executor.wait([handle], 60)
    return executor.result(handle)


def test_trainings_without_a_gpu_share_processes(ray_executor):
    there = {value(ray_executor, calls.pid) for _ in range(2)}
    seen = {value(ray_executor, calls.pid) for _ in range(6)}
    assert len(there | seen) <= 2  # as many as there are CPUs


@pytest.mark.parametrize("how", ["spent", "raises"])
def test_a_spent_process_gives_its_value_and_runs_nothing_more(ray_executor, how):
    try:
        pid = value(ray_executor, calls.last, how).pid
    except ValueError as error:
        pid = error.cause.args[0]
    handles = [ray_executor.submit(calls.pid, resources=TRAINING) for _ in range(8)]
    for handle in handles:
        while not ray_executor.wait([handle], 60):
            pass
    assert pid not in {ray_executor.result(handle) for handle in handles}


@pytest.mark.parametrize(
    "kind, gpus, expected",
    [(RayTasks, 0, "cpu"), (RayTasks, 1, "actor"), (ClusterRay, 0, "actor")],
)
def test_trainings_on_gpus_and_foreign_clusters_keep_a_process_each(kind, gpus, expected):
    """Memory on a GPU goes with its process only; of actors alone Ray says that they were
    preempted."""
    asked = []

    class Remote:
        def options(self, **_):
            return self

        def remote(self, *_):
            return self

        call = property(lambda self: self)

    tasks = kind.__new__(kind)
    RayTasks.__init__(tasks, RayProfile(), slots=1)
    tasks._ray = SimpleNamespace(nodes=lambda: [
        {"Alive": True, "Resources": {"CPU": 2, "GPU": gpus, "memory": 1 << 34}}
    ])  # fmt: skip
    tasks._remote = lambda kind: asked.append(kind) or Remote()
    tasks.submit(calls.pid, resources=Resources(gpus=1, actor=True))
    tasks.submit(calls.pid, resources=Resources(gpus=1))
    assert asked == [expected, "gpu" if gpus else "cpu"]


@pytest.mark.parametrize("where", ["inline", "ray"])
def test_a_task_after_another_gives_the_bytes_that_it_gives_alone(where, request, tmp_path):
    executor = InlineExecutor() if where == "inline" else request.getfixturevalue("ray_executor")
    draw = Task(toys.DRAW, {"threads": 1})
    spoilers = [Task(toys.SPOIL, {"threads": 2, "n": n}) for n in range(4)]
    alone = tmp_path / "alone"
    places = [str(Path(toys.__file__).parent), str(Path(jobs.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    subprocess.run([sys.executable, "-c", ALONE, str(alone)], check=True, env=environment)
    store = Store(tmp_path / "after")
    results = run_graph([*spoilers, draw], store, executor)
    assert {one.status for one in results.values()} == {"done"}
    files = ["drawn.txt", "state.txt"]
    after, before = store.path(draw), Store(alone).path(draw)
    assert [(after / f).read_text() for f in files] == [(before / f).read_text() for f in files]


ALONE = """
import sys, toys
from cluster.inline import InlineExecutor
from jobs.run.driver import run_graph
from jobs.store.stage import Task
from jobs.store.store import Store
run_graph(Task(toys.DRAW, {"threads": 1}), Store(sys.argv[1]), InlineExecutor())
"""

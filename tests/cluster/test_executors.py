import os
from pathlib import Path

import calls
import pytest
import toys
from pydantic import ValidationError

from cluster.executor import WorkerLost, start
from cluster.inline import InlineExecutor
from cluster.profile import Profile
from jobs.config import load
from jobs.driver import run_graph
from jobs.stage import Task
from jobs.store import Store

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "cluster").glob("*.yaml"))


@pytest.fixture(params=["inline", "ray"])
def executor(request):
    if request.param == "ray":
        return request.getfixturevalue("ray_executor")
    return InlineExecutor()


def finish(executor, handles):
    """Wait for all; the values in order, errors as they are."""
    left = list(handles)
    while left:
        done = executor.wait(left, 30)
        assert done, "nothing came back in 30 s"
        left = [handle for handle in left if handle not in done]
    return [executor.result(handle) for handle in handles]


def test_values_errors_and_actors(executor):
    handles = [executor.submit(calls.double, i, actor=i == 2, name="double") for i in range(3)]
    assert finish(executor, handles) == [0, 2, 4]
    with pytest.raises(ValueError, match="a bug"):
        finish(executor, [executor.submit(calls.bug)])
    assert executor.wait([], 0.1) == []


@pytest.mark.parametrize("actor", [False, True])
def test_a_killed_worker_is_reported_and_not_retried(ray_executor, actor):
    with pytest.raises(WorkerLost, match="worker killed"):
        finish(ray_executor, [ray_executor.submit(calls.killed, actor=actor)])
    assert finish(ray_executor, [ray_executor.submit(calls.double, 4)]) == [8]


def test_more_cpus_or_gpus_than_there_are_do_not_wait_for_ever(ray_executor):
    assert finish(ray_executor, [ray_executor.submit(calls.double, 1, cpus=64, gpus=1)]) == [2]


def test_ray_leaves_this_environment_alone(ray_executor):
    assert "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_MODE" not in os.environ
    (pid,) = finish(ray_executor, [ray_executor.submit(calls.pid)])
    assert pid != os.getpid()


def test_inline_and_ray_give_the_same_bytes(ray_executor, tmp_path):
    task, trees = toys.graph(), []
    for name, executor in (("inline", InlineExecutor()), ("ray", ray_executor)):
        store = Store(tmp_path / name)
        results = run_graph(task, store, executor)
        assert {r.status for r in results.values()} == {"done"}
        trees.append(
            {
                p.relative_to(store.root).as_posix(): p.read_bytes()
                for p in Path(store.root).rglob("*")
                if p.is_file() and p.name not in ("done.json", ".lock")
            }
        )
    assert trees[0] == trees[1] and len(trees[0]) == 11


def test_a_killed_stage_is_a_failed_result_with_the_cause(ray_executor, tmp_path):
    task, events = Task(toys.DIE, {"threads": 1}), []
    result = run_graph([task, toys.counting()], Store(tmp_path), ray_executor, events.append)
    assert result[task.key].status == "failed" and "worker killed" in result[task.key].error
    assert result[toys.counting().key].ok
    assert not Store(tmp_path).path(task).exists()


def test_progress_is_seen_while_a_stage_runs(ray_executor, tmp_path):
    events = []
    task = toys.counting(pause=0.25, steps=10)
    run_graph(task, Store(tmp_path), ray_executor, events.append)
    seen = [(e.done, e.total) for e in events if e.kind == "progress"]
    assert seen and all(total == 10 for _, total in seen) and seen == sorted(seen)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_profiles_are_valid(path):
    assert load(path, Profile).slots() >= 1


def test_profiles_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError):
        Profile(kind="inline", cpu=3)
    with pytest.raises(ValidationError):
        Profile(kind="ray", parallel=0)
    assert isinstance(start(Profile(kind="inline")), InlineExecutor)

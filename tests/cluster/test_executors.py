import os
from pathlib import Path
from types import SimpleNamespace

import calls
import pytest
import toys
from pydantic import ValidationError

from cluster.executor import NodeLost, Refused, Resources, WorkerLost, start
from cluster.inline import InlineExecutor
from cluster.profile import KINDS, InlineProfile, RayProfile, SlurmProfile
from cluster.ray_tasks import RayTasks
from jobs.run.driver import run_graph
from jobs.store.stage import Task
from jobs.store.store import Store
from jobs.sweep.config import ConfigError, load_kind

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
    wanted = [Resources(name="double", actor=i == 2) for i in range(3)]
    handles = [executor.submit(calls.double, i, resources=one) for i, one in enumerate(wanted)]
    assert finish(executor, handles) == [0, 2, 4]
    with pytest.raises(ValueError, match="a bug"):
        finish(executor, [executor.submit(calls.bug)])
    assert executor.wait([], 0.1) == []


@pytest.mark.parametrize("actor", [False, True])
def test_a_killed_worker_is_reported_and_not_retried(ray_executor, actor):
    with pytest.raises(WorkerLost, match="worker killed"):
        finish(ray_executor, [ray_executor.submit(calls.killed, resources=Resources(actor=actor))])
    assert finish(ray_executor, [ray_executor.submit(calls.double, 4)]) == [8]


@pytest.mark.parametrize(
    "name, lost, nodes",
    [
        ("LocalRayletDiedError", NodeLost, None),
        ("ActorUnavailableError", WorkerLost, [{"Alive": True}]),
        ("ActorUnavailableError", NodeLost, [{"Alive": True}, {"Alive": False}]),
        ("ActorUnavailableError", NodeLost, None),
    ],
)
def test_whatever_ray_itself_raises_is_a_loss(name, lost, nodes):
    """As when SLURM ends all processes of a job at once, Ray's before ours."""
    from ray import exceptions

    def get(handle):
        kind = getattr(exceptions, name)
        raise kind("out of reach", b"0" * 16) if name.startswith("Actor") else kind()

    def ask(*_):
        if nodes is None:
            raise ConnectionError("nobody there")
        return nodes

    tasks = RayTasks(RayProfile(), slots=1)
    tasks._ray = SimpleNamespace(get=get, nodes=ask, kill=ask)
    tasks._actors["handle"] = object()
    with pytest.raises(WorkerLost) as error:
        tasks.result("handle")
    assert error.type is lost


def test_more_than_there_is_does_not_wait_for_ever(ray_executor):
    big = Resources(cpus=64, gpus=1, memory=1 << 60)
    assert finish(ray_executor, [ray_executor.submit(calls.double, 1, resources=big)]) == [2]


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
    profile = load_kind(path, KINDS)
    assert type(profile) is KINDS[profile.kind]


def test_profiles_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError):
        InlineProfile(cpu=3)
    with pytest.raises(ValidationError):
        RayProfile(parallel=0)
    assert isinstance(start(InlineProfile()), InlineExecutor)


@pytest.mark.parametrize(
    "text, said",
    [
        ("kind: slurmm\n", "yaml:1: kind: 'slurmm' must be one of .*; did you mean \"slurm\""),
        ("nodes: 2\n", "yaml:1: kind: None must be one of inline, ray, slurm, slurm_workers"),
        ("kind: slurm\npartitoin: a\n", 'yaml:2: partitoin: unknown key; did you mean "part'),
        ("kind: slurm_workers\nnodes: 2\n", "site.yaml:2: nodes: unknown key"),
        ("kind: slurm\ntime: soon\n", "site.yaml:2: time: .*give minutes, HH:MM:SS"),
        ("kind: slurm\nadditional_parameters: {output: x}\n", "output is set by the suite"),
        ("kind: slurm\nadditional_parameters: {qos: x}\n", "qos is a key of the profile"),
        ("kind: slurm\nadditional_parameters: {--x: 1}\n", "write it without dashes"),
    ],
)
def test_errors_of_a_profile_name_line_key_and_remedy(tmp_path, text, said):
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_kind(tmp_path / "site.yaml", KINDS)


@pytest.mark.parametrize(
    "said, minutes",
    [(90, 90), ("01:30:00", 90), ("2-00:00:00", 2880), ("00:00:20", 1)],
)
def test_time_is_minutes_or_a_clock(said, minutes):
    assert SlurmProfile(time=said).time == minutes


@pytest.mark.parametrize("said, minutes", [("24:00:00", 1440), ("01:30:00", 90), ("30-0:00", 43200),
                                           ("86400", None), ("31-00:00:00", None)])  # fmt: skip
def test_a_clock_in_a_profile_is_no_number_in_base_60(tmp_path, said, minutes):
    """Without quotes too, and nothing beyond 30 days: such a limit is seconds that were meant."""
    (tmp_path / "site.yaml").write_text(f"kind: slurm\ntime: {said}\n")
    if minutes is not None:
        assert load_kind(tmp_path / "site.yaml", KINDS).time == minutes
        return
    with pytest.raises(ConfigError, match="site.yaml:2: time"):
        load_kind(tmp_path / "site.yaml", KINDS)


def test_what_slurm_gave_is_what_is_used(monkeypatch, tmp_path):
    from cluster import allocation

    cores = len(os.sched_getaffinity(0))
    assert allocation._cpus({"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert allocation._cpus({"SLURM_CPUS_PER_TASK": str(10 * cores)}) == cores
    assert allocation._gpus({"CUDA_VISIBLE_DEVICES": "2,5", "SLURM_GPUS_ON_NODE": "8"}) == 2
    assert allocation._gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0
    assert allocation._gpus({"SLURM_GPUS_ON_NODE": "8"}) == 8
    monkeypatch.setattr(allocation, "cgroup_limit", lambda: 2**30)
    assert allocation._memory({"SLURM_MEM_PER_NODE": "4096"}) == 2**30
    assert allocation._memory({"SLURM_MEM_PER_CPU": "100", "SLURM_CPUS_ON_NODE": "3"}) == 300 << 20
    monkeypatch.setattr(allocation, "cgroup_limit", lambda: None)
    assert allocation._memory({}) is None


@pytest.mark.parametrize(
    "line, place, name",
    [("0::/a/b", "a", "memory.max"), ("7:cpu,memory:/a/b", "memory/a", "memory.limit_in_bytes")],
)
def test_limits_of_control_groups_are_found_above_too(tmp_path, line, place, name):
    from cluster.memory import cgroup_limit

    (tmp_path / "cgroup").write_text(f"{line}\n")
    (tmp_path / place / "b").mkdir(parents=True)
    (tmp_path / place / "b" / name).write_text("max\n")
    (tmp_path / place / name).write_text("123456\n")
    assert cgroup_limit(tmp_path / "cgroup", tmp_path) == 123456
    assert cgroup_limit(tmp_path / "absent", tmp_path) is None


@pytest.mark.parametrize("limit", [None, 2**30])
def test_a_ray_of_this_machine_knows_the_limit_of_its_control_group(monkeypatch, limit):
    """So that a retry with twice the memory waits until the others are done."""
    from cluster import ray_local

    asked = {}

    def init(**words):
        asked.update(words)
        raise RuntimeError("enough")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(ray_local, "cgroup_limit", lambda: limit)
    with pytest.raises(Refused):
        start(RayProfile(cpus=1, gpus=0, object_store_mb=100))
    assert asked.get("_memory") == (limit and limit - 100 * 2**20)


def test_a_ray_that_does_not_start_is_one_sentence(monkeypatch):
    def too_busy(**_):
        raise Exception("The current node timed out during startup.\nMore words of Ray's.")

    monkeypatch.setattr("ray.init", too_busy)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(Refused, match=r"did not start .*timed out during startup\.\).*inline"):
        start(RayProfile(cpus=1, gpus=0))

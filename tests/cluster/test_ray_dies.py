"""A Ray of this machine whose servers die while it works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import ray_local
from cluster.executor import NodeLost, Refused
from cluster.profile import RayProfile
from cluster.ray_local import STARTS, RayExecutor
from cluster.ray_tasks import RayTasks

HERE = Path(__file__).resolve().parent


@pytest.fixture
def played(monkeypatch):
    """An executor whose Ray is played: `dies` names servers that have ended."""
    dies: list[str] = []
    monkeypatch.setattr(ray_local, "_dead_servers", lambda ray: list(dies))

    def start(self):
        self._started += 1
        dies.clear()

    def submit(self, function, *args, resources=None):
        return f"{function}-{self._started}"

    def wait(self, handles, timeout):
        if dies:
            raise ConnectionError("nobody there")
        return list(handles)

    monkeypatch.setattr(RayExecutor, "_start", start)
    monkeypatch.setattr(RayExecutor, "close", lambda self: None)
    monkeypatch.setattr(RayTasks, "submit", submit)
    monkeypatch.setattr(RayTasks, "wait", wait)
    monkeypatch.setattr(RayTasks, "result", lambda self, handle: handle)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    return RayExecutor(RayProfile(cpus=1, gpus=0)), dies


@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_what_ran_is_lost_and_ray_is_started_again(played, server):
    executor, dies = played
    handles = [executor.submit(name) for name in "ab"]
    dies.append(server)
    assert executor.wait(handles, 0) == handles
    for handle in handles:
        with pytest.raises(NodeLost, match="died and was started again"):
            executor.result(handle)
    again = executor.submit("a")
    assert executor.wait([again], 0) == [again] and executor.result(again) == "a-2"


def test_a_ray_that_dies_while_it_is_waited_for(played, monkeypatch):
    executor, dies = played
    handle = executor.submit("a")
    wait = RayTasks.wait

    def dying(self, handles, timeout):
        dies.append("raylet")
        return wait(self, handles, timeout)

    monkeypatch.setattr(RayTasks, "wait", dying)
    assert executor.wait([handle], 0) == [handle]
    with pytest.raises(NodeLost):
        executor.result(handle)


def test_a_result_that_was_taken_is_not_lost_again(played):
    executor, dies = played
    assert executor.result(executor.submit("a")) == "a-1"
    dies.append("raylet")
    executor.submit("b")
    assert not executor._lost


def test_a_ray_that_always_dies_is_given_up_with_a_reason(played):
    executor, dies = played
    with pytest.raises(Refused, match="raylet of Ray on this machine died.*the same command"):
        for _ in range(STARTS + 1):
            executor.submit("a")
            dies.append("raylet")


REAL = """
import os, signal, sys, time
import calls
from cluster.executor import NodeLost, Resources, start
from cluster.profile import RayProfile

def finish(executor, handle):
    while not executor.wait([handle], 0.5):
        pass
    return executor.result(handle)

with start(RayProfile(cpus=2, gpus=0)) as executor:
    handles = [executor.submit(time.sleep, 60, resources=Resources(actor=one))
               for one in (False, True)]
    executor.wait(handles, 2)
    import ray  # only now: it reads as it is imported that it has a token

    (server, *_) = ray._private.worker._global_node.all_processes[sys.argv[1]]
    os.kill(server.process.pid, signal.SIGKILL)
    for handle in handles:
        try:
            finish(executor, handle)
        except NodeLost:
            print("lost")
    print(finish(executor, executor.submit(calls.double, 4)))
    folder = executor._folder
print(os.path.exists(folder))
"""


@pytest.mark.slow
@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_a_real_ray_whose_server_is_killed(server):
    done = subprocess.run(
        [sys.executable, "-c", REAL, server], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])},
    )  # fmt: skip
    assert done.returncode != -signal.SIGKILL
    assert done.stdout.split()[-4:] == ["lost", "lost", "8", "False"], done.stderr[-2000:]

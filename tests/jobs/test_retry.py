"""Failures by cause: which are tried again, how often, and with what."""

import errno
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import toys
from pydantic import ValidationError

from cluster.executor import NodeLost, OutOfMemory, Preempted, Resources, WorkerLost
from cluster.inline import InlineExecutor
from cluster.profile import Retries
from jobs.run.attempt import Result, run_task
from jobs.run.driver import Driver
from jobs.run.needs import STEP, Needs
from jobs.run.retry import ALL, WORDS, Attempts, cause_in_slurm, cause_of
from jobs.run.usage import Usage
from jobs.store.stage import Task
from jobs.store.store import Store


class Recording(InlineExecutor):
    """Keeps what was asked for, and loses functions with the given errors first."""

    def __init__(self, *errors):
        self.errors, self.asked = list(errors), []

    def submit(self, function, *args, resources):
        self.asked.append(resources)
        if self.errors:
            error = self.errors.pop(0)

            def function(*_):
                raise error

        return super().submit(function, *args, resources=resources)


def run(tmp_path, task, *errors, **limits):
    executor, events = Recording(*errors), []
    driver = Driver(Store(tmp_path / "store"), executor, events.append, retries=Retries(**limits))
    driver.add(task)
    while driver.busy:
        driver.step(0.01)
    return driver.results[task.key], executor, events


@pytest.mark.parametrize(
    "error, cause",
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "gpu_memory"),
        (RuntimeError("CUDA error: out of memory\nCompile with ..."), "gpu_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "gpu_memory"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "node_lost"),
        (RuntimeError("[enforce fail at alloc] DefaultCPUAllocator: can't allocate memory"),
         "host_memory"),
        (MemoryError(), "host_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "host_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "bug"),
        (FloatingPointError("the loss is nan"), "not_finite"),
        (ValueError("2 slabs cannot be scaled: constant or not finite"), "not_finite"),
        (ValueError("lambda_r must be positive"), "bug"),
        (RuntimeError("CUDA error: device-side assert triggered"), "bug"),
        (KeyError("x"), "bug"),
        (WorkerLost("killed"), "worker_killed"),
        (OutOfMemory("killed"), "host_memory"),
        (NodeLost("gone"), "node_lost"),
        (Preempted("gone"), "preempted"),
    ],
)  # fmt: skip
def test_causes(error, cause):
    assert cause_of(error) == cause
    wrapped = RuntimeError("in a stage")
    wrapped.__cause__ = error
    assert cause_of(wrapped) == cause


def test_causes_in_slurm():
    assert cause_in_slurm("TIMEOUT") == "time_limit" and cause_in_slurm("PREEMPTED") == "preempted"
    assert cause_in_slurm("NODE_FAIL") == "node_lost"
    assert cause_in_slurm("OUT_OF_MEMORY") == "host_memory"
    assert cause_in_slurm("FAILED") is None is cause_in_slurm("CANCELLED")


def test_every_cause_but_a_bug_has_a_limit_in_the_profile():
    assert set(Retries.model_fields) | {"bug", "damaged"} == set(WORDS)
    for wrong in ({"bug": 1}, {"node_losst": 1}, {"node_lost": -1}):
        with pytest.raises(ValidationError):
            Retries(**wrong)


@pytest.mark.parametrize("how", ["gpu_memory", "host_memory"])
def test_out_of_memory_is_tried_again_from_the_last_save(tmp_path, how):
    task = toys.hurting(tmp_path / "log", how)
    result, executor, events = run(tmp_path, task)
    assert result.ok and (result.path / "resumed.txt").read_text() == "1"
    assert [e.kind for e in events if e.kind != "progress"] == ["start", "again", "start", "done"]
    again = next(e for e in events if e.kind == "again")
    assert again.result.cause == how and again.result.attempt == 1 and again.result.node
    assert result.attempt == 2 and len((tmp_path / "log").read_text().split()) == 2
    first, second = executor.asked
    assert second == replace(first, alone=True) if how == "gpu_memory" else second == first


@pytest.mark.parametrize("how", ["bug", "not_finite"])
def test_what_would_only_come_again_is_not_tried_again(tmp_path, how):
    result, _, events = run(tmp_path, toys.hurting(tmp_path / "log", how))
    assert result.status == "failed" and result.cause == how
    assert (tmp_path / "log").read_text().split() == ["attempt"]
    assert not [e for e in events if e.kind == "again"]


def test_not_finite_on_a_gpu_is_tried_once_more():
    attempts = Attempts()
    assert attempts.again("not_finite", Retries(), on_gpu=True)
    assert not attempts.again("not_finite", Retries(), on_gpu=True)


@pytest.mark.parametrize(
    "error, name",
    [(NodeLost, "node_lost"), (Preempted, "preempted"), (WorkerLost, "worker_killed")],
)
def test_the_profile_says_how_often(tmp_path, error, name):
    task = toys.counting()
    result, executor, _ = run(tmp_path, task, *[error("gone")] * 3, **{name: 2})
    assert result.status == "failed" and result.cause == name and result.attempt == 3
    assert len(executor.asked) == 3
    result, executor, _ = run(tmp_path / "b", task, *[error("gone")] * 3, **{name: 3})
    assert result.ok and len(executor.asked) == 4


def test_causes_are_counted_apart(tmp_path):
    errors = [NodeLost("gone"), WorkerLost("killed"), NodeLost("gone")]
    result, _, events = run(tmp_path, toys.counting(), *errors, node_lost=2, worker_killed=1)
    assert result.ok
    assert events[-1].note == "node lost 2 times, worker killed"


def test_memory_that_ran_out_is_asked_twice_then_all_of_it():
    attempts, wanted = Attempts(), Resources(memory=100, gpus=0.25)
    asked = []
    for _ in range(2):
        attempts.again("host_memory", Retries())
        asked.append(attempts.changed(wanted).memory)
    assert asked == [200, ALL]
    assert not attempts.changed(wanted).alone
    attempts.again("gpu_memory", Retries())
    assert attempts.changed(wanted).alone


# ---------------------------------------------------------------------- what tasks are given


SMALL = replace(toys.COUNT, name="small", gpu=0.25)


def test_peaks_of_finished_tasks_are_in_their_markers_and_are_asked_for(tmp_path):
    store = Store(tmp_path)
    task = Task(SMALL, {"threads": 1, "steps": 2})
    result = run_task(str(tmp_path), task)
    assert result.usage.memory > 2**20 and result.usage.gpu_memory == 0
    from jobs.store.store import read_marker

    assert read_marker(store.find(task))["peak"] == {
        "memory": result.usage.memory, "gpu_memory": 0,
    }  # fmt: skip
    other = Task(SMALL, {"threads": 2, "steps": 3})
    asked = Needs(tmp_path).of(other)
    assert 0 <= asked.memory - 1.15 * result.usage.memory < STEP and asked.gpus == 0.25
    assert asked.cpus == 2 and not asked.gpu_memory


def test_the_driver_learns_from_what_ends(tmp_path):
    needs = Needs(tmp_path)
    task = Task(SMALL, {"threads": 1, "steps": 2})
    assert needs.of(task).memory == 0 == needs.of(task).gpu_memory
    needs.learn(task, 3 * 10**9, 5 * 10**9)
    needs.learn(task, 2 * 10**9, 6 * 10**9)
    assert 0 <= needs.of(task).memory - 1.15 * 3e9 < STEP and needs.of(task).gpu_memory == 6 * 10**9


def test_a_result_of_before_peaks_were_taken_says_nothing(tmp_path):
    import json

    task = Task(SMALL, {"threads": 1, "steps": 2})
    marker = run_task(str(tmp_path), task).path / "done.json"
    said = json.loads(marker.read_text())
    del said["peak"]
    marker.write_text(json.dumps(said))
    assert Store(tmp_path).find(task) is not None
    assert Needs(tmp_path).of(task).memory == 0


PEAKS = """
from jobs.run.usage import measured
with measured() as large:
    block = bytearray(b"x") * (200 << 20)
    del block
with measured() as small:
    pass
print(large.memory - small.memory)
"""


def test_a_peak_is_of_this_work_alone():
    """In a process of its own, whose heap has no room left by others."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150 << 20


def test_results_carry_their_usage_through_a_failure(tmp_path):
    result = run_task(str(tmp_path), toys.hurting(tmp_path / "log", "bug"))
    assert result.status == "failed" and result.cause == "bug" and result.node
    assert result.usage.memory > 0
    assert Result("k", "hit").usage == Usage()
    said = Store(tmp_path).error(toys.hurting(tmp_path / "log", "bug"))
    assert said["cause"] == "bug" and said["format"] == 1

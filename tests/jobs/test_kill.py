"""A process killed anywhere leaves nothing that looks finished, and its successor ends in the
bytes of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import toys
from deadly import ended, fork

from jobs.run.attempt import run_task
from jobs.store.store import MARKER, SPEC, Store

CHILD = """
import sys, toys
from jobs.run.attempt import run_task
print(run_task(sys.argv[1], toys.counting(pause=float(sys.argv[2]))).status)
"""


def child(root, pause):
    command = [sys.executable, "-c", CHILD, str(root), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outputs(path):
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name not in (MARKER, SPEC)
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return outputs(run_task(str(tmp_path_factory.mktemp("whole")), toys.counting()).path)


def no_false_marker(store, task):
    for marker in store.path(task).parent.glob(f"**/{MARKER}"):
        assert marker.parent == store.path(task) and store.verify(task)


def test_killed_at_every_fsync_and_rename(tmp_path, undisturbed):
    assert set(undisturbed) == {"deep/total.json", "metrics.jsonl"}
    task, points = toys.counting(), 0
    for limit in range(1, 200):
        store = Store(tmp_path / str(limit))
        if ended(fork(store.root, toys.counting(), limit)) == 0:
            break
        points += 1
        no_false_marker(store, task)
        status = run_task(str(store.root), task).status
        assert outputs(store.find(task)) == undisturbed, limit
        assert store.verify(task) and store.work(task) is None
        stage = store.path(task).parent
        assert not list((stage / ".work").iterdir())
        left = {p.name for p in stage.iterdir()} - {".lock", ".work", task.key[:20]}
        assert left == set() or (status == "hit" and left == {f".claim-{task.key[:20]}"})
    assert points > 20


def test_killed_again_and_again_at_every_point(tmp_path, undisturbed):
    """The successor is killed one call later each time, all in one store."""
    store, task = Store(tmp_path), toys.counting()
    for limit in range(1, 200):
        if ended(fork(store.root, toys.counting(), limit)) == 0:
            break
        no_false_marker(store, task)
    assert outputs(store.find(task)) == undisturbed


def test_killed_at_random_moments(tmp_path):
    task = toys.counting(pause=0.04)
    whole = outputs(run_task(str(tmp_path / "whole"), task).path)
    rng, store = random.Random(5), Store(tmp_path / "store")
    for _ in range(10):
        process = child(store.root, pause=0.04)
        time.sleep(rng.uniform(0.1, 0.45))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        no_false_marker(store, task)
        if store.find(task) is not None:  # a new one, so that each kill has work to disturb
            assert outputs(store.find(task)) == whole
            store = Store(tmp_path / f"store{rng.random()}")
    assert run_task(str(store.root), task).ok
    assert outputs(store.find(task)) == whole


def test_two_processes_on_one_task_run_it_once(tmp_path):
    both = [child(tmp_path, pause=0.05) for _ in range(2)]
    said = sorted(process.communicate()[0].split()[0] for process in both)
    assert said == ["done", "hit"]


def test_many_breakers_of_one_dead_claim(tmp_path):
    runs, store = tmp_path / "runs", Store(tmp_path / "store")
    task = toys.counting(runs=str(runs), pause=0.02)
    work = store.claim(task)
    said = json.loads(work.claim.path.read_text())
    work.claim.path.write_text(json.dumps({**said, "started": 1.0}))
    children = []
    for _ in range(8):
        if (pid := os.fork()) == 0:
            os._exit(0 if run_task(str(store.root), task, poll=0.02).ok else 1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    assert len(runs.read_text().split()) == 1


def test_who_loses_its_claim_waits_for_the_other_result(tmp_path, undisturbed):
    """A process that slept too long finds its folder gone and takes what the other made."""
    store, task = Store(tmp_path), toys.counting(pause=0.05)
    loser = child(store.root, pause=0.05)
    while store.work(task) is None:
        time.sleep(0.01)
    claim = store.path(task).parent / f".claim-{task.key[:20]}"
    claim.write_text(json.dumps({**json.loads(claim.read_text()), "started": 1.0}))
    assert run_task(str(store.root), task).status == "done"
    assert loser.communicate()[0].split()[0] == "hit"
    assert store.verify(task)


def test_a_damaged_checkpoint_is_passed_over(tmp_path, undisturbed):
    store, task = Store(tmp_path), toys.counting()
    work = store.claim(task)
    from jobs.run.attempt import Context

    context = Context(store, task, work.folder)
    for step in range(7):
        if step and step % 3 == 0:
            context.save(step, json.dumps(999).encode())
        context.log(step, total=-1)
    for path in work.checkpoint.glob("*[0-9]"):
        path.write_bytes(b"")
    store.release(task, work.claim)
    assert run_task(str(store.root), task).status == "done"
    assert outputs(store.find(task)) == undisturbed

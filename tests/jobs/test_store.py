import json
import os
import time

import pytest
from toys import COUNT, counting

import jobs.store.claim
from jobs.run.attempt import run_task
from jobs.store.claim import Claim
from jobs.store.stage import FileInput, Stage, Task, canonical
from jobs.store.store import LostClaim, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def owner(store, task, **changes):
    """Rewrite the claim of a task as if somebody else had made it."""
    path = store.path(task).parent / f".claim-{task.key[:20]}"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_a_living_claim_holds_and_a_dead_one_falls(store):
    task = counting()
    work = store.claim(task)
    assert store.claim(task) is None
    owner(store, task, pid=2**22 + 1, started=1.0, attempt="dead")  # no such process
    second = store.claim(task)
    assert second is not None and second.folder.exists() and not work.folder.exists()
    with pytest.raises(LostClaim):
        work.publish()
    (second.folder / "out").write_text("x")
    assert second.publish() == store.find(task)


def test_a_pid_used_again_is_not_the_owner(store):
    task = counting()
    store.claim(task)
    owner(store, task, started=1.0)
    assert store.claim(task) is not None


def test_elsewhere_the_heartbeat_decides(store):
    task = counting()
    store.claim(task)
    path = owner(store, task, host="elsewhere", attempt="theirs")
    assert store.claim(task) is None
    old = time.time() - jobs.store.claim.STALE - 5
    os.utime(path, (old, old))
    assert store.claim(task) is not None


def test_a_heartbeat_keeps_a_claim_fresh_until_it_is_given_back(store, monkeypatch):
    monkeypatch.setattr(jobs.store.claim, "BEAT", 0.02)
    task = counting()
    with store.claim(task) as work:
        os.utime(work.claim.path, (0, 0))
        deadline = time.monotonic() + 5
        while work.claim.path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert work.claim.path.stat().st_mtime > 0
    assert not work.claim.path.exists()


def test_a_claim_half_written_by_a_killed_process_falls(tmp_path):
    path = tmp_path / ".claim-x"
    path.write_text('{"host"')
    assert Claim(path).take()


def test_a_missing_or_truncated_output_is_no_result(store):
    task = counting()
    path = run_task(str(store.root), task).path
    assert store.find(task) == path and store.verify(task)
    (path / "metrics.jsonl").write_bytes(b"x" * (path / "metrics.jsonl").stat().st_size)
    assert store.find(task) == path and not store.verify(task)
    (path / "metrics.jsonl").unlink()
    assert store.find(task) is None


@pytest.mark.parametrize("lost", [True, False])
def test_a_power_cut_in_a_publication(store, tmp_path, monkeypatch, lost):
    """The list of outputs may get to the disk before they do."""
    task, real = counting(runs=str(tmp_path / "runs.txt")), os.rename

    def cut(source, target):
        if os.path.basename(os.path.dirname(source)) == ".work":
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", cut)
        with pytest.raises(KeyboardInterrupt):
            run_task(str(store.root), task)
    total = store.work(task) / "deep" / "total.json"
    right = total.read_bytes()
    if lost:
        total.write_bytes(bytes(len(right)))
    path = run_task(str(store.root), task).path
    assert (path / "deep" / "total.json").read_bytes() == right and store.verify(task)
    assert len((tmp_path / "runs.txt").read_text().splitlines()) == (2 if lost else 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "files": 3}'])
def test_a_marker_that_cannot_be_read_is_no_marker(store, text):
    task = counting()
    path = run_task(str(store.root), task).path
    (path / "done.json").write_text(text)
    assert store.find(task) is None
    assert run_task(str(store.root), task).status == "done"


def test_format_1_of_the_marker_stays_readable(store):
    """Stored results of today must be found by the code of tomorrow."""
    task = counting()
    path = store.path(task)
    path.mkdir(parents=True)
    (path / "out.txt").write_text("abc")
    marker = {
        "attempt": "0123456789ab",
        "files": {"out.txt": {"sha256": "", "size": 3}},
        "finished": 1700000000.0,
        "format": 1,
        "host": "somewhere",
        "key": task.key,
        "seconds": 1.5,
        "stage": "count",
        "version": 1,
    }
    (path / "done.json").write_text(json.dumps(marker))
    assert store.find(task) == path


def test_keys_stay_what_they_were():
    """A changed key would throw away every stored result."""
    assert counting().key == FROZEN
    assert counting(rate=0.1, deep={"b": [1, 2.0], "a": None}).key == FROZEN_DEEP


FROZEN = "2b7c5ddf219082cccdf8f371e51e9ee1770f7bd2ead5de489d1ef1a221997fb3"
FROZEN_DEEP = "e2b58f768c8d0b5f3032d251ca22890386a66f925831cd13d315571a49a45640"


def test_a_key_depends_on_everything_but_the_label(tmp_path):
    file = tmp_path / "file"
    file.write_text("one")
    base = Task(COUNT, {"threads": 1}, {"a": FileInput(file), "b": [counting(), counting(seed=1)]})
    same = Task(COUNT, {"threads": 1}, dict(reversed(base.inputs.items())), label="other")
    assert base == same
    swapped = Task(COUNT, {"threads": 1}, {**base.inputs, "b": base.inputs["b"][::-1]})
    newer = Task(Stage("count", 2, COUNT.run), base.config, base.inputs)
    threads = Task(COUNT, {"threads": 2}, base.inputs)
    file.write_text("two")
    other = Task(COUNT, {"threads": 1}, {**base.inputs, "a": FileInput(file)})
    assert len({base.key, swapped.key, newer.key, threads.key, other.key}) == 5


def test_what_cannot_be_keyed_is_refused():
    assert canonical({"b": (1, 2), "a": 0.1}) == '{"a":0.1,"b":[1,2]}'
    for value, error, said in [
        ({"x": float("nan")}, ValueError, "count.x: nan"),
        ({"x": {1: 2}}, TypeError, "count.x: key 1"),
        ({"x": [object()]}, TypeError, r"count.x\[0\]"),
        ({"threads": 0}, ValueError, "count.threads"),
        ({"threads": True}, ValueError, "count.threads"),
    ]:
        with pytest.raises(error, match=said):
            counting(**value)
    with pytest.raises(ValueError, match="threads"):
        Task(COUNT, {})

"""A byte that changed in a published result is noticed, named, and the result made again."""

import json
import os

import pytest
from toys import COUNT, JOIN, counting

from cluster.inline import InlineExecutor
from jobs.run.driver import Driver, run_graph
from jobs.store import sound
from jobs.store.stage import Task
from jobs.store.store import MARKER, Store
from jobs.sweep.plan import plan_tasks


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "_read", set())  # as in a process of its own
    return Store(tmp_path / "store")


def joined():
    parts = tuple(Task(COUNT, {"threads": 1, "steps": n}) for n in (3, 4))
    return Task(JOIN, {"threads": 1}, {"parts": parts}), parts


def run(store, task):
    events = []
    with InlineExecutor() as executor:
        driver = Driver(store, executor, events.append)
        driver.add(task)
        while driver.busy:
            driver.step()
    return driver, [(e.kind, e.task.stage.name) for e in events if e.kind in ("hit", "done")]


def flip(file, keep_times=False):
    """One bit of the first byte; the size stays."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(bytes(data))
    if keep_times:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_flipped_byte_is_named_and_the_result_made_again(store, caplog, keep_times):
    last, parts = joined()
    run(store, last)
    text = (store.path(last) / "joined.txt").read_text()
    file = store.path(parts[0]) / "deep" / "total.json"
    flip(file, keep_times)
    assert store.find(parts[0]) is not None  # sizes tell nothing
    _, ended = run(store, last)
    assert sorted(ended) == [("done", "count"), ("hit", "count"), ("hit", "join")]
    assert str(file) in caplog.text and "not as it was published" in caplog.text
    assert store.verify(parts[0]) and (store.path(last) / "joined.txt").read_text() == text
    assert len(list(file.parents[2].glob(".broken-*"))) == 1


def test_a_large_file_is_read_by_the_worker_that_needs_it(store, monkeypatch, caplog):
    monkeypatch.setattr(sound, "SMALL", 0)
    monkeypatch.setattr("jobs.run.driver.LARGE", 0)
    last, parts = joined()
    run(store, parts[0])
    flip(store.path(parts[0]) / "deep" / "total.json")
    driver, ended = run(store, last)
    assert driver.results[last.key].ok and ("hit", "count") in ended
    assert ended.count(("done", "count")) == 2  # the damaged one, and the one that was not there
    assert store.verify(parts[0])


def test_what_is_handed_out_is_read_before(store, monkeypatch, caplog):
    monkeypatch.setattr(sound, "SMALL", 0)
    monkeypatch.setattr("jobs.run.driver.LARGE", 0)
    task = counting()
    run(store, task)
    flip(store.path(task) / "deep" / "total.json")
    driver, ended = run(store, task)
    assert ended == [("hit", "count")]
    with InlineExecutor() as driver._executor:
        driver.recheck([task])
        while driver.busy:
            driver.step()
    assert driver.results[task.key].status == "done" and store.verify(task)


def test_files_with_their_stamp_are_not_read(store, monkeypatch):
    task = counting()
    run(store, task)
    monkeypatch.setattr(sound, "SMALL", 0)
    monkeypatch.setattr(sound, "sha256_file", lambda path: pytest.fail(f"{path} was read"))
    assert store.damaged(task) is None


def test_a_copied_store_is_read_once_and_remembered(store, monkeypatch):
    task = counting()
    run(store, task)
    marker = store.path(task) / MARKER
    said = json.loads(marker.read_text())
    del said["stamps"]  # as older versions left it, and as good as any other inode
    marker.write_text(json.dumps(said))
    monkeypatch.setattr(sound, "SMALL", 0)
    assert store.damaged(task) is None
    assert (store.path(task) / sound.NOTE).exists()
    monkeypatch.setattr(sound, "_read", set())
    monkeypatch.setattr(sound, "sha256_file", lambda path: pytest.fail(f"{path} was read"))
    assert store.damaged(task) is None


@pytest.mark.parametrize("note", ["[]", "{", '{"deep/total.json": 3}'])
def test_a_note_that_is_damaged_is_as_none(store, note):
    task = counting()
    run(store, task)
    (store.path(task) / sound.NOTE).write_text(note)
    assert store.damaged(task) is None
    flip(store.path(task) / "deep" / "total.json")
    assert store.damaged(task) == "deep/total.json"


def test_a_dry_run_names_the_file(store):
    task = counting()
    run_graph(task, store, InlineExecutor())
    flip(store.path(task) / "metrics.jsonl")
    (planned,) = plan_tasks([task], store)
    assert (planned.state, planned.reason) == ("RUN", "its metrics.jsonl is damaged; made again")
    assert store.find(task) is not None  # a dry run moves nothing


@pytest.mark.parametrize("key", ["seconds", "finished", "files", "key"])
@pytest.mark.parametrize("value", [None, [], "x"])
def test_a_marker_that_is_not_what_it_should_be_is_no_marker(store, key, value):
    task = counting()
    run(store, task)
    path = store.path(task) / MARKER
    said = json.loads(path.read_text())
    said[key] = value
    path.write_text(json.dumps(said))
    assert store.find(task) is None
    assert run(store, task)[1] == [("done", "count")]

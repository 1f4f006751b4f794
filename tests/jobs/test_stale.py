"""Results that other sources made are named, and made anew where that is asked for."""

import json
import time

import pytest
import toys

from cluster.inline import InlineExecutor
from jobs.run.driver import run_graph
from jobs.stages import ALL
from jobs.store import stale
from jobs.store.stage import walk
from jobs.store.store import MARKER, Store
from jobs.sweep.rerun import rerun_problems
from jobs.versions import FILES, digest, digest_of, files_of


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A source tree of the stages `count` and `join`, recorded as it is."""
    root = tmp_path / "tree"
    (root / "jobs").mkdir(parents=True)
    for name in ("count", "join"):
        (root / f"{name}.py").write_text("x = 1\n")
    write = lambda name, value: (root / "jobs" / name).write_text(json.dumps(value))  # noqa: E731
    write("stage_files.json", {"count.py": "count join", "join.py": "join"})
    write("stage_sources.json", {
        "count": {"version": 1, "sha256": digest_of([root / "count.py"], root), "waivers": []},
        "join": {"version": 1, "sha256": digest_of([root / "count.py", root / "join.py"], root),
                 "waivers": []},
    })  # fmt: skip
    return root


@pytest.fixture
def at(root, monkeypatch):
    """Have this process take the tree for its own, as a new process would."""
    real_now, real_stale = stale.sources_now.__wrapped__, stale.is_stale

    def look():
        stale._record.cache_clear()
        now = lambda stage, _=None: real_now(stage, root)  # noqa: E731
        monkeypatch.setattr(stale, "sources_now", now)
        monkeypatch.setattr("jobs.store.store.sources_now", now)
        monkeypatch.setattr(stale, "is_stale", lambda marker: real_stale(marker, root))

    look()
    yield look
    stale._record.cache_clear()


def run(tmp_path):
    store = Store(tmp_path / "store")
    task = toys.graph()
    with InlineExecutor() as executor:
        run_graph(task, store, executor)
    return store, walk(task)


def test_an_edited_source_is_told_by_stage_and_only_what_it_made_is_made_anew(tmp_path, root, at):
    store, tasks = run(tmp_path)
    assert stale.stale_lines(tasks, store) == []
    (root / "join.py").write_text("x = 2\n")
    at()
    (line,) = stale.stale_lines(tasks, store)
    assert line.startswith("may be stale: found results of join (1): ")
    assert "--rerun join makes" in line
    assert stale.retire(tasks, store, ["count"]) == []  # its sources are as they were
    assert stale.retire(tasks, store, ["join"]) == ["join"]
    assert store.find(tasks[-1]) is None and all(store.find(one) for one in tasks[:-1])
    run(tmp_path)
    assert stale.stale_lines(tasks, store) == [] and stale.retire(tasks, store, ["join"]) == []
    (root / "join.py").write_text("x = 1\n")  # taken back: now the new one is stale
    at()
    assert len(stale.stale_lines(tasks, store)) == 1


def test_what_depends_on_it_is_made_anew_too(tmp_path, root, at):
    store, tasks = run(tmp_path)
    (root / "count.py").write_text("x = 2\n")
    at()
    (line,) = stale.stale_lines(tasks, store)
    assert f"count ({len(tasks) - 1}), join (1)" in line and "--rerun count join makes" in line
    assert len(stale.retire(tasks, store, ["count"])) == len(tasks)
    assert not any(store.find(one) for one in tasks)


def test_waived_sources_and_results_of_older_markers(tmp_path, root, at):
    store, tasks = run(tmp_path)
    made = store.marker(tasks[-1])["sources"]
    path = store.path(tasks[-1]) / MARKER
    (root / "join.py").write_text("x = 2\n")
    record = json.loads((root / "jobs" / "stage_sources.json").read_text())
    now = digest_of([root / "count.py", root / "join.py"], root)
    record["join"]["sha256"] = now
    record["join"]["waivers"] = [{"from": made, "to": now, "reason": "the same bytes"}]
    (root / "jobs" / "stage_sources.json").write_text(json.dumps(record))
    at()
    assert stale.stale_lines(tasks, store) == []
    marker = json.loads(path.read_text())
    del marker["sources"]
    path.write_text(json.dumps(marker))
    assert stale.stale_lines(tasks, store) == []
    (root / "join.py").write_text("x = 3\n")
    at()
    assert len(stale.stale_lines(tasks, store)) == 1


@pytest.mark.parametrize("name", ["stage_files.json", "stage_sources.json"])
@pytest.mark.parametrize("text", [None, "[]", "{"])
def test_without_a_record_nothing_is_said(tmp_path, root, at, name, text):
    path = root / "jobs" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    at()
    store, tasks = run(tmp_path)
    assert stale.stale_lines(tasks, store) == []


def test_the_list_of_files_is_that_of_the_imports_and_gives_the_recorded_digests():
    assert json.loads(FILES.read_text()) == files_of(ALL), "run python -m jobs.versions"
    stale._record.cache_clear()
    for stage in ALL[:3]:
        assert stale.sources_now.__wrapped__(stage.name) == digest(stage)


def test_hashing_all_sources_is_quick():
    stale._record.cache_clear()
    begun = time.process_time()
    for stage in ALL:
        stale.sources_now.__wrapped__(stage.name)
    assert time.process_time() - begun < 2


def test_a_stage_that_there_is_not():
    assert rerun_problems(["reward"]) == []
    (line,) = rerun_problems(["rewards"])
    assert line.startswith("--rerun rewards: no such stage; stages: ") and "reward" in line

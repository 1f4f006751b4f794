"""`python -m jobs.prune`: what no launch can find goes, all else stays."""

from dataclasses import replace

import pytest
import toys
from launches import launch

import jobs.prune
import jobs.sweep.graph as sweep_graph
from jobs.stages import ALL
from jobs.store.orphans import orphans
from jobs.store.stage import Task, walk
from jobs.store.store import Store
from sweeps import launch as launch_sweep

STAGES = (toys.COUNT, toys.JOIN)


@pytest.fixture
def made(tmp_path):
    """A join of two counts, finished."""
    join = toys.graph(seeds=(1, 2))
    return launch(tmp_path, "toy", join), join, tmp_path


def names(found):
    return sorted((one.stage, one.why) for one in found)


def raised(stage):
    return tuple(replace(s, version=s.version + 1) if s is stage else s for s in STAGES)


def test_results_of_todays_stages_are_no_orphans(made):
    assert orphans(made[0], STAGES) == []


def test_a_raised_version_orphans_results_and_what_was_made_of_them(made):
    store, join, _ = made
    version = toys.COUNT.version
    found = orphans(store, raised(toys.COUNT))
    assert names(found) == sorted(
        [(toys.COUNT.name, f"version {version}, now {version + 1}")] * 2
        + [(toys.JOIN.name, f"made of an older {toys.COUNT.name}")]
    )
    assert all(one.size > 0 for one in found)
    last = orphans(store, raised(toys.JOIN))
    assert [one.folder for one in last] == [store.path(join)]
    assert names(orphans(store, (toys.COUNT,))) == [(toys.JOIN.name, "its stage is gone")]


def test_what_was_set_aside_is_an_orphan(made):
    store, join, _ = made
    store.retire(join)
    (one,) = orphans(store, STAGES)
    assert (one.stage, one.why) == (toys.JOIN.name, "was set aside")


def test_unfinished_attempts_go_with_their_version_only(made, monkeypatch):
    store, join, tmp_path = made
    begun = Task(toys.COUNT, {**next(iter(join.needs())).config, "seed": 99})
    with store.claim(begun) as work:
        (work.folder / "half").write_text("x" * 50)
        work.fail("stopped")
    assert orphans(store, STAGES) == []
    found = [o for o in orphans(store, raised(toys.COUNT)) if o.folder.parent.name == ".work"]
    assert len(found) == 1 and found[0].size >= 50


def test_nothing_is_deleted_without_yes(made, capsys, monkeypatch):
    store, join, runs = made
    monkeypatch.setattr(jobs.prune, "ALL", raised(toys.JOIN))
    assert jobs.prune.main(["--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "nothing was deleted" in said and toys.JOIN.name in said
    assert store.find(join) is not None
    assert jobs.prune.main(["--runs", str(runs), "--yes"]) == 0
    assert "1 of 1 folders deleted" in capsys.readouterr().out
    assert store.find(join) is None and not store.path(join).exists()
    assert all(store.find(task) for task in walk(join) if task != join)
    assert jobs.prune.main(["--runs", str(runs), "--yes"]) == 0
    assert "nothing: every result" in capsys.readouterr().out


def test_a_living_launch_keeps_all(made, capsys, monkeypatch):
    _, _, runs = made
    monkeypatch.setattr(jobs.prune, "running", lambda runs: ["toy"])
    assert jobs.prune.main(["--runs", str(runs), "--yes"]) == 2
    assert "a launch of toy runs" in capsys.readouterr().err


def test_a_place_without_results_is_said(tmp_path, capsys):
    assert jobs.prune.main(["--runs", str(tmp_path)]) == 2
    assert "no folder of results" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_stays(made):
    store, join, _ = made
    (store.path(join) / "task.json").write_text("{")
    assert orphans(Store(store.root), raised(toys.JOIN)) == []


def test_a_dry_run_says_that_older_results_stay(tiny_sweep, runs, monkeypatch):
    newer = replace(sweep_graph.TABLES, version=sweep_graph.TABLES.version + 1)
    _, said = launch_sweep(tiny_sweep.sweep, runs, "--dry-run")
    assert "jobs.prune" not in said
    monkeypatch.setattr(sweep_graph, "TABLES", newer)
    _, said = launch_sweep(tiny_sweep.sweep, runs, "--dry-run")
    assert f"version {newer.version} of the stage" in said
    assert "results of older versions stay on the disk: python -m jobs.prune" in said
    found = orphans(Store(runs / "store"), [s if s.name != "tables" else newer for s in ALL])
    assert [one.stage for one in found] == ["tables"]

"""A search that is killed, or run twice at once: no trial is doubled, none is lost."""

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searching import WAYS

SCRIPT = Path(__file__).with_name("searching.py")
COUNT = 8


def start(runs, *moment):
    command = [sys.executable, str(SCRIPT), str(runs), str(COUNT), *map(str, moment)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process, code=0):
    said, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    return json.loads(said) if code == 0 else None


def study(runs):
    """As anybody opens it, with Optuna alone."""
    storage = JournalStorage(JournalFileBackend(str(runs / "toy.journal")))
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def ran(runs):
    """Seeds of the stages that ran to their end, each as often as it did."""
    return sorted(map(int, (runs / "ran").read_text().split()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Trials and front of a search that nothing disturbed, and its folder."""
    runs = tmp_path_factory.mktemp("whole")
    return (*ended(start(runs)), runs)


def check(runs, whole):
    trials, _, undisturbed = whole
    found = study(runs)
    assert [t.params for t in found.trials] == trials
    assert {t.state.name for t in found.trials} == {"COMPLETE"}
    assert [t.values for t in found.trials] == [t.values for t in study(undisturbed).trials]
    assert ran(runs) == ran(undisturbed) and len(ran(runs)) == COUNT


@pytest.mark.parametrize("moment", ["proposed", "journalled", "torn", "working", "ended", "told"])
def test_a_killed_search_goes_on_without_doubling_or_losing_a_trial(tmp_path, whole, moment):
    for number in (0, 4):
        ended(start(tmp_path, moment, number), code=9)
    assert ended(start(tmp_path)) == list(whole[:2])
    check(tmp_path, whole)


def test_two_drivers_share_a_search(tmp_path, whole):
    first, second = start(tmp_path), start(tmp_path)
    assert ended(first) == ended(second) == list(whole[:2])
    if any(t.state.name == "RUNNING" for t in study(tmp_path).trials):  # the writer ended first
        ended(start(tmp_path))
    check(tmp_path, whole)


def test_anybody_can_load_the_study(whole):
    """States, values, names and constraints, by Optuna's own functions."""
    trials, front, runs = whole
    found = study(runs)
    assert [d.name.lower() for d in found.directions] == list(WAYS.values())
    assert found.metric_names == list(WAYS)
    assert len(found.trials) == COUNT == len({t.params["x"] for t in found.trials})
    for trial in found.trials:
        total, rest = trial.values
        assert rest == -total / 2
        assert list(trial.constraints.values()) == [total - 5e5]
    assert sorted(t.number for t in found.best_trials) == front
    assert all(found.trials[n].values[0] <= 5e5 for n in front) and front


def test_the_dashboard_opens_the_journal(whole):
    dashboard = pytest.importorskip("optuna_dashboard")
    from wsgiref.util import setup_testing_defaults

    runs = whole[2]
    storage = JournalStorage(JournalFileBackend(str(runs / "toy.journal")))
    app = dashboard.wsgi(storage)

    def get(path):
        environ = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        status = []
        body = b"".join(app(environ, lambda code, headers, *_: status.append(code)))
        assert status == ["200 OK"], (path, status)
        return json.loads(body)

    (summary,) = get("/api/studies")["study_summaries"]
    detail = get(f"/api/studies/{summary['study_id']}")
    assert [t["state"] for t in detail["trials"]] == ["Complete"] * COUNT
    assert detail["objective_names"] == list(WAYS)
    over = [t["constraints"] for t in detail["trials"]]
    assert over == [[t["values"][0] - 5e5] for t in detail["trials"]]

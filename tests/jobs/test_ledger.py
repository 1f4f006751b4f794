"""What files alone say of a launch: while it runs, after its end, and after a kill."""

import json
import os
import signal
import time

import pytest
import toys
from launches import SAID, child, launch, until

from jobs import status
from jobs.run.stop import Stop, Stopped
from jobs.status import look
from jobs.store.ledger import (
    CANCEL,
    FORMAT,
    LAUNCH,
    TASKS,
    Ledger,
    known_trials,
    launches,
    new_folder,
    sweeps,
)
from jobs.store.stage import Task


def says(runs, name="toy"):
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=200)
    for line in status.lines(look(runs, name)):
        console.print(line, highlight=False, soft_wrap=True)
    return out.getvalue()


def test_a_launch_that_ended_well(tmp_path):
    launch(tmp_path, "toy", toys.graph())
    sweep = look(tmp_path, "toy")
    assert sweep.latest.state == "done" and not sweep.latest.alive
    assert sweep.counts == {"done": 4}
    entry = sweep.tasks[-1].entry
    graph = toys.graph()
    assert (entry.key, entry.label, entry.stage.name) == (graph.key, "join", "join")
    assert entry.needs == tuple(n.key for n in graph.needs()) and entry.stage.actor
    said = says(tmp_path)
    assert "done" in said and "4 done" in said and "count 3/3, join 1/1" in said


def test_a_launch_that_was_told_to_stop(tmp_path):
    folder = new_folder(tmp_path, "toy")
    folder.mkdir(parents=True)  # a job chooses it before its driver begins
    assert sweeps(tmp_path) == []
    stop = Stop(str(folder / CANCEL))
    with pytest.raises(Stopped), Ledger(tmp_path, "toy", folder=stop.folder, **SAID) as ledger:
        assert ledger.folder == folder
        assert not launches(folder.parent)[0].cancelled and not stop.asked()
        stop.ask()
        assert launches(folder.parent)[0].cancelled and stop.asked() and not stop.for_good()
        assert "stopping" in says(tmp_path)
        stop.ask()
        assert not stop.for_good()
        (folder / CANCEL).write_text('{"by": {}}')  # as `jobs.cancel` leaves it
        assert stop.for_good()
        raise Stopped("stopped on request")
    assert look(tmp_path, "toy").latest.state == "stopped"


def test_a_failure_blocks_and_is_shown(tmp_path):
    bad = Task(toys.FAIL, {"threads": 1, "mended": str(tmp_path / "mended")})
    last = Task(toys.JOIN, {"threads": 1}, {"parts": [bad, toys.counting()]})
    launch(tmp_path, "toy", last)
    sweep = look(tmp_path, "toy")
    assert sweep.latest.state == "failed"
    assert [one.state for one in sweep.tasks] == ["failed", "done", "blocked"]
    assert "fail: ValueError: not mended yet" in says(tmp_path)
    (tmp_path / "mended").write_text("")


def test_running_then_killed_then_finished(tmp_path):
    process = child(tmp_path, "toy", 0.1, 1, 2)
    running = until(tmp_path, "toy", lambda s: s.counts["running"] and s.tasks[0].progress)
    assert running.latest.alive and running.latest.state == "running"
    one = next(o for o in running.tasks if o.state == "running")
    assert one.owner["pid"] == process.pid and one.owner["beat"] < 60
    assert f":{process.pid}" in says(tmp_path) and "%" in says(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dead = look(tmp_path, "toy")
    assert dead.latest.state == "dead" and not dead.latest.alive
    assert dead.latest.record["state"] == "running"  # nobody could say otherwise
    assert dead.counts["running"] == 0
    said = says(tmp_path)
    assert "dead" in said and "ended without a word" in said
    launch(tmp_path, "toy", toys.graph(seeds=(1, 2), pause=0.1))
    again = look(tmp_path, "toy")
    assert again.latest.state == "done" and again.counts == {"done": 3}
    assert len(again.launches) == 2


def test_two_sweeps_share_what_they_share(tmp_path):
    launch(tmp_path, "one", toys.graph(seeds=(1, 2)))
    launch(tmp_path, "two", toys.graph(seeds=(2, 3)))
    first, second = look(tmp_path, "one"), look(tmp_path, "two")
    assert first.counts == second.counts == {"done": 3}
    shared = {o.entry.key for o in first.tasks} & {o.entry.key for o in second.tasks}
    assert shared == {toys.counting(seed=2, runs="").key}
    assert sweeps(tmp_path) == ["two", "one"] or len(sweeps(tmp_path)) == 2


def test_another_plan_of_the_same_name_is_not_mixed_in(tmp_path):
    launch(tmp_path, "toy", toys.graph(seeds=(1,)))
    time.sleep(0.01)
    launch(tmp_path, "toy", toys.graph(seeds=(5, 6)))
    keys = {o.entry.key for o in look(tmp_path, "toy").tasks}
    assert keys == {t.key for t in (toys.graph(seeds=(5, 6)), *toys.graph(seeds=(5, 6)).needs())}


def test_a_torn_last_line_and_foreign_formats_are_passed_over(tmp_path):
    launch(tmp_path, "toy", toys.graph())
    folder = launches(tmp_path / "sweeps" / "toy")[0].folder
    with open(folder / TASKS, "a") as file:
        file.write('{"task": {"key": "ab')
    assert len(look(tmp_path, "toy").tasks) == 4
    record = json.loads((folder / LAUNCH).read_text())
    (folder / LAUNCH).write_text(json.dumps({**record, "format": FORMAT + 1}))
    with pytest.raises(LookupError, match="no launch of 'toy'"):
        look(tmp_path, "toy")


def test_trials_are_known_to_the_next_launch_of_the_same_plan(tmp_path):
    with Ledger(tmp_path, "toy", "plan1") as ledger:
        ledger.trial(0, {"lambda_r": 1.0}, toys.counting(seed=1))
        ledger.trial(1, {"lambda_r": 2.0}, toys.counting(seed=2))
    assert known_trials(tmp_path, "toy", "plan1") == {0: {"lambda_r": 1.0}, 1: {"lambda_r": 2.0}}
    assert known_trials(tmp_path, "toy", "plan2") == {}


def test_only_the_newest_ended_launches_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.store.ledger.KEEP", 2)
    for _ in range(5):
        with Ledger(tmp_path, "toy"):
            time.sleep(0.01)
    assert len(launches(tmp_path / "sweeps" / "toy")) == 3


def test_a_ledger_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "sweeps").write_text("in the way")
    assert launch(tmp_path, "toy", toys.graph()).find(toys.graph()) is not None
    assert "the launch goes on" in caplog.text


def test_a_request_is_heard_once(tmp_path):
    heard = []
    with Ledger(tmp_path, "toy", on_cancel=lambda: heard.append(1)) as ledger:
        (ledger.folder / CANCEL).write_text("{}")
        end = time.monotonic() + 30
        while not heard and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.2)
    assert heard == [1]


def test_another_hosts_launch_counts_by_its_heartbeat(tmp_path):
    launch(tmp_path, "toy", toys.graph())
    folder = launches(tmp_path / "sweeps" / "toy")[0].folder
    record = json.loads((folder / LAUNCH).read_text())
    record |= {"state": "running", "driver": {**record["driver"], "host": "elsewhere"}}
    (folder / LAUNCH).write_text(json.dumps(record))
    assert launches(folder.parent)[0].state == "running"
    old = time.time() - 3600
    os.utime(folder / LAUNCH, (old, old))
    assert launches(folder.parent)[0].state == "dead"


def test_the_command(tmp_path, capsys):
    assert status.main(["--runs", str(tmp_path)]) == 2
    assert "nothing was launched" in capsys.readouterr().err
    launch(tmp_path, "one", toys.counting())
    launch(tmp_path, "two", toys.counting(seed=2))
    assert status.main(["--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "one  done" in said and "two  done" in said
    assert status.main(["one", "--watch", "--runs", str(tmp_path)]) == 0  # nothing runs: it ends
    assert "two" not in capsys.readouterr().out
    assert status.main(["three", "--runs", str(tmp_path)]) == 2
    assert "there are: " in capsys.readouterr().err


def test_time_left_is_of_this_attempt(tmp_path):
    """A resumed stage that did 10 of its 90 steps in 20 s needs 20 s for the last 10."""
    entry = look_at(tmp_path)
    said = {"done": 90, "total": 100, "first": 80, "since": time.time() - 20}
    left = status._left(status.Standing(entry, "running", progress=said))
    assert left == pytest.approx(20, abs=1)
    assert status._left(status.Standing(entry, "running", progress={"done": 1})) is None


def look_at(runs):
    launch(runs, "toy", toys.counting())
    return look(runs, "toy").tasks[0].entry


def test_progress_says_when_it_began(tmp_path):
    process = child(tmp_path, "toy", 0.1, 1)
    sweep = until(tmp_path, "toy", lambda s: (s.tasks[0].progress or {}).get("done", 0) > 2)
    said = sweep.tasks[0].progress
    assert said["first"] == 0 and 0 <= time.time() - said["since"] < 60
    process.kill()
    process.communicate()


@pytest.mark.parametrize("change", [
    {"format": FORMAT}, {"driver": None}, {"driver": []}, {"driver": {}}, {"state": 3},
    {"begun": "now"}, {"plan": None}, {"name": None}, {"config": []}, {"trials": "2"},
    {"kind": None}, {"ended": "later"},
], ids=str)  # fmt: skip
def test_a_launch_whose_record_is_damaged_is_passed_over_with_a_word(tmp_path, change, caplog):
    launch(tmp_path, "toy", toys.graph())
    launch(tmp_path, "toy", toys.graph())
    newest, older = launches(tmp_path / "sweeps" / "toy")
    path = newest.folder / LAUNCH
    kept = {} if change == {"format": FORMAT} else json.loads(path.read_text())
    path.write_text(json.dumps({**kept, **change}))
    assert [one.folder for one in launches(tmp_path / "sweeps" / "toy")] == [older.folder]
    assert f"{path} is damaged: " in caplog.text
    assert "done" in says(tmp_path)


@pytest.mark.parametrize("line", [
    "[]", "17", "null", '"x"', '{"task": {"key": "a"}}', '{"task": 3}', '{"trial": {"number": 0}}',
    '{"trial": {"number": "x", "params": {}, "last": "k"}}', '{"ended": {"key": "k"}}',
    '{"again": []}', '{"roles": [1]}', '{"roles": {"reward": 3}}', "{",
])  # fmt: skip
def test_a_line_of_a_ledger_that_is_damaged_is_passed_over_with_a_word(tmp_path, line, caplog):
    launch(tmp_path, "toy", toys.graph())
    folder = launches(tmp_path / "sweeps" / "toy")[0].folder
    with open(folder / TASKS, "a") as file:
        file.write(line + "\n")
    assert look(tmp_path, "toy").counts == {"done": 4}
    assert f"{folder / TASKS} is damaged: line " in caplog.text
    launch(tmp_path, "toy", toys.graph())  # and the next launch goes on


@pytest.mark.parametrize("first, known", [("17", 4), ('{"format": 2}', 0)])
def test_a_first_line_that_is_not_the_format_is_named(tmp_path, first, known, caplog):
    launch(tmp_path, "toy", toys.graph())
    (folder,) = (one.folder for one in launches(tmp_path / "sweeps" / "toy"))
    (folder / TASKS).write_text(first + "\n" + (folder / TASKS).read_text())
    assert len(look(tmp_path, "toy").tasks) == known
    assert f"{folder / TASKS} is damaged: " in caplog.text


@pytest.mark.parametrize("text", ["[]", "3", "{", "{}", '{"pid": "x"}', '{"pid": null}'])
def test_a_claim_that_is_damaged_is_nobodys(tmp_path, text):
    store = launch(tmp_path, "toy", *toys.graph().needs())
    path = store.path(toys.graph())
    path.parent.mkdir(exist_ok=True)
    (path.parent / f".claim-{path.name}").write_text(text)
    assert store.owner(toys.graph()) is None
    assert launch(tmp_path, "toy", toys.graph()).find(toys.graph()) is not None

"""Failures, equal ones once."""

import toys
from launches import launch

from jobs import logs
from jobs.store.stage import Task


def failing(folder, n):
    return [
        Task(toys.FAIL, {"threads": 1, "mended": str(folder / f"mended{i}")}, label=f"shard {i}")
        for i in range(n)
    ]


def test_equal_tracebacks_are_shown_once(tmp_path, capsys):
    tasks = failing(tmp_path, 3)
    other = Task(toys.COUNT, {"threads": 1, "steps": "many"}, label="odd one")
    last = Task(toys.JOIN, {"threads": 1}, {"parts": tasks})
    launch(tmp_path, "toy", last, other)
    assert logs.main(["--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("ValueError: not mended yet") == 1
    assert "3 stages failed: shard 0; shard 1; shard 2" in said
    assert "1 stage failed: odd one" in said and "TypeError" in said
    assert said.index("3 stages") < said.index("1 stage failed")
    assert "1 stage blocked by these" in said


def test_only_the_last_lines(tmp_path, capsys):
    launch(tmp_path, "toy", *failing(tmp_path, 1))
    assert logs.main(["toy", "-n", "1", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Traceback" not in said and "    ValueError: not mended yet" in said
    assert "lines before" in said


def test_nothing_failed_and_nothing_there(tmp_path, capsys):
    assert logs.main(["--runs", str(tmp_path)]) == 2
    launch(tmp_path, "toy", toys.counting())
    assert logs.main(["--runs", str(tmp_path)]) == 0
    assert "no stage has failed" in capsys.readouterr().out
    assert logs.main(["tyo", "--runs", str(tmp_path)]) == 2
    assert "there are: toy" in capsys.readouterr().err


def test_what_means_nothing_is_left_out_of_the_comparison():
    one = 'File "/a/b/c.py", line 3, in f\nE: <X at 0x7f12ab> of 0123456789abcdef, seed 12, 3.1 GiB'
    two = 'File "/z/c.py", line 3, in f\nE: <X at 0x7e00aa> of fedcba9876543210, seed 9, 4 GiB'
    assert logs.normal(one) == logs.normal(two)
    assert logs.normal(one) != logs.normal(one.replace("line 3", "line 4"))
    assert logs.normal("ValueError: lr is 0.1") != logs.normal("ValueError: lr is 0.2")
    assert "deadbeef" in logs.normal("the word deadbeef")  # no digit, so no key


def test_causes_attempts_and_machines_are_told(tmp_path, capsys):
    """From the ledger alone: a task whose worker dies is tried again and then given up."""
    from jobs import status
    from jobs.run.attempt import Result
    from jobs.store.ledger import Ledger

    task = toys.counting()
    from jobs.run.driver import Event

    with Ledger(tmp_path, "toy", **{"kind": "sweep", "scale": "mini", "trials": 0}) as ledger:
        ledger.add(task)
        lost = Result(task.key, "failed", error="gone", cause="node_lost", node="n1", attempt=1)
        ledger.event(Event("again", task, lost))
        ledger.event(Event("again", task, lost))
        said = "\n".join(status.lines(status.look(tmp_path, "toy")))
        assert "again    [yellow]node lost 2 times" in said
        bug = Result(task.key, "failed", error="ValueError: no", cause="bug", node="n2", attempt=3)
        ledger.event(Event("failed", task, bug))
        ledger.close("failed")
    said = "\n".join(status.lines(status.look(tmp_path, "toy")))
    assert "bug on n2, attempt 3" in said
    assert logs.main(["--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "cause: bug on n2; 2 attempts before: node lost 2 times" in said

"""Names and paths that look like rich's markup are shown as they are: nothing is swallowed, and
nothing raises."""

import io
import json
import time
from types import SimpleNamespace

import pytest
import toys
from launches import launch as launch_toys
from rich.console import Console
from test_learnt import rewards_sweep

from cluster import slurm_state
from jobs import compare, logs, report, status
from jobs.run import slurm
from jobs.store.ledger import LAUNCH, launches
from sweeps import launch

ROWS = ("[/]", "[red]x", "[bold")
ODD = "[red]r[/]s[/x]"  # a path: three folders, of which one closes what was never opened


@pytest.fixture
def odd(tmp_path):
    """A results folder of such a name."""
    return tmp_path / ODD


def said(capsys):
    found = capsys.readouterr()
    return (found.out + found.err).replace("\n", "")


def test_rows_and_a_results_folder_of_such_names(odd, tmp_path, tiny_checkpoint, tiny_images,
                                                 capsys):  # fmt: skip
    rows = {name: {"backbone": "voxnet", "train.patience": 1 + i} for i, name in enumerate(ROWS)}
    sweep = rewards_sweep(tmp_path, tiny_checkpoint, tiny_images, rows, {"seed": [1]})
    code, text = launch(sweep, odd, "--dry-run")
    assert code == 0 and str(odd) in text
    code, text = launch(sweep, odd)
    assert code == 0
    flat = text.replace("\n", "")
    assert all(f"reward {name} " in flat for name in ROWS) and str(odd) in flat
    assert status.main(["--runs", str(odd)]) == 0
    assert "few" in said(capsys)
    for folder in (odd / "store" / "comparison").glob("[!.]*"):
        folder.rename(tmp_path / "gone")
    assert report.main(["--runs", str(odd)]) == 1
    assert "stages are missing" in said(capsys)


def test_labels_of_failed_and_running_stages(odd, tmp_path, capsys):
    log = tmp_path / "log"
    tasks = [toys.Task(t.stage, t.config, t.inputs, name) for t, name in
             zip([toys.hurting(log, "raise", n) for n in (91, 92, 93)], ROWS)]  # fmt: skip
    launch_toys(odd, "toy", *tasks)
    assert status.main(["toy", "--runs", str(odd)]) == 0
    text = said(capsys)
    assert all(f"failed   {name}: " in text for name in ROWS)
    assert logs.main(["toy", "--runs", str(odd)]) == 0
    text = said(capsys)
    assert all(name in text for name in ROWS)


def test_what_a_ledger_says_of_its_machine(tmp_path, capsys):
    launch_toys(tmp_path, "toy", toys.counting())
    (one,) = launches(tmp_path / "sweeps" / "toy")
    record = json.loads((one.folder / LAUNCH).read_text())
    record |= {"scale": "[/]", "on": "[red]x", "slurm_jobs": ["7_[/]"], "error": "[/] [bold"}
    record["driver"]["host"] = "[/]node"
    (one.folder / LAUNCH).write_text(json.dumps(record))
    assert status.main(["toy", "--runs", str(tmp_path)]) == 0
    text = said(capsys)
    for word in ("at scale [/]", "on [red]x", "job 7_[/]", "[/]node:", "[/] [bold"):
        assert word in text


def shown(monkeypatch, states, folder):
    """What `follow` prints in answer to these states of a job."""
    out = io.StringIO()
    told = iter(states)
    last = []

    def answer(jobs):
        last[:] = [next(told, None) or last[0]]
        return {jobs[0]: last[0]}

    monkeypatch.setattr(slurm_state, "states", answer)
    console = Console(file=out, width=500)
    code = slurm.follow(folder, "7", 0, console, 0.0, sleep=lambda _: time.sleep(0))
    return code, out.getvalue()


def test_what_slurm_says(odd, monkeypatch):
    odd.mkdir(parents=True)
    waits = SimpleNamespace(phase="waiting", state="PENDING", reason="[/]Nodes[red]x")
    gone = SimpleNamespace(phase="ended", state="[/]FAILED", reason="")
    code, text = shown(monkeypatch, [waits, gone], odd)
    assert "job 7 waits ([/]Nodes[red]x)" in text
    assert str(odd) in text and "[/]failed" in text
    assert code == slurm.AGAIN


def test_a_refusal_of_a_comparison(odd, capsys):
    assert compare.main([f"{ODD}", "--runs", str(odd)]) == 2
    assert ODD in said(capsys)

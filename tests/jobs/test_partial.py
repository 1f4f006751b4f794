"""Tables and figures at any time, of what is finished, without a launch."""

import json
import shutil

import pandas as pd
import pyarrow.parquet
import pytest
import toys
from launches import launch as launch_toys

from jobs import report
from jobs.output.partial import METADATA
from jobs.store.ledger import TASKS, launches
from sweeps import launch


def folders(runs, stage):
    return sorted(p for p in (runs / "store" / stage).iterdir() if not p.name.startswith("."))


def lose(runs, *stages):
    """Take from a finished sweep its last results, as if they had not been made yet."""
    for name in ("tables", "figures", "models"):
        shutil.rmtree(runs / name, ignore_errors=True)
    for stage in stages:
        shutil.rmtree(folders(runs, stage)[-1])


def test_a_sweep_with_a_trial_missing(runs, tiny_sweep, capsys):
    whole = pd.read_parquet(runs / "tables" / "tiny-trials.parquet")
    lose(runs, "tables", "trial")
    (left,) = folders(runs, "trial")
    params = json.loads((left / "task.json").read_text())["config"]["params"]
    (runs / "tables").mkdir()
    others = runs / "tables" / "tiny-partial-trials.parquet"  # of a sweep that is called so
    others.write_text("of another sweep")
    assert report.main(["tiny", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "partial: 1 of 2 trials" in said and "waiting)" in said
    path = runs / "tables" / "tiny+partial-trials.parquet"
    part = pd.read_parquet(path)
    same = whole[whole["lambda_r"] == params["lambda_r"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.drop(columns="pareto"), same.drop(columns="pareto"))
    missing = json.loads(pyarrow.parquet.read_schema(path).metadata[METADATA])
    assert list(missing) == [str(1 - part["trial"][0])]
    assert "Partial: trials" in (runs / "tables" / "tiny+partial-trials.tex").read_text()
    assert (runs / "figures" / "tiny+partial-pareto.png").stat().st_size > 1000
    assert not [p for p in (runs / "figures").iterdir() if p.name.startswith(".")]

    # The launch that finishes it leaves the whole ones alone, and they are those of before.
    code, _ = launch(tiny_sweep.sweep, runs)
    assert code == 0 and not list(runs.glob("*/tiny+partial-*"))
    assert others.read_text() == "of another sweep"
    again = pd.read_parquet(runs / "tables" / "tiny-trials.parquet")
    pd.testing.assert_frame_equal(again, whole)


def test_a_finished_sweep_is_published_again(runs, capsys):
    before = (runs / "tables" / "tiny-trials.parquet").read_bytes()
    lose(runs)
    assert report.main(["--runs", str(runs)]) == 0
    assert "complete: tables in" in capsys.readouterr().out
    assert (runs / "tables" / "tiny-trials.parquet").read_bytes() == before


def test_without_a_trial_there_are_no_tables(runs, capsys):
    lose(runs, "tables", "trial", "trial")
    assert report.main(["tiny", "--runs", str(runs)]) == 1
    said = capsys.readouterr().out
    assert "no tables yet: they need a first trial" in said and "right on" in said
    lose(runs, "real")
    assert report.main(["tiny", "--runs", str(runs)]) == 1
    assert "they need real" in capsys.readouterr().out


def test_a_killed_sweep_tells_its_trials_to_the_next_dry_run(runs, tiny_sweep):
    """The second trial of a search is known although its settings were asked, not given."""
    lose(runs, "tables", "trial")
    code, said = launch(tiny_sweep.sweep, runs, "--dry-run")
    rows = {line.split("  ")[1]: line for line in said.splitlines() if line.startswith("  ")}
    states = [line for name, line in rows.items() if name.startswith("compare")]
    assert code == 0 and sorted("RUN" in line for line in states) == [False, True]
    assert "16 HIT" in said or "HIT, 1 RUN" in said
    folder = launches(runs / "sweeps" / "tiny")[0].folder
    assert folder.is_dir()


def test_a_name_that_is_not_there(tmp_path, capsys):
    assert report.main(["--runs", str(tmp_path)]) == 2
    launch_toys(tmp_path, "toy", toys.counting())
    assert report.main(["lambda", "--runs", str(tmp_path)]) == 2
    assert "there are: toy" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["last", "tuned"])
def test_a_trial_whose_lines_are_damaged_is_missing(runs, tiny_sweep, part, capsys):
    (known,) = launches(runs / "sweeps" / "tiny")
    path = known.folder / TASKS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lost = next(one["trial"][part] for one in lines if one.get("trial", {}).get("number") == 1)
    kept = [one for one in lines if one.get("task", {}).get("key") != lost]
    path.write_text("".join(json.dumps(one) + "\n" for one in kept))
    lose(runs, "tables")
    report.main(["tiny", "--runs", str(runs)])
    said = capsys.readouterr().out
    assert "missing: 1 (its lines in the ledger are damaged; launch again)" in said
    assert "partial: 1 of 2 trials" in said

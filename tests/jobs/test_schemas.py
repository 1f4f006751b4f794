"""Columns of every table in the store, by stage and version: a change needs a new version.

``table_schemas.json`` keeps old versions too. Where this fails because columns changed, raise the
stage's version, run ``python -m jobs.versions``, and add what the failure prints to the record.
"""

import json
from pathlib import Path

import pytest
from pyarrow import parquet
from test_store import FROZEN

from jobs.output.tables import SCHEMA
from jobs.run import queue, slurm_files, worker
from jobs.stages import ALL
from jobs.store import claim, ledger, store

RECORD = Path(__file__).with_name("table_schemas.json")


def columns(path):
    return {field.name: str(field.type) for field in parquet.read_schema(path)}


def found(runs):
    """Columns of all tables of finished stages, by "stage version" and file."""
    versions = {stage.name: stage.schema for stage in ALL}
    tables = {}
    for path in sorted((runs / "store").glob("*/[!.]*/**/*.parquet")):
        stage, _, *rest = path.relative_to(runs / "store").parts
        tables.setdefault(versions[stage], {})["/".join(rest)] = columns(path)
    return tables


def test_columns_of_tables_change_with_the_version_of_their_stage_only(tiny_sweep):
    record, now = json.loads(RECORD.read_text()), found(tiny_sweep.runs)
    assert len(now) >= 5
    new = {schema: files for schema, files in now.items() if record.get(schema) != files}
    assert not new, f"columns that are not in {RECORD.name}:\n{json.dumps(new, indent=1)}"


def test_published_tables_name_their_schema(tiny_sweep):
    tables = sorted((tiny_sweep.runs / "tables").glob("*.parquet"))
    record = json.loads(RECORD.read_text())
    assert len(tables) > 4
    for path in tables:
        schema = parquet.read_schema(path).metadata[SCHEMA.encode()].decode()
        name = path.name.partition("-")[2]
        assert columns(path) == record[schema][f"tables/{name}"]


def test_formats_are_what_stored_files_of_today_say(tmp_path):
    """Whoever raises one of these must leave a way to read the old files, and a test of it here
    or beside `test_format_1_of_the_marker_stays_readable`."""
    assert (store.FORMAT, ledger.FORMAT, slurm_files.FORMAT, worker.FORMAT) == (1, 1, 1, 1)
    assert len(FROZEN) == 64


LEDGER = """{"format": 1}
{"task": {"actor": false, "gpu": 0.0, "key": "aa", "label": "one", "needs": [], "stage": "count", \
"threads": 1, "trial": 0, "version": 1}}
{"trial": {"last": "aa", "number": 0, "params": {"x": 1.5}}}
{"ended": {"error": "gone", "key": "aa", "status": "failed"}}
{"of a later version": {"key": "aa"}}
"""


def test_format_1_of_a_ledger_stays_readable(tmp_path):
    """Written before causes and attempts were, and by code that writes more than this reads."""
    folder = tmp_path / "sweeps" / "mine" / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    record = {
        "format": 1, "name": "mine", "plan": "p", "state": "failed", "begun": 1.0, "ended": 2.0,
        "driver": {"host": "n1", "pid": 3}, "kind": "sweep", "scale": "mini", "trials": 1,
    }  # fmt: skip
    (folder / "launch.json").write_text(json.dumps(record))
    (folder / "tasks.jsonl").write_text(LEDGER)
    plan = ledger.read_plan(ledger.launches(folder.parent))
    assert plan.tasks["aa"].label == "one" and plan.trials[0]["params"] == {"x": 1.5}
    assert plan.ended["aa"]["error"] == "gone" and not plan.again
    from jobs.status import lines, look

    sweep = look(tmp_path, "mine")
    assert [one.state for one in sweep.tasks] == ["failed"] and sweep.tasks[0].cause == ""
    assert any("gone" in line for line in lines(sweep))


def test_format_1_of_a_workers_failure_stays_readable(tmp_path):
    from toys import counting

    from jobs.run.attempt import run_task

    offers, task = queue.Queue(tmp_path), counting()
    offers.put(run_task, ("store", task))
    said = {"status": "failed", "error": "gone", "seconds": 1.5}
    (offers.folder / f"{task.key}.ended.json").write_text(json.dumps(said))
    result = offers.take(task.key)
    assert (result.status, result.error, result.cause) == ("failed", "gone", "")


def test_a_claim_says_who_works_in_which_job_and_attempt(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    from toys import counting

    results, task = store.Store(tmp_path), counting()
    with results.claim(task) as work:
        said = json.loads(work.claim.path.read_text())
        assert {"host", "pid", "job", "attempt", "time", "started", "boot"} <= said.keys()
        assert said["job"] == "17" and said["attempt"] == work.claim.attempt
        assert results.owner(task)["beat"] < claim.STALE
        assert results.last_host(task) == said["host"]
    assert results.owner(task) is None and results.last_host(task) == ""


@pytest.mark.parametrize("left", ["checkpoint", "outputs"])
def test_what_a_failed_stage_leaves_is_no_result(tmp_path, left):
    from toys import counting

    results, task = store.Store(tmp_path), counting()
    with results.claim(task) as work:
        folder = work.checkpoint if left == "checkpoint" else work.folder
        folder.mkdir(exist_ok=True)
        (folder / "0001").write_text("half")
        work.fail("ValueError: no", "bug")
    assert results.find(task) is None and not results.path(task).exists()
    assert not list(tmp_path.rglob("done.json")) and results.error(task)["cause"] == "bug"

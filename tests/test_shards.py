"""Slow tests by turns: each is due once in as many days as there are shards."""

import datetime
import subprocess
import sys
from pathlib import Path

from shards import last_due, shard_of

ROOT = Path(__file__).resolve().parents[1]


def test_every_file_is_due_once_in_a_turn():
    start = datetime.date(2026, 12, 29)  # over the end of a year
    days = [start + datetime.timedelta(days=n) for n in range(12)]
    for name in ("tests/a.py", "tests/jobs/b.py", "tests/c.py"):
        shard = shard_of(f"{name}::test_x[1]", 6)
        assert shard == shard_of(f"{name}::test_y", 6)
        due = [day for day in days if last_due(shard, 6, day) == day]
        assert len(due) == 2 and (due[1] - due[0]).days == 6
        assert last_due(shard, 6, due[0] + datetime.timedelta(days=5)) == due[0]


def test_what_is_left_out_is_named_with_its_day(tmp_path):
    for name in "abcdef":
        (tmp_path / f"test_{name}.py").write_text("def test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "shards", "-p", "no:cacheprovider", "-q"]
    told = subprocess.run(
        [*command, "--shards", "3", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "tests"), "PATH": ""},
    )  # fmt: skip
    today = datetime.date.today()
    due = [n for n in "abcdef" if last_due(shard_of(f"test_{n}.py", 3), 3, today) == today]
    assert told.returncode == (0 if due else 5), told.stdout + told.stderr
    assert f"{len(due)} passed" in told.stdout or not due
    lines = [line for line in told.stdout.splitlines() if "last due" in line]
    assert [line.split(":")[0] for line in lines] == [
        f"test_{n}.py" for n in "abcdef" if n not in due
    ]
    for line in lines:
        day = datetime.date.fromisoformat(line.rsplit(" ", 1)[1])
        assert 0 < (today - day).days < 3

"""The real trainings, killed at points of their checkpoints and at random moments, end in the
bytes of an undisturbed one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Of about 50 calls: the first tick, the second and third checkpoint, the weights, the marker.
SAMPLE = {"reward": (3, 9, 17, 25, 33, 41), "finetune": (2, 12, 21, 30, 39, 48)}


def killed(tiny_sweep, folder, stage, *how):
    command = [
        sys.executable, str(Path(__file__).with_name("killing.py")), str(tiny_sweep.sweep),
        str(tiny_sweep.runs / "store"), stage, str(folder), *map(str, how),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for point, _, second, wrong, false_marker in rows:
        assert (second, wrong, false_marker) == (0, [], False), (point, done.stderr)
    return [first for _, first, *_ in rows]


@pytest.mark.parametrize("stage", SAMPLE)
def test_killed_at_some_fsyncs_and_renames(tiny_sweep, tmp_path, stage):
    first = killed(tiny_sweep, tmp_path, stage, "every", *SAMPLE[stage])
    assert first.count(137) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("stage", SAMPLE)
def test_killed_at_every_fsync_and_rename(tiny_sweep, tmp_path, stage):
    first = killed(tiny_sweep, tmp_path, stage, "every")
    assert first.count(137) == len(first) - 1 > 25 and first[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("stage", SAMPLE)
def test_killed_at_random_moments(tiny_sweep, tmp_path, stage):
    first = killed(tiny_sweep, tmp_path, stage, "moments", 20 if stage == "finetune" else 10)
    assert first[0] == 0 and first.count(-9) >= 3

"""Damaged snapshots are refused with our error or parsed, within memory and time, by the thousand.

Memory is limited for the whole child and time for every mutant; a crash, another exception or a
breach of either limit fails.
"""

import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sigmaflow.generators.pickles.write import Emitter, generator, module_state, persistent

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BATCH = 500

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


@pytest.fixture
def small(tiny_gan, tmp_path):
    """A snapshot of a generator and a discriminator of a few thousand numbers."""
    D = {**module_state(tiny_gan.D), "_init_args": (), "_init_kwargs": tiny_gan.D.init_kwargs}
    tree = {"training_set_kwargs": {"path": "x"}, "D": persistent("DualDiscriminator", D),
            "G_ema": generator(tiny_gan.G_ema), "augment_pipe": None}  # fmt: skip
    file = io.BytesIO()
    emitter = Emitter(file)
    emitter.put(tree)
    emitter.stop()
    path = tmp_path / "small.pkl"
    path.write_bytes(file.getvalue())
    return path


def run(path, seed, count, folder):
    """What a child says of `count` mutants of a file."""
    marker = folder / "canary"
    done = subprocess.run(
        [sys.executable, str(HERE / "mutate.py"), str(path), str(seed), str(count), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
             "SIGMAFLOW_CANARY": str(marker)},
        cwd=folder, capture_output=True, text=True, timeout=300 + 10 * count,
    )  # fmt: skip
    assert done.returncode == 0, f"{path.name} seed {seed}: {done.stderr[-2000:]}"
    assert not marker.exists() and not (folder / "CANARY_WAS_EXECUTED").exists()
    return json.loads(done.stdout)


def count_up(plan, folder):
    """Run (file, seed, count) and print what was refused and parsed, by kind of damage."""
    refused, parsed, breaches = Counter(), Counter(), []
    for path, seed, count in plan:
        said = run(path, seed, count, folder)
        refused.update(said["refused"])
        parsed.update(said["parsed"])
        breaches += said["breaches"]
    for kind in sorted(refused | parsed):
        print(f"{kind:14} refused {refused[kind]:5}   parsed {parsed[kind]:5}")
    print(f"{'all':14} refused {refused.total():5}   parsed {parsed.total():5}")
    assert not breaches, "\n".join(breaches)
    return refused, parsed


def test_a_few_hundred_mutants(small, tmp_path):
    refused, parsed = count_up([(small, 0, 400)], tmp_path)
    assert refused.total() > 200 and parsed.total() > 5


@pytest.mark.slow
def test_ten_thousand_mutants(small, reference, tmp_path):
    pickles = sorted((reference / "golden" / "pickles").glob("*.pkl"))
    plan = [(small, seed, BATCH) for seed in range(1, 19)]
    plan += [(path, 100, 200) for path in pickles]
    assert sum(count for _, _, count in plan) >= 10_000
    refused, parsed = count_up(plan, tmp_path)
    assert refused.total() > 5000 and parsed.total() > 500

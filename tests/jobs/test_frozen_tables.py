"""Tables of small sweeps, column by column, as they were when `frozen_tables.json` was made.

They hold a rebuilding to the numbers from before it. Learned numbers depend on the torch version
and on the processor; where these are others than the record's, columns, types, rows and keys are
compared, and numbers are not. A table that is meant to change: copy the file that the failure
names over the record, and say in the commit what changed.
"""

import json
import math
import platform
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from pyarrow import parquet
from test_compare import QUICK, fine_tune
from test_search_kills import ended, start, study

from jobs.compare import main as compare
from sweeps import TINY_SWEEP, launch, write_sweep

RECORD = Path(__file__).with_name("frozen_tables.json")
ROWS = 40  # of a table that are kept
KEYS = ("seed", "trial", "images_seen", "question")  # numbers that no training changes
HASHES = ("protocol", "fid_protocol")
TOLERANCE = 1e-5  # of a column's largest number
HERE = {
    "torch": torch.__version__.split("+")[0],
    "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
}
SEVERAL = {"sigma": {"backbone": "unet3d"}, "single": {"backbone": "resnet18"}}


def said(value):
    """A cell as JSON holds it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.tolist() if hasattr(value, "tolist") else value


def frozen(path):
    """A table: its number of rows, and of each column the type and the first values."""
    types = {f.name: str(f.type) for f in parquet.read_schema(path)}
    frame = pd.read_parquet(path)
    for name in set(frame.columns) & set(HASHES):  # the test's images are packed anew each time
        frame[name] = [f"hash {n}" for n in pd.factorize(frame[name])[0]]
    columns = {
        name: {"type": types[name], "values": [said(v) for v in frame[name].tolist()[:ROWS]]}
        for name in frame.columns
    }
    return {"rows": len(frame), "columns": columns}


def tables(runs, name):
    found = sorted((runs / "tables").glob(f"{name}-*.parquet"))
    assert found
    return {path.stem.removeprefix(f"{name}-"): frozen(path) for path in found}


def of_lambda(tiny_sweep, folder, checkpoint, images):
    return tables(tiny_sweep.runs, "tiny")


def of_score(tiny_sweep, folder, checkpoint, images):
    runs = Path(shutil.copytree(tiny_sweep.runs, folder / "runs",
                                ignore=shutil.ignore_patterns("mlartifacts")))  # fmt: skip
    tuned = fine_tune(runs, 10.0)
    assert compare([str(tuned), "--runs", str(runs), *QUICK, "--name", "it"]) == 0
    return tables(runs, "it")


def of_rewards(tiny_sweep, folder, checkpoint, images):
    reward = {**TINY_SWEEP["reward"], "view_resolution": 12, "image_size": 32,
              "train": {"epochs": 2, "batch": 4, "mirror": False}}  # fmt: skip
    search = {"sampler": "random", "trials": 2,
              "space": {"reward.train.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}  # fmt: skip
    path = write_sweep(folder, checkpoint, images, kind="rewards", name="few", reward=reward,
                       rows=SEVERAL, search=search)  # fmt: skip
    values = yaml.safe_load(path.read_text())
    kept = {k: v for k, v in values.items() if k not in ("finetune", "evaluation", "images")}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    code, out = launch(path, folder / "runs")
    assert code == 0, out
    return tables(folder / "runs", "few")


def of_search(tiny_sweep, folder, checkpoint, images):
    """A search killed in the middle of a trial, and once more while it wrote its journal."""
    ended(start(folder, "working", 2), code=9)
    ended(start(folder, "torn", 5), code=9)
    ended(start(folder))
    trials = study(folder).trials
    columns = {
        "trial": {"type": "int64", "values": [t.number for t in trials]},
        "x": {"type": "double", "values": [t.params["x"] for t in trials]},
        "total": {"type": "double", "values": [t.values[0] for t in trials]},
    }
    return {"trials": {"rows": len(trials), "columns": columns}}


MADE = {"lambda": of_lambda, "score": of_score, "rewards": of_rewards, "search": of_search}


def differences(new, old, numbers):
    """What is not as it was, a line each; floats only where `numbers` says so."""
    if set(new) != set(old):
        yield f"tables {sorted(set(new) ^ set(old))}"
    for name in sorted(set(new) & set(old)):
        a, b = new[name], old[name]
        if (list(a["columns"]), a["rows"]) != (list(b["columns"]), b["rows"]):
            yield f"{name}: {a['rows']} rows of {list(a['columns'])}"
            continue
        for column, was in b["columns"].items():
            now = a["columns"][column]
            if now["type"] != was["type"]:
                yield f"{name}.{column}: {now['type']}, was {was['type']}"
            elif was["type"] == "string" or column in KEYS or numbers:
                if not same(now["values"], was["values"]):
                    yield f"{name}.{column}: {now['values'][:6]}, was {was['values'][:6]}"


def same(now, was):
    """Whether values are equal, floats nearly."""
    size = max((abs(v) for v in was if isinstance(v, float)), default=0.0)
    return len(now) == len(was) and all(
        a is not None and b is not None and abs(a - b) <= TOLERANCE * size
        if isinstance(a, float) or isinstance(b, float)
        else a == b
        for a, b in zip(now, was)
    )


@pytest.mark.parametrize("name", MADE)
def test_tables_are_as_they_were(name, tiny_sweep, tiny_checkpoint, tiny_images, tmp_path):
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    found = MADE[name](tiny_sweep, tmp_path, tiny_checkpoint, tiny_images)
    alike = name == "search" or record.get("made on") == HERE
    new = tmp_path / RECORD.name
    new.write_text(json.dumps({**record, "made on": HERE, name: found}, indent=1) + "\n")
    wrong = list(differences(found, record.get(name, {}), numbers=alike))
    assert not wrong, "\n".join([*wrong, f"what is now: {new}"])


def test_a_difference_is_found():
    def table(values, kind="double", column="a"):
        return {"t": {"rows": 2, "columns": {column: {"type": kind, "values": values}}}}

    old = table([1.0, None])
    assert not list(differences(table([1.0 + 1e-7, None]), old, numbers=True))
    for new in (table([1.001, None]), table([1.0, 2.0]), table([None, None]), {},
                table([1, 2], "int64"), table([1.0, None], column="b")):  # fmt: skip
        assert list(differences(new, old, numbers=True)), new
    assert not list(differences(table([2.0, None]), old, numbers=False))
    keyed = table([1, 2], "int64", "seed")
    assert list(differences(table([1, 3], "int64", "seed"), keyed, numbers=False))

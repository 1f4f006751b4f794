"""A whole sweep of seconds: every stage of the method on the tiny GAN."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs.launch import main

SCALES = Path(__file__).resolve().parents[2] / "sweeps" / "scales"
TINY_SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "name": "tiny",
    "scale": "mini",
    "block": 40,
    "slab": {"resolution": 16, "kind": "released"},
    "rankings": {"questions": 20, "sizes": [2, 3], "anchors": {"count": 8}},
    "annotator": {"resolution": 16},
    "reward": {
        "f_maps": [8, 16],
        "trunk": [8, 8],
        "trunk_out": 8,
        "head": [8, 8],
        "train": {"epochs": 3, "batch": 4},
    },
    "finetune": {
        "kimg": 0.012,
        "batch": 4,
        "tick_kimg": 0.004,
        "tick_seeds": 4,
        "consistency_resolution": 8,
        "density_reg_points": 16,
    },
    "evaluation": {
        "seeds": 8,
        "first_seed": 210000,
        "annotator_seeds": 4,
        "consistency_resolution": 8,
        "fid_images": 100,
        "mesh_seeds": 1,
        "mesh_resolution": 32,
    },
    "search": {
        "trials": 2,
        "parallelism": 2,
        "space": {
            "lambda_r": {"low": 0.0, "high": 30.0},
            "lambda_c": {"low": 0.001, "high": 1.0, "log": True},
        },
        "first": [{"lambda_r": 10.0, "lambda_c": 0.01}, {"lambda_r": 0.0, "lambda_c": 0.01}],
    },
}


def write_sweep(folder: Path, checkpoint: Path, images: Path, **changes: Any) -> Path:
    """The tiny sweep as a file, with whole sections changed."""
    path = folder / "tiny.yaml"
    values = {**TINY_SWEEP, "checkpoint": str(checkpoint), "images": str(images), **changes}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def launch(sweep: Path, runs: Path, *more: str) -> tuple[int, str]:
    """Exit code and output of a launch in this process; unless `more` says --on and --track,
    without Ray and MLflow, which take longer than all else."""
    said = io.StringIO()
    on = () if "--on" in more else ("--on", "inline")
    track = () if "--track" in more else ("--track", "later")
    with redirect_stdout(said):
        code = main([str(sweep), "--runs", str(runs), *on, *track, *more])
    return code, said.getvalue()


@dataclass(frozen=True)
class Launched:
    """A sweep that was launched once, and what it said. Work on copies of `runs`."""

    sweep: Path
    runs: Path
    code: int
    said: str
    seconds: float


def launch_once(sweep: Path, runs: Path) -> Launched:
    """A first launch, timed, with MLflow."""
    begun = time.monotonic()
    code, said = launch(sweep, runs, "--track", "local")
    return Launched(sweep, runs, code, said, time.monotonic() - begun)


def markers(runs: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every finished result and its marker."""
    for path in sorted((runs / "store").glob("*/[!.]*/done.json")):  # not what was set aside
        yield path.parent, json.loads(path.read_text())


def attempts(runs: Path) -> dict[str, str]:
    """By stage and key, which attempt made each finished result: a rerun is another one."""
    return {f"{m['stage']}/{p.name}": m["attempt"] for p, m in markers(runs)}


def ran(before: dict[str, str], after: dict[str, str]) -> Counter[str]:
    """Stages run between two calls of `attempts`, and how often."""
    return Counter(k.split("/")[0] for k, v in after.items() if before.get(k) != v)


def _starts(path: Path) -> set[str]:
    return {"".join(part.partition("-")[:2]) for part in path.parts}


def outputs(folder: Path) -> dict[str, str]:
    """sha256 of every output below a folder, without what tells of clock, host or attempt."""
    passing = {"done.json", "task.json", ".lock", ".checked.json"}
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in passing and not {".work", ".broken-"} & _starts(p)
    }

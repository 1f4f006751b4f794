"""`benchmarks/gpu.py`: results travel in parts and go on elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu  # noqa: E402


@pytest.fixture
def store(tmp_path):
    """A finished stage, one at work with two checkpoints, and rendered pictures."""
    room = tmp_path / "there" / "store"
    files = {
        "warmstart/abc/G.safetensors": os.urandom(5000),
        "refine/.work/def-1/checkpoint/000000004000": os.urandom(300),
        "refine/.work/def-1/checkpoint/000000004000.sha256": b"4",
        "refine/.work/def-1/checkpoint/000000008000": os.urandom(400),
        "refine/.work/def-1/checkpoint/000000008000.sha256": b"8",
        "refine/.work/def-1/metrics.jsonl": b'{"step": 4000}\n{"step": 8000, "image_l1": 0.5}\n',
        "refine/.claim-def": b"somebody's",
        "render/ghi/faces.zip": b"pictures",
    }
    for name, data in files.items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_bytes(data)
    return room


def test_results_travel_in_parts(store, tmp_path):
    out, runs = tmp_path / "out", tmp_path / "here"
    out.mkdir()
    parts = gpu.pack(store, out, size=4096)
    assert parts == len(list(out.glob("results.tar.*"))) > 2
    assert max(f.stat().st_size for f in out.iterdir()) <= 4096
    gpu.unpack(out, runs)
    there = {str(f.relative_to(runs)): f.read_bytes() for f in runs.rglob("*") if f.is_file()}
    assert sorted(there) == [
        "store/refine/.work/def-1/checkpoint/000000008000",
        "store/refine/.work/def-1/checkpoint/000000008000.sha256",
        "store/refine/.work/def-1/metrics.jsonl",
        "store/warmstart/abc/G.safetensors",
    ]
    for name, data in there.items():
        assert data == (store.parent / name).read_bytes()
    assert gpu.unpack(out, runs) == 0  # what is there stays


@pytest.mark.parametrize("harm", ["flip", "remove"])
def test_a_damaged_part_is_named_and_nothing_is_written(store, tmp_path, harm, capsys):
    out, runs = tmp_path / "out", tmp_path / "here"
    out.mkdir()
    gpu.pack(store, out, size=4096)
    part = out / "results.tar.001"
    if harm == "flip":
        data = bytearray(part.read_bytes())
        data[10] ^= 1
        part.write_bytes(data)
    else:
        part.unlink()
    assert gpu.main(["--unpack", str(out), "--runs", str(runs)]) == 2
    assert str(part) in capsys.readouterr().err
    assert not runs.exists()


def test_a_part_that_does_not_end_is_stopped(tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    told = gpu.part([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "a", 0.5)
    assert told["ended"] == "when asked"
    told = gpu.part([sys.executable, "-c", code], tmp_path / "b", 1.5, saving=0.5)
    assert told["ended"] == "killed" and told["seconds"] < 20


def test_last_steps_and_rates(store):
    told = dict(gpu.trainings(store, hours=0.5))
    step = {"step": 8000, "image_l1": 0.5, "kimg_an_hour": 16.0}
    assert told == {"refine/.work/def-1": step}


@pytest.mark.slow
def test_a_training_goes_on_elsewhere(tmp_path, tiny_checkpoint):
    """Rehearsal on the CPU: a pretraining that cannot end in time goes on from what came out."""
    networks = json.loads((tiny_checkpoint / "config.json").read_text())
    sweep = tmp_path / "tiny.json"
    warm = dict(kimg=400, volume_kimg=400, identities=2, views=2, rays=8, coarse=4, fine=4,
                tick_kimg=0.02, perceptual_weight=0)  # fmt: skip
    sweep.write_text(json.dumps({
        "kind": "pretrain", "name": "tiny", "scale": "mini", "G": networks["G"],
        "D": networks["D"], "warmstart": warm, "adversarial": {"kimg": 1},
        "images": str(pictures(tmp_path)),
    }))  # fmt: skip
    out, runs = tmp_path / "out", tmp_path / "here"
    script = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]
    first = subprocess.run(
        [*script, "--out", str(out), "--minutes", "1.6", "--sweep", str(sweep), "--on", "inline",
         "--device", "cpu", "--no-benchmarks"],
        capture_output=True, text=True, timeout=240)  # fmt: skip
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout.splitlines()[-1])
    assert told["parts"]["doctor"]["ended"] == "by itself"
    assert told["parts"]["sweep"]["ended"] == "when asked", (out / "sweep.log").read_text()
    ((_, training),) = told["trainings"].items()
    assert gpu.main(["--unpack", str(out), "--runs", str(runs)]) == 0
    saved = max(int(f.name) for f in runs.rglob("checkpoint/*") if f.suffix == "")
    assert 0 < training["step"] <= saved
    log = tmp_path / "again.log"
    gpu.part([sys.executable, "-m", "jobs.launch", str(sweep), "--on", "inline", "--track", "later",
              "--runs", str(runs)], log, 45, saving=30)  # fmt: skip
    steps = [json.loads(line)["step"] for f in runs.rglob("metrics.jsonl")
             for line in f.read_text().splitlines()]  # fmt: skip
    assert steps == sorted(set(steps)) and steps[-1] > training["step"]


def pictures(folder):
    """Five identities of two views, 16 pixels."""
    import io

    import numpy as np
    from PIL import Image

    from sigmaflow.datasets.faces import ZipWriter, view_label

    rng = np.random.default_rng(0)
    with ZipWriter(folder / "faces.zip") as out:
        for seed in range(5):
            for view in range(2):
                stream = io.BytesIO()
                pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(stream, "PNG")
                out.add(stream.getvalue(), "png", view_label(seed, view), seed)
    return folder / "faces.zip"

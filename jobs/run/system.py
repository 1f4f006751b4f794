"""What a stage takes of its machine, once in a while: its own memory and CPU, its own GPU.

    runs/spool/<stage>/<key>.jsonl   one line a sample, appended by whoever works on the stage

No part of any result. Stages that end sooner than the first sample leave nothing.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.store.store import SHORT, Named

EVERY = 15.0  # seconds between samples
SPOOL = "spool"
QUERY = ("index", "utilization.gpu", "memory.used", "power.draw")
SHOWN = ("util", "mem_mb", "power_w")  # of each GPU, in the order of QUERY


def spool(root: str | Path, task: Named) -> Path:
    """Where the samples of a task lie; ``root`` is that of the store."""
    return Path(root).parent / SPOOL / task.stage.name / f"{task.key[:SHORT]}.jsonl"


def own_gpus(wanted: float) -> list[str]:
    """GPUs that this process was given, as nvidia-smi names them; none where it wants none."""
    if not wanted:
        return []
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return ["0"]  # torch's first, nobody has said otherwise
    return [one.strip() for one in given.split(",") if one.strip() and one.strip() != "-1"]


@contextlib.contextmanager
def watched(root: str | Path, task: Named, every: float = EVERY) -> Iterator[None]:
    """Sample this process in the background meanwhile."""
    done = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(spool(root, task), own_gpus(task.stage.gpu), every, done),
        name="system", daemon=True,
    )  # fmt: skip
    watch.start()
    try:
        yield
    finally:
        done.set()


def gpu_sample(gpus: Sequence[str]) -> dict[str, float]:
    """``gpu<index>_util`` (%), ``_mem_mb``, ``_power_w`` of these GPUs alone.

    What a GPU does not tell is left out. Raises OSError or subprocess.SubprocessError.
    """
    done = subprocess.run(
        ["nvidia-smi", f"--id={','.join(gpus)}", f"--query-gpu={','.join(QUERY)}",
         "--format=csv,noheader,nounits"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    said: dict[str, float] = {}
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        for name, value in zip(SHOWN, row[1:]):
            with contextlib.suppress(ValueError):  # "[N/A]"
                said[f"gpu{row[0]}_{name}"] = float(value)
    return said


def _watch(path: Path, gpus: list[str], every: float, done: threading.Event) -> None:
    process = None
    if gpus and shutil.which("nvidia-smi") is None:
        gpus = []
    while not done.wait(every):
        if process is None:
            import psutil

            process = psutil.Process()
            process.cpu_percent()  # the first call only sets the mark
            path.parent.mkdir(parents=True, exist_ok=True)
        with process.oneshot():
            said = {"cpu_percent": process.cpu_percent(),
                    "rss_mb": round(process.memory_info().rss / 2**20, 1)}
        if gpus:
            try:
                said |= gpu_sample(gpus)
            except (OSError, subprocess.SubprocessError):
                gpus = []  # it will not begin to work in the middle of a stage
        line = json.dumps({"time": round(time.time(), 1), **said}) + "\n"
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(line)

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
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.store.store import SHORT, Named
from jobs.store.ticker import Ticker

EVERY = 15.0  # seconds between samples
SPOOL = "spool"
QUERY = ("index", "utilization.gpu", "memory.used", "power.draw")
SHOWN = ("util", "mem_mb", "power_w")  # of each GPU, in the order of QUERY
_SAMPLES = Ticker("samples")


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
    watch = Watch(spool(root, task), own_gpus(task.stage.gpu))
    end = _SAMPLES.start(every, watch.sample)
    try:
        yield
    finally:
        end()


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


class Watch:
    """Samples of this process and its GPUs, appended to a file."""

    def __init__(self, path: Path, gpus: Sequence[str]) -> None:
        self._path, self._gpus = path, list(gpus)
        self._process: Any = None

    def sample(self) -> bool:
        """Append one. True: there may be more."""
        if self._process is None:
            self._begin()
        with self._process.oneshot():
            said = {
                "cpu_percent": self._process.cpu_percent(),
                "rss_mb": round(self._process.memory_info().rss / 2**20, 1),
            }
        if self._gpus:
            try:
                said |= gpu_sample(self._gpus)
            except (OSError, subprocess.SubprocessError):
                self._gpus = []  # it will not begin to work in the middle of a stage
        line = json.dumps({"time": round(time.time(), 1), **said}) + "\n"
        with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8") as file:
            file.write(line)
        return True

    def _begin(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only sets the mark
        if self._gpus and shutil.which("nvidia-smi") is None:
            self._gpus = []
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)

"""Kills a real stage at chosen points and lets a successor finish it.

    python killing.py SWEEP STORE STAGE FOLDER every [POINT ...]
    python killing.py SWEEP STORE STAGE FOLDER moments N

STORE holds the finished sweep. For each point a store with the stage's inputs alone is made in
FOLDER, a child runs the stage and dies at its n-th fsync, replace or rename (or by SIGKILL after a
share of the time that an undisturbed run takes), and another child finishes. One JSON line each:
the point, how the first child ended, and how the outputs differ from those in STORE. Everything is
imported before the first fork and no training runs in this process.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from deadly import ended, fork

import sigmaflow.finetune.loop
import sigmaflow.generators.checkpoint
import sigmaflow.rewards.baselines
import sigmaflow.rewards.train  # noqa: F401
from jobs.store.stage import Task
from jobs.store.store import MARKER, Store
from jobs.sweep.config import load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from sweeps import SCALES, outputs


def the_task(sweep: str, stage: str) -> Task:
    graph = SweepGraph(load(sweep, SweepConfig, scales=SCALES))
    first = graph.config.search.first[0]
    return {"reward": graph.reward, "finetune": graph.trial(0, first).finetune}[stage]


def main(sweep: str, source: str, stage: str, folder: str, how: str, *points: str) -> None:
    torch.set_num_threads(1)
    task, whole = the_task(sweep, stage), Store(source)
    want = outputs(whole.path(task))

    def fresh(name: str) -> Store:
        store = Store(Path(folder) / name)
        for need in task.needs():
            shutil.copytree(whole.path(need), store.path(need))
        return store

    def finish(store: Store, point: float, first: int) -> None:
        marker = store.path(task) / MARKER
        false_marker = marker.exists() and not store.verify(task)
        second = ended(fork(Path(store.root), task))
        got = outputs(store.path(task))
        wrong = sorted({k for k in want.keys() | got.keys() if want.get(k) != got.get(k)})
        print(json.dumps([point, first, second, wrong, false_marker]), flush=True)
        shutil.rmtree(store.root)

    if how == "every":
        chosen = [int(p) for p in points] or range(1, 1000)
        for point in chosen:
            store = fresh(f"at{point}")
            first = ended(fork(Path(store.root), task, point))
            finish(store, point, first)
            if first == 0:
                break
        return
    begun = time.monotonic()
    store = fresh("undisturbed")
    finish(store, 0, ended(fork(Path(store.root), task)))
    span, rng = time.monotonic() - begun, random.Random(7)
    for i in range(int(points[0])):
        store, share = fresh(f"moment{i}"), rng.uniform(0.02, 0.5)  # two runs are in the span
        pid = fork(Path(store.root), task)
        time.sleep(share * span)
        os.kill(pid, signal.SIGKILL)
        finish(store, share, ended(pid))


if __name__ == "__main__":
    main(*sys.argv[1:])

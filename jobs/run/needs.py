"""What a task asks of an executor: from what finished tasks like it took, else from its stage."""

from __future__ import annotations

import math
from pathlib import Path

from cluster.executor import Resources
from jobs.store.stage import Task

MARGIN = 1.15  # of main memory measured, for what differs from run to run
STEP = 256 * 2**20  # bytes to which it is rounded up: equal asks are served by one worker


class Needs:
    """Reads the store's history of a stage when the first task of it is to run."""

    def __init__(self, root: str | Path) -> None:
        from jobs.sweep.cost import Costs

        self._costs = Costs(root, "mini")  # only peaks are asked of it, which no scale changes
        self._peaks: dict[str, tuple[int, int]] = {}  # by what makes tasks alike

    def of(self, task: Task) -> Resources:
        """The largest peaks of finished tasks like it; a rough number where there are none.

        Trainings get whole GPUs, however little they were seen to take.
        """
        most, gpu_memory = self._largest(task)
        memory = MARGIN * most if most else self._costs.memory(task)
        return Resources(
            cpus=task.config["threads"],
            gpus=task.stage.gpu,
            memory=STEP * math.ceil(memory / STEP),
            gpu_memory=gpu_memory,
            actor=task.stage.actor,
            name=task.stage.name,
        )

    def learn(self, task: Task, memory: int, gpu_memory: int) -> None:
        """Peaks of a task that has just finished, bytes; 0: not measured."""
        if memory:
            before = self._largest(task)
            now = max(before[0], memory), max(before[1], gpu_memory)
            self._peaks[self._costs.kind(task)] = now

    def _largest(self, task: Task) -> tuple[int, int]:
        kind = self._costs.kind(task)
        if kind not in self._peaks:
            past = [one for one in self._costs.like(task) if one.memory]
            self._peaks[kind] = (
                max((one.memory for one in past), default=0),
                max((one.gpu_memory for one in past), default=0),
            )
        return self._peaks[kind]

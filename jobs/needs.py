"""What a task asks of an executor: from what finished tasks like it took, else from its stage."""

from __future__ import annotations

from pathlib import Path

from cluster.executor import Resources
from jobs.cost import Costs, Past
from jobs.stage import Task

MARGIN = 1.15  # of main memory measured, for what differs from run to run


class Needs:
    """Reads the store's history of a stage when the first task of it is to run."""

    def __init__(self, root: str | Path) -> None:
        self._costs = Costs(root, "mini")  # only peaks are asked of it, which no scale changes

    def of(self, task: Task) -> Resources:
        """The largest peaks of finished tasks like it; a rough number where there are none.

        Trainings get whole GPUs, however little they were seen to take.
        """
        past = [one for one in self._costs.like(task) if one.memory]
        memory = MARGIN * max(one.memory for one in past) if past else self._costs.memory(task)
        return Resources(
            cpus=task.config["threads"],
            gpus=task.stage.gpu,
            memory=int(memory),
            gpu_memory=max((one.gpu_memory for one in past), default=0),
            actor=task.stage.actor,
            name=task.stage.name,
        )

    def learn(self, task: Task, memory: int, gpu_memory: int) -> None:
        """Peaks of a task that has just finished, bytes."""
        if memory:
            self._costs.add(task, Past(self._costs.told(task), 0.0, 0.0, memory, gpu_memory))

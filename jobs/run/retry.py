"""Why a task failed, and whether and how it is tried again. The driver alone retries.

| cause | again | differently |
|---|---|---|
| preempted, time limit, node lost | many times, wherever there is room | no: from its last save |
| out of GPU memory | twice | alone on a whole GPU |
| out of host memory, worker killed | twice, once | twice the memory, then a whole machine |
| not finite | once, where it ran on a GPU | no: from its last save |
| damaged input | three times | no: once the input has been made again |
| bug | never | |

On a CPU every number of a run is drawn from its seed and the step, so a loss that was not finite
would be so again; sums on a GPU come out a little different each time.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from cluster.executor import Resources, WorkerLost
from jobs.store.sound import DamagedInput

if TYPE_CHECKING:
    from cluster.profile import Retries

Cause = Literal[
    "preempted", "time_limit", "node_lost", "gpu_memory", "host_memory", "worker_killed",
    "not_finite", "damaged", "bug",
]  # fmt: skip
WORDS: Mapping[Cause, str] = {
    "preempted": "preempted",
    "time_limit": "time limit",
    "node_lost": "node lost",
    "gpu_memory": "out of GPU memory",
    "host_memory": "out of host memory",
    "worker_killed": "worker killed",
    "not_finite": "not finite",
    "damaged": "damaged input",
    "bug": "bug",
}
PASSING: frozenset[Cause | None] = frozenset({"preempted", "time_limit", "node_lost"})
"""Causes that say nothing against the task."""
DAMAGED = 3  # times that inputs of one task are made again
ALL = 1 << 60  # bytes: as much as a machine has
_GPU_MEMORY = (
    "cuda out of memory", "hip out of memory", "cuda error: out of memory",
    "cublas_status_alloc_failed", "cudnn_status_alloc_failed",
)  # fmt: skip
_GPU_LOST = ("uncorrectable ecc", "gpu is lost", "fallen off the bus", "cuda error: unspecified")
_HOST_MEMORY = ("defaultcpuallocator", "cannot allocate memory", "can't allocate memory")
_SAID: Mapping[Cause, tuple[str, ...]] = {
    "gpu_memory": _GPU_MEMORY,
    "node_lost": _GPU_LOST,
    "host_memory": _HOST_MEMORY,
}
# States of a job of SLURM that ended it. A FAILED or CANCELLED one says nothing of the cause.
_SLURM: Mapping[str, Cause] = {
    "PREEMPTED": "preempted",
    "TIMEOUT": "time_limit",
    "DEADLINE": "time_limit",
    "NODE_FAIL": "node_lost",
    "BOOT_FAIL": "node_lost",
    "OUT_OF_MEMORY": "host_memory",
}


def cause_of(error: BaseException) -> Cause:
    """From what was raised, or what that was raised from."""
    seen: BaseException | None = error
    while seen is not None:
        if (cause := _one(seen)) != "bug":
            return cause
        seen = seen.__cause__
    return "bug"


def cause_in_slurm(state: str) -> Cause | None:
    """From SLURM's word for how a job ended, such as TIMEOUT; None where it says nothing."""
    return _SLURM.get(state)


def _one(error: BaseException) -> Cause:
    if isinstance(error, WorkerLost):
        return error.cause
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if isinstance(error, DamagedInput):
        return "damaged"
    if "OutOfMemoryError" in names:  # torch's, which is not imported for this
        return "gpu_memory"
    if isinstance(error, MemoryError):
        return "host_memory"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "host_memory"
    if isinstance(error, FloatingPointError):
        return "not_finite"
    if isinstance(error, ValueError) and "not finite" in text:  # a check of the science
        return "not_finite"
    if isinstance(error, RuntimeError):
        for cause, words in _SAID.items():
            if any(word in text for word in words):
                return cause
    return "bug"


@dataclass
class Attempts:
    """Of one task: what ended those that failed."""

    failures: Counter[Cause] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        """Of the next attempt, from 1."""
        return self.failures.total() + 1

    def again(self, cause: Cause, retries: Retries, on_gpu: bool = False) -> bool:
        """Count a failure; whether the task is to be tried again."""
        self.failures[cause] += 1
        if cause == "bug" or (cause == "not_finite" and not on_gpu):
            return False
        most = DAMAGED if cause == "damaged" else getattr(retries, cause)
        return self.failures[cause] <= most

    def changed(self, wanted: Resources) -> Resources:
        """What the next attempt asks for instead of ``wanted``."""
        if self.failures["gpu_memory"]:
            wanted = replace(wanted, alone=True)
        short = self.failures["host_memory"] + self.failures["worker_killed"]
        if short:
            wanted = replace(wanted, memory=2 * wanted.memory if short == 1 else ALL)
        return wanted

    def __str__(self) -> str:
        return told(self.failures)


def told(causes: Mapping[Any, int]) -> str:
    """Counts by cause, for people: "node lost 2 times, bug"."""
    return ", ".join(
        WORDS.get(cause, cause) + (f" {count} times" if count > 1 else "")
        for cause, count in causes.items()
    )

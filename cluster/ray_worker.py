"""What runs in a process of Ray before the function that was sent there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import gpus

CALLS = 2**31 - 1  # after so many Ray ends a process: never by itself


@dataclass(frozen=True)
class Conditions:
    """What must hold where a function runs."""

    gpus: float = 0  #: GPUs, or a share of one, that it was given
    accelerator: str = ""  #: and of which kind
    probe: tuple[str, str] | None = None  #: a file that is seen, and its text

    def check(self) -> None:
        """Raises WrongGPU, or RuntimeError where this machine does not see the probe."""
        if self.probe is not None and read(self.probe[0]) != self.probe[1]:
            raise RuntimeError(
                f"this machine does not see {Path(self.probe[0]).parent} as the one that launched "
                "does; it must be on a disk that all machines of the cluster share"
            )
        if self.gpus:
            import ray

            given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
            gpus.check([str(one) for one in given], self.accelerator)


Call = tuple[Conditions, Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments in one piece, which Ray packs and unpacks in the time of one."""


def call(it: Call) -> Any:
    """``function(*args)``, where the conditions hold."""
    conditions, function, args = it
    try:
        conditions.check()
        value = function(*args)
    except Exception:
        _last_call()
        raise
    if getattr(value, "spent", False):
        _last_call()
    return value


def _last_call() -> None:
    """Let Ray end this process once it has sent off what the present call gives.

    Ray has no word for this, but counts the calls of a function that may not have more than CALLS.
    """
    from ray._private.worker import global_worker

    with contextlib.suppress(AttributeError):
        functions: Any = global_worker.function_actor_manager
        for name, info in list(functions._function_execution_info.items()):
            if info.max_calls == CALLS:
                functions._num_task_executions[name] = CALLS - 1


class Box:
    """`call` in a process of its own."""

    def call(self, it: Call) -> Any:
        return call(it)


def read(path: str) -> str | None:
    """The text of a file, None where it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None

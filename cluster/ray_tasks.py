"""Functions as Ray tasks and actors, on whatever Ray this process is connected to."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cluster.executor import Executor, NodeLost, WorkerLost


class RayTasks(Executor):
    """Plain functions as Ray tasks, ``actor=True`` ones in an actor killed afterwards.

    Ray never retries: a function that dies is reported as WorkerLost, or NodeLost with its
    machine, and whoever submitted it decides. ``cpus`` and ``gpus`` are those of one node.
    """

    _ray: Any = None  #: the module, once this process is connected

    def __init__(self, cpus: int, gpus: int, gpu_fraction: float, slots: int) -> None:
        self.slots = slots
        self._cpus, self._gpus, self._gpu_fraction = cpus, gpus, gpu_fraction
        self._actors: dict[Any, Any] = {}

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        cpus: float = 1,
        gpus: float = 0,
        name: str = "",
        actor: bool = False,
    ) -> Any:
        cpus = min(cpus, self._cpus)  # more than there are would wait for ever
        gpus = min(gpus * self._gpu_fraction, self._gpus) if gpus else 0
        if not actor:
            # A process that has used a GPU keeps memory on it, so such a one is not used again.
            remote = self._ray.remote(
                num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1 if gpus else 0
            )(function)
            return remote.options(name=name or function.__name__).remote(*args)
        box = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(
            _Box
        ).remote()
        handle = box.call.options(name=name or function.__name__).remote(function, *args)
        self._actors[handle] = box
        return handle

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        if not handles:
            return []
        handles = list(handles)
        done, _ = self._ray.wait(handles, num_returns=1, timeout=timeout)
        if done and len(handles) > 1:
            done, _ = self._ray.wait(handles, num_returns=len(handles), timeout=0)
        return done

    def result(self, handle: Any) -> Any:
        from ray import exceptions

        try:
            return self._ray.get(handle)
        except exceptions.RayTaskError:
            raise  # what the function raised
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError) as error:
            raise NodeLost(f"the node was lost: {_first(error)}") from error
        except exceptions.OutOfMemoryError as error:
            raise WorkerLost(f"worker killed because memory ran out: {_first(error)}") from error
        except exceptions.RayError as error:  # its own, such as a crash or an actor out of reach
            if self._lost_a_node():
                raise NodeLost(f"killed, and a node was lost: {_first(error)}") from error
            raise WorkerLost(
                f"worker killed (by a signal, or out of memory?): {_first(error)}"
            ) from error
        finally:
            self._end(self._actors.pop(handle, None))

    def close(self) -> None:
        if self._ray is None or not self._ray.is_initialized():
            return
        for box in self._actors.values():
            self._end(box)
        self._actors.clear()
        with sigterm_kept():
            self._ray.shutdown()

    def _lost_a_node(self) -> bool:
        try:
            return any(not node["Alive"] for node in self._ray.nodes())
        except Exception:  # the head is gone too
            return True

    def _end(self, box: Any) -> None:
        if box is not None:
            with contextlib.suppress(Exception):  # gone already, or with all of Ray
                self._ray.kill(box)


class _Box:
    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


def _first(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Ray's start puts its own answer to SIGTERM in the place of ours, its end the system's, which
    is death; put ours back.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)

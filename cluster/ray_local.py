"""A Ray of our own on this machine: started here, stopped here, nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from cluster.executor import Executor, WorkerLost
from cluster.profile import Profile


class RayExecutor(Executor):
    """Plain functions as Ray tasks, ``actor=True`` ones in an actor killed afterwards.

    Ray never retries: a function that dies is reported as WorkerLost and whoever submitted it
    decides. Raises RuntimeError when this process already uses Ray.
    """

    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots()
        self._cpus, self._gpus = profile.cpu_count(), profile.gpu_count()
        self._gpu_fraction = profile.gpu_fraction
        self._actors: dict[Any, Any] = {}
        self._folder, self._lock = _own_folder()
        with _environment():
            import ray

            if ray.is_initialized():
                raise RuntimeError("Ray runs in this process already; shut it down first")
            self._ray = ray
            try:
                ray.init(
                    address="local",
                    num_cpus=max(self._cpus, 1),
                    num_gpus=self._gpus,
                    include_dashboard=False,
                    object_store_memory=profile.object_store_mb * 2**20,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=self._folder,
                )
            except BaseException:
                self.close()
                raise

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
        except exceptions.OutOfMemoryError as error:
            raise WorkerLost(f"worker killed because memory ran out: {_first(error)}") from error
        except (
            exceptions.WorkerCrashedError,
            exceptions.ActorDiedError,
            exceptions.NodeDiedError,
        ) as error:
            raise WorkerLost(
                f"worker killed (by a signal, or out of memory?): {_first(error)}"
            ) from error
        finally:
            box = self._actors.pop(handle, None)
            if box is not None:
                self._ray.kill(box)

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            if self._ray.is_initialized():
                for box in self._actors.values():
                    with contextlib.suppress(Exception):
                        self._ray.kill(box)
                self._actors.clear()
                self._ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def _own_folder() -> tuple[str, IO[bytes]]:
    """A folder for Ray with a lock that lives as long as we do; those of the dead are removed.

    Short, because sockets in it may not have names beyond 107 bytes.
    """
    for left in Path(tempfile.gettempdir()).glob("sf-*/alive"):
        with contextlib.suppress(OSError), open(left, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix="sf-")
    lock = open(Path(folder, "starting"), "wb")  # noqa: SIM115 - open while we live
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, Path(folder, "alive"))  # seen by others only once it is locked
    return folder, lock


class _Box:
    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """What Ray's processes inherit: our packages, a token of their own, no reports home."""
    root = str(Path(__file__).resolve().parent.parent)
    ours = {
        "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p),
        "RAY_AUTH_MODE": "token",  # Ray listens on this machine's own address
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who asked for no GPU sees none
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _first(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))

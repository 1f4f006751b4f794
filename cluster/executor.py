"""What every place to run functions in offers. Knows neither stages nor science."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.profile import Profile


class WorkerLost(RuntimeError):
    """The process that ran a function died; says why as far as that is known."""


class NodeLost(WorkerLost):
    """The machine that ran a function is gone; another may run it."""


class Executor(ABC):
    """Runs module-level functions somewhere. A context manager: leaving it closes it."""

    slots: int  #: how many functions may be submitted at once to good effect
    on_job: Callable[[str], None] | None = None
    """told the id of every batch job that works for this executor; whoever listens sets it"""

    @abstractmethod
    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        cpus: float = 1,
        gpus: float = 0,
        name: str = "",
        actor: bool = False,
    ) -> Any:
        """Start ``function(*args)`` and return a hashable handle.

        ``gpus`` is what it would like where the profile has any; ``actor`` gives it a process
        of its own.
        """

    @abstractmethod
    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        """The handles that are done, as soon as there is one, or after ``timeout`` seconds."""

    @abstractmethod
    def result(self, handle: Any) -> Any:
        """The value of a handle that is done; raises what it raised, or WorkerLost."""

    @abstractmethod
    def close(self) -> None:
        """Stop whatever still runs and clean up. May be called twice."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(profile: Profile) -> Executor:
    """Open the executor that a profile describes."""
    if profile.kind == "inline":
        from cluster.inline import InlineExecutor

        return InlineExecutor()
    if profile.kind == "ray":
        from cluster.ray_local import RayExecutor

        return RayExecutor(profile)
    raise ValueError(f"a profile of kind {profile.kind} needs more than itself to start")


class Lazily(Executor):
    """Opens a profile's executor at the first function, so that idle launches start nothing."""

    def __init__(
        self, profile: Profile, open_it: Callable[[Profile], Executor] | None = None
    ) -> None:
        self._profile, self._open = profile, open_it or start
        self._executor: Executor | None = None
        self.slots = profile.slots()

    def submit(self, function: Callable[..., Any], *args: Any, **resources: Any) -> Any:
        if self._executor is None:
            self._executor = self._open(self._profile)
            self.slots, self._executor.on_job = self._executor.slots, self.on_job
        return self._executor.submit(function, *args, **resources)

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        return self._executor.wait(handles, timeout) if self._executor else []

    def result(self, handle: Any) -> Any:
        return self._executor.result(handle)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()

"""What every place to run functions in offers. Knows neither stages nor science."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from cluster.profile import Profile


Loss = Literal["worker_killed", "host_memory", "node_lost", "preempted", "time_limit"]


class WorkerLost(RuntimeError):
    """The process that ran a function died; says why as far as that is known."""

    cause: Loss = "worker_killed"


class OutOfMemory(WorkerLost):
    """It was ended because main memory ran out."""

    cause: Loss = "host_memory"


class NodeLost(WorkerLost):
    """The machine that ran a function is gone; another may run it."""

    cause: Loss = "node_lost"


class Preempted(NodeLost):
    """The machine was taken away for somebody else's work."""

    cause: Loss = "preempted"


class Refused(RuntimeError):
    """The place does not take work as the profile describes it, or cannot be reached."""


@dataclass(frozen=True)
class Resources:
    """What a function wants. An executor gives what it has: never more, and never nothing at all.

    Numbers of GPUs count only where there are any. A share of a GPU is a guess, which a measured
    ``gpu_memory`` replaces.
    """

    cpus: float = 1
    gpus: float = 0  #: whole ones (1), or a share below 1 of one that is used with others
    memory: int = 0  #: bytes of main memory; 0: not known
    gpu_memory: int = 0  #: bytes on the GPU at their peak, as measured; 0: not known
    alone: bool = False  #: all of a GPU, whatever else is said
    actor: bool = False  #: where it gets a GPU: a process of its own, gone with the function
    name: str = ""  #: for people


NOTHING_SPECIAL = Resources()


class Executor(ABC):
    """Runs module-level functions somewhere. A context manager: leaving it closes it."""

    slots: int  #: how many functions may be submitted at once to good effect
    ahead: int = 0  #: and how many more, so that a next one waits where one ends
    on_job: Callable[[str], None] | None = None
    """told the id of every batch job that works for this executor; whoever listens sets it"""

    @abstractmethod
    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources = NOTHING_SPECIAL,
    ) -> Any:
        """Start ``function(*args)`` and return a hashable handle.

        A process may run one function after another. Where a value has an attribute ``spent`` that
        is true, or the function raises, its process runs nothing more.
        """

    @abstractmethod
    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        """The handles that are done, as soon as there is one, or after ``timeout`` seconds."""

    @abstractmethod
    def result(self, handle: Any) -> Any:
        """The value of a handle that is done; raises what it raised, or WorkerLost."""

    def withdraw(self, handle: Any) -> bool:
        """Take back a function that has not begun. Whether nobody need wait for it any more; where
        not, it ends by itself."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Stop whatever still runs and clean up. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(profile: Profile, shared: Path | None = None) -> Executor:
    """Open the executor that a profile describes.

    ``shared`` is a folder that all its machines must see; needed for the cluster at an address.
    Raises Refused where the place cannot be used as the profile says.
    """
    if profile.kind == "inline":
        from cluster.inline import InlineExecutor

        return InlineExecutor()
    if profile.kind == "ray" and profile.address is not None:
        from cluster.ray_cluster import ClusterRay

        if shared is None:
            raise ValueError("a cluster at an address needs a folder that all its machines see")
        return ClusterRay(profile, shared)
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

    @property
    def slots(self) -> int:  # type: ignore[override]  # nobody sets it: it is the executor's
        """Of the profile, and once it is open of the executor, which may change."""
        return self._profile.slots() if self._executor is None else self._executor.slots

    @property
    def ahead(self) -> int:  # type: ignore[override]  # nobody sets it: it is the executor's
        return 0 if self._executor is None else self._executor.ahead

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources = NOTHING_SPECIAL,
    ) -> Any:
        return self._opened().submit(function, *args, resources=resources)

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        return self._executor.wait(handles, timeout) if self._executor else []

    def result(self, handle: Any) -> Any:
        return self._opened().result(handle)

    def withdraw(self, handle: Any) -> bool:
        return self._opened().withdraw(handle)

    def _opened(self) -> Executor:
        if self._executor is None:
            self._executor = self._open(self._profile)
            self._executor.on_job = self.on_job
        return self._executor

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()

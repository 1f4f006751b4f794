"""Functions as Ray tasks and actors, on whatever Ray this process is connected to."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster import gpus, ray_worker
from cluster.executor import (
    NOTHING_SPECIAL,
    Executor,
    NodeLost,
    OutOfMemory,
    Preempted,
    Refused,
    Resources,
    WorkerLost,
)

if TYPE_CHECKING:
    from cluster.profile import RayProfile, SlurmProfile

LOOK = 5.0  # seconds after which machines are counted again
TOGETHER = 0.01  # seconds: blocks that began together end together, and are collected so
LATELY = 30.0  # seconds in which the death of a machine explains that of a worker


class RayTasks(Executor):
    """Functions as Ray tasks; those that want an actor in one that is killed afterwards, where they
    get a GPU or this executor does not ``reuse`` processes for them.

    Ray never retries: a function that dies is reported as WorkerLost, or NodeLost with its
    machine, and whoever submitted it decides. Nothing is asked that no machine has.
    """

    _ray: Any = None  #: the module, once this process is connected
    _probe: tuple[str, str] | None = None  #: a file that every machine must see, and its text
    reuse = True  #: whether what wants an actor and no GPU may share a process with others in turn

    def __init__(self, profile: RayProfile | SlurmProfile, slots: int) -> None:
        self.slots = slots
        self._profile = profile
        self._actors: dict[Any, Any] = {}
        self._remotes: dict[str, Any] = {}  # made once: Ray keeps each for ever
        self._machines: list[Mapping[str, float]] = []
        self._looked = float("-inf")
        self._dead: dict[Any, float] = {}  # machines, and when they were missed first

    @property
    def ahead(self) -> int:  # type: ignore[override]  # nobody sets it: it follows the slots
        """Where CPUs alone limit what runs at once, Ray keeps the next ones at hand."""
        return self.slots if getattr(self._profile, "parallel", "auto") == "auto" else 0

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources = NOTHING_SPECIAL,
    ) -> Any:
        asked = fit(resources, self._nodes(), self._profile)
        conditions = ray_worker.Conditions(
            asked["num_gpus"], self._profile.accelerator or "", self._probe
        )
        name = resources.name or function.__name__
        if not (resources.actor and (asked["num_gpus"] or not self.reuse)):
            # A process that has used a GPU keeps memory on it, so such a one is not used again.
            kind = "gpu" if asked["num_gpus"] else "cpu"
            remote = self._remote(kind).options(name=name, **asked)
            return remote.remote((conditions, function, args))
        box = self._remote("actor").options(**asked).remote()
        handle = box.call.options(name=name).remote((conditions, function, args))
        self._actors[handle] = box
        return handle

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        if not handles:
            return []
        handles = list(handles)
        done, _ = self._ray.wait(handles, num_returns=1, timeout=timeout)
        if done and len(handles) > 1:
            if self.ahead and len(handles) > self.slots:  # what follows is at hand, and begins
                time.sleep(TOGETHER)  # meanwhile undisturbed by us
            done, _ = self._ray.wait(handles, num_returns=len(handles), timeout=0)
        return list(done)

    def result(self, handle: Any) -> Any:
        from ray import exceptions

        try:
            return self._ray.get(handle)
        except exceptions.RayTaskError:
            raise  # what the function raised
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError) as error:
            raise NodeLost(f"the node was lost: {first_line(error)}") from error
        except exceptions.OutOfMemoryError as error:
            why = first_line(error)
            raise OutOfMemory(f"worker killed because memory ran out: {why}") from error
        except exceptions.RayError as error:  # its own, such as a crash or an actor out of reach
            if getattr(error, "preempted", False):
                raise Preempted(f"the node was taken away: {first_line(error)}") from error
            if self._lost_a_node():
                raise NodeLost(f"killed, and a node was lost: {first_line(error)}") from error
            raise WorkerLost(
                f"worker killed (by a signal, or out of memory?): {first_line(error)}"
            ) from error
        finally:
            self._end(self._actors.pop(handle, None))

    def withdraw(self, handle: Any) -> bool:
        """Only forgets it: cancelling would interrupt one that has begun meanwhile."""
        self._end(self._actors.pop(handle, None))
        return True

    def close(self) -> None:
        if self._ray is None or not self._ray.is_initialized():
            return
        for box in self._actors.values():
            self._end(box)
        self._actors.clear()
        with sigterm_kept():
            self._ray.shutdown()

    def _remote(self, kind: str) -> Any:
        if kind not in self._remotes:
            make = {
                "cpu": (dict(max_retries=0, max_calls=ray_worker.CALLS), ray_worker.call),
                "gpu": (dict(max_retries=0, max_calls=1), ray_worker.call),
                "actor": (dict(max_restarts=0, max_task_retries=0), ray_worker.Box),
            }
            options, what = make[kind]
            self._remotes[kind] = self._ray.remote(**options)(what)
        return self._remotes[kind]

    def _nodes(self) -> list[Mapping[str, float]]:
        """Resources of the machines that live now and can work."""
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            there = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._machines = [one for one in there if one.get("CPU")] or self._machines
        return self._machines

    def _lost_a_node(self) -> bool:
        self._looked = float("-inf")
        try:
            dead = {node.get("NodeID") for node in self._ray.nodes() if not node["Alive"]}
        except Exception:  # the head is gone too
            return True
        now = time.monotonic()
        for node in dead:
            self._dead.setdefault(node, now)
        return any(now - seen < LATELY for seen in self._dead.values())

    def _end(self, box: Any) -> None:
        if box is not None:
            with contextlib.suppress(Exception):  # gone already, or with all of Ray
                self._ray.kill(box)


def fit(
    wanted: Resources,
    machines: Sequence[Mapping[str, float]],
    profile: RayProfile | SlurmProfile,
) -> dict[str, Any]:
    """Ray's options for a function, so that there is a machine that has all of it.

    More than a machine has would wait for ever. Raises Refused where there are GPUs, but none of
    the profile's accelerator.
    """
    kind = None
    with_gpu = [one for one in machines if one.get("GPU")] if wanted.gpus else []
    if with_gpu and profile.accelerator:
        kinds = [gpus.label(profile.accelerator, one) for one in with_gpu]
        kind = next((one for one in kinds if one), None)
        if kind is None:
            there = sorted({n.removeprefix(gpus.PREFIX) for one in with_gpu for n in one
                            if n.startswith(gpus.PREFIX)})  # fmt: skip
            raise Refused(
                f"profile key accelerator: no GPU here is an {profile.accelerator}; there are: "
                f"{', '.join(there) or 'GPUs without a name'}"
            )
        with_gpu = [one for one, name in zip(with_gpu, kinds) if name == kind]
    largest = max(with_gpu or machines, key=lambda one: (one.get("memory", 0), one["CPU"]))
    part = gpus.share(wanted, profile.gpu_memory_gb, profile.gpu_fraction) if with_gpu else 0
    asked: dict[str, Any] = {
        "num_cpus": min(wanted.cpus, largest["CPU"]),
        "num_gpus": min(part, largest.get("GPU", 0)),
        "memory": int(min(wanted.memory, largest.get("memory", 0))),
    }
    return asked if kind is None else {**asked, "accelerator_type": kind}


def first_line(error: BaseException) -> str:
    """Of what it says; Ray says much."""
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

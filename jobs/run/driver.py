"""Runs a graph of tasks: finished ones are found, shared ones run once, the rest in order."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cluster.executor import Executor, Refused, WorkerLost
from cluster.profile import Retries
from jobs.output import redact
from jobs.run.attempt import Result, Status, failed, run_task
from jobs.run.needs import Needs
from jobs.run.retry import WORDS, Attempts
from jobs.run.stop import Stop, Stopped
from jobs.store.sound import LARGE, damage
from jobs.store.stage import Task, walk
from jobs.store.store import Store

LOOK = 0.2  # seconds between two looks at what running tasks say

log = logging.getLogger(__name__)

Kind = Status | Literal["start", "progress", "again"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a task."""

    kind: Kind  #: "again": an attempt failed and another follows
    task: Task
    result: Result | None = None  #: for hit, done, failed, blocked, again
    done: float = 0.0  #: for progress, out of ``total``
    total: float = 0.0
    note: str = ""  #: for progress; "again": the cause; after several attempts: what ended each


class Driver:
    """Runs tasks that may be added while others run.

    At most as many are submitted as the executor has slots, and those that it wants in hand, so
    neither it nor this process grows with what waits. A failed task is tried again where its cause
    deserves it (`jobs.run.retry`); if it fails for good it blocks those that need it and nobody
    else. Once ``stop`` is asked nothing is started any more, what runs is awaited, and `step`
    raises Stopped.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        on_event: Callable[[Event], None] | None = None,
        stop: Stop | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.results: dict[str, Result] = {}  #: by key, of all that ended
        self._store, self._executor, self._stop = store, executor, stop
        self._retries, self._needs = retries or Retries(), Needs(store.root)
        self._tell = on_event or (lambda event: None)
        self._order: dict[str, int] = {}  # of addition, of all that were ever added
        self._waiting: dict[str, tuple[Task, set[str]]] = {}  # for the keys in the set
        self._dependants: defaultdict[str, list[str]] = defaultdict(list)  # of those that wait
        self._ready: list[tuple[int, Task]] = []  # a heap
        self._running: dict[Any, Task] = {}  # by the executor's handle, in order of submission
        self._begun: set[str] = set()  # of those that run, told as started
        self._news: deque[Result] = deque()
        self._said: dict[str, tuple[float, float, str]] = {}  # of those that run
        self._looked = float("-inf")
        self._attempts: dict[str, Attempts] = {}  # of those that failed before

    @property
    def busy(self) -> bool:
        """Whether anything still runs, waits or has not been told by `step`."""
        return bool(self._waiting or self._ready or self._running or self._news)

    def add(self, tasks: Task | Iterable[Task]) -> None:
        """Ask for tasks and all that they need; ends at once for what is finished already."""
        for task in walk(tasks if isinstance(tasks, Task) else list(tasks), self._order):
            self._order[task.key] = len(self._order)
            if (path := self._found(task, LARGE)) is not None:
                self._end(task, Result(task.key, "hit", path))
            else:
                self._wait_or_ready(task)

    def recheck(self, tasks: Iterable[Task]) -> None:
        """Read the files of finished tasks before they are handed out, large ones too; damaged
        results are set aside and asked for again, so `busy` may be true afterwards."""
        for task in tasks:
            result = self.results.get(task.key)
            if result is not None and result.ok and self._found(task) is None:
                del self.results[task.key]
                self._make_again(task)

    def _found(self, task: Task, most: int | None = None) -> Path | None:
        """The finished result, if it is as it was published; a damaged one is set aside."""
        path = self._store.find(task)
        if path is None or (name := self._store.damaged(task, most)) is None:
            return path
        log.warning("%s", damage(task.label, path / name, self._store.set_aside(task)))
        return None

    def _make_again(self, task: Task) -> None:
        """Run a task once those of its inputs are there that are gone from the store."""
        for need in task.needs():
            known = self.results.get(need.key)
            if known is not None and known.ok and self._store.find(need) is None:
                del self.results[need.key]
                self._make_again(need)
        self._wait_or_ready(task)

    def step(self, timeout: float = 0.5) -> list[Result]:
        """Start what can start, wait up to ``timeout`` seconds, and return what ended.

        Raises Stopped when that was asked for and nothing runs any more.
        """
        self._submit()
        if self._running and self._stopping():
            self._withdraw()
        if not self._running and not self._news and self.busy and self._stopping():
            raise Stopped("stopped on request; the same command goes on")
        if self._running and not self._news:
            for handle in self._executor.wait(list(self._running), timeout):
                task = self._running.pop(handle)
                self._said.pop(task.key, None)
                self._begins(task)
                self._begun.discard(task.key)
                result = self._collect(task, handle)
                if result is None or result.status == "stopped":
                    heapq.heappush(self._ready, (self._order[task.key], task))
                elif self._again(task, result):
                    self._make_again(task)
                else:
                    self._end(task, result)
            self._submit()
            self._poll()
        news = list(self._news)
        self._news.clear()
        return news

    def _withdraw(self) -> None:
        """Do not wait until what has not begun has seen that it need not: it may take long to get
        a place and a process, and the time is short."""
        for handle, task in list(self._running.items()):
            if not self._store.claimed(task) and self._executor.withdraw(handle):
                del self._running[handle]
                self._begun.discard(task.key)
                heapq.heappush(self._ready, (self._order[task.key], task))

    def _stopping(self) -> bool:
        return self._stop is not None and self._stop.asked()

    def _wait_or_ready(self, task: Task) -> None:
        needs = {need.key: need for need in task.needs()}
        bad = [n for n in needs.values() if n.key in self.results and not self.results[n.key].ok]
        if bad:
            self._end(task, self._blocked(task, bad))
            return
        missing = {key for key in needs if key not in self.results}
        if not missing:
            heapq.heappush(self._ready, (self._order[task.key], task))
            return
        self._waiting[task.key] = (task, missing)
        for key in missing:
            self._dependants[key].append(task.key)

    def _blocked(self, task: Task, bad: list[Task]) -> Result:
        names = ", ".join(f"{n.label} ({self.results[n.key].status})" for n in bad)
        return Result(task.key, "blocked", error=f"needs {names}")

    def _submit(self) -> None:
        most = self._executor.slots + self._executor.ahead
        while self._ready and len(self._running) < most and not self._stopping():
            self._start(heapq.heappop(self._ready)[1])
        for task in itertools.islice(self._running.values(), self._executor.slots):
            self._begins(task)  # the others are only at hand

    def _begins(self, task: Task) -> None:
        if task.key not in self._begun:
            self._begun.add(task.key)
            self._tell(Event("start", task))

    def _start(self, task: Task) -> None:
        resources = self._needs.of(task)
        if (attempts := self._attempts.get(task.key)) is not None:
            resources = attempts.changed(resources)
        handle = self._executor.submit(
            run_task,
            str(self._store.root),
            task,
            *(() if self._stop is None else (0.5, self._stop)),
            resources=resources,
        )
        self._running[handle] = task

    def _collect(self, task: Task, handle: Any) -> Result | None:
        """How it ended; None where it was only killed on our way out."""
        try:
            result: Result = self._executor.result(handle)
        except Refused:
            raise
        except WorkerLost as error:
            if self._stopping():  # on its way out the system kills us all
                return None
            host = self._store.last_host(task)
            said = redact.text(str(error))
            result = Result(task.key, "failed", error=said, cause=error.cause, node=host)
        except Exception as error:
            result = failed(task, error, 0.0)
        attempts = self._attempts.get(task.key)
        return replace(result, attempt=attempts.number) if attempts else result

    def _again(self, task: Task, result: Result) -> bool:
        """Whether a task that has failed is to be tried once more."""
        if result.status != "failed":
            return False
        attempts = self._attempts.setdefault(task.key, Attempts())
        on_gpu = result.usage.gpu_memory > 0
        if not attempts.again(result.cause or "bug", self._retries, on_gpu) or self._stopping():
            return False
        self._tell(Event("again", task, result, note=WORDS[result.cause or "bug"]))
        return True

    def _end(self, task: Task, result: Result) -> None:
        self.results[task.key] = result
        self._news.append(result)
        if result.status == "done":
            self._needs.learn(task, result.usage.memory, result.usage.gpu_memory)
        attempts = self._attempts.pop(task.key, None)
        more = attempts is not None and (result.ok or result.attempt > 1)
        self._tell(Event(result.status, task, result, note=str(attempts) if more else ""))
        for key in self._dependants.pop(task.key, ()):
            if key not in self._waiting:  # blocked by another of its inputs
                continue
            above, missing = self._waiting[key]
            missing.discard(task.key)
            if not result.ok:
                del self._waiting[key]
                self._end(above, self._blocked(above, [task]))
            elif not missing:
                del self._waiting[key]
                heapq.heappush(self._ready, (self._order[key], above))

    def _poll(self) -> None:
        if time.monotonic() - self._looked < LOOK:  # small tasks end faster than anybody reads
            return
        self._looked = time.monotonic()
        for task in self._running.values():
            said = self._store.progress(task)
            if said is None:
                continue
            now = (said.get("done", 0.0), said.get("total", 0.0), said.get("note", ""))
            if self._said.get(task.key) != now:
                self._said[task.key] = now
                self._tell(Event("progress", task, done=now[0], total=now[1], note=now[2]))


def run_graph(
    tasks: Task | Iterable[Task],
    store: Store,
    executor: Executor,
    on_event: Callable[[Event], None] | None = None,
) -> dict[str, Result]:
    """Run tasks and all they need to the end. Results by key, of failed and blocked ones too."""
    driver = Driver(store, executor, on_event)
    driver.add(tasks)
    while driver.busy:
        driver.step()
    return driver.results

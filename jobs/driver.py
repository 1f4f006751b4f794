"""Runs a graph of tasks: finished ones are found, shared ones run once, the rest in order."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from cluster.executor import Executor, NodeLost, WorkerLost
from jobs import redact
from jobs.run import Result, run_task
from jobs.stage import Task, walk
from jobs.stop import Stop, Stopped
from jobs.store import Store

NODE_LOSSES = 3  # of one task, after which it counts as failed

Kind = Literal["start", "progress", "hit", "done", "failed", "blocked"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a task."""

    kind: Kind
    task: Task
    result: Result | None = None  #: for hit, done, failed, blocked
    done: float = 0.0  #: for progress, out of ``total``
    total: float = 0.0
    note: str = ""


class Driver:
    """Runs tasks that may be added while others run.

    A failed task blocks those that need it and nobody else. One whose node was lost runs again.
    Once ``stop`` is asked nothing is started any more, what runs is awaited, and `step` raises
    Stopped.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        on_event: Callable[[Event], None] | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.results: dict[str, Result] = {}  #: by key, of all that ended
        self._store, self._executor, self._stop = store, executor, stop
        self._tell = on_event or (lambda event: None)
        self._seen: set[str] = set()  # keys of all that were ever added
        self._waiting: dict[str, Task] = {}  # not submitted, in order of addition
        self._running: dict[Any, Task] = {}  # by the executor's handle
        self._news: list[Result] = []
        self._said: dict[str, tuple[float, float, str]] = {}
        self._losses: Counter[str] = Counter()  # nodes lost, by key

    @property
    def busy(self) -> bool:
        """Whether anything still runs, waits or has not been told by `step`."""
        return bool(self._waiting or self._running or self._news)

    def add(self, tasks: Task | Iterable[Task]) -> None:
        """Ask for tasks and all that they need; ends at once for what is finished already."""
        for task in walk(tasks if isinstance(tasks, Task) else list(tasks)):
            if task.key in self._seen:
                continue
            self._seen.add(task.key)
            if (path := self._store.find(task)) is not None:
                self._end(task, Result(task.key, "hit", path))
            else:
                self._waiting[task.key] = task

    def step(self, timeout: float = 0.5) -> list[Result]:
        """Start what can start, wait up to ``timeout`` seconds, and return what ended.

        Raises Stopped when that was asked for and nothing runs any more.
        """
        self._submit()
        if not self._running and not self._news and self._waiting and self._stopping():
            raise Stopped("stopped on request; the same command goes on")
        if self._running and not self._news:
            for handle in self._executor.wait(list(self._running), timeout):
                task = self._running.pop(handle)
                result = self._collect(task, handle)
                if result is None or result.status == "stopped":
                    self._waiting[task.key] = task
                else:
                    self._end(task, result)
            self._poll()
            self._submit()
        news, self._news = self._news, []
        return news

    def _stopping(self) -> bool:
        return self._stop is not None and self._stop.asked()

    def _submit(self) -> None:
        stopping = self._stopping()
        for task in list(self._waiting.values()):
            needs = list(task.needs())
            bad = [n for n in needs if n.key in self.results and not self.results[n.key].ok]
            if bad:
                del self._waiting[task.key]
                names = ", ".join(f"{n.label} ({self.results[n.key].status})" for n in bad)
                self._end(task, Result(task.key, "blocked", error=f"needs {names}"))
            elif all(n.key in self.results for n in needs):
                if len(self._running) < self._executor.slots and not stopping:
                    del self._waiting[task.key]
                    self._start(task)

    def _start(self, task: Task) -> None:
        handle = self._executor.submit(
            run_task,
            os.path.abspath(self._store.root),
            task,
            *(() if self._stop is None else (0.5, self._stop)),
            cpus=task.config["threads"],
            gpus=task.stage.gpu,
            name=task.stage.name,
            actor=task.stage.actor,
        )
        self._running[handle] = task
        self._tell(Event("start", task))

    def _collect(self, task: Task, handle: Any) -> Result | None:
        """How it ended; None where that says nothing about the task, which must run again."""
        try:
            return self._executor.result(handle)
        except WorkerLost as error:
            if self._stopping():  # on its way out the system kills us all
                return None
            if isinstance(error, NodeLost) and self._losses[task.key] < NODE_LOSSES:
                self._losses[task.key] += 1
                return None
            return Result(task.key, "failed", error=redact.text(str(error)))
        except Exception:
            return Result(task.key, "failed", error=redact.text(traceback.format_exc()))

    def _end(self, task: Task, result: Result) -> None:
        self.results[task.key] = result
        self._news.append(result)
        self._tell(Event(result.status, task, result))

    def _poll(self) -> None:
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

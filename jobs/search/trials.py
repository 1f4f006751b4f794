"""A search over trials, each a graph of tasks, all on one driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs.run.attempt import Result
from jobs.run.driver import Driver
from jobs.search.samplers import Params
from jobs.search.search import Search
from jobs.store.stage import Task


def run_trials(
    search: Search,
    count: int,
    driver: Driver,
    plan: Callable[[int, Params], Task],
    values: Callable[[Path], Sequence[float] | None],
    on_trial: Callable[[int, Params, Task, Result | None], None] | None = None,
    violations: Callable[[Path], Mapping[str, float]] | None = None,
) -> dict[int, Task]:
    """Ask, run and tell until ``count`` trials have ended; their last tasks by number.

    ``plan`` makes a trial's graph and returns its last task; ``values`` reads the objectives
    from that task's folder, ``violations`` how far it oversteps constraints. ``on_trial`` hears of
    each trial when it is planned (no result yet) and when it ended. A trial that fails is told as
    failed; the others go on.
    """
    tasks: dict[int, Task] = {}
    ended: set[int] = set()
    said = on_trial or (lambda number, params, task, result: None)
    while len(ended) < count:
        while len(tasks) < count and search.can_ask():
            number = len(tasks)
            params = search.ask(number)
            tasks[number] = plan(number, params)
            said(number, params, tasks[number], None)
            driver.add(tasks[number])
        driver.step()
        for number, task in tasks.items():
            result = driver.results.get(task.key)
            if number not in ended and result is not None:
                ended.add(number)
                if result.path is None:
                    search.tell(number, None)
                else:
                    over = violations(result.path) if violations else {}
                    search.tell(number, values(result.path), over)
                said(number, search.trials[number], task, result)
    return tasks

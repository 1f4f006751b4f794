"""A search over toy stages in a process of its own, which may be told to die at a moment.

    python searching.py RUNS COUNT [MOMENT [NUMBER]]

MOMENT is `proposed`, `journalled` (asked, not yet planned), `torn` (half a line in the journal),
`working`, `ended` (not yet told) or `told`, each of trial NUMBER.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from toys import COUNT

import jobs.run.attempt
import jobs.search.journal
from cluster.inline import InlineExecutor
from jobs.run.driver import Driver
from jobs.search.search import Search
from jobs.search.trials import run_trials
from jobs.store.stage import Task
from jobs.store.store import Store

WAYS = {"total": "maximize", "rest": "minimize"}


def main(runs: str, count: str, moment: str = "", number: str = "-1") -> None:
    folder, at = Path(runs), int(number)

    def die(now: str, trial: int) -> None:
        if (now, trial) == (moment, at):
            os._exit(9)

    class Deadly(jobs.search.journal.Journal):
        def ask(self, params):
            trial = len(search.trials)
            die("proposed", trial)
            super().ask(params)
            if (moment, at) == ("torn", trial):
                with open(search.path, "r+b") as file:
                    file.truncate(os.path.getsize(search.path) - 20)
                os._exit(9)
            die("journalled", trial)

        def tell(self, trial, values, violations):
            die("ended", trial)
            super().tell(trial, values, violations)
            die("told", trial)

    def plan(trial: int, params: dict) -> Task:
        config = {"threads": 1, "steps": 5, "every": 1, "pause": 0.02, "runs": str(folder / "ran")}
        task = Task(COUNT, {**config, "seed": int(params["x"] * 1e6)})
        if (moment, at) == ("working", trial):
            log = jobs.run.attempt.Context.log

            def last_words(self, step, **values):
                log(self, step, **values)
                if step == 3 and self.config == task.config:
                    os._exit(9)

            jobs.run.attempt.Context.log = last_words
        return task

    def numbers(path: Path) -> tuple[float, float]:
        total = json.loads((path / "deep" / "total.json").read_text())
        return total, -total / 2

    import jobs.search.search as module

    module.Journal = Deadly
    folder.mkdir(parents=True, exist_ok=True)
    search = Search(
        folder / "toy.journal", {"x": {"low": 0.0, "high": 9.0}}, 1, 2, WAYS, [{"x": 5.0}],
        startup=3, limits={"total": {"max": 5e5}},
    )  # fmt: skip
    with InlineExecutor() as executor:
        driver = Driver(Store(folder / "store"), executor)
        run_trials(
            search,
            int(count),
            driver,
            plan,
            numbers,
            violations=lambda path: {"total max": numbers(path)[0] - 5e5},
        )
    search.close()
    print(json.dumps([search.trials, search.pareto()]))


if __name__ == "__main__":
    main(*sys.argv[1:])

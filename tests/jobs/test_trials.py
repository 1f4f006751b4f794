import json

from toys import COUNT, FAIL, counting

from cluster.inline import InlineExecutor
from jobs.run.driver import Driver
from jobs.search.search import Search
from jobs.search.trials import run_trials
from jobs.store.stage import Task
from jobs.store.store import Store


def test_a_search_runs_to_its_end_and_again_from_the_store(tmp_path):
    shared = counting(seed=99, runs=str(tmp_path / "runs"))

    def plan(number, params):
        if number == 2:
            return Task(FAIL, {"threads": 1, "mended": str(tmp_path / "never")})
        config = {"threads": 1, "steps": 4, "runs": str(tmp_path / "runs")}
        return Task(COUNT, {**config, "seed": int(params["x"] * 1000)}, {"s": shared})

    def values(path):
        total = json.loads((path / "deep" / "total.json").read_text())
        return total, -total

    seen, logs = [], []
    for journal in ("a.log", "a.log", "b.log"):
        with InlineExecutor() as executor:
            search = Search(
                tmp_path / journal, {"x": {"low": 0, "high": 9}}, 1, 2,
                {"a": "maximize", "b": "minimize"}, [{"x": 5}], startup=2,
            )  # fmt: skip
            heard = []
            tasks = run_trials(
                search, 6, Driver(Store(tmp_path / "store"), executor), plan, values,
                lambda n, params, task, result, heard=heard: heard.append((n, result is None)),
            )  # fmt: skip
            search.close()
        seen.append([task.key for task in tasks.values()])
        logs.append((tmp_path / "runs").read_text())
        assert search.values[2] is None and len(search.values) == 6 and search.pareto()
        assert sorted(heard) == sorted((n, new) for n in range(6) for new in (True, False))
    assert seen[0] == seen[1] == seen[2] and logs[0] == logs[1] == logs[2]
    assert logs[0].split().count("99") == 1

import json
from dataclasses import replace

from toys import COUNT, FAIL, counting, graph

from cluster.inline import InlineExecutor
from jobs.run.driver import Driver, run_graph
from jobs.store.stage import Task, walk
from jobs.store.store import Store


def run(task, root, events=None):
    with InlineExecutor() as executor:
        return run_graph(task, Store(root), executor, events)


def test_shared_tasks_run_once_and_a_second_launch_runs_nothing(tmp_path):
    log = tmp_path / "runs"
    first, second = graph(log, "a "), graph(log, "b ")
    results = run([first, second], tmp_path / "store")
    assert log.read_text().split() == ["1", "2", "3", "join", "join"]
    assert (results[first.key].path / "joined.txt").read_text().startswith("a ")
    assert {r.status for r in run([first, second], tmp_path / "store").values()} == {"hit"}
    assert len(log.read_text().split()) == 5


def test_a_changed_field_reruns_only_what_depends_on_it(tmp_path):
    log = tmp_path / "runs"
    run(graph(log), tmp_path / "store")
    log.unlink()
    run(graph(log, seeds=(1, 2, 4)), tmp_path / "store")
    assert log.read_text().split() == ["4", "join"]
    log.unlink()
    run(graph(log, word="other"), tmp_path / "store")
    assert log.read_text().split() == ["join"]


def test_a_truncated_output_reruns_only_that_stage(tmp_path):
    log, store = tmp_path / "runs", Store(tmp_path / "store")
    task = graph(log)
    results = run(task, store.root)
    part = next(task.needs())
    whole = {p.name: p.read_bytes() for p in results[part.key].path.rglob("*.json*")}
    file = results[part.key].path / "deep" / "total.json"
    file.write_bytes(file.read_bytes()[:-1])
    log.unlink()
    run(task, store.root)
    assert log.read_text().split() == ["1"]
    assert file.read_bytes() == whole["total.json"]
    assert list(file.parents[2].glob(".broken-*"))


def test_a_failure_blocks_its_dependants_and_is_tried_again(tmp_path):
    store, mended = Store(tmp_path / "store"), tmp_path / "mended"
    bad = Task(FAIL, {"threads": 1, "mended": str(mended)})
    above = Task(COUNT, {"threads": 1, "steps": 2}, {"bad": bad})
    events = []
    results = run([above, counting()], store.root, events.append)
    assert [results[t.key].status for t in (bad, above, counting())] == [
        "failed", "blocked", "done",
    ]  # fmt: skip
    assert "not mended yet" in results[bad.key].error
    assert "fail (failed)" in results[above.key].error
    assert "not mended yet" in store.error(bad)["error"]
    assert store.find(bad) is None and not store.path(bad).exists()
    mended.touch()
    assert all(r.ok for r in run(above, store.root).values())
    assert store.error(bad) is None
    assert {e.kind for e in events} == {"start", "failed", "blocked", "done"}


def test_tasks_can_be_added_while_others_run(tmp_path):
    with InlineExecutor() as executor:
        driver = Driver(Store(tmp_path), executor)
        driver.add(counting(seed=1))
        seen = [r.status for r in driver.step()]
        driver.add([counting(seed=1), counting(seed=2)])
        while driver.busy:
            seen += [r.status for r in driver.step()]
    assert seen == ["done", "done"]


def test_task_json_tells_people_what_it_was(tmp_path):
    task = graph()
    path = run(task, tmp_path)[task.key].path
    spec = json.loads((path / "task.json").read_text())
    assert spec["key"] == task.key and spec["inputs"]["parts"] == [n.key for n in task.needs()]


def test_walk_has_inputs_first_and_each_task_once():
    shared = counting()
    two = [Task(replace(COUNT, name=n), {"threads": 1}, {"x": shared}) for n in "ab"]
    top = Task(COUNT, {"threads": 1}, {"x": two})
    assert [t.key for t in walk(top)] == [t.key for t in (shared, *two, top)]


def test_no_more_is_submitted_than_there_are_slots_and_the_order_is_kept(tmp_path):
    class Narrow(InlineExecutor):
        slots, most, order = 3, 0, []

        def submit(self, function, *args, resources):
            self.open = getattr(self, "open", 0) + 1
            self.most = max(self.most, self.open)
            self.order.append(args[1].config["seed"])
            return super().submit(function, *args, resources=resources)

        def result(self, handle):
            self.open -= 1
            return super().result(handle)

    executor = Narrow()
    run_graph([counting(seed=i) for i in range(20)], Store(tmp_path), executor)
    assert executor.most == 3 and executor.order == list(range(20))


def test_what_is_handed_over_is_a_path(tmp_path):
    """However large a result is, the driver and the executor see its folder's name only."""
    import pickle

    class Weighing(InlineExecutor):
        most = 0

        def result(self, handle):
            value = super().result(handle)
            self.most = max(self.most, len(pickle.dumps((handle.args, value))))
            return value

    executor = Weighing()
    results = run_graph(graph(steps=2000), Store(tmp_path), executor)
    large = max(p.stat().st_size for r in results.values() for p in r.path.rglob("*.jsonl"))
    assert large > 40_000 and executor.most < 4_000


class Hoarding(InlineExecutor):
    """Takes one more in hand than it runs, as Ray does."""

    ahead = 1


def test_what_is_only_at_hand_has_not_started(tmp_path):
    events = []
    tasks = [counting(word=str(n)) for n in range(3)]
    with Hoarding() as executor:
        results = run_graph(tasks, Store(tmp_path), executor, events.append)
    assert all(results[task.key].status == "done" for task in tasks)
    told = [(e.kind, e.task.key) for e in events if e.kind in ("start", "done")]
    assert told == [(kind, task.key) for task in tasks for kind in ("start", "done")]

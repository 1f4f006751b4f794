"""What a driver does when it is told to stop, and when machines go away."""

import pytest
import toys

from cluster.executor import NodeLost, WorkerLost
from cluster.inline import InlineExecutor
from cluster.profile import Retries
from jobs.run.attempt import run_task
from jobs.run.driver import Driver
from jobs.run.stop import Stop, Stopped
from jobs.store.store import Store

LOSSES = Retries().node_lost


class Unlucky(InlineExecutor):
    """Loses the first functions, each with the next of these errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def submit(self, function, *args, resources):
        self.calls += 1
        if self.errors:
            error = self.errors.pop(0)

            def function(*_):
                raise error

        return super().submit(function, *args, resources=resources)


def run(driver, task):
    driver.add(task)
    while driver.busy:
        driver.step(0.01)
    return driver.results[task.key]


def test_what_was_lost_with_its_node_runs_again(tmp_path):
    executor = Unlucky(*[NodeLost("gone")] * LOSSES)
    assert run(Driver(Store(tmp_path), executor), toys.counting()).status == "done"
    assert executor.calls == LOSSES + 1


def test_a_task_that_takes_every_node_with_it_fails(tmp_path):
    executor = Unlucky(*[NodeLost("gone")] * (LOSSES + 1))
    result = run(Driver(Store(tmp_path), executor), toys.counting())
    assert result.status == "failed" and "gone" in result.error


def test_a_killed_worker_on_a_living_node_is_retried_once(tmp_path):
    executor = Unlucky(WorkerLost("killed"))
    assert run(Driver(Store(tmp_path / "one"), executor), toys.counting()).status == "done"
    executor = Unlucky(*[WorkerLost("killed")] * 2)
    assert run(Driver(Store(tmp_path / "two"), executor), toys.counting()).status == "failed"


def test_once_asked_nothing_starts_and_what_waits_is_not_told_as_ended(tmp_path):
    stop, events = Stop(str(tmp_path / "stop")), []
    driver = Driver(Store(tmp_path / "store"), InlineExecutor(), events.append, stop)
    graph = toys.graph(steps=4, every=1)
    driver.add(graph)
    driver.step(0.01)
    stop.ask()
    with pytest.raises(Stopped):
        while driver.busy:
            driver.step(0.01)
    assert {e.kind for e in events} <= {"start", "done", "progress"} and not driver.results.get(
        graph.key
    )
    again = Driver(Store(tmp_path / "store"), InlineExecutor())
    assert run(again, graph).ok


def test_workers_killed_on_the_way_out_are_no_failures(tmp_path):
    stop = Stop(str(tmp_path / "stop"))
    driver = Driver(Store(tmp_path / "store"), Unlucky(WorkerLost("killed")), stop=stop)
    driver.add(toys.counting())
    driver._submit()
    stop.ask()
    with pytest.raises(Stopped):
        while driver.busy:
            driver.step(0.01)
    assert not driver.results


class Slow(InlineExecutor):
    """Never gets to what it has in hand."""

    def wait(self, handles, timeout):
        return []

    def withdraw(self, handle):
        return True


def test_what_has_not_begun_is_not_waited_for(tmp_path):
    stop, store, task = Stop(str(tmp_path / "stop")), Store(tmp_path / "store"), toys.counting()
    driver = Driver(store, Slow(), stop=stop)
    driver.add(task)
    driver.step(0)
    with store.claim(task):
        stop.ask()
        driver.step(0)  # it has begun
    with pytest.raises(Stopped):
        driver.step(0)
    assert run(Driver(store, InlineExecutor()), task).ok


def test_a_finished_graph_ends_in_spite_of_a_stop(tmp_path):
    task, stop = toys.counting(), Stop(str(tmp_path / "stop"))
    run_task(str(tmp_path / "store"), task)
    stop.ask()
    driver = Driver(Store(tmp_path / "store"), InlineExecutor(), stop=stop)
    assert run(driver, task).status == "hit"

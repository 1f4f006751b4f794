"""Workers where SLURM fails us, against commands that fail as real ones do."""

from __future__ import annotations

import contextlib
import time

import pytest
import toys

from cluster.profile import SlurmWorkersProfile
from cluster.slurm import Refused
from cluster.slurm_workers import FRUITLESS, WorkersExecutor
from jobs import cancel, status
from jobs.run import worker
from jobs.run.attempt import Result, run_task
from jobs.run.queue import Queue
from jobs.store.ledger import Ledger, launches

pytest.importorskip("submitit")


@pytest.fixture
def hall(tmp_path, site):
    """An executor of workers that exist only in squeue; tests play them."""
    runs = tmp_path / "runs"
    home = runs / "slurm" / "mine"
    home.mkdir(parents=True)

    def make(**profile) -> WorkersExecutor:
        p = SlurmWorkersProfile(**{"workers": 3, "poll_s": 0.001, **profile})
        return WorkersExecutor(p, "mine", Queue(runs), home, worker.enter, tmp_path / "spec")

    make.runs, make.home = runs, home
    return make


def offer(executor, *tasks):
    return [executor.submit(run_task, "store", task) for task in tasks]


def test_as_many_workers_as_there_is_work_for(hall, site):
    executor = hall()
    first = offer(executor, toys.counting(seed=1))
    assert executor.wait(first, 0) == [] and executor._workers == ["17"]
    more = offer(executor, *(toys.counting(seed=s) for s in range(2, 7)))
    executor.wait(first + more, 0.01)
    assert executor._workers == ["17", "18_0", "18_1"]
    assert {r.status for r in worker.work(hall.runs, 0)} == {"done"}
    assert len(executor.wait(first + more, 5)) == 6
    results = [executor.result(handle) for handle in first + more]
    assert all(isinstance(r, Result) and r.status == "done" for r in results)
    executor.close()
    assert (hall.home / "drain").exists()
    assert site.calls("scancel") == ["scancel 17 18_0 18_1"]
    assert not list((hall.runs / "queue").iterdir())


def test_workers_whose_driver_left_are_cancelled(hall, site, told):
    with contextlib.suppress(KeyboardInterrupt):
        with Ledger(hall.runs, "mine", kind="sweep", scale="mini") as ledger, hall() as executor:
            executor.on_job = ledger.slurm_job
            executor.wait(offer(executor, toys.counting(seed=1), toys.counting(seed=2)), 0)
            site.says("17|0|RUNNING|None", "17|1|PENDING|Priority", "9|N/A|RUNNING|None")
            raise KeyboardInterrupt
    (launch,) = launches(ledger.folder.parent)
    assert launch.state == "stopped" and launch.record["slurm_jobs"] == ["3", "17_0", "17_1"]
    assert "SLURM job 3, 17_0, 17_1" in told(status, hall.runs)[1]
    code, said = told(cancel, hall.runs)
    assert code == 0 and site.calls("scancel") == ["scancel 17_0 17_1"], said


def test_lost_workers_are_replaced(hall, site):
    executor = hall(workers=1)
    handles = offer(executor, toys.counting())
    executor.wait(handles, 0)
    site.says()  # the node went, and the job with it
    executor.wait(handles, 0.01)
    assert executor._workers == ["18"]


def test_workers_that_end_at_once_are_not_hired_for_ever(hall, site):
    executor = hall(workers=1)
    handles = offer(executor, toys.counting())
    with pytest.raises(Refused, match="(?s)without beginning anything.*python: not found"):
        for _ in range(20):
            executor.wait(handles, 0.01)
            job = (site.folder / "last").read_text().strip()
            logs = hall.home / "jobs" / job
            logs.mkdir(parents=True, exist_ok=True)
            (logs / f"{job}_0_log.err").write_text("python: not found\n")
            site.says()
    assert FRUITLESS <= len(site.calls("sbatch")) <= FRUITLESS + 2


def test_a_driver_that_comes_back_finds_its_workers(hall, site):
    executor = hall()
    executor.wait(offer(executor, toys.counting()), 0)
    executor.close()  # Ctrl-C
    assert not (hall.home / "drain").exists() and not site.calls("scancel")
    again = hall()
    again.wait(offer(again, toys.counting()), 0)
    assert again._workers == ["17"] and len(site.calls("sbatch")) == 1


def test_a_driver_goes_on_while_slurm_is_away(hall, site):
    executor = hall()
    handles = offer(executor, toys.counting())
    executor.wait(handles, 0)
    (site.folder / "away").touch()
    assert executor.wait(handles, 0.01) == []
    worker.work(hall.runs, 0)
    assert executor.wait(handles, 5) == handles
    executor.close()


@pytest.mark.parametrize(("ends", "fails"), [("limit", True), ("saves", False), ("wanted", False)])
def test_a_stage_longer_than_the_limit_of_its_workers_fails_by_name(hall, monkeypatch, ends, fails):
    """Not one that saves, nor one whose nodes somebody else wants."""
    left = 5000 if ends == "wanted" else 60
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + left))
    monkeypatch.setattr("jobs.run.queue._killed", lambda tries: [])  # the jobs were put back
    queue, task = Queue(hall.runs), toys.counting()
    queue.put(run_task, ("store", task))
    for step in range(3):
        attempt = worker.Attempt(queue, 60, 120)
        work = queue.store.claim(task)
        if ends == "saves":
            (work.folder / "checkpoint").mkdir(exist_ok=True)
            (work.folder / "checkpoint" / f"{step:012d}").write_text("1")
        attempt.now = task, queue.begin(task)
        attempt.stuck()  # as its job goes back into the queue, and the process is killed
        queue.store.release(task, work.claim)
    if not fails:
        queue.begin(task)
        return
    (result,) = worker.work(hall.runs, 0)
    assert result.status == "failed" and "count: 3 workers came to their time limit" in result.error
    assert "profile key time" in result.error

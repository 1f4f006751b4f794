"""A launch and its job where SLURM fails us, against commands that fail as real ones do."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
import toys
from rich.console import Console

from cluster.profile import SlurmProfile
from jobs import cancel, status
from jobs.run import slurm
from jobs.run.advance import Advance
from jobs.run.attempt import run_task
from jobs.run.slurm_job import Watch, write_end
from jobs.run.stop import AGAIN, Stop, Stopped
from jobs.store.ledger import Ledger
from jobs.store.store import Store

pytest.importorskip("submitit")


class Config:
    """As much of a sweep as a submission looks at."""

    kind, name = "sweep", "mine"

    def __init__(self, **values):
        self.values = values

    def model_dump(self, mode):
        return self.values


@pytest.fixture
def desk(tmp_path, site):
    """A login node: launch, and what it said."""
    runs = tmp_path / "runs"
    runs.mkdir()

    class Desk:
        folder = slurm.home(runs, "mine")
        said = io.StringIO()

        def launch(self, **values) -> tuple[int, str]:
            self.said.truncate(0)
            self.said.seek(0)
            console = Console(file=self.said, width=200)
            profile = SlurmProfile(poll_s=1e-9)
            return slurm.launch(Config(**values), profile, runs, console), self.said.getvalue()

        def job_ends(self, code: int, job: str = "17") -> None:
            with open(self.folder / "driver.log", "a") as log:
                log.write("the tables are there\n")
            write_end(self.folder, job, code)

    return Desk()


@pytest.fixture
def scene(monkeypatch):
    """Things that happen, one at each pause of whoever follows a job."""
    acts: list = []

    def sleep(seconds):
        if acts:
            acts.pop(0)()

    follow = slurm.follow
    monkeypatch.setattr(slurm, "follow", lambda *args: follow(*args, sleep=sleep))
    return acts


def interrupt():
    raise KeyboardInterrupt


def test_submit_leave_come_back_and_see_the_end(desk, scene, site):
    scene.append(interrupt)
    code, said = desk.launch(size=1)
    assert code == 130 and "submitted as job 17" in said and "same command comes back" in said
    assert "waits (Priority)" in said
    spec = json.loads(next(desk.folder.glob("spec-*.json")).read_text())
    assert spec["config"] == {"kind": "sweep", "size": 1} and spec["profile"]["kind"] == "slurm"

    site.says("17|N/A|RUNNING|None")
    scene.append(lambda: desk.job_ends(0))
    code, said = desk.launch(size=1)
    assert code == 0 and "back at job 17 (running)" in said and "the tables are there" in said
    site.says()
    code, said = desk.launch(size=1)
    assert code == 0 and "job 17 has finished this" in said and "the tables are there" in said
    assert len(site.calls("sbatch")) == 1


def test_other_settings_wait_for_the_running_job(desk, scene, site):
    scene.append(interrupt)
    desk.launch(size=1)
    code, said = desk.launch(size=2)
    assert code == 2 and "other settings" in said and "jobs.cancel mine" in said
    assert len(site.calls("sbatch")) == 1


def test_what_failed_is_submitted_again(desk, scene, site):
    scene.append(lambda: desk.job_ends(1))
    assert desk.launch()[0] == 1
    scene.append(lambda: desk.job_ends(0, "18"))
    code, said = desk.launch()
    assert code == 0 and "submitted as job 18" in said and said.count("the tables are there") == 1


def test_a_job_that_is_lost_is_no_failure_of_the_sweep(desk, scene, site):
    scene += [site.says] + [lambda: None] * 5
    code, said = desk.launch()
    assert code == AGAIN and "nothing finished is lost" in said
    scene.append(lambda: desk.job_ends(0, "18"))
    assert desk.launch()[0] == 0


@pytest.mark.parametrize("name", ["17_0_log.err", "17_log.out"])
def test_a_job_whose_python_or_setup_is_wrong_shows_its_own_log(desk, scene, site, name):
    def ends():
        place = desk.folder / "jobs" / "17"
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x" * 9000 + "\n/no/such/python: No such file or directory\n")
        site.says()

    scene += [ends] + [lambda: None] * 5
    code, said = desk.launch()
    assert code == 1 and "ended before the sweep began" in said and "python and setup" in said
    assert "/no/such/python: No such file or directory" in said and len(said) < 4000


@pytest.mark.parametrize("how", ["spoke", "lost", "silent"])
def test_a_job_that_ends_otherwise_is_submitted_again(desk, scene, site, how):
    """With words of its driver, by the loss of a machine, or without any log."""

    def ends():
        place = desk.folder / "jobs" / "17"
        place.mkdir(parents=True, exist_ok=True)
        if how != "silent":
            (place / "17_0_log.err").write_text("srun: error: Node failure\n")
        if how == "spoke":
            (desk.folder / "driver.log").write_text("job 17 on node1\n")
        if how == "lost":
            (site.folder / "accounts").write_text("17|NODE_FAIL\n")
        site.says()

    scene += [ends] + [lambda: None] * 5
    code, said = desk.launch()
    assert code == AGAIN and "nothing finished is lost" in said


def test_a_job_that_vanishes_for_a_moment_is_waited_for(desk, scene, site):
    site_back = [
        site.says, lambda: site.says("17|N/A|PENDING|BeginTime"), lambda: None,
        site.says, lambda: None, lambda: desk.job_ends(0),
    ]  # fmt: skip
    scene += site_back
    assert desk.launch()[0] == 0


def test_a_controller_that_is_away_is_waited_for(desk, scene, site):
    scene += [(site.folder / "away").touch, lambda: None, lambda: desk.job_ends(0)]
    code, said = desk.launch()
    assert code == 0 and "SLURM does not answer" in said
    assert said.count("does not answer") == 1


def test_nothing_is_submitted_while_the_old_job_cannot_be_asked_for(desk, scene, site):
    scene.append(interrupt)
    desk.launch()
    (site.folder / "away").touch()
    code, said = desk.launch()
    assert code == 2 and "Unable to contact" in said and len(site.calls("sbatch")) == 1


# ---------------------------------------------------------------------- status and cancel


def test_a_job_that_waits_is_shown_and_cancelled(desk, scene, site, tmp_path, capsys, told):
    runs = tmp_path / "runs"
    scene.append(interrupt)
    desk.launch()
    capsys.readouterr()
    code, said = told(status, runs)
    assert code == 0 and "mine  submitted" in said and "17 waits (Priority)" in said
    site.says("17|N/A|RUNNING|None")
    assert "17 runs, its driver begins" in told(status, runs, "mine")[1]
    code, said = told(cancel, runs, "mine")
    assert code == 0 and "SLURM was told to end 17" in said
    assert site.calls("scancel") == ["scancel 17"]
    site.says()
    assert "17 is gone" in told(status, runs)[1]
    assert told(cancel, runs) == (0, f"nothing runs in {runs}\n")
    (site.folder / "away").touch()
    assert "SLURM does not say" in told(status, runs)[1]
    assert told(status, runs, "other")[0] == 2
    desk.job_ends(0)
    assert told(status, runs)[0] == 2  # ended, and no launch left a ledger


def test_a_requeued_job_is_shown_over_its_last_launch(desk, scene, site, tmp_path, told):
    runs = tmp_path / "runs"
    scene.append(interrupt)
    desk.launch()
    with pytest.raises(Stopped), Ledger(runs, "mine", kind="sweep", scale="mini"):
        raise Stopped("the time is up")
    said = told(status, runs)[1]
    assert "stopped" in said and "17 waits (Priority)" in said
    assert told(cancel, runs)[0] == 0 and site.calls("scancel") == ["scancel 17"]


# ---------------------------------------------------------------------- signals in a job


def test_a_warning_stops_and_requeues_once(site, tmp_path):
    stop = Stop(str(tmp_path / "stop"))
    watch = Watch(SlurmProfile(), "17", 0, stop)
    watch.finish()
    assert not site.calls("scontrol") and not stop.asked()
    watch._warn()
    watch._warn()
    assert stop.asked()
    watch.finish()
    watch.finish()
    assert site.calls("scontrol") == ["scontrol requeue 17"]


@pytest.mark.parametrize("profile", [dict(requeue=False), dict(max_requeues=2)])
def test_a_job_that_may_not_requeue_just_ends(site, tmp_path, profile, capsys):
    watch = Watch(SlurmProfile(**profile), "17", 2, Stop(str(tmp_path / "stop")))
    watch._warn()
    watch.finish()
    assert not site.calls("scontrol")


def test_a_cancelled_job_is_not_requeued(site, tmp_path):
    watch = Watch(SlurmProfile(), "17", 0, Stop(str(tmp_path / "stop")))
    watch._end()
    watch.finish()
    assert Path(tmp_path / "stop").exists() and not site.calls("scontrol")


def test_a_job_that_a_person_stopped_is_not_requeued(site, tmp_path):
    stop = Stop(str(tmp_path / "stop"))
    watch = Watch(SlurmProfile(), "17", 0, stop)
    watch._warn()
    Path(stop.path).write_text("{}")  # as `jobs.cancel` does, from a machine without scancel
    watch.finish()
    assert not watch.requeue() and not site.calls("scontrol")


class Starts:
    """A job that comes to its time limit, restart after restart."""

    def __init__(self, runs: Path, desk) -> None:
        self.runs, self.home, self.number = runs, desk.folder, 0
        self.home.mkdir(parents=True)
        self.store, self.task = Store(runs / "store"), toys.counting(seed=1)
        with Ledger(runs, "mine", kind="sweep", scale="mini") as ledger:
            ledger.add(self.task)

    def again(self) -> bool:
        """Whether the job requeues itself at the end of one more start."""
        work = self.store.claim(self.task)
        self.store.release(self.task, work.claim)
        stop = Stop(str(self.home / f"stop-{self.number}"))
        advance = Advance(self.runs, "mine", self.home, "17", self.number, 60, 120)
        watch = Watch(SlurmProfile(time=60), "17", self.number, stop, advance)
        watch._warn()
        watch.finish()
        self.number += 1
        return watch.requeue()

    def saves(self, step: int) -> None:
        folder = self.store.work(self.task) / "checkpoint"
        folder.mkdir(exist_ok=True)
        (folder / f"{step:012d}").write_bytes(b"state")


@pytest.fixture
def starts(tmp_path, desk, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 100))
    return Starts(tmp_path / "runs", desk)


def test_restarts_without_progress_end_and_name_stage_and_limit(starts, site):
    assert [starts.again() for _ in range(3)] == [True, True, False]
    assert len(site.calls("scontrol requeue")) == 2
    end = json.loads((starts.home / "end.json").read_text())
    assert (end["job"], end["code"]) == ("17", 1)
    said = (starts.home / "driver.log").read_text()
    assert "count neither ends nor saves within the time limit of 60 minutes" in said
    assert "restarted 2 times" in said and "profile key time" in said


def test_restarts_that_save_go_on(starts):
    for step in range(6):
        assert starts.again()
        starts.saves(step)
    assert [starts.again() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("what", ["a result", "preempted", "another job", "damaged"])
def test_what_is_no_standstill(starts, monkeypatch, what):
    """New results, nodes that somebody else wants, and a file that cannot be read."""
    assert starts.again() and starts.again()
    if what == "a result":
        run_task(str(starts.store.root), starts.task)
        starts.task = toys.counting(seed=2)
    elif what == "preempted":
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3000))
    elif what == "another job":
        (starts.home / "advance.json").write_text('{"format": 1, "job": "16", "still": 9}')
    else:
        (starts.home / "advance.json").write_text('{"format": 1, "jo')
    assert starts.again()


@pytest.fixture(autouse=True)
def signals_as_before():
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)

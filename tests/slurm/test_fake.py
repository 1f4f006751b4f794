"""How we behave where SLURM fails us, against commands that fail as real ones do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickletools
import shutil
from pathlib import Path

import pytest
import toys
from rich.console import Console

from cluster import slurm_state
from cluster.profile import SlurmProfile, SlurmWorkersProfile
from cluster.slurm import Refused, explain, parameters, script, submit
from cluster.slurm_workers import FRUITLESS, WorkersExecutor
from jobs import cancel, slurm, slurm_job, status, worker
from jobs.ledger import Ledger, launches
from jobs.queue import Queue
from jobs.run import Result, run_task
from jobs.slurm_job import Watch, write_end
from jobs.stop import Stop, Stopped

FAKE = Path(__file__).parent / "fake"
SITE = {
    "queue": "", "busy": "", "last": "16", "most": "4", "partitions": "gpu\nlong\n", "calls": ""
}  # fmt: skip

pytest.importorskip("submitit")


class Site:
    """A cluster that exists only as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in SITE.items():
            (folder / name).write_text(text)

    def calls(self, word: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(word)]

    def says(self, *lines: str) -> None:
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{FAKE}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "3")  # as if we were in a job ourselves
    return Site(folder)


def send(tmp_path, count=1, waits=None, **profile):
    kind = SlurmWorkersProfile if count > 1 or "max_array_size" in profile else SlurmProfile
    sleep = (lambda s: None) if waits is None else waits.append
    return submit(
        kind(**profile), "try", tmp_path / "jobs", worker.enter, tmp_path / "spec", count, sleep
    )


# ---------------------------------------------------------------------- submitting


def test_the_script_says_what_the_profile_says(site, tmp_path):
    profile = dict(
        nodes=3, partition="gpu", account="lab", qos="normal", constraint="a100", exclude="n7",
        comment="a sweep", gpus_per_node=2, cpus_per_task=6, mem_gb=1.5, time="1-02:30:00",
        signal_delay_s=90, setup=("module load cuda",), python="/opt/python",
        additional_parameters={"mail_type": "END", "reservation": "mine"},
    )  # fmt: skip
    assert send(tmp_path, **profile) == ["17"]
    text = (site.folder / "script-17.sh").read_text()
    for line in (
        "--nodes=3", "--partition=gpu", "--account=lab", "--qos=normal", "--constraint=a100",
        "--exclude=n7", "--comment='a sweep'", "--gpus-per-node=2", "--cpus-per-task=6",
        "--mem=1536M", "--time=1590", "--signal=USR2@90", "--requeue", "--mail-type=END",
        "--reservation=mine", "--ntasks-per-node=1", "--job-name=try",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text, line
    assert "wckey" not in text and "no-requeue" not in text
    assert text.index("module load cuda") < text.index("srun ")
    assert "--cpus-per-task=6" in text.partition("srun ")[2] and "/opt/python -u -m" in text
    assert script(SlurmProfile(**profile), "try", tmp_path / "jobs") == text
    assert len(send(tmp_path, count=3)) == 3
    text = (site.folder / "script-18.sh").read_text()
    assert "--array=0-2" in text
    assert script(SlurmWorkersProfile(), "try", tmp_path / "jobs", 3) == text


def test_gres_replaces_gpus_and_a_job_may_stay_out_of_the_queue():
    said = parameters(SlurmProfile(gres="gpu:a100:1", requeue=False), "x")
    assert said["gres"] == "gpu:a100:1" and said["gpus_per_node"] is None
    assert said["additional_parameters"]["no-requeue"] is True


def test_what_is_pickled_is_a_name_and_a_path(site, tmp_path):
    send(tmp_path)
    (pickle,) = (tmp_path / "jobs").rglob("*_submitted.pkl")
    words = [arg for _, arg, _ in pickletools.genops(pickle.read_bytes()) if isinstance(arg, str)]
    assert "jobs.worker" in words and "enter" in words and str(tmp_path / "spec") in words
    assert pickle.stat().st_size < 1000


def test_our_own_job_is_hidden_from_sbatch_and_back_afterwards(site, tmp_path, monkeypatch):
    spy = site.folder / "bin"
    spy.mkdir()
    (spy / "sbatch").write_text(f'#!/bin/sh\nenv >"$FAKE_SLURM/env"\nexec {FAKE}/sbatch "$@"\n')
    (spy / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", "kept")
    send(tmp_path)
    seen = (site.folder / "env").read_text().splitlines()
    assert "SLURM_CONF=kept" in seen and "SLURM_JOB_ID=3" not in seen
    assert os.environ["SLURM_JOB_ID"] == "3"


def test_a_busy_controller_is_asked_again_ever_more_slowly(site, tmp_path):
    (site.folder / "busy").write_text("1\n2\n3\n")
    waits: list[float] = []
    assert send(tmp_path, waits=waits) == ["17"]
    assert waits == [2, 4, 8] and len(site.calls("sbatch")) == 4


def test_a_controller_that_stays_busy_is_given_up(site, tmp_path):
    (site.folder / "busy").write_text("x\n" * 100)
    waits: list[float] = []
    with pytest.raises(Refused, match="Socket timed out"):
        send(tmp_path, waits=waits)
    assert len(waits) == 7 and max(waits) == 60


def test_an_unknown_partition_names_key_and_remedy_and_is_not_retried(site, tmp_path):
    with pytest.raises(Refused, match="profile key partition: .*: gpu, long$"):
        send(tmp_path, partition="gppu")
    assert len(site.calls("sbatch")) == 1


def test_arrays_are_split_where_the_site_cuts_them(site, tmp_path):
    ids = send(tmp_path, count=7, max_array_size=3)
    assert ids == ["17_0", "17_1", "17_2", "18_0", "18_1", "18_2", "19"]
    assert "--array=0-2%3" in (site.folder / "script-17.sh").read_text()


def test_an_array_that_is_too_long_names_the_key(site, tmp_path):
    with pytest.raises(Refused, match="profile key max_array_size"):
        send(tmp_path, count=7, max_array_size=7)


@pytest.mark.parametrize(
    "said, key",
    [
        ("Invalid account or account/partition combination specified", "account"),
        ("Invalid qos specification", "qos"),
        ("Invalid feature specification", "constraint"),
        ("Invalid generic resource (gres) specification", "gres"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time"),
        ("Requested node configuration is not available", "gpus_per_node"),
        ("Memory specification can not be satisfied", "mem_gb"),
        ("CPU count per node can not be satisfied", "cpus_per_task"),
        ("Node count specification invalid", "nodes"),
    ],
)
def test_refusals_name_a_key_of_the_profile(said, key):
    text = explain(f"sbatch: error: Batch job submission failed: {said}")
    assert f"profile key {key}:" in text and key in SlurmProfile.model_fields


def test_without_slurm_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="no sbatch here"):
        send(tmp_path)
    with pytest.raises(slurm_state.SlurmAway, match="no squeue here"):
        slurm_state.states(["1"])


# ---------------------------------------------------------------------- asking


def test_one_question_for_all_jobs(site):
    site.says("17|0|RUNNING|None", "17|1|PENDING|Priority", "18|N/A|PENDING|Resources")
    known = slurm_state.states(["17", "17_0", "17_1", "18"])
    assert [s.phase for s in known.values()] == ["running", "running", "waiting", "waiting"]
    assert known["18"].reason == "Resources" and known["17_0"].reason == ""
    assert len(site.calls("squeue")) == 1 and not site.calls("sacct")


def test_without_accounting_a_lost_job_is_unknown_not_failed(site):
    assert slurm_state.states(["17"])["17"] == slurm_state.JobState("unknown")


def test_accounting_tells_the_end_but_not_of_a_node(site):
    (site.folder / "accounts").write_text(
        "17|CANCELLED by 1000\n18|NODE_FAIL\n19|TIMEOUT\n20|PREEMPTED\n"
    )
    known = slurm_state.states(["17", "18", "19", "20"])
    assert [s.phase for s in known.values()] == ["ended", "unknown", "ended", "unknown"]
    assert known["17"].state == "CANCELLED"


def test_a_controller_that_is_away_is_an_error_of_its_own(site):
    (site.folder / "away").touch()
    with pytest.raises(slurm_state.SlurmAway, match="Unable to contact"):
        slurm_state.states(["17"])


# ---------------------------------------------------------------------- following a job


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
    assert code == slurm_job.AGAIN and "nothing finished is lost" in said
    scene.append(lambda: desk.job_ends(0, "18"))
    assert desk.launch()[0] == 0


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


def told(command, runs, capsys, *more) -> tuple[int, str]:
    code = command.main([*more, "--runs", str(runs)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_job_that_waits_is_shown_and_cancelled(desk, scene, site, tmp_path, capsys):
    runs = tmp_path / "runs"
    scene.append(interrupt)
    desk.launch()
    capsys.readouterr()
    code, said = told(status, runs, capsys)
    assert code == 0 and "mine  submitted" in said and "17 waits (Priority)" in said
    site.says("17|N/A|RUNNING|None")
    assert "17 runs, its driver begins" in told(status, runs, capsys, "mine")[1]
    code, said = told(cancel, runs, capsys, "mine")
    assert code == 0 and "SLURM was told to end 17" in said
    assert site.calls("scancel") == ["scancel 17"]
    site.says()
    assert "17 is gone" in told(status, runs, capsys)[1]
    assert told(cancel, runs, capsys) == (0, f"nothing runs in {runs}\n")
    (site.folder / "away").touch()
    assert "SLURM does not say" in told(status, runs, capsys)[1]
    assert told(status, runs, capsys, "other")[0] == 2
    desk.job_ends(0)
    assert told(status, runs, capsys)[0] == 2  # ended, and no launch left a ledger


def test_a_requeued_job_is_shown_over_its_last_launch(desk, scene, site, tmp_path, capsys):
    runs = tmp_path / "runs"
    scene.append(interrupt)
    desk.launch()
    with pytest.raises(Stopped), Ledger(runs, "mine", kind="sweep", scale="mini"):
        raise Stopped("the time is up")
    said = told(status, runs, capsys)[1]
    assert "stopped" in said and "17 waits (Priority)" in said
    assert told(cancel, runs, capsys)[0] == 0 and site.calls("scancel") == ["scancel 17"]


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


@pytest.fixture(autouse=True)
def signals_as_before():
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# ---------------------------------------------------------------------- an array of workers


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


def test_workers_whose_driver_left_are_cancelled(hall, site, capsys):
    with contextlib.suppress(KeyboardInterrupt):
        with Ledger(hall.runs, "mine", kind="sweep", scale="mini") as ledger, hall() as executor:
            executor.on_job = ledger.slurm_job
            executor.wait(offer(executor, toys.counting(seed=1), toys.counting(seed=2)), 0)
            site.says("17|0|RUNNING|None", "17|1|PENDING|Priority", "9|N/A|RUNNING|None")
            raise KeyboardInterrupt
    (launch,) = launches(ledger.folder.parent)
    assert launch.state == "stopped" and launch.record["slurm_jobs"] == ["3", "17_0", "17_1"]
    assert "SLURM job 3, 17_0, 17_1" in told(status, hall.runs, capsys)[1]
    code, said = told(cancel, hall.runs, capsys)
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
    with pytest.raises(Refused, match="without beginning anything"):
        for _ in range(20):
            executor.wait(handles, 0.01)
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


def test_the_fakes_are_executable():
    assert all(os.access(path, os.X_OK) for path in FAKE.iterdir()) and shutil.which("sh")

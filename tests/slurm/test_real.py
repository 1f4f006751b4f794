"""Whole sweeps on a real SLURM of several nodes, disturbed in the ways that clusters disturb.

What counts each time: the tables are byte for byte those of an undisturbed run in one process.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest
from real import wait_for

from sweeps import launch, markers, outputs

pytestmark = pytest.mark.slow

ALLOCATION = dict(
    kind="slurm", nodes=2, gpus_per_node=1, cpus_per_task=1, mem_gb=1.5, time=60, poll_s=1
)
WORKERS = dict(
    kind="slurm_workers", workers=2, gpus_per_node=1, cpus_per_task=1, mem_gb=1.5, time=60,
    poll_s=1, idle_s=600,
)  # fmt: skip
SMOKE = Path(__file__).resolve().parents[2] / "sweeps" / "smoke.yaml"


def same_tables(runs: Path, whole: Path) -> None:
    want, got = outputs(whole / "tables"), outputs(runs / "tables")
    assert got == want and len(want) > 5


def of_jobs(folder: Path) -> list[psutil.Process]:
    """Living processes of jobs of the cluster in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            said = process.environ()
        except psutil.Error:
            continue
        if said.get("SLURM_CONF", "").startswith(str(folder)) and "SLURM_PROCID" in said:
            found.append(process)
    return found


def job_of(run) -> str:
    return json.loads((run.runs / "slurm" / "tiny" / "job.json").read_text())["job"]


def test_an_allocation_gives_the_bytes_of_one_process_and_leaves_nothing(slurm, tiny, command):
    run = command(tiny.sweep, **ALLOCATION, local_folder=str(tiny.runs.parent / "local"))
    assert run.process.wait(900) == 0, run.said()
    same_tables(run.runs, tiny.runs)
    assert "job 1 on n[1-2]" in run.said() or "on n" in run.said()
    meeting = next((run.runs / "slurm" / "tiny").glob("ray-*"))
    assert meeting.stat().st_mode & 0o077 == 0 and not (meeting / "token").exists()
    assert wait_for(lambda: not of_jobs(slurm.folder), 30), of_jobs(slurm.folder)
    assert list((tiny.runs.parent / "local").rglob("G*.safetensors")), "inputs were not staged"

    before = slurm.run("squeue", "-h", "-t", "all", "-o", "%i")
    run.start()
    assert run.process.wait(120) == 0 and "has finished this" in run.said()
    assert slurm.run("squeue", "-h", "-t", "all", "-o", "%i") == before


def test_an_allocation_lives_through_leaving_requeue_and_a_lost_node(slurm, tiny, command):
    run = command(tiny.sweep, **ALLOCATION)
    run.until(lambda: run.done() >= 1)
    job = job_of(run)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(60) == 130 and "same command comes back" in run.said()

    run.start()
    run.until(lambda: f"back at job {job}" in run.said())
    slurm.run("scontrol", "requeue", job)
    run.until(lambda: "restart 1" in run.said())
    done = run.done()
    run.until(lambda: run.done() >= min(done + 1, 14))

    lost = slurm.run("squeue", "-h", "-j", job, "-o", "%B").strip()
    slurm.kill_node(lost)
    run.until(lambda: "restart 2" in run.said())
    slurm.start_node(lost)
    assert run.process.wait(900) == 0, run.said()
    same_tables(run.runs, tiny.runs)
    assert job_of(run) == job


@pytest.mark.parametrize("profile", [ALLOCATION, WORKERS], ids=lambda p: p["kind"])
def test_cancelled_for_good_and_finished_by_the_same_command(slurm, tiny, command, profile):
    run = command(tiny.sweep, **profile)
    run.until(lambda: run.done() >= 1)
    assert "tiny  running" in run.ask("status").stdout
    said = run.ask("cancel", "tiny", "--wait", "120")
    assert said.returncode == 0 and "tiny: stopped" in said.stdout, said.stdout + said.stderr
    assert run.process.wait(120) in (75, 130), run.said()
    assert wait_for(lambda: not slurm.jobs(), 60), "something was requeued"
    assert "tiny  stopped" in run.ask("status").stdout
    assert "nothing runs" in run.ask("cancel").stdout
    assert run.done() < len(list(markers(tiny.runs)))
    run.start()
    assert run.process.wait(900) == 0, run.said()
    same_tables(run.runs, tiny.runs)


def test_an_allocation_stops_at_its_time_limit_and_goes_on(slurm, tiny, command):
    limit = dict(ALLOCATION, nodes=1, cpus_per_task=2, time=1, signal_delay_s=10)
    run = command(tiny.sweep, **limit)
    run.until(lambda: "restart 1" in run.said() or run.process.poll() is not None, 900)
    assert run.process.wait(1800) == 0, run.said()
    assert "all is saved" in run.said() or "restart" not in run.said()
    same_tables(run.runs, tiny.runs)


def test_workers_live_through_requeue_a_lost_node_and_their_driver_leaving(slurm, tiny, command):
    run = command(tiny.sweep, **WORKERS)
    run.until(lambda: run.done() >= 1)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(60) == 130

    workers = slurm.jobs()
    assert workers, run.said()
    slurm.run("scontrol", "requeue", workers[0])
    run.start()
    done = run.done()
    run.until(lambda: run.done() > done)
    lost = slurm.run("squeue", "-h", "-t", "running", "-o", "%B").split()[0]
    slurm.kill_node(lost)
    done = run.done()
    run.until(lambda: run.done() > done)
    slurm.start_node(lost)
    assert run.process.wait(900) == 0, run.said()
    same_tables(run.runs, tiny.runs)
    assert not list((run.runs / "queue").iterdir())
    assert wait_for(lambda: not slurm.jobs(), 60), "idle workers did not leave"
    stages = [marker["stage"] for _, marker in markers(run.runs)]
    assert len(stages) == len(list(markers(tiny.runs)))


def test_smoke_gives_the_same_bytes_inline_and_both_ways(slurm, command, tmp_path):
    code, said = launch(SMOKE, tmp_path / "whole")
    assert code == 0, said
    for profile in (ALLOCATION, WORKERS):
        run = command(SMOKE, **profile)
        assert run.process.wait(1800) == 0, run.said()
        same_tables(run.runs, tmp_path / "whole")
        run.runs.rename(tmp_path / f"was-{profile['kind']}")

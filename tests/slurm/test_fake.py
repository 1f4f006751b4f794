"""Submitting and asking where SLURM fails us, against commands that fail as real ones do."""

from __future__ import annotations

import os
import pickletools
import shutil
from pathlib import Path

import pytest

from cluster import slurm_state
from cluster.profile import SlurmProfile, SlurmWorkersProfile
from cluster.slurm import Refused, explain, parameters, script, submit
from jobs.run import worker

FAKE = Path(__file__).parent / "fake"

pytest.importorskip("submitit")


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
    assert "jobs.run.worker" in words and "enter" in words and str(tmp_path / "spec") in words
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


def test_the_fakes_are_executable():
    assert all(os.access(path, os.X_OK) for path in FAKE.iterdir()) and shutil.which("sh")

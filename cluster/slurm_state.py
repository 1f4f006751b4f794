"""What SLURM says of our jobs, in one call for all of them, and the two things we tell it.

The truth about work is what it left on the disk. SLURM is asked only whether a job still has a
future: a job that nobody knows of any more is "unknown", which is not a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["waiting", "running", "ended", "unknown"]
TIMEOUT = 60.0  # seconds for one command of SLURM
WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
RUNNING = {
    "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT",
    "RESIZING",
}  # fmt: skip
# States that sacct reports for a moment before the controller puts the job back into the queue.
PASSING = {"NODE_FAIL", "PREEMPTED"}


class SlurmAway(RuntimeError):
    """SLURM cannot be asked now: no such command, or no answer from its controller."""


@dataclass(frozen=True)
class JobState:
    """What is known of one job or array element."""

    phase: Phase
    state: str = ""  #: SLURM's own word, such as PENDING or TIMEOUT
    reason: str = ""  #: why it waits, such as Priority


def states(jobs: Iterable[str]) -> dict[str, JobState]:
    """The state of each job ("17") or array element ("17_3"); of "17" of an array, its liveliest.

    squeue is asked first. Only for those that it does not list is sacct tried, and where that has
    no accounting they are "unknown". Raises SlurmAway when squeue does not answer.
    """
    jobs = list(dict.fromkeys(jobs))
    listed: dict[str, JobState] = {}
    text = _run("squeue", "--noheader", "--me", "--array", "--format=%F|%K|%T|%r")
    for line in text.splitlines():
        job, task, state, reason = (line.strip().split("|") + ["", "", ""])[:4]
        now = JobState(_phase(state), state, "" if reason == "None" else reason)
        if task.isdigit():
            listed[f"{job}_{task}"] = now
        if job not in listed or now.phase == "running":
            listed[job] = now
    absent = [job for job in jobs if job not in listed]
    if absent:
        listed.update(_accounted(absent))
    return {job: listed.get(job, JobState("unknown")) for job in jobs}


def requeue(job: str) -> None:
    """Put a job of ours back into the queue; it is ended first. Raises SlurmAway."""
    _run("scontrol", "requeue", job)


def cancel(jobs: Iterable[str]) -> None:
    """End jobs or array elements, whatever they are at. Raises SlurmAway."""
    if jobs := list(jobs):
        _run("scancel", *jobs)


def partitions() -> list[str]:
    """Names of the site's partitions; empty where sinfo does not say."""
    try:
        return sorted(set(_run("sinfo", "--noheader", "--format=%R").split()))
    except SlurmAway:
        return []


def node_address(node: str) -> str | None:
    """The numeric address SLURM uses for a node, None where it says a name."""
    try:
        said = dict(
            word.partition("=")[::2] for word in _run("scontrol", "show", "node", node).split()
        )
    except SlurmAway:
        return None
    address = said.get("NodeAddr", "")
    return address if address and set(address) <= set("0123456789.") else None


def _accounted(jobs: list[str]) -> dict[str, JobState]:
    try:
        text = _run("sacct", "-X", "-n", "-P", "-o", "JobID,State", "-j", ",".join(jobs))
    except SlurmAway:  # no accounting here
        return {}
    found = {}
    for line in text.splitlines():
        job, _, state = line.strip().partition("|")
        state = state.partition(" ")[0]  # "CANCELLED by 1000"
        if job and state:
            phase = "unknown" if state in PASSING else _phase(state)
            found[job] = JobState(phase, state)
    return found


def _phase(state: str) -> Phase:
    if state in WAITING:
        return "waiting"
    return "running" if state in RUNNING else "ended"


def _run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise SlurmAway(f"there is no {command[0]} here; run this where SLURM's commands are")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env=_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise SlurmAway(f"{command[0]}: no answer in {TIMEOUT:.0f} s") from error
    if done.returncode:
        raise SlurmAway(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without what would change the format of an answer."""
    names = ("SQUEUE_", "SACCT_", "SINFO_")
    return {k: v for k, v in os.environ.items() if not k.startswith(names)}

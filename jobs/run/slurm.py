"""A sweep in one allocation of SLURM, as seen from the login node: submit, follow, come back.

runs/slurm/<name>/job.json          which job runs it, and with what spec
runs/slurm/<name>/spec-<hash>.json  checked configuration and profile, all that the job is told
runs/slurm/<name>/driver.log        what the driver in the job says
runs/slurm/<name>/end.json          how the sweep ended, written by the job
runs/slurm/<name>/jobs/<id>/        submitit's script and logs
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster import slurm_state
from cluster.executor import Refused
from cluster.slurm import last_words, logs_in, submit
from jobs.output import redact
from jobs.run import slurm_job
from jobs.run.retry import PASSING, cause_in_slurm
from jobs.run.slurm_files import END, FORMAT, JOB, home, read_json
from jobs.run.slurm_job import LOG
from jobs.run.stop import AGAIN
from sigmaflow.atomic import write_json, write_text

GONE = 3  # answers in a row that know nothing of a job, before it counts as gone
TAIL = 2000  # characters of a finished job's words that are shown again


def launch(
    config: Any, profile: Any, runs: Path, console: Console, command: Sequence[str] = (),
    track: str = "",
) -> int:  # fmt: skip
    """Submit the sweep, or come back to the job that has it, and follow it to its end.

    ``command`` is what was asked for in words; the job notes it and does not depend on it.
    ``track`` is the tracking server that it was given, if any.

    0 when all is done, 1 when something failed, 2 when SLURM or a running job stands in the way,
    130 when Ctrl-C left the job to itself.
    """
    folder = home(runs, config.name)
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "format": FORMAT,
        "runs": str(runs),
        "cwd": os.getcwd(),
        "config": {"kind": config.kind, **config.model_dump(mode="json")},
        "profile": profile.model_dump(mode="json"),
    }
    text = json.dumps(spec)  # in its order: that of the parameters is that of the tables
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    text = json.dumps(spec | {"command": redact.command(command), "track": track})
    try:
        with _locked(folder):
            job, begin = _find_or_submit(folder, digest, text, config.name, profile, console)
    except (Refused, slurm_state.SlurmAway) as error:
        console.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    if job is None:
        return 2
    try:
        return follow(folder, job, begin, console, profile.poll_s, logs_in(profile, folder))
    except KeyboardInterrupt:
        console.print(
            f"\njob {job} goes on without us; the same command comes back to it, "
            f"python -m jobs.cancel {config.name} ends it",
            style="yellow",
            markup=False,
        )
        return 130


def _find_or_submit(
    folder: Path, digest: str, text: str, name: str, profile: Any, console: Console
) -> tuple[str | None, int]:
    """The job that has the sweep, and from where in its log to read."""
    known = read_json(folder / JOB)
    if known is not None:
        job, same = known["job"], known["spec"] == digest
        end = read_json(folder / END)
        if end is not None and end["job"] == job:
            if same and end["code"] == 0:
                console.print(
                    f"job {job} has finished this; remove {folder} to submit it again",
                    soft_wrap=True,
                    highlight=False,
                    markup=False,
                )
                return job, max(0, _size(folder / LOG) - TAIL)
        else:
            state = slurm_state.states([job])[job]
            if state.phase in ("waiting", "running"):
                if same:
                    console.print(f"back at job {job} ({state.state.lower()})",
                                  highlight=False, markup=False)  # fmt: skip
                    return job, max(known.get("log", 0), _size(folder / LOG) - TAIL)
                console.print(
                    f"{name} is in job {job} ({state.state.lower()}) with other settings; "
                    f"python -m jobs.cancel {name}, or give this one another name or --runs",
                    style="red", soft_wrap=True, highlight=False, markup=False,
                )  # fmt: skip
                return None, 0
    spec = folder / f"spec-{digest}.json"
    write_text(spec, text + "\n")
    begin = _size(folder / LOG)
    place = logs_in(profile, folder)
    (job,) = submit(profile, f"sigmaflow-{name}", place, slurm_job.enter, spec)
    (folder / END).unlink(missing_ok=True)
    write_json(
        folder / JOB,
        {"format": FORMAT, "job": job, "spec": digest, "log": begin, "time": time.time()},
    )
    console.print(f"{name}: submitted as job {job}, logs in {place / job}",
                  soft_wrap=True, highlight=False, markup=False)  # fmt: skip
    return job, begin


def follow(
    folder: Path,
    job: str,
    begin: int,
    console: Console,
    poll_s: float,
    logs: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Repeat what the driver in the job says until it has ended; its exit code.

    The end is what the job wrote. SLURM is asked only whether the job still has a future; while
    it cannot be asked, or has never heard of the job for a moment, we go on waiting. ``logs`` has
    the jobs' own logs; they are shown where a job ends before its driver has said a word, and then
    the code is 1: the same job would end so again.
    """
    shown, said, unknown, asked = begin, "", 0, 0.0
    while True:
        shown = _repeat(folder / LOG, shown, console)
        end = read_json(folder / END)
        if end is not None and end["job"] == job:
            _repeat(folder / LOG, shown, console)
            return int(end["code"])
        if time.monotonic() - asked >= poll_s or unknown:
            asked = time.monotonic()
            try:
                state = slurm_state.states([job])[job]
            except slurm_state.SlurmAway as error:
                now = f"SLURM does not answer ({error}); still waiting"
            else:
                unknown = unknown + 1 if state.phase in ("ended", "unknown") else 0
                now = _words(job, state)
                if unknown > GONE:
                    if (read_json(folder / END) or {}).get("job") == job:
                        continue
                    if (code := _unspoken(folder, job, state, logs, console)) is not None:
                        return code
                    console.print(
                        f"job {job} is gone ({state.state.lower() or 'SLURM knows no more'}) "
                        "before the sweep ended; nothing finished is lost, the same command "
                        f"submits the rest. Its last words are in {folder / LOG}",
                        style="yellow", soft_wrap=True, highlight=False, markup=False,
                    )  # fmt: skip
                    return AGAIN
            if now and now != said:
                console.print(now, style="dim", soft_wrap=True, highlight=False, markup=False)
            said = now or said
        sleep(min(1.0, poll_s))


def _unspoken(
    folder: Path, job: str, state: slurm_state.JobState, logs: Path | None, console: Console
) -> int | None:
    """Show the own log of a job whose driver never spoke, and the code; None where it did, where
    there is no log, or where a machine was lost."""
    known = read_json(folder / JOB) or {}
    if _size(folder / LOG) > known.get("log", 0) or cause_in_slurm(state.state) in PASSING:
        return None
    words = last_words(logs, [job]) if logs is not None else ""
    if not words:
        return None
    console.print(
        f"job {job} ended before the sweep began; it would again. Its log says (profile keys "
        "python and setup?)", style="red", soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip
    console.out(redact.text(words), highlight=False)
    return 1


def _words(job: str, state: slurm_state.JobState) -> str:
    if state.phase == "waiting":
        return f"job {job} waits" + (f" ({state.reason})" if state.reason else "")
    return f"job {job} runs" if state.phase == "running" else ""


def _repeat(log: Path, shown: int, console: Console) -> int:
    """Print whole lines from ``shown`` on; where to go on."""
    try:
        with open(log, "rb") as file:
            file.seek(shown)
            data = file.read()
    except OSError:
        return shown
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        console.out(whole.decode("utf-8", "replace"), end="", highlight=False)
    return shown + len(whole)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One submission at a time: two hasty commands are one job."""
    with open(folder / ".lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

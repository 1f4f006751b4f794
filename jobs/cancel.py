"""``python -m jobs.cancel [NAME]``: stop launches. Nothing that was computed is lost.

Leaves a request where the launch looks and signals the launching process if it is one of this
machine. Once it has ended, or does not in time, ends its SLURM jobs, also those that wait or whose
driver has left. The same launch command goes on later.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from cluster import slurm_state
from jobs.output import redact
from jobs.run.slurm_files import open_jobs, submitted
from jobs.store.claim import BEAT, STALE, here, is_local, started
from jobs.store.ledger import CANCEL, SWEEPS, Launch, launches, sweeps
from sigmaflow.atomic import write_json

FORMAT = 1  # of cancel.json, whose existence is the request
POLL = 0.2
SETTLE = 15.0  # seconds to see a driver end whose job SLURM was told to end


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all that ran was asked to stop, 1 when something could not be asked, 2 for a name
    that is not there."""
    parser = argparse.ArgumentParser(prog="python -m jobs.cancel", description=__doc__)
    parser.add_argument("name", nargs="?", help="one sweep; without it all that run")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument(
        "--wait",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long to wait for their end (default: 20)",
    )
    args = parser.parse_args(argv)
    known = list(dict.fromkeys([*sweeps(args.runs), *submitted(args.runs)]))
    if args.name and args.name not in known:
        there = ", ".join(known) or "none"
        print(f"no launch of {args.name!r} in {args.runs}; there are: {there}", file=sys.stderr)
        return 2
    names = [args.name] if args.name else known
    all_launches = {name: launches(Path(args.runs) / SWEEPS / name) for name in names}
    found = [
        launch
        for some in all_launches.values()
        for launch in some
        if launch.alive or (launch.state == "dead" and launch.record.get("slurm_jobs"))
    ]
    left = [name for name, some in all_launches.items() if _left(args.runs, name, some)]
    if not found and not left:
        print("nothing runs" + (f" of {args.name}" if args.name else f" in {args.runs}"))
        return 0
    asked = [ask(launch) for launch in found]
    until = time.monotonic() + args.wait
    for launch in found:  # a driver in an allocation comes to the next save
        _end(launch, until)
    for name in dict.fromkeys([*(launch.name for launch in found), *left]):
        asked.append(_scancel(name, _jobs(args.runs, name, {launch.folder for launch in found})))
    until = max(until, time.monotonic() + min(args.wait, SETTLE))
    for launch in found:
        print(f"{launch.name}: {_end(launch, until)}")
    _tell_mlflow(Path(args.runs), [*(launch.name for launch in found), *left], args.wait)
    return 0 if all(asked) else 1


def ask(launch: Launch) -> bool:
    """Ask one launch to stop and say what was done. False where it may not have heard."""
    driver = launch.record["driver"]
    who = f"{driver['host']}:{driver['pid']}"
    heard = True
    try:
        write_json(launch.folder / CANCEL, {"format": FORMAT, "by": here(), "time": time.time()})
        print(f"{launch.name}: left a request to stop for {who}")
    except OSError as error:
        print(f"{launch.name}: no request could be left ({error})")
        heard = False
    if launch.alive and is_local(driver) and _signal(driver):
        print(f"{launch.name}: signalled {who}")
        heard = True
    return heard


def _signal(driver: Mapping[str, Any]) -> bool:
    """SIGTERM to the very process, not to another that has its number by now."""
    pid = driver["pid"]
    try:
        handle = os.pidfd_open(pid)  # from here on the number stays that process's
    except AttributeError:  # no such call on this system
        handle = None
    except OSError:
        return False
    try:
        if started(pid) != driver["started"]:
            return False
        if handle is None:
            os.kill(pid, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        return True
    except OSError:
        return False
    finally:
        if handle is not None:
            os.close(handle)


def _jobs(runs: str, name: str, folders: Set[Path]) -> list[str]:
    """SLURM jobs of the launches in these folders, by now, and those that no launch knows of."""
    some = launches(Path(runs) / SWEEPS / name)
    own = [job for o in some if o.folder in folders for job in o.record.get("slurm_jobs") or []]
    return list(dict.fromkeys([*own, *_left(runs, name, some)]))


def _left(runs: str, name: str, some: Sequence[Launch]) -> list[str]:
    """SLURM jobs of the sweep that no launch to be cancelled knows of."""
    if some and some[0].state == "done":  # its workers leave by themselves
        return []
    told = {job for launch in some if launch.alive for job in launch.record.get("slurm_jobs") or []}
    return _queued([job for job in open_jobs(runs, name) if job not in told])


def _queued(jobs: Sequence[str]) -> list[str]:
    """Those that wait or run; all where SLURM does not say."""
    try:
        known = slurm_state.states(jobs) if jobs else {}
    except slurm_state.SlurmAway:
        return list(jobs)
    return [job for job, state in known.items() if state.phase in ("waiting", "running")]


def _scancel(name: str, jobs: Sequence[str]) -> bool:
    jobs = _queued(jobs)  # scancel complains of those that have ended
    if not jobs:
        return True
    command = ["scancel", *jobs]
    if shutil.which("scancel") is None:
        print(f"{name}: there is no scancel here; on the cluster: {' '.join(command)}")
        return False
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{name}: scancel: {error}; try again: {' '.join(command)}")
        return False
    if said.returncode:
        print(f"{name}: {said.stderr.strip()}; try again: {' '.join(command)}")
        return False
    print(f"{name}: SLURM was told to end {', '.join(jobs)}")
    return True


def _tell_mlflow(runs: Path, names: Sequence[str], wait: float) -> None:
    """Enter the end of sweeps of which nothing lives: SLURM ends what follows a launch with it."""
    from jobs.track.ingest import settle

    for name in dict.fromkeys(names):
        if not any(launch.alive for launch in launches(runs / SWEEPS / name)):
            settle(runs, name, STALE + BEAT if wait else 0.0)


def _end(launch: Launch, until: float) -> str:
    """How the launch ended, as far as that can be awaited."""
    while True:
        with contextlib.suppress(StopIteration):
            now = next(o for o in launches(launch.folder.parent) if o.folder == launch.folder)
            if not now.alive:
                return f"{now.state}; what is finished stays, the same command goes on"
        if time.monotonic() > until:
            return "still ending; see python -m jobs.status"
        time.sleep(POLL)


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))

"""Inside an allocation of SLURM: the driver on the first node, a Ray of our own on all.

`enter` is all that a submitted job holds, besides the path of its spec. Where a sweep stands is in
the store, so a job that was killed, requeued or moved to other nodes simply begins here again.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console

from cluster import slurm_state
from cluster.profile import Retries, SlurmProfile
from jobs.output import redact
from jobs.run.advance import Advance
from jobs.run.slurm_files import END, FORMAT
from jobs.run.stop import Stop, Stopped, deadline
from jobs.store.ledger import CANCEL, new_folder
from jobs.store.staging import read_with, stage_to
from sigmaflow.atomic import write_json

if TYPE_CHECKING:
    from jobs.run.worker import Attempt

LOG = "driver.log"
CANCELLED = 130  # of a sweep that somebody stopped
SHARE = 0.7  # of the warning time, after which the job is requeued even if a stage still runs


def enter(spec_path: str) -> None:
    """Run the sweep of a spec to its end, or until SLURM wants the nodes back.

    Every rank of the job calls it. On SIGUSR2 (time limit, preemption) the driver stops at the
    next saved step and the job goes back into the queue. Raises RuntimeError, with
    secrets taken out of the traceback.
    """
    redact.install()
    redact.shielded(_enter, Path(spec_path))


def _enter(spec_path: Path) -> None:
    from cluster.allocation import Rank, join

    spec = read_spec(spec_path)
    here, folder = Rank.here(), spec_path.parent
    profile = SlurmProfile.model_validate(spec["profile"])
    os.chdir(spec["cwd"])
    meeting = folder / f"ray-{here.job}-{here.restart}"
    meeting.mkdir(mode=0o700, exist_ok=True)  # holds Ray's token
    stop = None
    if here.rank == 0:  # the driver: what stops its ledger's launch stops this job
        ledger = new_folder(spec["runs"], spec["config"]["name"])
        ledger.mkdir(parents=True)
        stop = Stop(str(ledger / CANCEL), deadline(profile.signal_delay_s / 2))
    stage_to(profile.local_folder)
    read_with(profile.data_workers)
    advance = Advance(Path(spec["runs"]), spec["config"]["name"], folder, here.job, here.restart,
                      profile.time, profile.signal_delay_s)  # fmt: skip
    watch = Watch(profile, here.job, here.restart, stop, advance)
    join(profile, meeting, lambda executor: _drive(spec, folder, executor, stop, here.job))
    watch.finish()


class Watch:
    """What a job does about SLURM's signals. Use from the main thread.

    SIGUSR2 says that the end is near: work stops at its next save and the job requeues itself.
    SIGTERM says that it is here, by somebody else's will: work stops, and nothing is requeued.
    """

    def __init__(
        self, profile: Any, job: str, restart: int, stop: Stop | None,
        advance: Advance | Attempt | None = None,
    ) -> None:  # fmt: skip
        self._profile, self._job, self._restart, self._stop = profile, job, restart, stop
        self._advance = advance
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._requeued = False
        self.warned = self.ended = False
        signal.signal(signal.SIGUSR2, self._warn)
        signal.signal(signal.SIGTERM, self._end)

    def finish(self) -> None:
        """Call when the work has ended: requeues where it was stopped before its end."""
        if self._stop is not None and self._stop.asked() and not self.ended:
            self.requeue()
        if self._timer is not None:
            self._timer.cancel()

    def requeue(self) -> bool:
        """Back into the queue, once, as often as the profile allows, and not when a person wanted
        the end or restarts bring nothing. Whether that was done.
        """
        with self._lock:
            if self._requeued or not self._profile.requeue:
                return self._requeued
            if self._stop is not None and self._stop.for_good():
                return False
            if self._restart >= self._profile.max_requeues:
                print(
                    f"job {self._job} was requeued {self._restart} times; not again (max_requeues)",
                    flush=True,
                )
                return False
            said = None if self._advance is None else self._advance.stuck()
            if said is not None and isinstance(self._advance, Advance):
                self._give_up(self._advance.home, said)
                return False
            try:
                slurm_state.requeue(self._job)
                self._requeued = True
            except slurm_state.SlurmAway as error:
                print(f"cannot requeue: {error}", flush=True)
        return self._requeued

    def _give_up(self, home: Path, said: str) -> None:
        print(said, flush=True)
        with open(home / LOG, "a", encoding="utf-8") as log:
            log.write(redact.text(said) + "\n")
        write_end(home, self._job, 1)

    def _warn(self, *_: object) -> None:
        if self.warned or self._stop is None:
            return
        self.warned = True
        self._stop.ask()
        self._timer = threading.Timer(SHARE * self._profile.signal_delay_s, self.requeue)
        self._timer.daemon = True
        self._timer.start()

    def _end(self, *_: object) -> None:
        self.ended = True
        if self._stop is not None:
            self._stop.ask()


def _drive(spec: dict[str, Any], folder: Path, executor: Any, stop: Stop | None, job: str) -> None:
    """The launch's own code, with its words in a file that the login node follows."""
    from jobs.run.launching import run
    from jobs.sweep.kinds import KINDS

    retries = Retries.model_validate(spec["profile"].get("retries", {}))
    config = KINDS[spec["config"]["kind"]].model_validate(spec["config"])
    restart = os.environ.get("SLURM_RESTART_COUNT") or "0"
    with open(folder / LOG, "a", encoding="utf-8", buffering=1) as log:
        console = Console(file=cast(TextIO, redact.Stream(log)), width=110)  # like one
        handler = logging.StreamHandler(redact.Stream(log))
        logging.getLogger().addHandler(handler)
        again = f", restart {restart}" if restart != "0" else ""
        said = f"job {job} on {os.environ.get('SLURM_JOB_NODELIST', '?')}{again}"
        console.print(said, markup=False)
        try:
            code = run(
                config, executor, Path(spec["runs"]), console, stop=stop,
                on=spec["profile"]["kind"], command=spec["command"], track=spec.get("track", ""),
                notify=spec["profile"].get("notify"), retries=retries,
            )  # fmt: skip
        except Stopped:
            if stop is not None and not stop.for_good():
                console.print("the time is up or the nodes are wanted")
                return
            console.print("cancelled; the same command goes on", style="yellow")
            code = CANCELLED
        except Exception:
            console.out(redact.text(traceback.format_exc()), highlight=False)
            code = 1
        finally:
            logging.getLogger().removeHandler(handler)
        write_end(folder, job, code)


def write_end(folder: Path, job: str, code: int) -> None:
    """The last thing a job says: that the sweep ended, and how."""
    write_json(folder / END, {"format": FORMAT, "job": job, "code": code, "time": time.time()})


def read_spec(path: Path) -> dict[str, Any]:
    """The spec of a submitted job. Raises ValueError for another format."""
    spec = json.loads(path.read_text(encoding="utf-8"))
    if spec.get("format") != FORMAT:
        raise ValueError(f"{path}: format {spec.get('format')!r}; this code reads {FORMAT}")
    return dict(spec)

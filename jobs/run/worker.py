"""``python -m jobs.run.worker RUNS``: take tasks that a driver laid out, until none are left.

Any number may run, anywhere that sees the results folder; each may be killed at any time and
started again. An array of SLURM starts them by itself (``--on slurm_workers``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jobs.output import redact
from jobs.run.advance import near_limit
from jobs.run.attempt import Result, try_task
from jobs.run.queue import Queue
from jobs.run.stop import Stop, deadline
from jobs.store.stage import Task
from jobs.store.staging import read_with, stage_to

FORMAT = 1  # of the spec
LOOK = 1.0  # seconds between two looks at an empty queue


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the queue was empty at last, 1 when a task failed, 2 for a folder that is not."""
    parser = argparse.ArgumentParser(prog="python -m jobs.run.worker", description=__doc__)
    parser.add_argument("runs", help="folder of results that the driver writes")
    parser.add_argument(
        "--idle-s",
        type=float,
        default=120.0,
        metavar="S",
        help="leave after so many seconds without work (default 120)",
    )
    args = parser.parse_args(argv)
    runs = Path(os.path.abspath(args.runs))
    if not (runs / "queue").is_dir():
        print(
            f"{runs}: no queue in it; give the --runs of a launch --on slurm_workers",
            file=sys.stderr,
        )
        return 2
    results = work(runs, args.idle_s)
    return int(any(not result.ok for result in results))


def enter(spec_path: str) -> None:
    """One worker of an array: `work`, with SLURM's signals heard. Raises RuntimeError."""
    redact.install()
    redact.shielded(_enter, Path(spec_path))


def _enter(spec_path: Path) -> None:
    from cluster.profile import SlurmWorkersProfile
    from cluster.slurm_workers import DRAIN
    from jobs.run.slurm_job import Watch

    spec = json.loads(spec_path.read_text(encoding="utf-8"))
    if spec.get("format") != FORMAT:
        raise ValueError(f"{spec_path}: format {spec.get('format')!r}; this code reads {FORMAT}")
    profile = SlurmWorkersProfile.model_validate(spec["profile"])
    os.chdir(spec["cwd"])
    home = spec_path.parent
    stage_to(profile.local_folder)
    read_with(profile.data_workers)
    job = os.environ["SLURM_JOB_ID"]
    restart = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    stop = Stop(str(home / f"stop-{job}-{restart}"), deadline(profile.signal_delay_s))
    queue = Queue(Path(spec["runs"]))
    attempt = Attempt(queue, profile.time, profile.signal_delay_s)
    watch = Watch(profile, job, restart, stop, attempt)
    try:
        work(queue.folder.parent, profile.idle_s, stop, (home / DRAIN).exists, attempt)
    finally:
        Path(stop.path).unlink(missing_ok=True)
    watch.finish()


class Attempt:
    """What a worker is at, for when its time limit ends it in the middle."""

    def __init__(self, queue: Queue, minutes: int, delay_s: float) -> None:
        self._queue, self._minutes, self._delay_s = queue, minutes, delay_s
        self._begun = time.time()
        self.now: tuple[Task, Path] | None = None

    def stuck(self) -> None:
        """Called before the job goes back into the queue, in any thread."""
        now = self.now
        if now is not None and near_limit(self._begun, self._minutes, self._delay_s):
            with contextlib.suppress(OSError):
                self._queue.at_limit(*now)


def work(
    runs: Path,
    idle_s: float,
    stop: Stop | None = None,
    drained: Callable[[], bool] = lambda: False,
    attempt: Attempt | None = None,
) -> list[Result]:
    """Run offered tasks, one after the other; how those ended that this worker ran.

    Ends after ``idle_s`` seconds without work, at once when there is none and ``drained()``, and
    after the next save once ``stop`` is asked.
    """
    queue, results = Queue(runs), []
    seen = time.monotonic()
    while stop is None or not stop.asked():
        result = _next(queue, stop, attempt)
        if result is not None:
            seen = time.monotonic()
            if result.status != "stopped":
                results.append(result)
                print(f"{result.status} {result.key[:20]} in {result.seconds:.1f} s", flush=True)
            continue
        if drained() or time.monotonic() - seen > idle_s:
            break
        time.sleep(LOOK)
    return results


def _next(queue: Queue, stop: Stop | None, attempt: Attempt | None) -> Result | None:
    """Run the first offered task that nobody else has; None when there is none."""
    for offer in queue.offers():
        task = queue.read(offer)
        if task is None:
            continue
        result = _run(queue, task, stop, attempt)
        if result is not None:
            return result
        if stop is not None and stop.asked():
            return None
    return None


def _run(queue: Queue, task: Task, stop: Stop | None, attempt: Attempt | None) -> Result | None:
    tried: list[Path] = []

    def begin() -> None:
        tried.append(queue.begin(task))
        if attempt is not None:
            attempt.now = task, tried[-1]

    result = try_task(str(queue.store.root), task, stop, begin=begin)
    if attempt is not None:
        attempt.now = None
    if result is None:
        return None
    if result.status == "stopped":  # an orderly end says nothing against the task
        for path in tried:
            with contextlib.suppress(OSError):
                path.unlink()
    else:
        queue.end(task.key, result)
    return result


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))

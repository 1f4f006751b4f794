"""Tasks laid out on the disk for workers, and what a worker leaves there.

    runs/queue/<key>.json         offered: the task as JSON (`jobs.store.spec`)
    runs/queue/<key>.try-<id>     begun by a worker; stays only where that worker was killed
    runs/queue/<key>.ended.json   failed, and why; a success is in the store

An offer goes when its task is done or failed, so an empty folder means that nothing is to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import slurm_state
from jobs.run.attempt import Result
from jobs.run.retry import PASSING, cause_in_slurm
from jobs.run.usage import Usage
from jobs.store.spec import SpecError, dump_task, read_task
from jobs.store.stage import Task
from jobs.store.store import MARKER, Store
from sigmaflow.atomic import write_json, write_text

if TYPE_CHECKING:
    from cluster.profile import SlurmWorkersProfile
    from cluster.slurm_workers import WorkersExecutor

TRIES = 3  # workers that one task may kill
MOST_TRIES = 50  # attempts that ended without a word, whatever SLURM says of them
LIMIT = ", time limit at step "
OFFER, ENDED, TRY = ".json", ".ended.json", ".try-"


class Queue:
    """The offers of one results folder. Holds no lock: a task is taken by its claim in the store.

    As a mailbox of `WorkersExecutor` it takes calls of `jobs.run.attempt.run_task` only.
    """

    def __init__(self, runs: Path) -> None:
        self.folder, self.store = runs / "queue", Store(runs / "store")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tasks: dict[str, Task] = {}

    # ------------------------------------------------------------------ the driver's side

    def put(self, function: Callable[..., Any], args: Sequence[Any]) -> str:
        """Offer the task of ``run_task(root, task, ...)``; one that failed before gets a chance."""
        task: Task = args[1]
        self._tasks[task.key] = task
        for left in self.folder.glob(f"{task.key}.*"):
            if left.name.endswith(ENDED) or TRY in left.name and not self._offer(task.key).exists():
                left.unlink(missing_ok=True)
        if not self._offer(task.key).exists():
            write_text(self._offer(task.key), json.dumps(dump_task(task)) + "\n")
        return task.key

    def finished(self, offers: Sequence[str]) -> list[str]:
        """Keys of the tasks that are in the store or failed."""
        return [
            key for key in offers
            if (self.folder / f"{key}{ENDED}").exists() or self.store.find(self._tasks[key])
        ]  # fmt: skip

    def take(self, offer: str) -> Result:
        """How the task ended."""
        task = self._tasks[offer]
        if (path := self.store.find(task)) is not None:
            seconds = json.loads((path / MARKER).read_bytes())["seconds"]
            return Result(task.key, "done", path, seconds)
        said = json.loads((self.folder / f"{offer}{ENDED}").read_bytes())
        return Result(
            task.key, "failed", seconds=said["seconds"], error=said["error"],
            cause=said.get("cause", ""), node=said.get("node", ""),
            usage=Usage(**said.get("usage", {})),
        )  # fmt: skip

    def begun(self) -> int:
        """How many of the tasks offered here were begun or have ended."""
        names = os.listdir(self.folder)
        offered = {name[: -len(OFFER)] for name in names if self._is_offer(name)}
        return len(self._tasks.keys() - offered) + sum(TRY in name for name in names)

    # ------------------------------------------------------------------ a worker's side

    def offers(self) -> list[Path]:
        """Offered tasks, the oldest first."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if self._is_offer(entry.name) and not entry.is_dir():
                    try:
                        found.append((entry.stat().st_mtime, entry.path))
                    except FileNotFoundError:
                        continue
        return [Path(path) for _, path in sorted(found)]

    def read(self, offer: Path) -> Task | None:
        """The task of an offer; None where it is gone. One that cannot be read ends as failed."""
        key = offer.name[: -len(OFFER)]
        try:
            task = read_task(_regular(offer))
            if task.key != key:  # it would be offered for ever
                raise SpecError(f"the offer {offer.name} holds the task {task.key}")
            return task
        except FileNotFoundError:
            return None
        except (SpecError, OSError) as error:
            self.end(key, Result(key, "failed", error=str(error)))
            return None

    def begin(self, task: Task) -> Path:
        """Note that we begin it, holding its claim. Raises RuntimeError for one that kills, or that
        comes to the time limit again and again without a new checkpoint."""
        dead = sorted(self.folder.glob(f"{task.key}{TRY}*"))
        limits = [path.read_text().partition(LIMIT)[2] for path in dead]
        if (count := limits.count(f"{self.store.checkpoint(task)}")) >= TRIES:
            raise RuntimeError(
                f"{task.label}: {count} workers came to their time limit in the middle of it "
                "without a new checkpoint (profile key time); give more"
            )
        if len(dead) >= TRIES and (len(dead) >= MOST_TRIES or len(_killed(dead)) >= TRIES):
            said = "; ".join(path.read_text().strip() for path in dead)
            raise RuntimeError(
                f"{task.label}: {len(dead)} workers were killed in the middle of it (memory?): "
                f"{said}"
            )
        path = self.folder / f"{task.key}{TRY}{secrets.token_hex(4)}"
        job = os.environ.get("SLURM_JOB_ID")
        if array := os.environ.get("SLURM_ARRAY_JOB_ID"):  # the name by which SLURM is asked
            job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
        path.write_text(platform.node() + (f" in job {job}" if job else ""))
        return path

    def at_limit(self, task: Task, begun: Path) -> None:
        """Note in what `begin` gave that the time limit ends that attempt, and how far it came."""
        text = begun.read_text().partition(LIMIT)[0]
        begun.write_text(f"{text}{LIMIT}{self.store.checkpoint(task)}")

    def end(self, key: str, result: Result) -> None:
        """Take the offer away; of a failure the reason stays."""
        if result.status == "failed":
            write_json(
                self.folder / f"{key}{ENDED}",
                {
                    "status": result.status,
                    "error": result.error,
                    "seconds": result.seconds,
                    "cause": result.cause,
                    "node": result.node,
                    "usage": asdict(result.usage),
                },
            )
        for path in [self._offer(key), *self.folder.glob(f"{key}{TRY}*")]:
            path.unlink(missing_ok=True)

    def _offer(self, key: str) -> Path:
        return self.folder / f"{key}{OFFER}"

    @staticmethod
    def _is_offer(name: str) -> bool:
        return name.endswith(OFFER) and not name.endswith(ENDED) and not name.startswith(".")


def _regular(path: Path) -> bytes:
    """The bytes of a file that is no link and no pipe. Raises SpecError for these."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SpecError(f"{path} is no regular file")
        return file.read()


def _killed(tries: Sequence[Path]) -> list[Path]:
    """Attempts whose job did not end by preemption, a time limit or with its node, as far as
    SLURM knows; those say nothing against the task. Nor does one whose job was put back.
    """
    said = {path: path.read_text().partition(LIMIT)[0] for path in tries}
    jobs = {path: text.rpartition(" in job ")[2].strip() for path, text in said.items()}
    try:
        known = slurm_state.states(set(jobs.values()))
    except slurm_state.SlurmAway:
        return list(tries)
    return [
        path for path, job in jobs.items()
        if cause_in_slurm(known[job].state) not in PASSING
        and known[job].phase not in ("waiting", "running")
    ]  # fmt: skip


def workers(profile: SlurmWorkersProfile, runs: Path, name: str) -> WorkersExecutor:
    """The executor of a ``slurm_workers`` profile for one sweep."""
    from cluster.slurm_workers import WorkersExecutor
    from jobs.run import worker

    home = runs / "slurm" / name
    home.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {
            "format": worker.FORMAT,
            "runs": str(runs),
            "cwd": os.getcwd(),
            "profile": profile.model_dump(mode="json"),
        }
    )
    spec = home / f"workers-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    write_text(spec, text + "\n")
    return WorkersExecutor(profile, f"sigmaflow-{name}", Queue(runs), home, worker.enter, spec)

"""Running one task where it has been sent: what a stage's function sees, and what comes back."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobs.output import redact
from jobs.run.arithmetic import arithmetic
from jobs.run.memory import freed, keep_freed_blocks
from jobs.run.retry import Cause, cause_of
from jobs.run.stop import Stop, Stopped
from jobs.run.system import watched
from jobs.run.usage import Usage, measured
from jobs.store import digests
from jobs.store.sound import DamagedInput, damage
from jobs.store.stage import FileInput, Input, Task, file_digest
from jobs.store.staging import VARIABLE, local_copy
from jobs.store.store import CHECKPOINT, PROGRESS, LostClaim, Store, Work
from sigmaflow import atomic
from sigmaflow.files import sha256_file

METRICS = "metrics.jsonl"
KEEP = 2  # checkpoints: the newest, and one to fall back on


Status = Literal["hit", "done", "failed", "blocked", "stopped"]


@dataclass(frozen=True)
class Result:
    """How a task ended."""

    key: str
    status: Status
    """ "hit" (was there already), "done", "failed", "blocked" by a failed input, or "stopped" on
    request: saved, not ended, never seen outside the driver"""
    path: Path | None = None  #: the finished folder
    seconds: float = 0.0  #: spent now
    error: str = ""  #: traceback, or the reason in words
    cause: Cause | Literal[""] = ""  #: of a failed one (`jobs.run.retry`)
    node: str = ""  #: the machine that ran it
    attempt: int = 1  #: of this launch
    usage: Usage = field(default_factory=Usage)  #: peaks of memory

    @property
    def ok(self) -> bool:
        return self.path is not None

    @property
    def spent(self) -> bool:
        """Whether its process, such as one short of memory, should run nothing more."""
        return self.status == "failed"


class Context:
    """What a stage's ``run(ctx)`` sees: config, inputs, a folder for outputs, a way to resume.

    Everything in ``folder`` becomes the result, so nothing in it may depend on clock, host or
    attempt. A stage that keeps no checkpoint always starts with an empty folder.
    """

    def __init__(self, store: Store, task: Task, folder: Path, stop: Stop | None = None) -> None:
        self.config: dict[str, Any] = dict(task.config)
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT  #: for state to resume from; never published
        self._store, self._task, self._stop = store, task, stop
        self._said: dict[str, Any] = {}
        self._said_at = 0.0

    def has(self, name: str) -> bool:
        """Whether the task has an input of this name."""
        return name in self._task.inputs

    def input(self, name: str) -> Any:
        """The finished folder or file of an input; a list of them where the input is a list."""
        try:
            value = self._task.inputs[name]
        except KeyError:
            known = ", ".join(sorted(self._task.inputs)) or "none"
            raise KeyError(
                f"{self._task.stage.name} has no input {name!r} (it has: {known})"
            ) from None
        return [self._path(v) for v in value] if isinstance(value, tuple) else self._path(value)

    def log(self, step: int, **metrics: float) -> None:
        """Append one line to ``metrics.jsonl``. Steps must rise; see `rewind`."""
        line = json.dumps({"step": step, **{k: float(v) for k, v in metrics.items()}})
        with open(self.folder / METRICS, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def rewind(self, step: int) -> None:
        """Drop the metrics after ``step``, written by an attempt that got further."""
        path = self.folder / METRICS
        if not path.exists():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step]
        if len(kept) < len(lines):
            atomic.write_bytes(path, b"".join(kept))

    def save(self, step: int, data: bytes | Callable[[Path], None]) -> None:
        """Keep the state after ``step``, whose metrics are logged: bytes, or a writer of a file.

        Atomic; the two newest are kept. Raises Stopped, which the stage lets pass, when this is
        the time to stop.
        """
        if (self.folder / METRICS).exists():  # they must not be older than the checkpoint
            atomic.fsync_file(self.folder / METRICS)
        self.checkpoint.mkdir(exist_ok=True)
        path = self.checkpoint / f"{step:012d}"
        if isinstance(data, bytes):
            atomic.write_bytes(path, data)
        else:
            atomic.write_with(path, data)
        atomic.write_text(path.with_suffix(".sha256"), sha256_file(path))
        for old in self._saved()[KEEP:]:
            old.with_suffix(".sha256").unlink(missing_ok=True)
            old.unlink()
        if self.should_stop():
            raise Stopped(f"{self._task.label}: saved after step {step}")

    def should_stop(self) -> bool:
        """Whether somebody asked for an early end, or the time is nearly up; `save` asks it."""
        return self._stop is not None and self._stop.asked()

    def restore(self) -> tuple[int, Path] | None:
        """The newest whole checkpoint as (step, file), or None to begin at the beginning.

        Damaged ones are passed over, and the metrics are rewound to the step.
        """
        for path in self._saved():
            try:
                whole = path.with_suffix(".sha256").read_text() == sha256_file(path)
            except OSError:
                whole = False
            if whole:
                self.rewind(int(path.name))
                return int(path.name), path
        self.rewind(-(1 << 62))
        return None

    def progress(self, done: float, total: float) -> None:
        """Say how far it is, in whatever unit; at most twice a second, best effort."""
        if "since" not in self._said:  # this attempt's pace tells the time left
            self._said.update(first=done, since=time.time())
        self._say(min_age=0.5 if done < total else 0.0, done=done, total=total)

    def note(self, text: str) -> None:
        """Say what it is at, for whoever watches; no part of the result."""
        self._say(min_age=0.0, note=redact.text(text))

    def _say(self, min_age: float, **what: Any) -> None:
        self._said.update(what)
        now = time.monotonic()
        if now - self._said_at < min_age:
            return
        self._said_at = now
        try:  # no fsync: this may be lost, and a training must not wait for it
            temporary = self.folder / f"{atomic.TEMPORARY}{PROGRESS}"
            temporary.write_text(json.dumps(self._said))
            temporary.rename(self.folder / PROGRESS)
        except OSError:
            pass

    def _saved(self) -> list[Path]:
        if not self.checkpoint.is_dir():
            return []
        return sorted((p for p in self.checkpoint.iterdir() if p.name.isdigit()), reverse=True)

    def _path(self, value: Input) -> Path:
        if isinstance(value, FileInput):
            if folder := os.environ.get(VARIABLE):
                return local_copy(value.path, value.digest, folder)
            if file_digest(value.path) != value.digest:
                raise RuntimeError(f"{value.path} was changed after this run began; start again")
            return Path(value.path).absolute()
        path = self._store.find(value)
        if path is None:
            raise DamagedInput(f"{value.label}: its result is not whole any more; make it again")
        if (name := self._store.damaged(value)) is not None:
            aside = self._store.set_aside(value)
            raise DamagedInput(damage(value.label, path / name, aside))
        return path


def run_task(root: str, task: Task, poll: float = 0.5, stop: Stop | None = None) -> Result:
    """Find the task's result, or make it, or wait for the living process that is making it.

    This is what executors run; it raises only what should end the process (Ctrl-C).
    """
    begun = time.monotonic()
    while stop is None or not stop.asked():  # it may have been asked while this waited for a place
        if (result := try_task(root, task, stop)) is not None:
            return result
        time.sleep(poll)
    if (path := Store(root).find(task)) is not None:
        return Result(task.key, "hit", path)
    return Result(task.key, "stopped", seconds=time.monotonic() - begun)


def try_task(
    root: str, task: Task, stop: Stop | None = None, begin: Callable[[], None] | None = None
) -> Result | None:
    """As `run_task`, but None at once while another living process is making the result.

    ``begin`` is called when the task is ours and must be made; what it raises is a failure.
    """
    store, begun = Store(root), time.monotonic()
    digests.load(Path(root).parent)
    keep_freed_blocks()
    try:
        if (path := store.find(task)) is not None:
            return Result(task.key, "hit", path, time.monotonic() - begun)
        if (work := store.claim(task)) is None:
            return None
        with freed(), contextlib.suppress(LostClaim), work:
            if store.find(task) is None:  # not made while we were claiming
                return _attempt(store, task, work, stop, begin)
    except Stopped:
        return Result(task.key, "stopped", seconds=time.monotonic() - begun)
    except Exception as error:
        return failed(task, error, time.monotonic() - begun)
    return None


def failed(task: Task, error: BaseException, seconds: float, usage: Usage | None = None) -> Result:
    """The result of a task that raised, here."""
    return Result(
        task.key, "failed", seconds=seconds, cause=cause_of(error), node=platform.node(),
        error=redact.text("".join(traceback.format_exception(error))), usage=usage or Usage(),
    )  # fmt: skip


def _attempt(
    store: Store, task: Task, work: Work, stop: Stop | None, begin: Callable[[], None] | None
) -> Result:
    begun, usage = time.monotonic(), Usage()
    try:
        if begin is not None:
            begin()
        if not work.ready():
            with measured() as usage, watched(store.root, task):
                function = _load(task.stage.run)
                with arithmetic(task):
                    function(Context(store, task, work.folder, stop))
        path = work.publish(time.monotonic() - begun, asdict(usage))
    except Stopped:
        raise  # no failure: the next attempt goes on from what was saved
    except Exception as error:
        if not work.claim.ours():  # its folder went with the claim, so any error may follow
            raise LostClaim(str(error)) from error
        result = failed(task, error, time.monotonic() - begun, usage)
        work.fail(result.error, result.cause)
        return result
    seconds = time.monotonic() - begun
    return Result(task.key, "done", path, seconds, node=platform.node(), usage=usage)


def _load(target: str) -> Callable[[Context], None]:
    module, _, name = target.partition(":")
    function: Callable[[Context], None] = getattr(importlib.import_module(module), name)
    return function

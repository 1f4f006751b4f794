"""Finished stages on disk, one folder a key, and how they get there.

    <root>/<stage>/<key[:20]>/                  finished: outputs, task.json and, last, done.json
    <root>/<stage>/.work/<key[:20]>-<attempt>/  unfinished: outputs so far, checkpoint/, error.json
    <root>/<stage>/.claim-<key[:20]>            who works on it; touched while that process lives
    <root>/<stage>/.broken-<key[:20]>-*/        moved aside because its files were not whole
    <root>/<stage>/.old-<key[:20]>-*/           moved aside to be made anew (--rerun)

A work folder is renamed to the attempt that owns it, so a process that lost its claim finds its
folder gone and can neither publish nor disturb the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jobs.store.claim import Claim, owner_of
from jobs.store.folders import each, finished, fsync, remove
from jobs.store.sound import damaged, stamp
from jobs.store.stage import Stage, Task
from jobs.store.stale import sources_now
from sigmaflow.atomic import TEMPORARY, fsync_folder, move_folder, write_json
from sigmaflow.files import sha256_file

FORMAT = 1  # of done.json; a change needs a way to read the old one
SHORT = 20  # characters of the key in names of folders
MARKER, READY, ERROR, SPEC = "done.json", "ready.json", "error.json", "task.json"
CHECKPOINT, PROGRESS = "checkpoint", "progress.json"
WORK = ".work"  # folder of a stage's unfinished attempts
PASSING = {ERROR, CHECKPOINT, PROGRESS}  # gone once there is a result
NOT_OUTPUT = {MARKER, READY, SPEC, *PASSING}


class LostClaim(RuntimeError):
    """Another process has taken the task over; this attempt cannot publish."""


class Named(Protocol):
    """What a result is found by: a task, or a line of a ledger."""

    @property
    def stage(self) -> Stage: ...
    @property
    def key(self) -> str: ...


class Store:
    """The results under one root. Holds no state: any number of processes may use one root."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(os.path.abspath(root))

    # ------------------------------------------------------------------ reading

    def path(self, task: Named) -> Path:
        """Where the finished folder of the task is or will be (absolute)."""
        return self.root.joinpath(task.stage.name, task.key[:SHORT])

    def find(self, task: Named) -> Path | None:
        """The finished folder, or None. Sizes are checked, contents are not (see `verify`)."""
        path = self.path(task)
        return path if read_marker(path, task) is not None else None

    def verify(self, task: Task) -> bool:
        """Whether every output still has the sha256 it was published with. Reads all bytes."""
        path = self.path(task)
        marker = read_marker(path, task)
        return marker is not None and _unchanged(path, marker)

    def damaged(self, task: Named, most: int | None = None) -> str | None:
        """The first file of a finished result that is not as it was published, or None.

        Files above ``most`` bytes are not read; see `jobs.store.sound`.
        """
        path = self.path(task)
        marker = read_marker(path, task)
        return None if marker is None else damaged(path, marker, most)

    def marker(self, task: Named) -> dict[str, Any] | None:
        """What a finished result's ``done.json`` says; None where it is not finished."""
        return read_marker(self.path(task), task)

    def retire(self, task: Named) -> None:
        """Move a finished result away, so that it is made anew. Raises OSError."""
        path = self.path(task)
        with locked(path.parent):
            move_folder(path, path.parent / f".old-{path.name}-{secrets.token_hex(4)}")

    def set_aside(self, task: Named) -> Path | None:
        """Move a damaged result away, to be made again; its new place, None where it was gone.

        Raises OSError where the store cannot be written.
        """
        path = self.path(task)
        with locked(path.parent):
            if not path.exists() or self.damaged(task) is None:  # somebody else has done it
                return None
            aside = path.parent / f".broken-{path.name}-{secrets.token_hex(4)}"
            move_folder(path, aside)
        return aside

    def work(self, task: Named) -> Path | None:
        """The folder of an unfinished attempt, running or not."""
        folder, start = self.path(task).parent / WORK, f"{task.key[:SHORT]}-"
        try:  # apart from the finished ones, of which there are thousands: this is asked often
            found = [name for name in os.listdir(folder) if name.startswith(start)]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return folder / min(found) if found else None

    def progress(self, task: Named) -> dict[str, Any] | None:
        """What a running task last said of itself: ``done``, ``total``, ``note``; may be old."""
        work = self.work(task)
        return _read_json(work / PROGRESS) if work else None

    def checkpoint(self, task: Named) -> int | None:
        """The step of the newest checkpoint to resume from, damaged or not; None without one."""
        work = self.work(task)
        saved = (work / CHECKPOINT).glob("*") if work else ()
        return max((int(path.name) for path in saved if path.name.isdigit()), default=None)

    def owner(self, task: Named) -> dict[str, Any] | None:
        """Who works on it now: host, pid, time of the claim, `beat` (s since last heard of)."""
        path = self.path(task)
        return owner_of(path.parent / f".claim-{path.name}")

    def claimed(self, task: Named) -> bool:
        """Whether anybody works on it or did and died."""
        path = self.path(task)
        try:  # NFS remembers for a while that a file was not there, but reads folders anew
            return f".claim-{path.name}" in os.listdir(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def last_host(self, task: Named) -> str:
        """The machine of whoever claims it or last did and died; empty where nobody is known."""
        path = self.path(task)
        said = _read_json(path.parent / f".claim-{path.name}") or {}
        return str(said.get("host", ""))

    def error(self, task: Named) -> dict[str, Any] | None:
        """Why the last attempt failed, or None where it did not."""
        work = self.work(task)
        return _read_json(work / ERROR) if work else None

    # ------------------------------------------------------------------ writing

    def claim(self, task: Task) -> Work | None:
        """Take the task, or None while a living process has it.

        A leftover of an interrupted attempt is taken over with its checkpoint; without one it
        is emptied. A finished folder that is not whole is moved aside. Raises OSError when the
        store cannot be written.
        """
        path = self.path(task)
        (path.parent / WORK).mkdir(parents=True, exist_ok=True)
        claim = Claim(path.parent / f".claim-{path.name}")
        with locked(path.parent):
            if not claim.take():
                return None
        claim.start_heartbeat()
        try:
            return self._prepare(task, path, claim)
        except BaseException:
            self.release(task, claim)
            raise

    def release(self, task: Task, claim: Claim) -> None:
        """Give a claim back; one that another process has broken meanwhile is left alone."""
        if claim.held:
            with locked(self.path(task).parent):
                claim.release()

    def _prepare(self, task: Task, path: Path, claim: Claim) -> Work:
        folder = path.parent / WORK / f"{path.name}-{claim.attempt}"
        work = Work(self, task, folder, claim)
        left = self.work(task)
        if path.exists() and read_marker(path, task) is None:
            if (path / MARKER).exists() or left is not None:
                aside = path.parent / f".broken-{path.name}-{secrets.token_hex(4)}"
                move_folder(path, aside)
            else:  # killed between the rename and the marker
                left = path
        if path.exists() and left is not path:  # finished by someone else in the meantime
            if left is not None:
                remove(left)
            return work
        if left is None:
            folder.mkdir()
        else:
            move_folder(left, folder)
            work.tidy()
        if not (folder / SPEC).exists():
            said = {**task.spec(), "key": task.key, "label": task.label}
            write_json(folder / SPEC, said, flush=False)  # with the outputs
        return work


@dataclass(frozen=True)
class Work:
    """One claimed attempt. Use it as a context: leaving it gives the claim back."""

    store: Store
    task: Task
    folder: Path
    claim: Claim

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.release(self.task, self.claim)

    def tidy(self) -> None:
        """Remove what an interrupted attempt left, except what its successor may go on with."""
        ready = self.ready()
        resumable = ready or (self.checkpoint.is_dir() and any(self.checkpoint.iterdir()))
        passing = {ERROR, PROGRESS} if ready else {ERROR, PROGRESS, READY}
        for child in list(self.folder.iterdir()):
            if not resumable or child.name in passing:
                remove(child)
        for leftover in list(self.folder.rglob(f"{TEMPORARY}*")):
            remove(leftover)

    def ready(self) -> bool:
        """Whether an earlier attempt had finished everything but its publication.

        It may have ended by a power cut that left the list and not all that it lists.
        """
        ready = _read_json(self.folder / READY)
        return (
            ready is not None
            and _whole(self.folder, ready, self.task)
            and _unchanged(self.folder, ready)
        )

    def publish(self, seconds: float = 0.0, peak: Mapping[str, int] | None = None) -> Path:
        """Make the outputs the task's result: flush, list, rename, marker; and give the claim back.

        All is flushed before the rename, and nothing after it: a power cut leaves a result, or a
        folder that the next attempt only has to rename.

        ``peak`` (bytes, by kind of memory) is kept in the marker. Raises LostClaim when the claim
        is not ours any more.
        """
        self._still_ours()
        if not self.ready():
            outputs = list(finished(self.folder, apart=NOT_OUTPUT))
            manifest = self._manifest(outputs, seconds, peak or {})
            write_json(self.folder / READY, manifest, flush=False)
            each(fsync, [*outputs, self.folder / SPEC, self.folder / READY])
            fsync_folder(self.folder)
        for name in PASSING.intersection(os.listdir(self.folder)):
            remove(self.folder / name)
        final = self.store.path(self.task)
        with locked(final.parent):
            self._still_ours()
            os.rename(self.folder, final)
            os.replace(final / READY, final / MARKER)
            self.claim.end()
        return final

    def fail(self, error: str, cause: str = "bug") -> None:
        """Leave the reason beside the unfinished outputs. Never makes a marker."""
        with contextlib.suppress(OSError):
            write_json(
                self.folder / ERROR,
                {
                    "format": FORMAT,
                    "error": error,
                    "cause": cause,
                    "host": platform.node(),
                    "attempt": self.claim.attempt,
                },
            )

    def _still_ours(self) -> None:
        if not self.claim.ours():
            raise LostClaim(
                f"{self.task.label}: another process took this task over while this one was "
                "not heard of; its result will be used instead"
            )

    def _manifest(
        self, outputs: Sequence[Path], seconds: float, peak: Mapping[str, int]
    ) -> dict[str, Any]:
        files = [path for path in outputs if not path.is_dir()]
        digests = each(sha256_file, files)
        return {
            "format": FORMAT,
            "key": self.task.key,
            "stage": self.task.stage.name,
            "version": self.task.stage.version,
            "files": {
                path.relative_to(self.folder).as_posix(): {
                    "size": path.stat().st_size,
                    "sha256": digest,
                }
                for path, digest in zip(files, digests)
            },
            "stamps": {
                path.relative_to(self.folder).as_posix(): stamp(path.stat()) for path in files
            },
            **({"sources": made} if (made := sources_now(self.task.stage.name)) else {}),
            "seconds": round(seconds, 3),
            "peak": dict(peak),
            "finished": time.time(),
            "host": platform.node(),
            "attempt": self.claim.attempt,
        }


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A short lock on a stage's folder; the system frees it when its holder dies."""
    with open(folder / ".lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def read_marker(path: Path, task: Named | None = None) -> dict[str, Any] | None:
    """The marker of a finished folder, or None when it is absent, foreign or its files changed."""
    marker = _read_json(path / MARKER)
    return marker if marker is not None and _whole(path, marker, task) else None


def _whole(path: Path, manifest: dict[str, Any], task: Named | None) -> bool:
    try:
        if manifest["format"] != FORMAT or (task is not None and manifest["key"] != task.key):
            return False
        if not all(isinstance(manifest[key], (int, float)) for key in ("seconds", "finished")):
            return False  # what others read of it
        return all(
            os.stat(path / name).st_size == entry["size"]
            for name, entry in manifest["files"].items()
        )
    except (OSError, KeyError, TypeError, AttributeError):
        return False


def _unchanged(path: Path, manifest: dict[str, Any]) -> bool:
    return all(sha256_file(path / n) == entry["sha256"] for n, entry in manifest["files"].items())


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None

"""What a launch writes down of itself, so that files alone tell how it stands.

    <runs>/sweeps/<name>/<launch>/launch.json   what was launched, by whom, and how it ended
    <runs>/sweeps/<name>/<launch>/tasks.jsonl   its trials and tasks, one line each, as planned
    <runs>/sweeps/<name>/<launch>/cancel.json   there when it is to stop (`jobs.run.stop`)

Only the launching process writes the first two, so nothing here needs a lock. It touches
``launch.json`` while it lives. Nothing computed depends on a ledger: where it cannot be written, a
warning says so and the work goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.run.driver import Event
from jobs.run.stop import Stopped
from jobs.store.claim import BEAT, here, lives
from jobs.store.stage import Input, Stage, Task, canonical, walk
from sigmaflow.atomic import write_json

FORMAT = 1  # of launch.json and tasks.jsonl; a change needs a way to read the old one
SWEEPS, LAUNCH, TASKS, CANCEL = "sweeps", "launch.json", "tasks.jsonl", "cancel.json"
KEEP = 10  # launches of one sweep that have ended and are remembered
POLL = 1.0  # seconds between two looks for a request to stop

RECORD: Mapping[str, Any] = {  # what every launch.json has
    "name": str, "plan": str, "state": str, "begun": (int, float), "driver": dict,
}  # fmt: skip
TOLD: Mapping[str, Any] = {  # what it may have: without, it is as these
    "kind": "", "scale": "", "trials": 0, "config": {}, "params": [], "fid_name": "", "error": "",
}  # fmt: skip
_told: set[tuple[str, str]] = set()

log = logging.getLogger(__name__)


def plan_id(config: Mapping[str, Any], tasks: Iterable[Task]) -> str:
    """Names a plan: equal for equal settings, stage versions and inputs. 12 hex digits.

    How many trials there are to be is left out: with more of them the same ones come first. So are
    analyses and where they are measured: a search does not depend on them.
    """
    config = {k: v for k, v in config.items() if k not in ("analyses", "device")}
    if isinstance(config.get("search"), Mapping):
        config["search"] = {k: v for k, v in config["search"].items() if k != "trials"}
    said = canonical([config, sorted(task.key for task in tasks)])
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def new_folder(runs: str | Path, name: str) -> Path:
    """A name for the folder of a launch that begins now; nothing is made."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Path(runs) / SWEEPS / name / f"{stamp}-{secrets.token_hex(3)}"


class Ledger:
    """Written by one launch. Use as a context: leaving it says how the launch ended.

    ``on_cancel`` is called once, from another thread, when a request to stop is found. ``folder``
    is a `new_folder` that was chosen before; none: one is.
    """

    def __init__(
        self,
        runs: str | Path,
        name: str,
        plan: str = "",
        on_cancel: Callable[[], None] | None = None,
        folder: Path | None = None,
        **said: Any,
    ) -> None:
        self.folder = folder or new_folder(runs, name)
        self._record: dict[str, Any] = {
            "format": FORMAT, "name": name, "plan": plan, "state": "running",
            "begun": time.time(), "driver": here(), "slurm_jobs": _slurm_jobs(), **said,
        }  # fmt: skip
        self._known: set[str] = set()
        self._ended = threading.Event()
        self._on_cancel = on_cancel
        self._harmless(self._open)

    def __enter__(self) -> Ledger:
        threading.Thread(target=self._beat, name="ledger", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if self._record["state"] == "running":
            # Ctrl-C and the like are no Exception.
            stopped = kind is not None and (kind is Stopped or not issubclass(kind, Exception))
            self.close("stopped" if stopped else "failed" if kind else "done", str(error or ""))

    def add(self, tasks: Task | Iterable[Task], trial: int | None = None) -> None:
        """Tasks and all that they need, as soon as they are planned. Those known are passed over.

        ``trial`` is the number of the trial that they were planned for.
        """
        new = walk(tasks if isinstance(tasks, Task) else list(tasks), self._known)
        self._known.update(task.key for task in new)
        self._append([{"task": _entry(task, trial)} for task in new])

    def trial(self, number: int, params: Mapping[str, Any], last: Task, **parts: Task) -> None:
        """A trial that was asked, and its tasks: ``last`` ends it, ``parts`` have names."""
        self.add(last, number)
        said = {"number": number, "params": dict(params), "last": last.key}
        self._append([{"trial": {**said, **{name: task.key for name, task in parts.items()}}}])

    def roles(self, **inputs: Input) -> None:
        """What tables are made of, by name: tasks, or outside files."""
        said = {
            name: {"key": one.key} if isinstance(one, Task) else {"file": str(one.path)}
            for name, one in inputs.items()
        }
        self._append([{"roles": said}])

    def event(self, event: Event) -> None:
        """Failures, which the store does not always know of (a process that was killed), and
        attempts that failed and are followed by another.
        """
        result = event.result
        if event.kind not in ("failed", "blocked", "again") or result is None:
            return
        said: dict[str, object]
        said = {"key": event.task.key, "status": event.kind, "error": redact.text(result.error)}
        if event.kind != "blocked":
            said |= {"cause": result.cause, "attempt": result.attempt, "node": result.node}
        self._append([{"again" if event.kind == "again" else "ended": said}])

    def slurm_job(self, job: str) -> None:
        """A SLURM job that works for this launch; `jobs.cancel` ends it."""
        if job not in self._record["slurm_jobs"]:
            self._record["slurm_jobs"].append(job)
            self._harmless(self._write)

    def close(self, state: str, error: str = "") -> None:
        """Say how it ended: "done", "failed" or "stopped"."""
        self._ended.set()
        self._record |= {"state": state, "error": redact.text(error)[-2000:], "ended": time.time()}
        self._harmless(self._write)

    # ------------------------------------------------------------------ inside

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / LAUNCH, self._record)
        (self.folder / TASKS).write_text(json.dumps({"format": FORMAT}) + "\n")
        for old in [one for one in launches(self.folder.parent) if not one.alive][KEEP:]:
            shutil.rmtree(old.folder, ignore_errors=True)

    def _write(self) -> None:
        write_json(self.folder / LAUNCH, self._record)

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        def append() -> None:
            text = "".join(json.dumps(line) + "\n" for line in lines)
            with open(self.folder / TASKS, "a", encoding="utf-8") as file:
                file.write(text)

        if lines:
            self._harmless(append)

    def _harmless(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            log.warning("%s: %s; the launch goes on, jobs.status won't see it", self.folder, error)

    def _beat(self) -> None:
        touched = time.monotonic()
        while not self._ended.wait(POLL):
            with contextlib.suppress(OSError):  # a shared disk that is away for a moment
                if self._on_cancel is not None and self._wanted_to_end():
                    call, self._on_cancel = self._on_cancel, None
                    call()
                if time.monotonic() - touched >= BEAT and not self._ended.is_set():
                    os.utime(self.folder / LAUNCH)
                    touched = time.monotonic()

    def _wanted_to_end(self) -> bool:
        """By a person, who says so in the file; an empty one asks for a pause (`Stop`)."""
        # NFS remembers for a while that a file was not there, but reads folders anew.
        there = CANCEL in os.listdir(self.folder)
        return there and (self.folder / CANCEL).stat().st_size > 0


# ---------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Entry:
    """A task as a ledger has it. `Store` finds its result by it, as by the task."""

    stage: Stage
    key: str
    label: str
    needs: tuple[str, ...]  #: keys
    trial: int | None = None
    threads: int = 1


@dataclass(frozen=True)
class Launch:
    """One launch of a sweep, read from its folder."""

    folder: Path
    record: Mapping[str, Any]
    alive: bool  #: whether its driver runs: by its process on this host, its heartbeat elsewhere

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def state(self) -> str:
        """ "running", "done", "failed", "stopped", or "dead": it ended without a word."""
        said = self.record["state"]
        return "dead" if said == "running" and not self.alive else said

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked it to stop."""
        return (self.folder / CANCEL).exists()

    def beat(self) -> float:
        """Seconds since its driver last said that it lives, by this machine's clock."""
        with contextlib.suppress(OSError):
            return max(0.0, time.time() - (self.folder / LAUNCH).stat().st_mtime)
        return float("inf")


@dataclass
class Plan:
    """What launches of one plan have written: tasks, failures and repeated attempts by key, trials
    by number, and what tables are made of by name."""

    tasks: dict[str, Entry] = field(default_factory=dict)
    trials: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    roles: dict[str, dict[str, str]] = field(default_factory=dict)
    again: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def sweeps(runs: str | Path) -> list[str]:
    """Names of the sweeps that were launched below ``runs``, the latest first."""
    folder = Path(runs) / SWEEPS
    found = [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    begun = {p.name: [q.parent.name for q in p.glob(f"*/{LAUNCH}")] for p in found}
    latest = {name: max(stamps) for name, stamps in begun.items() if stamps}
    return sorted(latest, key=lambda name: (latest[name], name), reverse=True)


def launches(folder: str | Path) -> list[Launch]:
    """Launches of the sweep in ``<runs>/sweeps/<name>``, the latest first.

    Folders that are damaged are passed over with a word, those of a newer format without.
    """
    found = []
    for path in sorted(Path(folder).glob(f"*/{LAUNCH}"), reverse=True):
        record = _read(path)
        if record is None:
            _passed_over(path, "it cannot be read as JSON")
        elif record.get("format") == FORMAT:
            record = {**TOLD, **record}
            if odd := _odd(record):
                _passed_over(path, f"{odd} is missing or not what it should be")
                continue
            alive = record["state"] == "running" and lives(path, record["driver"])
            found.append(Launch(path.parent, record, alive))
    return sorted(found, key=lambda one: one.record["begun"], reverse=True)


def read_plan(all_launches: Sequence[Launch]) -> Plan:
    """All that launches of the latest one's plan have written, failures of the latest only."""
    plan = Plan()
    for launch in reversed([o for o in all_launches if o.record["plan"] == _latest(all_launches)]):
        plan.ended, plan.again = {}, {}
        for number, line in _lines(launch.folder / TASKS):
            try:
                _enter(plan, line)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                _passed_over(launch.folder / TASKS, f"line {number} is no entry ({error!r})")
    return plan


def _enter(plan: Plan, line: Mapping[str, Any]) -> None:
    """Raises KeyError, TypeError, AttributeError or ValueError for what is no line of a ledger."""
    if (one := line.get("task")) is not None:
        plan.tasks.setdefault(one["key"], _from_line(one))
    elif (one := line.get("trial")) is not None:
        plan.trials[int(one["number"])] = {**one, "params": dict(one["params"]),
                                           "last": str(one["last"])}  # fmt: skip
    elif (one := line.get("ended")) is not None:
        plan.ended[one["key"]] = {**one, "status": str(one["status"]), "error": str(one["error"])}
    elif (one := line.get("again")) is not None:
        plan.again.setdefault(one["key"], []).append(dict(one))
    elif (one := line.get("roles")) is not None:
        plan.roles |= {name: dict(role) for name, role in one.items()}


def known_trials(runs: str | Path, name: str, plan: str) -> dict[int, dict[str, Any]]:
    """Parameters of the trials that launches of a plan have asked, by number."""
    same = [o for o in launches(Path(runs) / SWEEPS / name) if o.record["plan"] == plan]
    trials = read_plan(same).trials
    return {number: trials[number]["params"] for number in sorted(trials)}


def _latest(all_launches: Sequence[Launch]) -> str:
    return all_launches[0].record["plan"] if all_launches else ""


def _entry(task: Task, trial: int | None) -> dict[str, Any]:
    stage = task.stage
    return {
        "key": task.key, "stage": stage.name, "version": stage.version, "gpu": stage.gpu,
        "actor": stage.actor, "label": task.label, "threads": task.config["threads"],
        "needs": list(dict.fromkeys(need.key for need in task.needs())), "trial": trial,
    }  # fmt: skip


def _from_line(one: Mapping[str, Any]) -> Entry:
    stage = Stage(one["stage"], one["version"], "", gpu=one["gpu"], actor=one["actor"])
    return Entry(stage, one["key"], one["label"], tuple(one["needs"]), one["trial"], one["threads"])


def _odd(record: Mapping[str, Any]) -> str | None:
    """The first key of a launch.json that is missing or has a value of another kind."""
    kinds = {**RECORD, **{key: type(value) for key, value in TOLD.items()}}
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind):
            return key
    if not isinstance(record.get("ended", 0.0), (int, float)):
        return "ended"
    return None if {"host", "pid"} <= record["driver"].keys() else "driver"


def _passed_over(path: Path, why: str) -> None:
    """Say once a process that a file of ours is damaged."""
    if (str(path), why) not in _told:
        _told.add((str(path), why))
        log.warning("%s is damaged: %s; it is passed over, delete it to hear no more of it",
                    path, why)  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Whole lines of a file that may just be written, by number from 1; none of another format."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    for i, line in enumerate(lines):
        try:
            value = json.loads(line)
        except ValueError:
            _passed_over(path, f"line {i + 1} is not JSON")
            continue
        if i == 0:
            found = value.get("format") if isinstance(value, dict) else None
            if found not in (None, FORMAT):
                _passed_over(path, f"its format is {found!r}, this code reads {FORMAT}")
                return
            if found is None:
                _passed_over(path, "line 1 does not say its format")
        yield i + 1, value


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _slurm_jobs() -> list[str]:
    return [os.environ["SLURM_JOB_ID"]] if os.environ.get("SLURM_JOB_ID") else []

"""What MLflow is to show of a sweep, computed from its ledger, its store and its spool alone.

Three levels: the sweep (one row a plan), its trials, and stages below the trial they were planned
for, shared ones below the sweep. Needs nothing heavy, so a command can see at once whether MLflow
is behind (`digest`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobs.output import redact
from jobs.run.attempt import METRICS
from jobs.run.system import spool
from jobs.search.outcomes import gain
from jobs.status import STATES, Standing, Sweep, stand
from jobs.store.ledger import SWEEPS, Launch, launches
from jobs.store.stage import REPORT, canonical
from jobs.store.store import NOT_OUTPUT, SPEC, Store, read_marker
from jobs.track import provenance

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
SHOWN = {".png", ".svg", ".pdf", ".parquet", ".csv", ".tex", ".json", ".html", ".txt", ".md"}
LARGEST = 20 * 2**20  # bytes of a file that is copied; larger ones are named in a tag
LARGE = 20  # of them, in tags
RUNS = "sigmaflow.runs"  # tag of every run of ours: the folder that it is of
WHY, ERROR = "sigmaflow.why", "sigmaflow.error"  # tags that go when the run goes on
STAGE, FOLDER, TRIAL = "sigmaflow.stage", "sigmaflow.folder", "sigmaflow.trial"
CURVES, SYSTEM = "curves", "system"  # names of a stage's own curves, and of its machine's


@dataclass(frozen=True)
class Row:
    """One run of MLflow. Known by its key and its parent's, everything else may change."""

    key: str
    parent: str  #: the key of another row; "" for a sweep
    name: str
    status: Status
    start: int  #: ms
    end: int | None = None  #: ms
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Path] = field(default_factory=dict)  #: files of lines of JSON, by name
    files: tuple[tuple[Path, str], ...] = ()  #: artefacts, and their folders among them
    texts: Mapping[str, str] = field(default_factory=dict)  #: artefacts by name

    def digest(self) -> str:
        """Of all that shows, save where it lies and when it ran. 16 hex digits."""
        tags = {k: v for k, v in self.tags.items() if k != FOLDER}
        sizes = {name: _size(path) for name, path in self.curves.items()}
        files = [[path.name, place, _size(path)] for path, place in self.files]
        said = [
            self.key,
            self.parent,
            self.name,
            self.status,
            tags,
            dict(self.metrics),
            sizes,
            files,
            dict(self.texts),
        ]
        return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]


def digest(rows: Iterable[Row]) -> str:
    """Of a whole view; equal ones show the same."""
    return hashlib.sha256(" ".join(row.digest() for row in rows).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Seen:
    """A stage that somebody has begun: its folder, marker where it is done, first and last sign."""

    folder: Path
    marker: dict[str, Any] | None
    start: int  #: ms
    end: int


Cache = dict[str, _Seen]  # of finished stages, by key


def rows(runs: Path, name: str, cache: Cache | None = None) -> list[Row]:
    """All that is to be shown of a sweep, parents first: every plan that is remembered.

    Who looks often keeps a ``cache``, and spares itself to look at finished stages again.
    """
    known, store = launches(runs / SWEEPS / name), Store(runs / "store")
    cache = {} if cache is None else cache
    plans = dict.fromkeys(launch.record["plan"] for launch in known)
    found: list[Row] = []
    for plan in reversed(plans):  # the oldest first, as they came
        same = [one for one in known if one.record["plan"] == plan]
        sweep = stand(same, store, set(cache))
        seen = {
            one.entry.key: here
            for one in sweep.tasks
            if (here := _seen(store, one, cache)) is not None
        }
        found += [_sweep(sweep, store), *_trials(sweep, seen), *_stages(sweep, store, seen)]
    return found


def _sweep(sweep: Sweep, store: Store) -> Row:
    latest, record = sweep.latest, sweep.latest.record
    tags = {"sigmaflow.kind": record["kind"], "sigmaflow.stages": _counts(sweep)}
    if record.get("trials"):
        tags["sigmaflow.trials"] = str(record["trials"])
    status, why = _launch_status(sweep.launches)
    if why:
        tags[WHY] = why
    if record.get("error"):
        tags[ERROR] = redact.text(record["error"])
    files: list[tuple[Path, str]] = []
    for launch in reversed(sweep.launches):  # the tags of the last that ran anything win
        made = _json(launch.folder / provenance.PROVENANCE)
        if made is not None:
            tags |= _provenance(made)
            files += [
                (launch.folder / name, f"launches/{launch.folder.name}")
                for name in (provenance.PROVENANCE, provenance.DIFF, provenance.ENVIRONMENT)
                if (launch.folder / name).is_file()
            ]
    for one in sweep.tasks:
        ends = one.entry.stage.name == "tables" or one.entry.stage.name.startswith(REPORT)
        if one.state == "done" and ends:
            folder = store.path(one.entry)
            files += [
                (path, path.parent.name)
                for path in sorted(folder.rglob("*"))
                if path.suffix in (".png", ".parquet", ".tex")
            ]
    params = {k: record[k] for k in ("scale", "on") if k in record}
    config = record.get("config")
    if config:
        params["seed"] = config.get("seed")
    texts = {"config.json": json.dumps(redact.value(config), indent=1)} if config else {}
    first = min(one.record["begun"] for one in sweep.launches)
    return Row(
        record["plan"], "", latest.name, status, int(first * 1000),
        None if status == "RUNNING" else int(_left_at(latest) * 1000), params, tags,
        files=tuple(files), texts=texts,
    )  # fmt: skip


def _launch_status(known: list[Launch]) -> tuple[Status, str]:
    if any(launch.alive for launch in known):
        return "RUNNING", ""
    state = known[0].state
    if state in ("done", "failed"):
        return ("FINISHED" if state == "done" else "FAILED"), ""
    return "KILLED", _stop_reason(known)


def _stop_reason(known: list[Launch]) -> str:
    if known[0].state == "dead":
        return "its launch ended without a word; the same command goes on"
    return "stopped on request; the same command goes on"


def _left_at(launch: Launch) -> float:
    """When it ended, as far as that is known."""
    if "ended" in launch.record:
        return float(launch.record["ended"])
    begun = float(launch.record["begun"])
    return begun + max(0.0, _changed(launch.folder) - begun)


def _counts(sweep: Sweep) -> str:
    said = [f"{sweep.counts[state]} {state}" for state in STATES if sweep.counts[state]]
    return f"{', '.join(said)} of {len(sweep.tasks)}"


def _provenance(made: Mapping[str, Any]) -> dict[str, str]:
    git = made.get("git") or {}
    said = {
        "mlflow.source.name": "sigmaflow", "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit", ""),
        "mlflow.source.git.branch": git.get("branch", ""),
        "sigmaflow.git.dirty": str(git["dirty"]).lower() if git else "",
        "sigmaflow.command": " ".join(made.get("command", [])),
        "sigmaflow.profile": made.get("profile", ""), "sigmaflow.host": made.get("host", ""),
        "sigmaflow.python": made.get("python", ""),
    }  # fmt: skip
    return {name: redact.text(value) for name, value in said.items() if value}


def _trials(sweep: Sweep, seen: Mapping[str, _Seen]) -> Iterator[Row]:
    tasks = {one.entry.key: one for one in sweep.tasks}
    driven = any(launch.alive for launch in sweep.launches)
    begun = int(min(one.record["begun"] for one in sweep.launches) * 1000)
    fid_name = sweep.latest.record.get("fid_name") or "fid"
    for number, said in sorted(sweep.plan.trials.items()):
        parts = [tasks[k] for n, k in said.items() if n not in ("number", "params") and k in tasks]
        last, tags, metrics = tasks.get(said["last"]), {TRIAL: str(number)}, {}
        states = {one.state for one in parts}
        status: Status = "RUNNING"
        if last is not None and last.state == "done" and last.entry.key in seen:
            status = "FINISHED"
            numbers = _numbers(seen[last.entry.key].folder / "summary.json")
            which = gain(said["params"])
            objectives = {f"{which}_gain": f"{which}_delta_mean", fid_name: "fid"}
            # First, since pages show the first; and no parameter, which has its own column.
            metrics = {
                f"Objective/{name}": numbers[source]
                for name, source in objectives.items()
                if source in numbers
            }
            metrics |= {k: v for k, v in numbers.items() if k not in said["params"]}
        elif states & {"failed", "blocked"}:
            status = "FAILED"
            bad = next((one for one in parts if one.state == "failed"), None)
            tags[WHY] = f"{bad.entry.label} failed" if bad else "a stage that it needs failed"
        elif not driven and "running" not in states:
            status, tags[WHY] = "KILLED", _stop_reason(sweep.launches)
        begun_parts = [seen[one.entry.key] for one in parts if one.entry.key in seen]
        start = min((one.start for one in begun_parts), default=begun)
        end = max((one.end for one in begun_parts), default=start)
        yield Row(
            _trial_key(said), sweep.latest.record["plan"], f"trial {number}", status, start,
            None if status == "RUNNING" else end, said["params"], tags, metrics,
        )  # fmt: skip


def _trial_key(said: Mapping[str, Any]) -> str:
    return f"{said['number']}-{said['last'][:16]}"


def _stages(sweep: Sweep, store: Store, seen: Mapping[str, _Seen]) -> Iterator[Row]:
    plan = sweep.latest.record["plan"]
    for one in sweep.tasks:
        here = seen.get(one.entry.key)
        if here is None or one.state == "blocked":
            continue
        entry, marker, folder = one.entry, here.marker, here.folder
        said = sweep.plan.trials.get(-1 if entry.trial is None else entry.trial)
        tags = {STAGE: f"{entry.stage.name} {entry.stage.version}", FOLDER: str(folder)}
        status: Status = "FINISHED" if marker else "RUNNING"
        files: list[tuple[Path, str]] = []
        texts = {}
        if marker:
            tags |= {"sigmaflow.host": marker["host"], "sigmaflow.attempt": marker["attempt"]}
            files, large = _outputs(folder, marker["files"])
            tags |= large
            texts = {"outputs.json": json.dumps(marker["files"], indent=1)}
        elif one.state == "failed":
            status, tags[ERROR] = "FAILED", redact.text(one.error[-4000:])
        elif one.state == "running":
            tags["sigmaflow.host"] = str((one.owner or {}).get("host", "?"))
        else:
            alive = any(launch.alive for launch in sweep.launches)
            status = "KILLED"
            tags[WHY] = (
                "the process that worked on it is gone; it will be tried again"
                if alive
                else _stop_reason(sweep.launches)
            )
        config = (_json(folder / SPEC) or {}).get("config", {})
        yield Row(
            entry.key, _trial_key(said) if said else plan, entry.label, status, here.start,
            None if status == "RUNNING" else here.end, flat(config), tags,
            curves={CURVES: folder / METRICS, SYSTEM: spool(store.root, entry)},
            files=tuple(files), texts=texts,
        )  # fmt: skip


def _outputs(
    folder: Path, listed: Mapping[str, Mapping[str, Any]]
) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """Files to copy, and tags that name large ones with size and digest."""
    files: list[tuple[Path, str]] = []
    tags: dict[str, str] = {}
    for name, entry in sorted(listed.items(), key=lambda one: (-one[1]["size"], one[0])):
        inside = Path(name)
        if entry["size"] > LARGEST:
            if len(tags) < LARGE:
                said = f"{entry['size']} bytes, sha256 {entry['sha256']}, {folder / name}"
                tags[f"sigmaflow.file.{len(tags)}"] = said
        elif inside.suffix in SHOWN and inside.name != METRICS and name not in NOT_OUTPUT:
            place = inside.parent.as_posix()
            files.append((folder / name, "" if place == "." else place))
    return sorted(files), tags


def _seen(store: Store, one: Standing, cache: Cache) -> _Seen | None:
    """None where nobody has begun it, or where it changed while we were looking."""
    if one.entry.key in cache:
        return cache[one.entry.key]
    done = one.state == "done"
    folder = store.path(one.entry) if done else store.work(one.entry)
    marker = read_marker(folder, one.entry) if done and folder is not None else None
    if folder is None or (done and marker is None):
        return None
    end = marker["finished"] if marker else _changed(folder)
    begun = min(_changed(folder / SPEC) or end, end - (marker["seconds"] if marker else 0.0))
    seen = _Seen(folder, marker, int(begun * 1000), int(end * 1000))
    if done:
        cache[one.entry.key] = seen
    return seen


def _numbers(path: Path) -> dict[str, float]:
    said = _json(path) or {}
    return {
        k: float(v)
        for k, v in said.items()
        if isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
    }


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    return dict(_flat(config, above))


def _flat(config: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _json(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        return value if isinstance(value, dict) else None
    return None


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return os.stat(path).st_size
    return 0


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return os.stat(path).st_mtime
    return 0.0

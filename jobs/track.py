"""MLflow as a view of the store: nested runs that can be thrown away and ingested again.

Only the driver writes. Nothing computed depends on it: what goes wrong here is a warning, and
the next launch ingests what is missing.
"""

from __future__ import annotations

import fcntl
import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jobs.run import METRICS
from jobs.stage import Task
from jobs.store import NOT_OUTPUT, read_marker

log = logging.getLogger(__name__)

KEY, FOLDER, STAGE, PARENT = (
    "sigmaflow.key", "sigmaflow.folder", "sigmaflow.stage", "mlflow.parentRunId",
)  # fmt: skip
SHOWN = {".png", ".svg", ".pdf", ".parquet", ".csv", ".tex", ".json", ".html", ".txt", ".md"}
LARGEST = 20 * 2**20  # bytes of a file that is copied; larger ones are found by the folder's tag
CHUNK = 1000  # metrics in one call, MLflow's limit
PATIENCE = (0.2, 0.5, 1.0, 2.0)  # seconds between attempts on a locked database
KIND = {"mlflow.experimentKind": "custom_model_development"}  # pages for training runs

Method = TypeVar("Method", bound=Callable[..., Any])


def _harmless(method: Method) -> Method:
    """Retry while the database is locked; after that, warn and give None."""

    @functools.wraps(method)
    def call(self: Tracker, *args: Any, **kwargs: Any) -> Any:
        for pause in (*PATIENCE, None):
            if self._failures >= 3:
                return None
            try:
                value = method(self, *args, **kwargs)
                self._failures = 0
                return value
            except Exception as error:
                if pause is not None and "locked" in str(error).lower():
                    time.sleep(pause)
                    continue
                self._failures += 1
                end = "; tracking is off for this launch" if self._failures >= 3 else ""
                log.warning(
                    "MLflow (%s): %s: %s; results are safe, the next launch will show them%s",
                    method.__name__, type(error).__name__, str(error).splitlines()[0][:200], end,
                )  # fmt: skip
                return None

    return call  # type: ignore[return-value]


class Tracker:
    """Runs of one experiment in ``<folder>/mlflow.db``, artefacts in ``<folder>/mlartifacts``.

    A run is known by its key and its parent: asking for it again finds it. Every method gives
    None where tracking failed, and takes None as a parent or run then.
    """

    def __init__(self, folder: str | Path, experiment: str) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        self._experiment_name = experiment
        self._failures = 0
        self._client: Any = None
        self._experiment = ""
        self._known: dict[tuple[str, str], tuple[str, str]] = {}  # parent, key: run, status

    @_harmless
    def open(self) -> bool | None:
        """Create or open the store (5 s the first time) and look up its runs."""
        if self._client is not None:
            return True
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".mlflow.lock", "ab") as lock:  # creating the tables is a race
            fcntl.flock(lock, fcntl.LOCK_EX)
            client = mlflow.MlflowClient(self.uri)
            experiment = client.get_experiment_by_name(self._experiment_name)
            if experiment is None:
                place = self.folder / "mlartifacts" / re.sub(r"\W+", "-", self._experiment_name)
                self._experiment = client.create_experiment(
                    self._experiment_name, artifact_location=place.as_uri(), tags=KIND
                )
            else:
                self._experiment = experiment.experiment_id
        token = None
        while True:
            page = client.search_runs([self._experiment], max_results=1000, page_token=token)
            for run in page:
                tags = run.data.tags
                if KEY in tags:
                    place = (tags.get(PARENT, ""), tags[KEY])
                    self._known[place] = (run.info.run_id, run.info.status)
            if not (token := page.token):
                break
        self._client = client
        return True

    @_harmless
    def run(
        self,
        key: str,
        name: str,
        parent: str | None = "",
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str | None:
        """The run of a sweep (no parent) or a trial (its sweep's run), going from now on."""
        if parent is None or not self.open():
            return None
        if (parent, key) in self._known:
            run, status = self._known[parent, key]
            if status != "RUNNING":
                self._client.update_run(run, status="RUNNING")
        else:
            run = self._create(key, name, parent, params or {}, tags or {}, None)
        self._known[parent, key] = (run, "RUNNING")
        return run

    @_harmless
    def end(
        self,
        run: str | None,
        metrics: Mapping[str, float] | None = None,
        failed: bool = False,
        files: Mapping[str, str | Path] | None = None,
    ) -> None:
        """Close a run with its results; ``files`` maps a file to its folder among artefacts."""
        if run is None or not self.open():
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        found = [Metric(_metric(k), float(v), now, 0) for k, v in (metrics or {}).items()]
        for i in range(0, len(found), CHUNK):
            self._client.log_batch(run, metrics=found[i : i + CHUNK])
        for file, place in (files or {}).items():
            self._client.log_artifact(run, str(file), str(place) or None)
        self._client.set_terminated(run, "FAILED" if failed else "FINISHED")
        for place, (known, _) in self._known.items():
            if known == run:
                self._known[place] = (run, "FAILED" if failed else "FINISHED")

    @_harmless
    def ingest(self, parent: str | None, task: Task, folder: Path) -> str | None:
        """Show a finished stage below a run: config, curves, pictures and tables. Once."""
        if parent is None or not self.open():
            return None
        place = (parent, task.key)
        if place in self._known:
            run, status = self._known[place]
            if status == "FINISHED":
                return run
            self._client.delete_run(run)  # of a driver that died in the middle
        marker = read_marker(folder, task)
        if marker is None:
            raise FileNotFoundError(f"{folder} is not whole")
        end = int(marker["finished"] * 1000)
        start = end - int(marker["seconds"] * 1000)
        tags = {STAGE: f"{task.stage.name} {task.stage.version}", FOLDER: str(folder)}
        run = self._create(task.key, task.label, parent, flat(task.config), tags, start)
        self._known[place] = (run, "RUNNING")
        self._curves(run, folder / METRICS, start, end)
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            hidden = inside.parts[0] in NOT_OUTPUT or inside.name == METRICS
            if path.is_file() and path.suffix in SHOWN and not hidden:
                if path.stat().st_size <= LARGEST:
                    place_in = inside.parent.as_posix()
                    self._client.log_artifact(
                        run, str(path), None if place_in == "." else place_in
                    )
        self._client.set_terminated(run, "FINISHED", end_time=end)
        self._known[place] = (run, "FINISHED")
        return run

    def _create(
        self,
        key: str,
        name: str,
        parent: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        start: int | None,
    ) -> str:
        from mlflow.entities import Param

        tags = {**tags, KEY: key, **({PARENT: parent} if parent else {})}
        run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=name)
        said = [Param(_metric(k), str(v)[:500]) for k, v in params.items()]
        for i in range(0, len(said), 100):
            self._client.log_batch(run.info.run_id, params=said[i : i + 100])
        return run.info.run_id

    def _curves(self, run: str, path: Path, start: int, end: int) -> None:
        """Lines of metrics.jsonl, dated evenly between start and end (ms): they carry no clock."""
        if not path.exists():
            return
        from mlflow.entities import Metric

        lines = path.read_text(encoding="utf-8").splitlines()
        batch: list[Any] = []
        for i, line in enumerate(lines):
            values = json.loads(line)
            step = int(values.pop("step"))
            at = start + (end - start) * (i + 1) // len(lines)
            batch += [Metric(_metric(k), float(v), at, step) for k, v in values.items()]
            while len(batch) >= CHUNK or (batch and i == len(lines) - 1):
                self._client.log_batch(run, metrics=batch[:CHUNK])
                batch = batch[CHUNK:]


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    return dict(_flat(config, above))


def _flat(config: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _metric(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)

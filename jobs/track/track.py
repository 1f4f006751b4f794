"""MLflow's side of `jobs.track.view`: makes runs of an experiment equal to rows, however often.

Everything is written so that doing it again, or going on after being killed in the middle, ends
in the same: points carry fixed times, artefacts fixed names, and a tag that holds a row's digest
comes last.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.track.curves import Curves, Point, thinned, write_parquet
from jobs.track.view import ERROR, RUNS, SYSTEM, WHY, Row

HOME, KEY, ROW, CURVE, PARENT = (
    RUNS, "sigmaflow.key", "sigmaflow.row", "sigmaflow.in.", "mlflow.parentRunId",
)  # fmt: skip
CHUNK = 1000  # metrics in one call, MLflow's limit
LONGEST = 4000  # characters of a tag
MOST = 3  # rows that may fail before the rest is left for later
PATIENCE = {  # of a client, over which the environment has its say
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}  # fmt: skip
KIND = {"mlflow.experimentKind": "custom_model_development"}  # pages for training runs


class Tracker:
    """Runs of one experiment behind a tracking URI that belong to one results folder.

    ``home`` names that folder (`jobs.track.ingest.home_id`): several may share a server.
    ``artifacts`` is where files go when nobody but us decides that. Opening creates what is
    missing (5 s for a new database) and raises whatever MLflow raises.
    """

    def __init__(self, uri: str, experiment: str, home: str, artifacts: Path | None = None) -> None:
        for name, value in {**PATIENCE, "GIT_PYTHON_REFRESH": "quiet"}.items():
            os.environ.setdefault(name, value)
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.client = mlflow.MlflowClient(uri)
        self._home = home
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            place = artifacts / re.sub(r"\W+", "-", experiment) if artifacts else None
            self.experiment = self.client.create_experiment(
                experiment, artifact_location=place.as_uri() if place else None, tags=KIND
            )
        else:
            self.experiment = found.experiment_id
            if found.lifecycle_stage == "deleted":  # in MLflow's pages; runs are made equal below
                self.client.restore_experiment(self.experiment)

    def runs(self, deleted: bool = False) -> dict[tuple[str, str], Any]:
        """Our runs by parent's id and key; of deleted ones the newest."""
        from mlflow.entities import ViewType

        found, token = {}, None
        which = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        while True:
            page = self.client.search_runs(
                [self.experiment], f"tags.`{HOME}` = '{self._home}'", which, max_results=1000,
                page_token=token,
            )  # fmt: skip
            for run in page:
                tags = run.data.tags
                if not deleted or (tags.get(PARENT, ""), tags[KEY]) not in found:
                    found[tags.get(PARENT, ""), tags[KEY]] = run
            if not (token := page.token):
                return found

    def sync(self, rows: Sequence[Row]) -> int:
        """Make the runs equal to the rows (parents first); how many were touched.

        Runs of ours without a row are history. None of them may look as if it still went on.
        """
        known, ids, touched = self.runs(), {"": ""}, 0
        deleted: dict[tuple[str, str], Any] | None = None
        errors: list[Exception] = []
        for row in rows:
            parent = ids.get(row.parent)
            if parent is None:
                continue  # that one could not be written
            run = known.pop((parent, row.key), None)
            if run is None:  # where it was deleted in MLflow's pages its children still name it
                deleted = self.runs(deleted=True) if deleted is None else deleted
                run = deleted.pop((parent, row.key), None)
                if run is not None:
                    self.client.restore_run(run.info.run_id)
            digest = row.digest()
            if run is not None and run.data.tags.get(ROW) == digest:
                ids[row.key] = run.info.run_id
                continue
            try:
                ids[row.key] = self._write(row, parent, run, digest)
            except Exception as error:  # one bad row is no reason to leave out the others
                errors.append(error)
                if len(errors) >= MOST:
                    break
            touched += 1
        if errors:
            raise errors[0]
        for run in known.values():
            if run.info.status == "RUNNING":
                self.client.set_tag(run.info.run_id, WHY, "no part of any launch on record")
                self.client.set_terminated(run.info.run_id, "KILLED")
                touched += 1
        return touched

    def _write(self, row: Row, parent: str, run: Any, digest: str) -> str:
        """Bring one run up to date; its id."""
        curves = {
            name: found
            for name, path in row.curves.items()
            if (found := Curves.read(path)) is not None
        }
        whole = row.status == "FINISHED"
        if run is not None and not self._goes_on(run, curves, whole):
            self.client.delete_run(run.info.run_id)  # points can't be taken back
            run = None
        if run is None:
            run = self._create(row, parent)
        number, old = run.info.run_id, run.data.tags
        for name in (WHY, ERROR):
            if name in old and name not in row.tags:
                self.client.delete_tag(number, name)
        tags = {name: redact.text(value)[:LONGEST] for name, value in row.tags.items()}
        self._batch(
            number,
            tags=tags,
            metrics=[
                Point(name, 0, value, row.end or row.start) for name, value in row.metrics.items()
            ],
        )
        for name, curve in curves.items():
            self._curve(number, name, curve, old.get(CURVE + name, ""), whole)
        self._files(row, number, curves if whole else {})
        if row.status == "RUNNING":
            if run.info.status != "RUNNING":
                self.client.update_run(number, status="RUNNING")
        else:
            self.client.set_terminated(number, row.status, row.end)
        self.client.set_tag(number, ROW, digest)
        return str(number)

    def _create(self, row: Row, parent: str) -> Any:
        tags = {KEY: row.key, HOME: self._home, **({PARENT: parent} if parent else {})}
        run = self.client.create_run(
            self.experiment, start_time=row.start, tags=tags, run_name=redact.text(row.name)
        )
        self._batch(
            run.info.run_id,
            params={
                _clean(name): redact.text(str(value))[:500] for name, value in row.params.items()
            },
        )
        return run

    def _goes_on(self, run: Any, curves: Mapping[str, Curves], whole: bool) -> bool:
        """Whether all points that the run has are among those that it should have."""
        start = run.info.start_time
        for name, curve in curves.items():
            has = _taken(curve, run.data.tags.get(CURVE + name, ""), start)
            if has is None or not has <= set(thinned(curve.points(start), whole)):
                return False
        return True

    def _curve(self, run: str, name: str, curve: Curves, mark: str, whole: bool) -> None:
        """Add the points that are missing, and say in a tag up to where the file was taken."""
        now = f"{curve.mark()} {'whole' if whole else 'open'}"
        if now == mark or not (curve.data or mark):
            return
        start = self.client.get_run(run).info.start_time
        has = _taken(curve, mark, start) or set()
        prefix = "system/" if name == SYSTEM else ""  # MLflow has a page of their own for these
        new = [
            one._replace(name=prefix + one.name)
            for one in thinned(curve.points(start), whole)
            if one not in has
        ]
        self._batch(run, metrics=new, tags={CURVE + name: now})

    def _files(self, row: Row, run: str, curves: Mapping[str, Curves]) -> None:
        """Artefacts, and whole curves where only some of their points are shown."""
        for path, place in row.files:
            self.client.log_artifact(run, str(path), place or None)
        for name, said in row.texts.items():
            self.client.log_text(run, said, name)
        for name, curve in curves.items():
            points = curve.points(row.start)
            if sum(map(len, points.values())) > len(thinned(points, True)):
                with tempfile.TemporaryDirectory() as folder:
                    made = Path(folder, f"{name}.parquet")
                    write_parquet((one for some in points.values() for one in some), made)
                    self.client.log_artifact(run, str(made))

    def _batch(
        self,
        run: str,
        params: Mapping[str, str] | None = None,
        metrics: Sequence[Point] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """In as few calls as MLflow lets us, tags with the last."""
        from mlflow.entities import Metric, Param, RunTag

        said = [Param(name, value) for name, value in (params or {}).items()]
        for i in range(0, len(said), 100):
            self.client.log_batch(run, params=said[i : i + 100])
        found = [Metric(_clean(p.name), p.value, p.at, p.step) for p in metrics]
        for i in range(0, len(found), CHUNK):
            self.client.log_batch(run, metrics=found[i : i + CHUNK])
        marks = [RunTag(name, value) for name, value in (tags or {}).items()]
        for i in range(0, len(marks), 100):
            self.client.log_batch(run, tags=marks[i : i + 100])


def _taken(curve: Curves, mark: str, start: int) -> set[Point] | None:
    """Points that were entered when a run got this mark; None where the file was rewritten."""
    if not mark:
        return set()
    before, _, state = mark.rpartition(" ")
    earlier = curve.before(before)
    return None if earlier is None else set(thinned(earlier.points(start), state == "whole"))


def _clean(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)

"""``python -m jobs.ui``: MLflow's pages on this machine, for whoever has the link, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from cluster.ray_local import short_folder
from jobs.output import redact
from jobs.run.signals import terminable
from jobs.store.ledger import sweeps
from jobs.track.guard import Guard
from jobs.track.ingest import catch_up, local_uri, tracking_uri
from jobs.track.view import TRIAL

VIEW = "?workflowType=machine_learning"  # else MLflow opens on its pages for language models


COMPARED = 100  # trials on one page; with more it gets slow


def _list(names: Sequence[str]) -> str:
    return json.dumps(names, separators=(",", ":"))


def _experiments(database: Path) -> list[tuple[str, int]]:
    """(name, id) of the sweeps tracked there."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT name, experiment_id FROM experiments"
            " WHERE lifecycle_stage = 'active' AND name != 'Default' ORDER BY experiment_id"
        )
        return rows.fetchall()


def _trials(database: Path, experiment: int) -> list[str]:
    """Ids of its finished trials, by number."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid"
            " WHERE t.key = ? AND r.experiment_id = ? AND r.lifecycle_stage = 'active'"
            " AND r.status = 'FINISHED' ORDER BY CAST(t.value AS INTEGER)",
            (TRIAL, experiment),
        )
        return [row[0] for row in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve `runs/mlflow.db` on the loopback address, to those who have the token."""
    parser = argparse.ArgumentParser(prog="python -m jobs.ui", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument(
        "--track",
        metavar="URI",
        help="a server that has the runs (default: MLFLOW_TRACKING_URI, else a page of our own)",
    )
    args = parser.parse_args(argv)
    runs = Path(os.path.abspath(args.runs))
    uri = tracking_uri(runs, said=args.track)
    catch_up(runs, sweeps(runs), uri)
    if uri != local_uri(runs):
        print(f"the runs are at {redact.without_userinfo(uri)}")
        return 0
    database = runs / "mlflow.db"
    if not database.is_file():
        print(f"{database}: nothing has been tracked there; give --runs", file=sys.stderr)
        return 2
    try:
        known = _experiments(database)
    except sqlite3.DatabaseError as error:
        print(
            f"{database}: {error}; move it away, and python -m jobs.report fills it again",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="sfui-", dir=short_folder()) as folder:  # mode 0700
        try:
            guard = Guard(args.port, str(Path(folder, "s")))
        except OSError as error:
            print(f"port {args.port}: {error.strerror}; give another --port", file=sys.stderr)
            return 2
        _links(database, known, guard.url)
        environment = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            local_uri(runs),
            "--uvicorn-opts",
            f"--uds {shlex.quote(guard.behind)}",
            "--workers",
            "1",
        ]
        try:
            with terminable(), guard.serving():
                return _serve(command, environment)
        except KeyboardInterrupt:
            return 0


def _links(database: Path, known: Sequence[tuple[str, int]], url: str) -> None:
    for name, number in known:
        print(f"{url}#/experiments/{number}/runs{VIEW}   {name}")
        trials = _trials(database, number)[:COMPARED]
        if len(trials) > 1:
            words = f"runs={quote(_list(trials))}&experiments={quote(_list([str(number)]))}"
            print(f"{url}#/compare-runs?{words}   its trials side by side")
    print(
        "(the links hold a token: who has one reads and writes your files through MLflow; "
        "Ctrl-C ends it)",
        flush=True,
    )


def _serve(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the server, and end all of its processes with us."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))

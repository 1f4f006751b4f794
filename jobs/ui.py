"""``python -m jobs.ui``: MLflow's pages on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from jobs import redact
from jobs.ingest import catch_up, local_uri, tracking_uri
from jobs.ledger import sweeps

VIEW = "?workflowType=machine_learning"  # else MLflow opens on its pages for language models


def _experiments(database: Path) -> list[tuple[str, int]]:
    """(name, id) of the sweeps tracked there."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT name, experiment_id FROM experiments"
            " WHERE lifecycle_stage = 'active' AND name != 'Default' ORDER BY experiment_id"
        )
        return rows.fetchall()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve `runs/mlflow.db` on the loopback address."""
    parser = argparse.ArgumentParser(prog="python -m jobs.ui", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--track", metavar="URI", help="a server that has the runs (default: "
                        "MLFLOW_TRACKING_URI, else a page of our own)")
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
    for name, number in _experiments(database):
        print(f"http://127.0.0.1:{args.port}/#/experiments/{number}/runs{VIEW}   {name}")
    print("(Ctrl-C stops it)", flush=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
        "--host", "127.0.0.1", "--port", str(args.port), "--workers", "1",
    ]
    try:
        return subprocess.run(command, env=environment).returncode
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main))

"""``python -m jobs.ui``: MLflow's pages on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Serve `runs/mlflow.db` on the loopback address."""
    parser = argparse.ArgumentParser(prog="python -m jobs.ui", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args(argv)
    database = Path(os.path.abspath(args.runs)) / "mlflow.db"
    if not database.is_file():
        print(f"{database}: nothing has been tracked there; give --runs", file=sys.stderr)
        return 2
    print(f"http://127.0.0.1:{args.port}  (Ctrl-C stops it)")
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
    sys.exit(main())

"""What a sweep has in SLURM, by the files that its submitters leave: for whoever has no driver.

runs/slurm/<name>/job.json       the job that has the whole sweep (`jobs.run.slurm`)
runs/slurm/<name>/end.json       how it ended
runs/slurm/<name>/advance.json   how far it was at its last restart (`jobs.run.advance`)
runs/slurm/<name>/workers.json   workers that were hired (`cluster.slurm_workers`)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SLURM, JOB, END, WORKERS = "slurm", "job.json", "end.json", "workers.json"
FORMAT = 1  # of job.json and end.json


def home(runs: str | Path, name: str) -> Path:
    """Where all that concerns the jobs of one sweep lies."""
    return Path(runs) / SLURM / name


def submitted(runs: str | Path) -> list[str]:
    """Names of the sweeps that have a folder for jobs, sorted."""
    folder = Path(runs) / SLURM
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def open_job(runs: str | Path, name: str) -> str | None:
    """The job that has a whole sweep and has not said that it ended."""
    folder = home(runs, name)
    job = (read_json(folder / JOB) or {}).get("job")
    return None if job is None or (read_json(folder / END) or {}).get("job") == job else job


def open_jobs(runs: str | Path, name: str) -> list[str]:
    """`open_job`, and the workers that were hired last; SLURM knows which of them are left."""
    job = open_job(runs, name)
    hired = (read_json(home(runs, name) / WORKERS) or {}).get("workers", [])
    return [*([job] if job else []), *map(str, hired)]


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none or it is of another format."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("format") == FORMAT else None

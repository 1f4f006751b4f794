import sys
from pathlib import Path

JOBS = Path(__file__).resolve().parents[1] / "jobs"  # the toy stages
for folder in (JOBS, Path(__file__).resolve().parent):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

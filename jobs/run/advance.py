"""Whether restarts of a job that comes to its time limit bring its sweep any further.

    runs/slurm/<name>/advance.json   where the sweep stood at the last restart, and since when

A stage that neither ends nor saves within the limit begins again with each restart, for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from jobs.run.slurm_files import FORMAT, read_json
from jobs.store.ledger import Entry, launches, read_plan
from jobs.store.store import Store
from sigmaflow.atomic import write_json

ADVANCE = "advance.json"
STILL = 2  # restarts without anything new, after which there is no further one
EARLY = 90.0  # seconds that SLURM may warn of a limit before the time that it was asked for


def near_limit(begun: float, minutes: int, delay_s: float) -> bool:
    """Whether a job's time limit is near; else somebody else wants its nodes, which says nothing of
    its work."""
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    until = float(end) if end.isdigit() else begun + 60 * minutes
    return until - time.time() <= delay_s + EARLY


@dataclass(frozen=True)
class Advance:
    """Of one start of a job. Make it as the job begins."""

    runs: Path
    name: str  #: of the sweep
    home: Path  #: where advance.json lies
    job: str
    restart: int
    minutes: int  #: the time limit
    delay_s: float  #: before it, at which the job is warned
    begun: float = field(default_factory=time.time)

    def stuck(self) -> str | None:
        """To be asked before a restart. Why it is of no use, naming stages and limit; None where
        it may be of some, or where it is not the time limit that ends this start.
        """
        if not near_limit(self.begun, self.minutes, self.delay_s):
            return None
        marks, unfinished = self._stand()
        before = read_json(self.home / ADVANCE) or {}
        still = 0
        if before.get("job") == self.job and before.get("marks") == marks:
            still = int(before.get("still", 0)) + (before.get("restart", 0) < self.restart)
        write_json(
            self.home / ADVANCE,
            {"format": FORMAT, "job": self.job, "restart": self.restart, "marks": marks,
             "still": still},
        )  # fmt: skip
        if still < STILL:
            return None
        who = ", ".join(unfinished[:3]) + (" and more" if len(unfinished) > 3 else "")
        return (
            f"job {self.job} was restarted {still} times without a new result or checkpoint, so it "
            f"is not restarted again: {who or 'no stage'} neither ends nor saves within the time "
            f"limit of {self.minutes} minutes (profile key time); give more"
        )

    def _stand(self) -> tuple[str, list[str]]:
        """A digest of what is finished or saved, and labels of what was begun and is neither."""
        store, tasks = Store(self.runs / "store"), self._tasks()
        done = {one.key for one in tasks if store.find(one) is not None}
        rest = [one for one in tasks if one.key not in done]
        saved = {one.key: step for one in rest if (step := store.checkpoint(one)) is not None}
        text = json.dumps([sorted(done), sorted(saved.items())])
        begun = [one.label for one in rest if store.work(one) is not None]
        return hashlib.sha256(text.encode()).hexdigest(), begun

    def _tasks(self) -> list[Entry]:
        return list(read_plan(launches(self.runs / "sweeps" / self.name)).tasks.values())

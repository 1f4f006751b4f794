"""When to stop at the next step: because someone asked, or because the time is nearly up."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

AGAIN = 75  # exit code of a command whose work stopped on request and is not done: run it again


class Stopped(Exception):
    """Work ended early, on request and with its state saved. The same command goes on."""


@dataclass(frozen=True)
class Stop:
    """A request that any process may make and all on the same disk see. Picklable.

    ``path`` is a file whose existence is the request; ``deadline`` a time (as of ``time.time()``)
    from which it counts as made.
    """

    path: str
    deadline: float | None = None

    @property
    def folder(self) -> Path:
        """Where the request would lie."""
        return Path(self.path).parent

    def asked(self) -> bool:
        """Whether to stop now."""
        if self.deadline is not None and time.time() >= self.deadline:
            return True
        folder, name = os.path.split(self.path)
        try:  # NFS remembers for a while that a file was not there, but reads folders anew
            return name in os.listdir(folder)
        except OSError:
            return False

    def for_good(self) -> bool:
        """Whether a person asked (`jobs.cancel` says who), so that nothing is to begin again."""
        try:
            return os.stat(self.path).st_size > 0
        except OSError:
            return False

    def ask(self) -> None:
        """Make the request, as a pause; again does no harm."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab"):
            pass


def deadline(margin: float) -> float | None:
    """The time (as of time.time()) this many seconds before the SLURM job ends that this process
    is in; None where it is in none, or the end is not known."""
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if not end.isdigit():
        return None
    left = float(end) - time.time()
    if left <= 0:
        log.warning("SLURM_JOB_END_TIME lies in the past, so it is of a job that has ended; it is "
                    "not heeded, unset it to hear no more of it")  # fmt: skip
        return None
    if left <= margin:
        log.warning("the batch job of this shell ends in %.0f s (SLURM_JOB_END_TIME): nothing is "
                    "begun; run it again in another job, or unset that variable", left)  # fmt: skip
    return float(end) - margin

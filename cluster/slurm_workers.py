"""Functions sent to an array of SLURM jobs that take their work from the disk.

This side only keeps enough workers about. What an offer looks like on the disk is the business of
the `Mailbox` that it is given.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from cluster import slurm_state
from cluster.executor import NOTHING_SPECIAL, Executor, Refused, Resources
from cluster.profile import SlurmWorkersProfile
from cluster.slurm import Entry, last_words, logs_in, submit

log = logging.getLogger(__name__)
IDS, DRAIN = "workers.json", "drain"
FRUITLESS = 3  # times that workers are hired and none begins anything, before we give up
LOOK = 1.0  # seconds between two looks at the disk


class Mailbox(Protocol):
    """Where calls are laid out for workers. All of it is on a disk that they see."""

    def put(self, function: Callable[..., Any], args: Sequence[Any]) -> str:
        """Offer a call; its id. Equal calls have one id."""

    def finished(self, offers: Sequence[str]) -> list[str]:
        """Those of the offers that have ended, well or badly."""

    def take(self, offer: str) -> Any:
        """The value of an offer that has ended."""

    def begun(self) -> int:
        """A number that grows whenever a worker begins something."""


class WorkersExecutor(Executor):
    """Offers calls and hires workers for them. Closing lets idle workers go; work in hand goes on
    without us, and whoever makes this executor again finds it and its workers.
    """

    def __init__(
        self,
        profile: SlurmWorkersProfile,
        name: str,
        mailbox: Mailbox,
        home: Path,
        entry: Entry,
        spec: Path,
    ) -> None:
        self.slots = profile.slots()
        self._profile, self._name, self._mailbox = profile, name, mailbox
        self._home, self._entry, self._spec = home, entry, spec
        self._logs = logs_in(profile, home)
        self._open: set[str] = set()
        self._asked = float("-inf")
        self._hired: list[str] = []  # one of those hired last
        self._fruitless, self._begun = 0, -1
        (home / DRAIN).unlink(missing_ok=True)
        self._workers: list[str] = _read_ids(home / IDS)

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources = NOTHING_SPECIAL,
    ) -> str:
        offer = self._mailbox.put(function, args)
        self._open.add(offer)
        return offer

    def wait(self, handles: Sequence[str], timeout: float) -> list[str]:
        end = time.monotonic() + timeout
        while not (done := self._mailbox.finished(handles)):
            self._hire()
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(LOOK, left))
        return done

    def result(self, handle: str) -> Any:
        self._open.discard(handle)
        return self._mailbox.take(handle)

    def close(self) -> None:
        if self._open:  # left in the middle: the workers go on with what was offered
            return
        (self._home / DRAIN).touch()
        try:
            known = slurm_state.states(self._workers) if self._workers else {}
            slurm_state.cancel(job for job, state in known.items() if state.phase == "waiting")
        except slurm_state.SlurmAway as error:
            log.warning("%s; idle workers leave by themselves", error)

    def _hire(self) -> None:
        """As many workers as there is work for, where SLURM answers at all."""
        if time.monotonic() - self._asked < self._profile.poll_s:
            return
        self._asked = time.monotonic()
        try:
            known = slurm_state.states(self._workers) if self._workers else {}
        except slurm_state.SlurmAway as error:
            log.warning("SLURM does not answer (%s); going on with the workers there are", error)
            return
        self._workers = [job for job, s in known.items() if s.phase in ("waiting", "running")]
        self._tell(self._workers)
        lacking = min(self._profile.workers, len(self._open)) - len(self._workers)
        if lacking <= 0:
            return
        self._count_fruitless()
        try:
            hired = submit(self._profile, self._name, self._logs, self._entry, self._spec, lacking)
            self._workers += hired
            self._hired = hired[-1:]
            self._tell(hired)
        except Refused as error:
            if not self._workers:
                raise
            log.warning("%s; going on with %d workers", error, len(self._workers))
        _write_ids(self._home / IDS, self._workers)

    def _tell(self, workers: Sequence[str]) -> None:
        if self.on_job is not None:
            for job in workers:
                self.on_job(job)

    def _count_fruitless(self) -> None:
        begun = self._mailbox.begun()
        self._fruitless = self._fruitless + 1 if begun == self._begun else 0
        self._begun = begun
        if self._fruitless >= FRUITLESS and not self._workers:
            words = last_words(self._logs, self._hired)
            raise Refused(
                f"workers were hired {self._fruitless} times and ended without beginning anything "
                f"(profile keys setup and python?); "
                + (f"the last ones said\n{words}" if words else f"logs are in {self._logs}")
            )


def _read_ids(path: Path) -> list[str]:
    try:
        return [str(job) for job in json.loads(path.read_bytes())["workers"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write_ids(path: Path, workers: list[str]) -> None:
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(json.dumps({"format": 1, "workers": workers}))
    temporary.rename(path)

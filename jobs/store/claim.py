"""Who works on a task: a file that its owner keeps touching."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jobs.store.ticker import Ticker

BEAT = 5.0  # seconds between touches
STALE = 60.0  # seconds without a touch after which an owner elsewhere counts as gone
_BEATS = Ticker("claims")


class Claim:
    """A claim file that is touched in the background while it is held.

    `take` must run under a lock shared by all who want the same file (`Store` has one).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempt = secrets.token_hex(6)
        self.held = False  #: taken and not given back; somebody may have broken it since
        self._end: Callable[[], None] | None = None

    def take(self) -> bool:
        """Create the file, setting a dead owner's aside. False while its owner lives."""
        if self.path.exists():
            if self._alive():
                return False
            aside = self.path.with_name(f"{self.path.name}-{self.attempt}")
            os.rename(self.path, aside)
            aside.unlink()
        said = json.dumps({**here(), "attempt": self.attempt, "time": time.time()})
        with open(self.path, "x", encoding="utf-8") as file:
            file.write(said)
        self.held = True
        return True

    def ours(self) -> bool:
        """Whether the file still names this attempt."""
        return (self._read() or {}).get("attempt") == self.attempt

    def start_heartbeat(self) -> None:
        """Touch the file from now on, in the background, until `release`."""
        self._end = _BEATS.start(BEAT, self._beat)

    def release(self) -> None:
        """Stop touching and remove the file, if it is still ours."""
        self.end(remove=self.ours())

    def end(self, remove: bool = True) -> None:
        """Stop touching and remove the file, unasked whose it is."""
        self.held = False
        if self._end is not None:
            self._end()
        if remove:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> bool:
        try:
            if not self.ours():
                return False
            os.utime(self.path)
        except OSError:  # a shared disk that is away for a moment
            pass
        return True

    def _read(self) -> dict[str, Any] | None:
        try:
            value = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        return value if _is_owner(value) else None

    def _alive(self) -> bool:
        """Judge the present owner: by its process on this host, by its heartbeat elsewhere."""
        owner = self._read()
        if owner is None:  # its writer held our lock, so it died while writing
            return False
        return lives(self.path, owner, lambda: _disk_time(self.path.parent))


def lives(path: Path, owner: Mapping[str, Any], now: Callable[[], float] = time.time) -> bool:
    """Whether the process that `here` described in ``path`` runs.

    On its own host it is looked up, elsewhere ``path`` must have been touched within STALE seconds
    of ``now``.
    """
    if is_local(owner):
        pid = owner.get("pid")
        return isinstance(pid, int) and started(pid) == owner.get("started")
    try:
        return now() - path.stat().st_mtime < STALE
    except FileNotFoundError:
        return False


def owner_of(path: Path) -> dict[str, Any] | None:
    """The living owner of a claim file, with `beat`: seconds since it was touched. Only looks."""
    try:
        owner = json.loads(path.read_bytes())
        beat = time.time() - path.stat().st_mtime
    except (OSError, ValueError):
        return None
    alive = _is_owner(owner) and lives(path, owner)
    return {**owner, "beat": max(0.0, beat)} if alive else None


def _is_owner(value: Any) -> bool:
    """Whether this is what `here` wrote; anything else is of nobody who lives."""
    return (isinstance(value, dict) and isinstance(value.get("host"), str)
            and isinstance(value.get("pid"), int))  # fmt: skip


def is_local(owner: Mapping[str, Any]) -> bool:
    """Whether its number means the same process here: same host, boot and container."""
    mine = here()
    return all(owner.get(name) == mine[name] for name in ("host", "boot", "space"))


def here() -> dict[str, Any]:
    """This process, told apart from others of equal number: after a reboot, in a container."""
    return {**_process(os.getpid()), "job": os.environ.get("SLURM_JOB_ID", "")}


@lru_cache(maxsize=1)
def _process(pid: int) -> dict[str, Any]:
    return {
        "host": platform.node(),
        "boot": _boot(),
        "space": _link("/proc/self/ns/pid"),
        "pid": pid,
        "started": started(pid),
    }


def started(pid: int) -> float | None:
    """When a living process began, None where there is none. Zombies are not alive."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])  # ticks since boot
    except (OSError, IndexError, ValueError):
        if os.path.exists("/proc/self/stat"):
            return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _disk_time(folder: Path) -> float:
    """Now, by the clock that dates the files of this folder (a server's, perhaps)."""
    lock = folder / ".lock"
    os.utime(lock) if lock.exists() else lock.touch()
    return lock.stat().st_mtime


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""

"""Who works on a task: a file that its owner keeps touching."""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from pathlib import Path
from typing import Any

BEAT = 5.0  # seconds between touches
STALE = 60.0  # seconds without a touch after which an owner elsewhere counts as gone


class Claim:
    """A claim file and, while it is held, the thread that touches it.

    `take` must run under a lock shared by all who want the same file (`Store` has one).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempt = secrets.token_hex(6)
        self._stop = threading.Event()

    def take(self) -> bool:
        """Create the file, setting a dead owner's aside. False while its owner lives."""
        if self.path.exists():
            if self._alive():
                return False
            aside = self.path.with_name(f"{self.path.name}-{self.attempt}")
            os.rename(self.path, aside)
            aside.unlink()
        handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with os.fdopen(handle, "w") as file:
            json.dump({**_here(), "attempt": self.attempt, "time": time.time()}, file)
        return True

    def ours(self) -> bool:
        """Whether the file still names this attempt."""
        return (self._read() or {}).get("attempt") == self.attempt

    def start_heartbeat(self) -> None:
        """Touch the file from now on, in the background, until `release`."""
        threading.Thread(target=self._beat, name="claim", daemon=True).start()

    def release(self) -> None:
        """Stop touching and remove the file, if it is still ours."""
        self._stop.set()
        if self.ours():
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                if not self.ours():
                    return
                os.utime(self.path)
            except OSError:  # a shared disk that is away for a moment
                continue

    def _read(self) -> dict[str, Any] | None:
        try:
            value = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def _alive(self) -> bool:
        """Judge the present owner: by its process on this host, by its heartbeat elsewhere."""
        owner = self._read()
        if owner is None:  # its writer held our lock, so it died while writing
            return False
        here = _here()
        if all(owner.get(name) == here[name] for name in ("host", "boot", "space")):
            pid = owner.get("pid")
            return isinstance(pid, int) and _started(pid) == owner.get("started")
        try:
            return _disk_time(self.path.parent) - self.path.stat().st_mtime < STALE
        except FileNotFoundError:
            return False


def _here() -> dict[str, Any]:
    """This process, told apart from others of equal number: after a reboot, in a container."""
    pid = os.getpid()
    return {
        "host": platform.node(),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "space": _link("/proc/self/ns/pid"),
        "pid": pid,
        "started": _started(pid),
    }


def _started(pid: int) -> float | None:
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


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""

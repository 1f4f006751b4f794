"""A Ray of our own on this machine: started here, stopped here, nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from cluster.executor import NOTHING_SPECIAL, NodeLost, Refused, Resources
from cluster.memory import cgroup_limit
from cluster.profile import RayProfile
from cluster.ray_tasks import RayTasks, first_line, sigterm_kept

ROOM = 25  # bytes of a temporary folder's name with which those of Ray's sockets still fit
STARTS = 5  # of Ray by one executor
FORGOTTEN = 3600.0  # seconds after which a folder of ours without a lock is nobody's

log = logging.getLogger(__name__)


class RayExecutor(RayTasks):
    """`RayTasks` on a Ray that lives as long as this. Raises RuntimeError when this process
    already uses Ray.

    Where its raylet or GCS has died, Ray is started anew: what ran is lost as with a machine. After
    `STARTS` times it raises Refused.
    """

    _profile: RayProfile

    def __init__(self, profile: RayProfile) -> None:
        super().__init__(profile, profile.slots())
        self._started = 0
        self._open: set[Any] = set()  # handles without a result
        self._lost: set[Any] = set()  # of these, those of a Ray that has died
        with _environment(), sigterm_kept():  # Ray reads it as it is imported
            import ray

        if ray.is_initialized():
            raise RuntimeError("Ray runs in this process already; shut it down first")
        self._ray = ray
        self._start()

    def submit(self, function: Callable[..., Any], *args: Any,
               resources: Resources = NOTHING_SPECIAL) -> Any:  # fmt: skip
        self._revive()
        handle = super().submit(function, *args, resources=resources)
        self._open.add(handle)
        return handle

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        self._revive()
        if not self._lost.intersection(handles):
            try:
                return super().wait(handles, timeout)
            except Exception:  # it died meanwhile
                if not _dead_servers(self._ray):
                    raise
                self._revive()
        return [handle for handle in handles if handle in self._lost]

    def result(self, handle: Any) -> Any:
        self._open.discard(handle)
        if handle in self._lost:
            self._lost.discard(handle)
            raise NodeLost("Ray on this machine died and was started again")
        return super().result(handle)

    def withdraw(self, handle: Any) -> bool:
        self._open.discard(handle)
        self._lost.discard(handle)
        return super().withdraw(handle)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _start(self) -> None:
        self._started += 1
        self._folder, self._lock = own_folder()
        profile, shared = self._profile, self._profile.object_store_mb * 2**20
        most = cgroup_limit()
        if most is not None and most >= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            most = None
        with _environment(), sigterm_kept():
            try:
                self._ray.init(
                    address="local",
                    num_cpus=profile.cpu_count(),
                    num_gpus=profile.gpu_count(),
                    include_dashboard=False,
                    object_store_memory=shared,
                    # Else what a stage asks for is held against all of the machine, and two are
                    # killed where one would fit.
                    **({} if most is None else {"_memory": max(most - shared, 1)}),
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=rays_part(self._folder),
                )
            except Exception as error:  # Ray's own has no type of its own
                self.close()
                raise Refused(
                    f"Ray did not start on this machine ({first_line(error)}). Nothing is lost; "
                    "where it is busy or short of memory, try again later or with --on inline"
                ) from error
            except BaseException:
                self.close()
                raise

    def _revive(self) -> None:
        """Start Ray anew where one of its two servers has died; without them it answers nothing,
        and after a minute it would end this process."""
        dead = _dead_servers(self._ray)
        if not dead:
            return
        words = f"{' and '.join(dead)} of Ray on this machine died"
        if self._started >= STARTS:
            raise Refused(f"{words}, for the {self._started}th time (out of memory? see dmesg); "
                          "nothing finished is lost, the same command goes on")  # fmt: skip
        log.warning("%s; Ray is started again", words)
        self._lost |= self._open
        self._actors.clear()
        self._remotes.clear()
        self._looked, self._machines = float("-inf"), []
        self._dead.clear()
        self.close()
        self._start()


def _dead_servers(ray: Any) -> list[str]:
    """Names of those servers of our Ray that have ended."""
    node = getattr(getattr(ray, "_private", None), "worker", None)
    node = getattr(node, "_global_node", None)
    servers = getattr(node, "all_processes", {})
    return [name for name in ("raylet", "gcs_server")
            if any(one.process.poll() is not None for one in servers.get(name, ()))]  # fmt: skip


def short_folder() -> str:
    """The temporary folder, or /tmp where its name leaves no room for sockets (107 bytes)."""
    place = tempfile.gettempdir()
    return place if len(os.fsencode(place)) <= ROOM else "/tmp"


def own_folder(place: str | None = None) -> tuple[str, IO[bytes]]:
    """A folder of mode 0700 for Ray, and the open lock of it; folders of the dead are removed.

    Ray makes the folder that it is given writable for every user, so give it a folder below
    (`rays_part`). The name is short, because sockets in it may not have names beyond 107 bytes.
    ``place`` is `short_folder` where it is not given. Raises OSError.
    """
    place = place or short_folder()
    for left in Path(place).glob("sf-????????"):
        with contextlib.suppress(OSError):
            if _abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix="sf-", dir=place)
    lock = open(Path(folder, "starting"), "wb")  # noqa: SIM115 - open while we live
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, Path(folder, "alive"))  # seen by others only once it is locked
    return folder, lock


def rays_part(folder: str) -> str:
    """The folder below one of `own_folder` that Ray is given; no other user can reach it."""
    part = Path(folder, "r")
    part.mkdir(mode=0o700, exist_ok=True)
    return str(part)


def _abandoned(folder: Path) -> bool:
    """Whether it is a folder of ours whose process has ended. Raises OSError.

    Anybody may put things of such a name into /tmp, so nothing of other users is opened, links are
    not followed, and what is no regular file, such as a pipe, is not waited for.
    """
    there = os.lstat(folder)
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        return False
    try:
        handle = os.open(folder / "alive", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:  # killed as it began or as it tidied
        left_alone = time.time() - there.st_mtime > FORGOTTEN
        return left_alone and set(os.listdir(folder)) <= {"starting", "r"}
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    finally:
        os.close(handle)


def _environment() -> contextlib.AbstractContextManager[None]:
    """What Ray's processes inherit: our packages, a token of their own, no reports home."""
    return environment(
        PYTHONPATH=python_path(),
        RAY_AUTH_MODE="token",  # Ray listens on this machine's own address
        RAY_AUTH_TOKEN=_token(),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="1",  # who asked for no GPU sees none
    )


@lru_cache(maxsize=1)
def _token() -> str:
    """Of this process: Ray reads it once, so a second Ray here must go by the same."""
    return secrets.token_hex(16)


def python_path() -> str:
    """Ours, with these packages first."""
    root = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)


@contextlib.contextmanager
def environment(**ours: str | None) -> Iterator[None]:
    """Variables of this process, set (None: absent) and put back."""
    before = {name: os.environ.get(name) for name in ours}
    _set(ours)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

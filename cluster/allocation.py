"""A Ray of our own across the nodes of one SLURM job.

Every rank (one a node) calls `join`. Rank 0 starts the head and gets an executor; the others start
a worker node and stay until rank 0 is done. They meet in a folder on the shared disk that is new
for every restart of the job. Ports are bind-tested, the token is a file that only its owner reads,
temporary folders are short and of this job alone, and only processes started here are ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.memory import cgroup_limit
from cluster.profile import SlurmProfile, cores
from cluster.ray_local import own_folder, rays_part
from cluster.ray_tasks import RayTasks, sigterm_kept
from cluster.slurm_state import node_address

PATIENCE = 300.0  # seconds for nodes to come together
STARTS = 5  # attempts of the head, each on other ports
ADDRESS, TOKEN, DONE = "address.json", "token", "done"


@dataclass(frozen=True)
class Rank:
    """Where this process stands in its SLURM job; read from the environment."""

    job: str
    restart: int
    rank: int
    ranks: int
    node: str
    cpus: int
    gpus: int
    memory: int | None  #: bytes that this node may use; None where SLURM does not count them

    @classmethod
    def here(cls) -> Rank:
        """Of this process. Raises KeyError outside of a job."""
        env = os.environ
        return cls(
            job=env["SLURM_JOB_ID"],
            restart=int(env.get("SLURM_RESTART_COUNT") or 0),
            rank=int(env["SLURM_PROCID"]),
            ranks=int(env["SLURM_NTASKS"]),
            node=env.get("SLURMD_NODENAME") or socket.gethostname(),
            cpus=_cpus(env),
            gpus=_gpus(env),
            memory=_memory(env),
        )


class AllocationRay(RayTasks):
    """`RayTasks` across all nodes of this job; only rank 0 has one. Closing ends the others."""

    def __init__(self, profile: SlurmProfile, here: Rank, meeting: Path) -> None:
        super().__init__(profile, here.cpus * here.ranks)
        self._meeting = meeting
        self._node = _Node(here, profile.object_store_mb, meeting)
        try:
            address = self._node.start_head()
            import ray

            self._ray = ray
            with sigterm_kept():
                ray.init(
                    address=address,
                    _node_ip_address=self._node.ip,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            _write(meeting / ADDRESS, json.dumps(address))
            self._await_nodes(here.ranks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(OSError):
            (self._meeting / DONE).touch()
        super().close()
        self._node.stop()
        with contextlib.suppress(OSError):
            (self._meeting / TOKEN).unlink(missing_ok=True)

    def _await_nodes(self, count: int) -> None:
        """Until all are there; with fewer after a while it begins all the same."""
        end = time.monotonic() + PATIENCE
        while sum(node["Alive"] for node in self._ray.nodes()) < count:
            if time.monotonic() > end:
                logging.warning("only some of %d nodes joined; going on without the rest", count)
                return
            time.sleep(0.3)


def join(profile: SlurmProfile, meeting: Path, work: Callable[[AllocationRay], Any]) -> Any:
    """Rank 0: ``work(executor)`` and its value. Other ranks: be a node until then; None.

    Raises RuntimeError when Ray does not start, or a node loses it before the end.
    """
    here = Rank.here()
    meeting.mkdir(parents=True, exist_ok=True)
    if here.rank == 0:
        with AllocationRay(profile, here, meeting) as executor:
            return work(executor)
    node = _Node(here, profile.object_store_mb, meeting)
    try:
        node.start_worker()
        while not _has(meeting, DONE):
            if node.ended():
                if _has(meeting, DONE):
                    break
                raise RuntimeError(f"Ray on {here.node} ended early; see {node.log}")
            time.sleep(0.5)
    finally:
        node.stop()
    return None


def ports_of_head(port: int, client: int) -> list[str]:
    """Options of `ray start`. The client, which we do not use, is served wherever its packages are,
    and then not on Ray's own choice of a port, which somebody else may have.
    """
    served = importlib.util.find_spec("grpc") is not None
    return [f"--port={port}", *([f"--ray-client-server-port={client}"] if served else [])]


class _Node:
    """Ray's processes on this node, in a process group of their own."""

    def __init__(self, here: Rank, object_store_mb: int, meeting: Path) -> None:
        self._here, self._store, self._meeting = here, object_store_mb, meeting
        self.ip = node_address(here.node) or socket.gethostbyname(socket.gethostname())
        self.log = meeting / f"ray-{here.node}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder, self._lock = own_folder()

    def start_head(self) -> str:
        """Start the head on ports that are free; its address."""
        token = self._meeting / TOKEN
        handle = os.open(token, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)  # it may have been there
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        _environment(token, self._here.memory)
        for _ in range(STARTS):
            port, client = _free_ports(self.ip, 2)
            self._start(
                "--head", *ports_of_head(port, client), "--include-dashboard=false",
                f"--temp-dir={rays_part(self._folder)}",
            )  # fmt: skip
            if self._answers(port):
                return f"{self.ip}:{port}"
            self._end()
        raise RuntimeError(f"Ray's head did not start in {STARTS} attempts; see {self.log}")

    def start_worker(self) -> None:
        """Wait for the head's address and join it."""
        end = time.monotonic() + PATIENCE
        while not _has(self._meeting, ADDRESS):
            if _has(self._meeting, DONE) or time.monotonic() > end:
                raise RuntimeError("the first node never said where its Ray is")
            time.sleep(0.3)
        _environment(self._meeting / TOKEN, self._here.memory)
        os.environ["RAY_TMPDIR"] = rays_part(self._folder)
        self._start(f"--address={json.loads((self._meeting / ADDRESS).read_text())}")

    def stop(self) -> None:
        """End the process group and remove the temporary folder."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _end(self) -> None:
        if self.process is not None:
            for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
            self.process = None

    def _start(self, *more: str) -> None:
        here = self._here
        shared = self._store * 2**20
        memory = [f"--memory={max(here.memory - shared, 1)}"] if here.memory else []
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
            "--disable-usage-stats", f"--node-ip-address={self.ip}", f"--num-cpus={here.cpus}",
            f"--num-gpus={here.gpus}", f"--object-store-memory={shared}", *memory,
            "--min-worker-port=0", "--max-worker-port=0", *more,
        ]  # fmt: skip
        with open(self.log, "ab") as log, _deaf():
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def ended(self) -> bool:
        """Whether no process of ours runs."""
        return self.process is None or self.process.poll() is not None

    def _answers(self, port: int) -> bool:
        end = time.monotonic() + 60
        while time.monotonic() < end and not self.ended():
            with contextlib.suppress(OSError), socket.create_connection((self.ip, port), 1):
                time.sleep(0.5)  # it may be somebody else who answers, and ours be about to end
                return not self.ended()
            time.sleep(0.2)
        return False


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Children started meanwhile ignore SIGUSR2: SLURM sends it to every process of a job, and
    it is a message for us alone. Only for the main thread.
    """
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)


def _environment(token: Path, memory: int | None) -> None:
    os.environ.update(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN_PATH=str(token),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="1",  # who asked for no GPU sees none
        RAY_worker_niceness="0",  # the node is ours; Ray's default gives way to everybody
    )
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ.pop("RAY_ADDRESS", None)
    if memory is None:  # else it would judge us by what others use of the node
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")


def _cpus(env: Any) -> int:
    """What SLURM gave this task, never more than the cores it may run on."""
    may = cores()
    given = env.get("SLURM_CPUS_PER_TASK") or env.get("SLURM_CPUS_ON_NODE")
    return max(1, min(int(given), may) if given else may)


def _gpus(env: Any) -> int:
    """GPUs of this node: those that SLURM made visible."""
    if "CUDA_VISIBLE_DEVICES" in env:
        return len([one for one in env["CUDA_VISIBLE_DEVICES"].split(",") if one.strip()])
    return int(env.get("SLURM_GPUS_ON_NODE") or 0)


def _memory(env: Any) -> int | None:
    """Bytes: the smaller of SLURM's allotment and the cgroup's limit."""
    limits = []
    if value := env.get("SLURM_MEM_PER_NODE"):
        limits.append(int(value) * 2**20)
    elif value := env.get("SLURM_MEM_PER_CPU"):
        limits.append(int(value) * 2**20 * int(env.get("SLURM_CPUS_ON_NODE") or 1))
    limits += [one for one in (cgroup_limit(),) if one]
    return min(limits) if limits else None


def _free_ports(ip: str, count: int) -> list[int]:
    """Ports that nobody has now. Held together while they are chosen, so they differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((ip, 0))
        return [probe.getsockname()[1] for probe in probes]


def _has(folder: Path, name: str) -> bool:
    """Whether a file is there by now. NFS remembers absent names, but reads folders anew."""
    return name in os.listdir(folder)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(text)
    temporary.rename(path)

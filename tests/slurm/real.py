"""A real SLURM of several nodes on one machine: Debian's daemons, fake GPUs, nothing under /etc.

Each virtual node is a slurmd of its own (``slurmd -N nK``) on a loopback address of its own. GPUs
are copies of /dev/null, so that SLURM hands them out and sets CUDA_VISIBLE_DEVICES. There is no
accounting: what asks sacct gets an error, as on many small clusters. Daemons are stopped by the
ids in their own pid files.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PACKAGES = "slurmctld slurmd slurm-client munge"
CONFIG = """\
ClusterName=sigmaflow
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny
StateSaveLocation={run}/state
SlurmctldPidFile={run}/pid/slurmctld
SlurmctldLogFile={run}/log/slurmctld
SlurmdSpoolDir={run}/spool/%n
SlurmdPidFile={run}/pid/%n
SlurmdLogFile={run}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
DefMemPerCPU=256
MaxArraySize=8
JobRequeue=1
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=10
InactiveLimit=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=low Nodes=ALL State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
"""


def missing() -> str:
    """Why no SLURM can be started here, or an empty text."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"no {', '.join(absent)}; as root: apt-get install {PACKAGES}"
    if os.geteuid() != 0:
        return "SLURM's daemons and its fake GPUs (mknod) need root"
    return ""


class RealSlurm:
    """The daemons and what tests do to them. Use `start_slurm`."""

    def __init__(self, folder: Path, nodes: int, cpus: int, memory_mb: int, gpus: int) -> None:
        self.folder, self.names = folder, [f"n{i + 1}" for i in range(nodes)]
        self._path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        port = _free_ports(2 + nodes)
        for name in ("state", "log", "pid", "spool", "dev"):
            (folder / name).mkdir()
        for i in range(gpus):
            os.mknod(folder / "dev" / f"gpu{i}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        host = socket.gethostname().partition(".")[0]
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.1.{i} Port={port + i} "
            f"CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN"
            for i, name in enumerate(self.names, 1)
        ]
        user = _user()
        (folder / "slurm.conf").write_text(
            CONFIG.format(host=host, port=port, user=user, run=folder, nodes="\n".join(lines))
        )
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/dev/gpu[0-{gpus - 1}]\n")
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # must exist; never used
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))

    @property
    def environment(self) -> dict[str, str]:
        """What makes commands talk to this SLURM."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": self._path}

    def run(self, *command: str, check: bool = True) -> str:
        """The output of a command of this SLURM."""
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def start(self) -> None:
        """Start the daemons; returns when all nodes are idle. Raises RuntimeError with logs."""
        sock = self.folder / "munge.sock"
        self.run(
            "munged", "--force", f"--key-file={self.folder}/munge.key", f"--socket={sock}",
            f"--pid-file={self.folder}/pid/munged", f"--log-file={self.folder}/log/munged",
            f"--seed-file={self.folder}/munge.seed",
        )  # fmt: skip
        self.run("slurmctld")
        for name in self.names:
            self.start_node(name)

        def idle() -> bool:
            said = self.run("sinfo", "-hN", "-p", "main", "-t", "idle", "-o", "%N", check=False)
            return set(said.split()) == set(self.names)

        if not wait_for(idle, 60):
            logs = [p.read_text()[-800:] for p in sorted((self.folder / "log").iterdir())]
            raise RuntimeError("the nodes did not come up\n" + "\n".join(logs))

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self.run("slurmd", "-N", name)

    def kill_node(self, name: str) -> None:
        """As when a machine loses its power: its daemon and all that runs on it, at once."""
        doomed = [psutil.Process(int((self.folder / "pid" / name).read_text()))]
        for process in psutil.process_iter():
            if self._is_on(process, name) or (
                _name(process) == "slurmstepd"
                and any(self._is_on(child, name) for child in _children(process))
            ):
                doomed.append(process)
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _is_on(self, process: psutil.Process, node: str) -> bool:
        """Whether it belongs to a job step on the node."""
        try:
            said = process.environ()
        except psutil.Error:
            return False
        ours = said.get("SLURM_CONF") == str(self.folder / "slurm.conf")
        return ours and said.get("SLURMD_NODENAME") == node

    def jobs(self) -> list[str]:
        """Ids of all jobs in the queue."""
        return self.run("squeue", "-h", "-r", "-o", "%i", check=False).split()

    def empty(self) -> None:
        """Cancel every job and wait until they are gone."""
        self.run("scancel", "--user", _user(), check=False)
        wait_for(lambda: not self.jobs(), 30)

    def stop(self) -> None:
        """Cancel every job, then stop the daemons by the ids in their pid files."""
        self.empty()
        daemons = []
        for file in sorted((self.folder / "pid").iterdir(), key=lambda p: p.name == "munged"):
            try:
                daemons.append(psutil.Process(int(file.read_text())))
                daemons[-1].terminate()
            except (psutil.NoSuchProcess, ValueError):
                continue
        for process in psutil.wait_procs(daemons, timeout=15)[1]:
            process.kill()


@contextmanager
def start_slurm(
    nodes: int = 3, cpus: int = 2, memory_mb: int = 4000, gpus: int = 1
) -> Iterator[RealSlurm]:
    """A SLURM until the block ends; afterwards its processes and files are gone."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    slurm = RealSlurm(folder, nodes, cpus, memory_mb, gpus)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(what: Callable[[], object], seconds: float, every: float = 0.3) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(every)
    return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(16800 + 10 * (os.getpid() % 200), 30000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")

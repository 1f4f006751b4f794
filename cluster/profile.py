"""Where to run: the models behind ``cluster/*.yaml``, one for each ``kind``."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

ADDRESS = re.compile(r"[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
WALL = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d{2})(?::(\d{2}))?")


def minutes(value: Any) -> Any:
    """A number of minutes, or the minutes of "HH:MM:SS", "D-HH:MM:SS" or "D-HH:MM", as sbatch reads
    them. Raises ValueError for others, such as "30:00", which are minutes and seconds there."""
    if isinstance(value, bool):
        raise ValueError("give minutes, HH:MM:SS or D-HH:MM:SS, not a yes or no")
    if not isinstance(value, str) or re.fullmatch(r"\s*\d{1,6}\s*", value):
        return value
    match = WALL.fullmatch(value.strip())
    if match is None or (match[1] is None and match[4] is None):
        raise ValueError("give minutes, HH:MM:SS or D-HH:MM:SS")
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    if mins > 59 or seconds > 59 or (match[1] is not None and hours > 23):
        raise ValueError("a day has 24 hours, an hour 60 minutes and a minute 60 seconds")
    return max(1, days * 1440 + hours * 60 + mins + (seconds > 0))


Minutes = Annotated[int, Field(ge=1, le=30 * 1440), BeforeValidator(minutes)]
OURS = ("array", "output", "error", "open-mode", "signal", "ntasks-per-node", "job-name")


def cores() -> int:
    """CPUs that this process may use; 1 where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retries(_Strict):
    """How often a stage is tried again after a failure of each cause. A bug never is."""

    preempted: int = Field(50, ge=0)
    """Its machine was taken for somebody else."""
    time_limit: int = Field(50, ge=0)
    """Its job came to its time limit."""
    node_lost: int = Field(10, ge=0)
    """Its machine is gone, or its GPU is broken."""
    gpu_memory: int = Field(2, ge=0)
    """Out of GPU memory; again alone on a whole GPU."""
    host_memory: int = Field(2, ge=0)
    """Out of main memory; again with twice as much, then with all that a machine has."""
    worker_killed: int = Field(1, ge=0)
    """Killed by a signal, by whom is not known; again as if memory had run out."""
    not_finite: int = Field(1, ge=0)
    """A loss that is not finite; again from the last save, on a GPU only."""


class _Profile(_Strict):
    retries: Retries = Retries()
    """How often a stage is tried again, by what ended it."""
    notify: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the URL to tell of a sweep's end."""
    data_workers: Annotated[int, Field(ge=0)] | None = None
    """Threads of a stage that decode large image sets; none: a core each, four at most."""


class _Gpus(_Profile):
    """How stages share GPUs."""

    gpu_fraction: float = Field(1.0, gt=0, le=1)
    """Share of a GPU given to a stage that asks for a whole one; 0.5 lets two share it."""
    gpu_memory_gb: float = Field(24, gt=0)
    """Memory of one GPU, GB. Small stages share GPUs by what they were measured to take of it."""
    accelerator: str | None = None
    """Kind of GPU that stages must get where there are GPUs, such as RTX 4090; none: any."""


class InlineProfile(_Profile):
    """Everything in one process."""

    kind: Literal["inline"] = "inline"

    def slots(self) -> int:
        """Stages at once, as a number."""
        return 1


class RayProfile(_Gpus):
    """This machine, through a Ray of our own; or the cluster at an address."""

    kind: Literal["ray"] = "ray"
    cpus: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """CPUs to use; auto is those that this process may use."""
    gpus: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """GPUs to use; auto is those that torch sees."""
    parallel: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Stages at once; auto is the number of CPUs."""
    object_store_mb: int = Field(200, ge=80)
    """Shared memory of Ray, MB. Stages hand over paths, not arrays, so little is needed."""
    address: str | None = None
    """host:port (or auto) of a Ray that somebody else runs on this and other machines."""
    namespace: str = Field("sigmaflow", min_length=1)
    """Namespace there."""
    token_env: str | None = None
    """Environment variable that holds the token of that Ray; none: it asks for none."""

    @field_validator("address")
    @classmethod
    def _no_client(cls, value: str | None) -> str | None:
        if value is None or value == "auto" or ADDRESS.fullmatch(value):
            return value
        if value.startswith("ray://"):
            raise ValueError(
                "ray:// is not supported: work would end with the connection. Launch on a machine "
                "of the cluster, and give host:port of its head (6379 by default) or auto"
            )
        raise ValueError("give host:port of the cluster's head, or auto")

    @model_validator(mode="after")
    def _theirs(self) -> RayProfile:
        said = self.model_fields_set
        if self.address is None:
            for name in ("namespace", "token_env"):
                if name in said:
                    raise ValueError(f"{name} belongs to an address; give address too")
        else:
            for name in ("cpus", "gpus", "object_store_mb"):
                if name in said:
                    raise ValueError(f"{name} is the cluster's own affair; leave it out")
        return self

    def cpu_count(self) -> int:
        """CPUs to use, as a number."""
        if self.cpus != "auto":
            return self.cpus
        return cores()

    def gpu_count(self) -> int:
        """GPUs to use, as a number. Imports torch when it has to look."""
        if self.gpus != "auto":
            return self.gpus
        import torch

        return torch.cuda.device_count()

    def slots(self) -> int:
        """Stages at once, as a number."""
        if self.parallel != "auto":
            return self.parallel
        return self.cpu_count() if self.address is None else 1  # until the cluster is asked


class _Slurm(_Profile):
    """What both ways through SLURM ask of it. None and empty values are left to the site."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    comment: str | None = None
    gres: str | None = None
    """Generic resources, as sbatch takes them; instead of gpus_per_node where a site wants it."""
    gpus_per_node: int = Field(1, ge=0)
    cpus_per_task: int = Field(8, ge=1)
    """CPUs of a node (`slurm`) or of a worker (`slurm_workers`)."""
    mem_gb: float = Field(32, gt=0)
    """Memory of a node or worker, GB."""
    time: Minutes = 24 * 60
    """Time limit, minutes or "HH:MM:SS"."""
    signal_delay_s: int = Field(120, ge=10)
    """Seconds before the time limit at which we are told; SLURM may say it 60 s earlier."""
    requeue: bool = True
    """Go back into the queue at the time limit, on preemption and after a lost node."""
    max_requeues: int = Field(50, ge=0)
    """How often one job may do so before it ends for good."""
    setup: tuple[str, ...] = ()
    """Lines of shell before Python starts, such as `module load cuda`."""
    python: str | None = None
    """The Python of the nodes; the one that submits where it is not given."""
    folder: str | None = None
    """Shared folder for job scripts and logs; `slurm` below the results where not given."""
    local_folder: str | None = None
    """Folder of a node's own disk, such as `$TMPDIR`, that inputs are copied to; none: not."""
    poll_s: float = Field(10.0, gt=0)
    """Seconds between two questions to squeue."""
    additional_parameters: dict[str, str | int | bool] = {}
    """Any other sbatch option, by its long name."""

    @field_validator("additional_parameters")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        fields = {name.replace("_", "-") for name in cls.model_fields} | {"mem"}
        for name in value:
            plain = name.replace("_", "-")
            if not re.fullmatch(r"[a-z][a-z0-9-]*", plain):
                raise ValueError(f"{name!r} is no long option of sbatch; write it without dashes")
            if plain in OURS:
                raise ValueError(f"{name} is set by the suite and cannot be changed")
            if plain in fields:
                raise ValueError(f"{name} is a key of the profile; set it there")
        return value


class SlurmProfile(_Slurm, _Gpus):
    """One allocation of some nodes, with a Ray of our own and the driver inside."""

    kind: Literal["slurm"] = "slurm"
    nodes: int = Field(1, ge=1)
    object_store_mb: int = Field(200, ge=80)
    """Shared memory of Ray on each node, MB."""

    def slots(self) -> int:
        """Stages at once, as a number."""
        return self.nodes * self.cpus_per_task


class SlurmWorkersProfile(_Slurm):
    """An array of workers that take stages from the store; the driver stays where it is."""

    kind: Literal["slurm_workers"] = "slurm_workers"
    workers: int = Field(8, ge=1)
    """Most workers at once."""
    array_parallelism: int = Field(256, ge=1)
    """Most workers of one array that the site should run at once."""
    max_array_size: int = Field(1000, ge=1)
    """Longest array that the site takes (MaxArraySize of scontrol show config)."""
    idle_s: float = Field(120.0, gt=0)
    """Seconds after which a worker without work leaves."""

    def slots(self) -> int:
        """Stages offered at once. More than there are workers, so that none waits for us."""
        return 4 * self.workers


Profile = InlineProfile | RayProfile | SlurmProfile | SlurmWorkersProfile
KINDS: dict[str, type[BaseModel]] = {
    "inline": InlineProfile,
    "ray": RayProfile,
    "slurm": SlurmProfile,
    "slurm_workers": SlurmWorkersProfile,
}

"""Jobs of SLURM, submitted through submitit: one allocation, or arrays of workers.

What submitit pickles is a function by reference and the path of a JSON file, nothing else, so that
a job may wait for days while Python is patched.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster.executor import Refused
from cluster.profile import SlurmProfile, SlurmWorkersProfile
from cluster.slurm_state import partitions

Entry = Callable[[str], Any]  # a module-level function, called with the path of a JSON file
ROOT = Path(__file__).resolve().parent.parent
KEPT = {"SLURM_CONF", "SLURM_CLUSTERS"}  # of our own environment, where we are in a job ourselves
WORDS = 1500  # bytes of a job's log that are shown
TRIES, FIRST_WAIT, LONGEST_WAIT = 8, 2.0, 60.0
BUSY = (
    "socket timed out", "temporarily unable", "unable to contact", "resource temporarily",
    "connection refused", "connection timed out", "zero bytes were transmitted",
    "job submit limit", "qosmaxsubmitjob", "try again",
)  # fmt: skip
# What sbatch complains about, the key of the profile that says it, and what to do.
REFUSED = (
    ("invalid account", "account", "give an account that may use it (sacctmgr show assoc)"),
    ("partition", "partition", "give one of the site's"),
    ("qos", "qos", "give one that your account has (sacctmgr show assoc format=qos)"),
    ("invalid feature", "constraint", "give features that nodes have (sinfo -o %f)"),
    ("generic resource", "gres", "give what nodes have (sinfo -o %G), or set gpus_per_node"),
    ("gres", "gres", "give what nodes have (sinfo -o %G), or set gpus_per_node"),
    ("time limit", "time", "give less, or another partition (sinfo -o '%P %l')"),
    ("array", "max_array_size", "lower it (scontrol show config: MaxArraySize)"),
    ("node count", "nodes", "give fewer, or another partition"),
    ("memory", "mem_gb", "give less (sinfo -o '%P %m')"),
    ("cpu count", "cpus_per_task", "give fewer (sinfo -o '%P %c')"),
    ("node configuration", "gpus_per_node", "no node has so many GPUs, CPUs and GB together"),
    ("unrecognized option", "additional_parameters", "give long options of this site's sbatch"),
)


def script(
    profile: SlurmProfile | SlurmWorkersProfile, name: str, folder: Path, count: int = 1
) -> str:
    """The text that sbatch would get from `submit` with these, for people. Needs no SLURM."""
    from submitit.slurm.slurm import _make_sbatch_string

    folder = folder / "%j"
    return _make_sbatch_string(
        command=f"{_python(profile)} -u -m submitit.core._submit {shlex.quote(str(folder))}",
        folder=folder,
        map_count=count if count > 1 else None,
        **parameters(profile, name),
    )


def parameters(profile: SlurmProfile | SlurmWorkersProfile, name: str) -> dict[str, Any]:
    """The profile in submitit's words for SLURM."""
    p = profile
    root = shlex.quote(str(ROOT))
    said = {
        "job_name": name,
        "nodes": p.nodes if isinstance(p, SlurmProfile) else 1,
        "ntasks_per_node": 1,
        "cpus_per_task": p.cpus_per_task,
        "gpus_per_node": p.gpus_per_node if p.gpus_per_node and not p.gres else None,
        "time": p.time,
        "signal_delay_s": p.signal_delay_s,
        "wckey": None,  # submitit's own default is refused where wckeys are checked
        "setup": [*p.setup, f"export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}"],
        # srun has not inherited the CPUs of sbatch since 22.05, and a lost rank is no reason to
        # end the others.
        "srun_args": [f"--cpus-per-task={p.cpus_per_task}", "--kill-on-bad-exit=0"],
        "additional_parameters": {
            "mem": f"{int(p.mem_gb * 1024)}M",  # submitit's own "MB" is refused by some versions
            "requeue" if p.requeue else "no-requeue": True,
            **{k.replace("_", "-"): v for k, v in p.additional_parameters.items()},
        },
    }
    for key in ("partition", "account", "qos", "constraint", "exclude", "comment", "gres"):
        said[key] = getattr(p, key)
    if isinstance(p, SlurmWorkersProfile):
        said["array_parallelism"] = p.array_parallelism
    return said


def submit(
    profile: SlurmProfile | SlurmWorkersProfile,
    name: str,
    folder: Path,
    entry: Entry,
    spec: Path,
    count: int = 1,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Submit ``entry(str(spec))`` once, or ``count`` times as arrays. Ids of jobs or elements.

    A busy controller is asked again, ever more slowly. Raises Refused, naming the key of the
    profile that SLURM does not accept.
    """
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise Refused("there is no sbatch here; run this on a login node of the cluster")
    most = profile.max_array_size if isinstance(profile, SlurmWorkersProfile) else 1
    ids: list[str] = []
    while count > 0:
        ids += _patiently(profile, name, folder, entry, spec, min(count, most), sleep)
        count -= most
    return ids


def _patiently(
    profile: SlurmProfile | SlurmWorkersProfile, name: str, folder: Path, entry: Entry, spec: Path,
    count: int, sleep: Callable[[float], None],
) -> list[str]:  # fmt: skip
    wait = FIRST_WAIT
    for left in reversed(range(TRIES)):
        try:
            return _once(profile, name, folder, entry, spec, count)
        except RuntimeError as error:
            said = str(error)
            if not left or not any(word in said.lower() for word in BUSY):
                raise Refused(explain(said)) from error
        sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError("unreachable")


def _once(
    profile: SlurmProfile | SlurmWorkersProfile, name: str, folder: Path, entry: Entry, spec: Path,
    count: int,
) -> list[str]:  # fmt: skip
    import submitit

    folder.mkdir(parents=True, exist_ok=True)
    with _clean_environment(), contextlib.redirect_stderr(io.StringIO()):
        executor = submitit.SlurmExecutor(folder=folder / "%j", python=_python(profile))
        executor.update_parameters(**parameters(profile, name))
        if count == 1:
            return [executor.submit(entry, str(spec)).job_id]
        return [job.job_id for job in executor.map_array(entry, [str(spec)] * count)]


def logs_in(profile: SlurmProfile | SlurmWorkersProfile, home: Path) -> Path:
    """Where scripts and logs of jobs go: the profile's folder, or one beside the rest."""
    return Path(os.path.expandvars(profile.folder)) if profile.folder else home / "jobs"


def last_words(logs: Path, jobs: Sequence[str]) -> str:
    """The end of what jobs, or elements of arrays, wrote to their own logs; empty where nothing.

    They hold what comes before our code: shell, `setup`, the start of Python.
    """
    said = []
    for job in dict.fromkeys(job.partition("_")[0] for job in jobs):
        for path in sorted((logs / job).glob("*log.*")):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - WORDS))
                text = file.read().decode("utf-8", "replace").strip()
                said += [f"{path}:", text] if text else []
    return "\n".join(said)[-2 * WORDS :]


def explain(said: str) -> str:
    """An error of sbatch with the profile's key and the remedy, where it is known."""
    lines = [line.strip().removeprefix("sbatch: error: ") for line in said.splitlines()]
    text = "; ".join(line for line in lines if line) or "no reason given"
    for words, key, remedy in REFUSED:
        if words in text.lower():
            if key == "partition" and (known := partitions()):
                remedy += f": {', '.join(known)}"
            return f"SLURM refused the job: {text}\nprofile key {key}: {remedy}"
    return f"SLURM refused the job: {text}"


def _python(profile: SlurmProfile | SlurmWorkersProfile) -> str:
    import sys

    return profile.python or shlex.quote(sys.executable)


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """Without the variables of a job that we may be in: a new job would take them for its own."""
    ours = {k: v for k, v in os.environ.items() if k.startswith("SLURM_") and k not in KEPT}
    for name in ours:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(ours)

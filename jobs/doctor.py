"""``python -m jobs.doctor``: is this machine fit for the work, and if not, what to do."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.output import redact

GIB = 2**30
PACKAGES = ("torch", "ray", "mlflow", "optuna", "clean-fid", "pyarrow", "scikit-image", "embreex")
LEAST_MEMORY, LEAST_DISK, LEAST_SHARED = 6 * GIB, 5 * GIB, 0.3
MLFLOW_PORT = 5000


@dataclass(frozen=True)
class Finding:
    """One line of the report: `good` True, None (worth knowing) or False (must be mended)."""

    what: str
    good: bool | None
    text: str
    remedy: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing must be mended, 1 otherwise, 2 for arguments that make no sense."""
    parser = argparse.ArgumentParser(prog="python -m jobs.doctor", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="measure the GPU: parity with the CPU, memory, seconds per kimg",
    )
    parser.add_argument(
        "--device",
        default="cuda",
        help="what --gpu measures (default: cuda; cpu rehearses the report)",
    )
    parser.add_argument(
        "--checkpoint",
        default="mini",
        help="generator that --gpu measures: `mini` or a converted folder",
    )
    parser.add_argument("--batch", type=int, default=4, help="images a step for --gpu (default 4)")
    args = parser.parse_args(argv)
    findings: list[Finding] = []
    for check in CHECKS:
        findings += check(args)
    _show(findings)
    failed = any(f.good is False for f in findings)
    if args.gpu:
        from jobs.run.gpucheck import report

        try:
            print(report(args.checkpoint, args.device, args.batch))
        except (ValueError, RuntimeError) as error:
            print(f"--gpu: {error}", file=sys.stderr)
            return 2
    return int(failed)


def _show(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    marks = {True: "[green]ok[/]", None: "[yellow]note[/]", False: "[red]bad[/]"}
    for f in findings:
        text = f.text + (f"; {f.remedy}" if f.remedy else "")
        table.add_row(marks[f.good], f.what, Text(text))
    Console().print(table)


def packages(args: argparse.Namespace) -> Iterator[Finding]:
    """Every library there, and those with native parts importable."""
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", False, f"missing: {', '.join(missing)}", "pip install -e .")
    else:
        yield Finding("packages", True, ", ".join(versions))
    try:
        importlib.import_module("embreex.rtcore_scene")
    except ImportError as error:
        yield Finding("embreex", False, str(error), "pip install --force-reinstall embreex")


def machine(args: argparse.Namespace) -> Iterator[Finding]:
    """Cores, memory, shared memory, disk."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", True, f"{cores} for this process")
    free = psutil.virtual_memory().available
    yield Finding(
        "memory",
        free >= LEAST_MEMORY,
        f"{free / GIB:.1f} GiB available",
        "" if free >= LEAST_MEMORY else f"mini needs {LEAST_MEMORY / GIB:.0f} GiB",
    )
    if Path("/dev/shm").is_dir():
        shared = shutil.disk_usage("/dev/shm").free
        enough = shared >= LEAST_SHARED * GIB
        yield Finding(
            "shared memory",
            True if enough else None,
            f"{shared / GIB:.1f} GiB in /dev/shm",
            "" if enough else "Ray then keeps its objects on disk, more slowly",
        )
    place = Path(os.path.abspath(args.runs))
    while not place.exists():
        place = place.parent
    room = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK | os.X_OK)
    yield Finding(
        "disk",
        room >= LEAST_DISK and writable,
        f"{room / GIB:.1f} GiB free for {args.runs}" + ("" if writable else ", not writable"),
        "" if room >= LEAST_DISK and writable else "give another place with --runs",
    )


def weights(args: argparse.Namespace) -> Iterator[Finding]:
    """The shipped generator is whole."""
    from sigmaflow.generators import CheckpointError, load_gan

    try:
        gan = load_gan("mini")
    except CheckpointError as error:
        yield Finding("mini generator", False, str(error), "install the package again")
    else:
        count = sum(p.numel() for p in gan.G_ema.parameters())
        yield Finding("mini generator", True, f"{count / 1e6:.2f} M parameters")


def gpus(args: argparse.Namespace) -> Iterator[Finding]:
    """GPUs that torch sees, and whether somebody else sits on them."""
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = "torch was built without CUDA" if built is None else f"torch has CUDA {built}"
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f", CUDA_VISIBLE_DEVICES={seen!r}" if seen is not None else ""
        yield Finding("GPU", None, f"none ({why}{hidden})", "scale mini runs without")
        return
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        free, total = torch.cuda.mem_get_info(i)
        idle = free > 0.9 * total
        text = f"{p.name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        yield Finding(
            f"GPU {i}",
            True if idle else None,
            text,
            "" if idle else "somebody else uses it: see nvidia-smi",
        )
        if total < 23 * GIB:
            yield Finding(f"GPU {i}", None, "below the 24 GB class that scale paper is made for")


def slurm(args: argparse.Namespace) -> Iterator[Finding]:
    """SLURM's commands, where there are any."""
    if shutil.which("sbatch") is None:
        yield Finding("SLURM", None, "no sbatch here")
        return
    try:
        said = subprocess.run(
            ["sinfo", "--noheader", "--format=%P %a %D"], timeout=20, capture_output=True, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("SLURM", False, f"sinfo: {error}", "ask who runs the cluster")
        return
    if said.returncode:
        yield Finding("SLURM", False, said.stderr.strip(), "ask who runs the cluster")
    else:
        lines = [" ".join(line.split()) for line in said.stdout.splitlines()]
        yield Finding("SLURM", True, "partitions: " + ", ".join(lines))


def ports(args: argparse.Namespace) -> Iterator[Finding]:
    """Whether `jobs.ui` can have its usual port."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", MLFLOW_PORT))
        except OSError:
            yield Finding(
                "port", None, f"{MLFLOW_PORT} is taken", "give jobs.ui another one with --port"
            )
        else:
            yield Finding("port", True, f"{MLFLOW_PORT} is free for jobs.ui")


CHECKS: tuple[Callable[[argparse.Namespace], Iterator[Finding]], ...] = (
    packages,
    machine,
    weights,
    gpus,
    slurm,
    ports,
)


if __name__ == "__main__":
    sys.exit(redact.guarded(main))

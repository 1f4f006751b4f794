"""GPUs by name, by share, and whether a process sees those that it was given."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.executor import Resources

log = logging.getLogger(__name__)
CONTEXT = 0.7e9  # bytes of CUDA itself in each process, which torch does not count
HEADROOM = 1.25  # of what was measured, for other sizes and fragments
STEP = 100  # shares are rounded up to hundredths
PREFIX = "accelerator_type:"  # of the resource by which Ray tells kinds of GPUs apart
MAKERS = {"nvidia", "geforce", "tesla", "quadro", "amd", "instinct", "radeon"}
OTHERS = {"d", "laptop", "mobile", "max", "super", "ti", "ada"}  # another GPU of like name
DRIVER = Path("/proc/driver/nvidia/version")  # there where a GPU of NVIDIA can be used


class WrongGPU(RuntimeError):
    """A process does not see the GPU that it was given: an error of the site's setup."""


def share(wanted: Resources, gpu_memory_gb: float, fraction: float) -> float:
    """How much of a GPU to ask for: 1 is all of it.

    Whole ones get ``fraction`` (the profile's word), smaller shares what was measured of them and
    some headroom, or the guess of the stage where nothing was.
    """
    if not wanted.gpus:
        return 0.0
    if wanted.alone:
        return 1.0
    if wanted.gpus >= 1:
        return wanted.gpus * fraction
    if not wanted.gpu_memory:
        return wanted.gpus * fraction
    part = (HEADROOM * wanted.gpu_memory + CONTEXT) / (gpu_memory_gb * 1e9)
    return min(1.0, math.ceil(STEP * part - 1e-9) / STEP)


def same(wanted: str, name: str) -> bool:
    """Whether a GPU called ``name`` is of the kind ``wanted``: "RTX 4090" is "NVIDIA GeForce RTX
    4090" and "GeForce-RTX-4090", not the 4090 of laptops.

    Older versions of Ray say "G" of every GeForce, which is let pass; `check` looks again.
    """
    ask, got = _words(wanted), _words(name)
    if got == ["g"]:
        return ask[:1] in (["rtx"], ["gtx"])
    more = got[len(ask) :]
    return bool(ask) and got[: len(ask)] == ask and not OTHERS.intersection(more[:1])


def label(wanted: str, resources: Iterable[str]) -> str | None:
    """Ray's word for a kind of GPU among the resources of a node, None where it is not there."""
    names = sorted(r.removeprefix(PREFIX) for r in resources if r.startswith(PREFIX))
    return next((name for name in names if same(wanted, name)), None)


def check(given: Sequence[str], accelerator: str = "") -> None:
    """That this process sees exactly the GPUs ``given`` (Ray's ids). Raises WrongGPU.

    GPUs that are only declared, on a machine without their driver, are let pass with a warning
    where no ``accelerator`` is asked for: the work is done on the CPU.
    """
    import torch

    variable = "HIP_VISIBLE_DEVICES" if torch.version.hip else "CUDA_VISIBLE_DEVICES"
    said = os.environ.get(variable)
    shown = [] if said is None else [one.strip() for one in said.split(",") if one.strip()]
    if said is None or set(shown) != set(given):
        raise WrongGPU(
            f"this process was given GPU {','.join(given)} and {variable} is {said!r}; start Ray "
            "without RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES, and set neither in a shell's "
            "start files"
        )
    count = torch.cuda.device_count()
    if count == 0 and not _driver():
        if accelerator:
            raise WrongGPU(f"GPU {','.join(given)} is not there: this machine has no driver for it")
        log.warning("GPU %s is declared, but has no driver: going on with the CPU", given)
        return
    if count != len(given):
        raise WrongGPU(
            f"this process was given GPU {','.join(given)} and torch sees {count}; look at "
            "nvidia-smi on this machine, and at what torch was built for (torch.version.cuda)"
        )
    if accelerator:
        names = [torch.cuda.get_device_name(i) for i in range(count)]
        wrong = [name for name in names if not same(accelerator, name)]
        if wrong:
            raise WrongGPU(f"profile key accelerator: {accelerator} wanted, this is {wrong[0]}")


def _driver() -> bool:
    return DRIVER.exists() or os.path.exists("/dev/kfd")


def _words(name: str) -> list[str]:
    return [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and w not in MAKERS]

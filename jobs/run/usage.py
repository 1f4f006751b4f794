"""The most that a piece of work takes of main and GPU memory, in this process."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Usage:
    """Peaks in bytes; 0 where nothing was measured."""

    memory: int = 0  #: resident, of the whole process
    gpu_memory: int = 0  #: reserved by torch on the GPU; 0 without one


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    """Filled in at the end, also when the work fails.

    Workers run one task after another, so both high-water marks begin anew, as far as the system
    lets them (Linux; elsewhere the peak of the process since its start).
    """
    usage = Usage()
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")
    _cuda_reset()
    try:
        yield usage
    finally:
        usage.memory, usage.gpu_memory = _peak(), _cuda_peak()


def _peak() -> int:
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cuda_in_use() -> Any:
    """torch.cuda, where this process has used a GPU."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _cuda_reset() -> None:
    if (cuda := cuda_in_use()) is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def _cuda_peak() -> int:
    if (cuda := cuda_in_use()) is None:
        return 0
    return sum(cuda.max_memory_reserved(device) for device in range(cuda.device_count()))

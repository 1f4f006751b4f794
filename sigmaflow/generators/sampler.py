"""Which code samples sigma on grids: plain torch, or kernels that numba compiles for the CPU.

Both evaluate the same formula (docs/sampling.md) and differ in the last bits of float32, so a
record of what made a cube should hold `name()`.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from types import ModuleType
from typing import Literal

import torch

Sampler = Literal["auto", "torch", "numba"]
HIDDEN = 64  # hidden units that the kernels are compiled for: those of every public decoder

_choice: Sampler = "auto"


def use(choice: Sampler) -> None:
    """Choose for this process: "auto" (numba where it is installed), "torch" or "numba".

    Raises ValueError for another name, and for "numba" where numba cannot be imported.
    """
    global _choice
    if choice not in ("auto", "torch", "numba"):
        raise ValueError(f"sampler {choice!r}: auto, torch and numba are known")
    if choice == "numba" and "numba" not in available():
        raise ValueError("sampler 'numba': numba cannot be imported; pip install numba")
    _choice = choice


def available() -> tuple[str, ...]:
    """Samplers that run here, "torch" always among them."""
    return ("torch", "numba") if _has_numba() else ("torch",)


def name(device: torch.device | str = "cpu") -> str:
    """ "torch" or "numba": what samples float32 planes of a public decoder on `device` now."""
    return resolve(torch.device(device), torch.float32, HIDDEN)


def resolve(device: torch.device, dtype: torch.dtype, hidden: int) -> str:
    """The sampler for one call. The kernels take float32 on the CPU and 64 hidden units."""
    fits = device.type == "cpu" and dtype == torch.float32 and hidden == HIDDEN
    return "numba" if fits and _choice != "torch" and _has_numba() else "torch"


def kernels() -> ModuleType:
    """The module that runs the kernels; they are compiled or read from numba's cache at their
    first use."""
    from . import compiled

    return compiled


@lru_cache(maxsize=1)
def _has_numba() -> bool:
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        importlib.import_module("numba")
    except ImportError:  # installed beside a numpy that it does not take
        return False
    return True

"""What numbers depend on besides a stage's settings: threads, sampler, torch's global state.

Workers run one task after another, so each task begins in the state that the process began with.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from jobs.store.stage import Task


@contextlib.contextmanager
def arithmetic(task: Task) -> Iterator[None]:
    """Hold torch, and BLAS now or later loaded, to the task's threads, and sigma to its sampler:
    the last bits of sums depend on both. torch's global generator is seeded with the task's key.
    What the task changes of torch's global state is put back."""
    count = task.config["threads"]
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    with contextlib.ExitStack() as stack:
        if task.stage.torch:
            stack.enter_context(_torch_kept())
            import torch

            from sigmaflow.generators import sampler

            torch.manual_seed(int(task.key[:15], 16))
            torch.set_num_threads(count)
            sampler.use(task.config.get("sampler", "auto"))
        os.environ.update({name: str(count) for name in names})
        try:
            with _pools(len(sys.modules)).limit(limits=count):
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _torch_kept() -> Iterator[None]:
    """Put back what changes meanwhile: the CPU's generator, dtype, device and flags."""
    import torch

    drawn, flags = torch.get_rng_state(), [(get(), get, set_) for get, set_ in _flags()]
    try:
        yield
    finally:
        for value, get, set_ in reversed(flags):
            if get() != value:
                set_(value)
        torch.set_flush_denormal(False)  # nobody can ask for it
        torch.set_rng_state(drawn)


def _flags() -> list[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How to ask for each of torch's global flags, and how to set it."""
    import torch

    def attribute(place: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return lambda: getattr(place, name), lambda value: setattr(place, name, value)

    def autocast(device: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return (
            lambda: torch.is_autocast_enabled(device),
            lambda value: torch.set_autocast_enabled(device, value),
        )

    backends = torch.backends
    return [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, torch.set_default_device),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        # After the precision, which sets the first of them too.
        *(attribute(backends.cudnn, name) for name in ("benchmark", "deterministic", "allow_tf32")),
        attribute(backends.cuda.matmul, "allow_tf32"),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        attribute(backends.mkldnn, "enabled"),
        autocast("cpu"),
        autocast("cuda"),
    ]


@lru_cache(maxsize=1)
def _pools(imported: int) -> ThreadpoolController:
    """Of the libraries that are loaded. Finding them is a good part of what a small task costs, so
    it is done anew only after further imports."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

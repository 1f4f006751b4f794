"""How this process gives memory back, where the C library lets one choose.

glibc returns large blocks to the system as soon as they are freed. A training frees and asks for
the same large blocks at every step, and each time the system has to clear their pages anew: on a
CPU that is a fifth of a step of the mini generator.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator

from jobs.run.usage import cuda_in_use

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
PAD = 64 * 2**20  # bytes by which the heap grows at a time
WORTH = 64 * 2**20  # bytes that a task leaves, from which on they are looked for


def keep_freed_blocks() -> bool:
    """Keep freed blocks of this process for its next ones. Whether the C library knows how to.

    The largest memory of a stage stays nearly what it was; what it held once it holds until `freed`
    ends. Variables of the environment such as MALLOC_TRIM_THRESHOLD_ are overruled.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, PAD))
    return all([mallopt(key, value) == 1 for key, value in settings])


@contextlib.contextmanager
def freed() -> Iterator[None]:
    """Give back to the system in the end what was allocated meanwhile and is not used any more.

    Workers run one task after another, and the next one may need the memory elsewhere.
    """
    before = _resident()
    try:
        yield
    finally:
        cuda = cuda_in_use()
        if cuda is not None or _resident() - before > WORTH:
            gc.collect()
            if cuda is not None:
                cuda.empty_cache()
            with contextlib.suppress(OSError, AttributeError, TypeError):  # no glibc
                ctypes.CDLL(None).malloc_trim(0)


def _resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0

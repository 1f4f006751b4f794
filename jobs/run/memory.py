"""How this process gives memory back, where the C library lets one choose.

glibc returns large blocks to the system as soon as they are freed. A training frees and asks for
the same large blocks at every step, and each time the system has to clear their pages anew: on a
CPU that is a fifth of a step of the mini generator.
"""

from __future__ import annotations

import ctypes

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
PAD = 64 * 2**20  # bytes by which the heap grows at a time


def keep_freed_blocks() -> bool:
    """Keep freed blocks of this process for its next ones. Whether the C library knows how to.

    The largest memory of a stage stays nearly what it was; what it held once it holds until it
    ends. Variables of the environment such as MALLOC_TRIM_THRESHOLD_ are overruled.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, PAD))
    return all([mallopt(key, value) == 1 for key, value in settings])

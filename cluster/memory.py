"""How much main memory the processes of this machine may use."""

from __future__ import annotations

import contextlib
from pathlib import Path


def cgroup_limit(
    proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes that the control groups of this process allow, None where there is no limit."""
    limits = []
    with contextlib.suppress(OSError, ValueError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":  # version 2
                place, name = root / path.strip("/"), "memory.max"
            elif "memory" in controllers.split(","):
                place, name = root / "memory" / path.strip("/"), "memory.limit_in_bytes"
            else:
                continue
            for folder in (place, *place.parents):
                with contextlib.suppress(OSError, ValueError):
                    limits.append(int((folder / name).read_text()))
                if folder == root:
                    break
    limits = [one for one in limits if one < 1 << 60]  # version 1 says "none" with a huge number
    return min(limits) if limits else None

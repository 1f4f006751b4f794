"""Forks that run a task and die at a chosen call of fsync, replace or rename."""

import os
import sys

from jobs.run.attempt import run_task
from jobs.store.stage import Task


def fork(root, task: Task, limit: int = 0) -> int:
    """Run the task in a child that dies at call number `limit`, with code 137. Its pid."""
    if pid := os.fork():
        return pid
    calls = 0

    def deadly(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == limit:
                os._exit(137)
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "replace", "rename"):
        setattr(os, name, deadly(getattr(os, name)))
    result = run_task(str(root), task)
    print(result.error, file=sys.stderr, end="", flush=True)
    os._exit(0 if result.ok else 1)


def ended(pid: int) -> int:
    """The exit code of a child, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

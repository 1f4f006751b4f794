"""Calls that are made again and again in the background, all on one thread.

A thread for every small task would cost more than most of what the task does besides its work.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable

LOOK = 0.5  # seconds: the most that a call is late


class Ticker:
    """One thread of this process, made with its first call. A forked process begins without."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count()
        self._begin()
        if hasattr(os, "register_at_fork"):  # the thread may have held the lock
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._calls: dict[int, tuple[float, float, Callable[[], bool]]] = {}  # due, every, call
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, every: float, call: Callable[[], bool]) -> Callable[[], None]:
        """Make ``call`` every so many seconds until it returns False, or what this returns is
        called. It must not raise, and whatever it waits for the other calls wait for too."""
        with self._lock:
            number = next(self._numbers)
            self._calls[number] = (time.monotonic() + every, every, call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return lambda: self._end(number)

    def _end(self, number: int) -> None:
        with self._lock:
            self._calls.pop(number, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                calls = list(self._calls.items())
            wait = LOOK
            for number, (due, every, call) in calls:
                if (left := due - time.monotonic()) > 0:
                    wait = min(wait, left)
                    continue
                again = call()
                with self._lock:
                    if not again:
                        self._calls.pop(number, None)
                    elif number in self._calls:  # not ended meanwhile
                        self._calls[number] = (time.monotonic() + every, every, call)
            time.sleep(wait)

"""What a launch does when the system, or another command, wants its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from jobs.run.stop import Stop

WORD = "asked to stop: what runs comes to its next save; once more, or Ctrl-C, stops at once"


@contextlib.contextmanager
def terminable(stop: Stop | None = None) -> Iterator[Callable[[], None]]:
    """SIGTERM and SIGUSR2, as batch systems send them, ask ``stop``: what runs saves and ends.

    A second SIGTERM, or one after a person has asked for the end (`jobs.cancel`), is Ctrl-C. So is
    the first where there is no ``stop``. SIGINT is Ctrl-C also in a process that a script started
    with ``&``, where shells let it be ignored: whoever sends it means it. Gives a function by which
    other threads send it, once at most: while Ray shuts down, a second signal would be death,
    whatever we want.
    """
    told = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop is not None and not stop.asked():
            stop.ask()
            os.write(sys.stderr.fileno(), f"{WORD}\n".encode())  # print may be what it broke into
        elif number == signal.SIGTERM:
            told.set()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: let it clean up
            raise KeyboardInterrupt

    def stop_us() -> None:
        if not told.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield stop_us
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGUSR2)}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield stop_us
    finally:
        told.set()
        for number, handler in before.items():
            signal.signal(number, handler)

"""Signals to a launch, however it was started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import signal, sys, time
from jobs.run.signals import terminable
before = signal.getsignal(signal.SIGINT)
try:
    with terminable():
        print("ready", flush=True)
        time.sleep(30)
except KeyboardInterrupt:
    print("stopped", signal.getsignal(signal.SIGINT) == before)
"""


@pytest.mark.parametrize("ignored", [(), ("INT",), ("INT", "TERM", "HUP"), ("TERM",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_launch_answers_whatever_was_ignored_as_it_began(ignored, number):
    """As behind `nohup`, and behind `&` in a script, where shells ignore SIGINT."""
    trap = " ".join(ignored)
    process = subprocess.Popen(
        ["sh", "-c", (f"trap '' {trap}; " if trap else "") + 'exec "$0" -c "$1"', sys.executable,
         CHILD], stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, _ = process.communicate(timeout=10)
        assert said == "stopped True\n"
    finally:
        process.kill()
        process.wait()

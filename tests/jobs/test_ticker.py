"""Calls in the background, on one thread for all."""

import os
import signal
import threading
import time

import pytest

from jobs.store.ticker import Ticker


def wait_until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_calls_are_made_until_they_are_ended():
    ticker, made = Ticker("test"), []
    end = ticker.start(0.02, lambda: made.append(1) or True)
    wait_until(lambda: len(made) >= 3)
    end()
    end()  # twice does no harm
    time.sleep(0.1)
    count = len(made)
    time.sleep(0.7)
    assert len(made) == count


def test_a_call_that_says_so_is_the_last():
    ticker, made = Ticker("test"), []
    other = ticker.start(0.02, lambda: made.append("other") or True)
    ticker.start(0.02, lambda: made.append("once") or False)
    wait_until(lambda: made.count("other") >= 5)
    other()
    assert made.count("once") == 1


def test_no_call_comes_early():
    ticker, made = Ticker("test"), []
    begun = time.monotonic()
    end = ticker.start(0.3, lambda: made.append(time.monotonic()) or True)
    wait_until(lambda: len(made) >= 2)
    end()
    assert made[0] - begun >= 0.3 and made[1] - made[0] >= 0.3


def test_many_calls_take_one_thread():
    ticker = Ticker("only this one")
    ends = [ticker.start(60, lambda: True) for _ in range(20)]
    assert sum(t.name == "only this one" for t in threading.enumerate()) == 1
    for end in ends:
        end()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_begins_anew(tmp_path):
    ticker = Ticker("test")
    end = ticker.start(0.01, lambda: (tmp_path / str(os.getpid())).touch() or True)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a deadlock is an end, too
        ticker.start(0.02, lambda: (tmp_path / "called").touch() or True)
        time.sleep(2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    end()
    assert (tmp_path / "called").exists()
    assert not (tmp_path / str(child)).exists()  # that call was the parent's

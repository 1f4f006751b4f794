"""Functions to send to a worker."""

import os
import signal


def double(x):
    return 2 * x


def bug():
    raise ValueError("a bug")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def pid():
    return os.getpid()

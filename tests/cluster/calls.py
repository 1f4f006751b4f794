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


class Last:
    """A value whose process is not to be used again."""

    spent = True

    def __init__(self, pid):
        self.pid = pid


def last(how):
    if how == "raises":
        raise ValueError(os.getpid())
    return Last(os.getpid())

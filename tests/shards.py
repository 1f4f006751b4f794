"""Slow tests by turns: a part of them on each day of the year.

`pytest -m slow --shards 6` runs those whose turn it is and names the others, each with the day that
it was last due. Tests of one file stay together, because they share what takes long to make.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter

import pytest


def shard_of(nodeid: str, shards: int) -> int:
    """Which shard a test belongs to; the same for all tests of a file."""
    name = nodeid.split("::")[0].replace("\\", "/")
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % shards


def last_due(shard: int, shards: int, today: datetime.date) -> datetime.date:
    """The last day, today or before, on which a shard was due."""
    return today - datetime.timedelta(days=(today.toordinal() - shard) % shards)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shards", type=int, default=1, help="run one of so many parts, by the day")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not due today."""
    shards = config.getoption("--shards")
    if shards <= 1:
        return
    today = datetime.date.today()
    due, left = [], []
    for item in items:
        mine = last_due(shard_of(item.nodeid, shards), shards, today) == today
        (due if mine else left).append(item)
    items[:] = due
    config.hook.pytest_deselected(items=left)
    config.stash[LEFT] = [item.nodeid for item in left]


LEFT: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Files that were left out, and when each was last due."""
    left = config.stash.get(LEFT, [])
    if not left:
        return
    shards, today = config.getoption("--shards"), datetime.date.today()
    terminalreporter.section("slow tests that are not due today")
    for name, count in sorted(Counter(node.split("::")[0] for node in left).items()):
        day = last_due(shard_of(name, shards), shards, today)
        terminalreporter.line(f"{name}: {count} tests, last due {day.isoformat()}")

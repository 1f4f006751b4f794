"""Who hears of what happens to the tasks of a launch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from jobs.output.show import Show
from jobs.run.driver import Event
from jobs.store.stale import is_stale
from jobs.store.store import read_marker


class Listener:
    """Hands a driver's events to who shows and who records them; the first calls ``begin``."""

    def __init__(self, show: Show, ledger: Any, begin: Callable[[], None]) -> None:
        self.show, self.ledger = show, ledger
        self.stale: Counter[str] = Counter()  #: found results that other sources made, by stage
        self._begin: Callable[[], None] | None = begin

    def __call__(self, event: Event) -> None:
        self.show(event)
        self.ledger.event(event)
        if event.kind == "hit" and event.result is not None and event.result.path is not None:
            marker = read_marker(event.result.path)
            if marker is not None and is_stale(marker):
                self.stale[event.task.stage.name] += 1
        if event.kind == "start" and self._begin is not None:
            begin, self._begin = self._begin, None
            begin()

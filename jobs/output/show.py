"""What a launch says while it works: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jobs.output import redact
from jobs.run.driver import Event
from jobs.store.stage import Task

GONE = "nobody reads the output any more; the launch goes on, and jobs.status shows how it stands"
LINE_EVERY = 30.0  # seconds between progress lines where there is no terminal


class Terminal(Console):
    """A console whose reader may go away (``| head``): work goes on, and nothing more is shown."""

    def on_broken_pipe(self) -> None:
        """Called by rich; its own ends the process."""
        self.quiet = True
        redact.unread()
        with contextlib.suppress(OSError, ValueError):
            print(GONE, file=sys.stderr)


class Show:
    """Follows a driver's events. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.counts: Counter[str] = Counter()
        self.failed: list[Event] = []
        self.again: Counter[str] = Counter()  # attempts that were followed by another, by cause
        self._running: dict[str, tuple[Task, float, Event | None]] = {}
        self._begun = time.monotonic()
        self._said_at = 0.0
        self._live = Live(
            console=self.console, get_renderable=self._view, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Show:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the launch began."""
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
        """One line above the live view."""
        self.console.print(redact.text(text), highlight=False, soft_wrap=True)

    def __call__(self, event: Event) -> None:
        task, result = event.task, event.result
        if event.kind == "start":
            self._running[task.key] = (task, time.monotonic(), None)
        elif event.kind == "progress":
            if task.key in self._running:
                self._running[task.key] = (*self._running[task.key][:2], event)
            self._lines()
        elif result is None:
            raise ValueError(f"an event of kind {event.kind} has no result")
        elif event.kind == "again":
            self._running.pop(task.key, None)
            self.again[result.cause] += 1
            where = f" on {result.node}" if result.node else ""
            said = _plain(event.note + where)
            self.say(
                f"{self._clock()}  [yellow]again[/]   {_what(task)}: {said}, "
                f"attempt {result.attempt + 1} follows"
            )
        else:
            self._running.pop(task.key, None)
            self.counts[event.kind] += 1
            if event.kind == "done":
                self.say(
                    f"{self._clock()}  [green]done[/]    {_what(task)}  "
                    f"[dim]{duration(result.seconds)}[/]"
                )
            elif event.kind in ("failed", "blocked"):
                self.failed.append(event)
                last = result.error.strip().splitlines()[-1:] or [""]
                tried = f" ({_plain(event.note)})" if event.note else ""
                self.say(
                    f"{self._clock()}  [red]{event.kind}[/]  {_what(task)}: "
                    f"{_plain(last[0])}{tried}"
                )

    def _clock(self) -> str:
        return f"[dim]{duration(self.elapsed):>7}[/]"

    def _lines(self) -> None:
        """Without a terminal: what runs, now and then."""
        now = time.monotonic()
        if self.console.is_terminal or now - self._said_at < LINE_EVERY:
            return
        self._said_at = now
        for task, begun, event in self._running.values():
            self.say(
                f"{self._clock()}  running {_what(task)}  {_progress(event)} "
                f"{duration(now - begun)}"
            )

    def _view(self) -> Table:
        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for task, begun, event in list(self._running.values()):
            table.add_row("[cyan]running[/]", _what(task), _progress(event), duration(now - begun))
        found = f", {self.counts['hit']} found" if self.counts["hit"] else ""
        table.add_row(
            "", Text(f"{self.counts['done']} done{found}, {duration(self.elapsed)}", style="dim")
        )
        return table


def _what(task: Task) -> str:
    return _plain(task.label)


def _plain(text: str) -> str:
    return escape(text)


def _progress(event: Event | None) -> str:
    if event is None:
        return ""
    note = f"{_plain(event.note)} " if event.note else ""
    return f"{note}{100 * event.done / event.total:.0f} %" if event.total else note


def duration(seconds: float) -> str:
    """12.3 s, 4 min 05 s or 3 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

"""``python -m jobs.status [NAME]``: how launches stand, from files alone.

Works on any machine that sees the results, whether the launching process lives or not. SLURM is
asked only for jobs that hold a sweep while no driver of it lives.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cluster import slurm_state
from jobs.output import redact
from jobs.run.retry import told
from jobs.run.slurm_files import open_job, submitted
from jobs.store.ledger import SWEEPS, Entry, Launch, Plan, launches, read_plan, sweeps
from jobs.store.store import Store

State = Literal["done", "running", "failed", "blocked", "waiting"]
STATES: tuple[State, ...] = ("done", "running", "failed", "blocked", "waiting")
EVERY, SELDOM = 2.0, 15.0  # seconds between two looks of --watch: at files, through SLURM
COLOURS = {  # of a launch
    "done": "green", "running": "cyan", "failed": "red", "dead": "red", "stopped": "yellow",
}  # fmt: skip
SHOWN = 12  # lines of running or failed stages
JOBS = 4  # of a launch that are named


@dataclass(frozen=True)
class Standing:
    """One task: its state, and for running ones who works on it and how far it is."""

    entry: Entry
    state: State
    error: str = ""  #: of a failed one, whole
    owner: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    cause: str = ""  #: of a failed one (`jobs.run.retry`), where it is known
    node: str = ""  #: that a failed one ran on
    again: tuple[str, ...] = ()  #: causes that ended earlier attempts of the latest launch


@dataclass(frozen=True)
class Sweep:
    """A sweep as its files tell it."""

    launches: list[Launch]  #: the latest first, at least one
    plan: Plan
    tasks: list[Standing]  #: in the order in which they were planned

    @property
    def latest(self) -> Launch:
        return self.launches[0]

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.state for one in self.tasks)


def look(runs: str | Path, name: str, found: set[str] | None = None) -> Sweep:
    """How the sweep stands. Raises LookupError naming those that there are.

    ``found`` holds keys of tasks known to be finished, and is added to: who looks often spares
    itself to look at their files again.
    """
    known = launches(Path(runs) / SWEEPS / name)
    if not known:
        there = ", ".join(sweeps(runs)) or "none"
        raise LookupError(f"no launch of {name!r} is recorded in {runs}; there are: {there}")
    return stand(known, Store(Path(runs) / "store"), found)


def asked(runs: str | Path, name: str | None) -> Sweep:
    """`look` at the sweep of a command line; None is the latest launched."""
    name = name or next(iter(sweeps(runs)), None)
    if name is None:
        raise LookupError(f"nothing was launched in {runs}; give --runs")
    return look(runs, name)


def stand(known: list[Launch], store: Store, found: set[str] | None = None) -> Sweep:
    """How the plan of the latest of these launches stands; ``found`` as in `look`."""
    plan, found = read_plan(known), set() if found is None else found
    driven = any(one.alive for one in known)
    states: dict[str, Standing] = {}
    for entry in plan.tasks.values():
        now = _standing(entry, plan, store, driven, states, found)
        causes = tuple(one.get("cause", "") for one in plan.again.get(entry.key, ()))
        states[entry.key] = replace(now, again=causes) if causes else now
    return Sweep(known, plan, list(states.values()))


def _standing(
    entry: Entry, plan: Plan, store: Store, driven: bool, states: dict[str, Standing],
    found: set[str],
) -> Standing:  # fmt: skip
    if entry.key in found or store.find(entry) is not None:
        found.add(entry.key)
        return Standing(entry, "done")
    if (owner := store.owner(entry)) is not None:
        return Standing(entry, "running", owner=owner, progress=store.progress(entry))
    ended = plan.ended.get(entry.key)
    if ended is not None:
        state: State = "failed" if ended["status"] == "failed" else "blocked"
        cause, node = ended.get("cause", ""), ended.get("node", "")
        return Standing(entry, state, ended["error"], cause=cause, node=node)
    # A driver that lives tries again what failed in an earlier launch.
    if not driven and (error := store.error(entry)) is not None:
        cause, node = str(error.get("cause", "")), str(error.get("host", ""))
        return Standing(entry, "failed", str(error.get("error", "")), cause=cause, node=node)
    bad = [k for k in entry.needs if k in states and states[k].state in ("failed", "blocked")]
    if bad:
        return Standing(entry, "blocked", f"needs {states[bad[0]].entry.label}")
    return Standing(entry, "waiting", progress=store.progress(entry))


# ---------------------------------------------------------------------- what people see


def lines(sweep: Sweep) -> Iterator[str]:
    """The state of one sweep, with rich's markup."""
    from jobs.output.show import duration

    latest, counts = sweep.latest, sweep.counts
    record = latest.record
    state = "stopping" if latest.state == "running" and latest.cancelled else latest.state
    colour = COLOURS[latest.state]
    yield (
        f"[bold]{_plain(latest.name)}[/]  [{colour}]{state}[/]  "
        + _plain(f"{record['kind']} at scale {record['scale']}, plan {record['plan']}")
    )
    for launch in [o for o in sweep.launches if o.alive] or [latest]:
        yield f"  launch   {_plain(_driver(launch))}"
    if latest.state == "dead":
        yield "           [yellow]it ended without a word; the same command goes on[/]"
    if record.get("error"):
        yield f"           [red]{_plain(_last(record['error']))}[/]"
    yield "  stages   " + ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s])
    yield from _by_stage(sweep)
    if record.get("trials"):
        ends = {one["last"] for one in sweep.plan.trials.values()}
        done = sum(one.state == "done" for one in sweep.tasks if one.entry.key in ends)
        yield f"  trials   {len(ends)} of {record['trials']} asked, {done} measured"
    if repeated := Counter(cause for one in sweep.tasks for cause in one.again):
        yield f"  again    [yellow]{told(repeated)}[/]"
    running = [one for one in sweep.tasks if one.state == "running"]
    for one in running[:SHOWN]:
        what = f"{_plain(one.entry.label)}  {_far(one)}"
        yield f"  [cyan]running[/]  {what}  [dim]{_plain(_who(one))}[/]"
    if len(running) > SHOWN:
        yield f"           and {len(running) - SHOWN} more"
    left = [s for s in map(_left, running) if s is not None]
    if left:
        yield f"  left     about {duration(max(left))} for what runs now"
    failed = [one for one in sweep.tasks if one.state == "failed"]
    for one in failed[:SHOWN]:
        why = f"  [dim]{_why(one)}[/]" if one.cause else ""
        yield f"  [red]failed[/]   {_plain(one.entry.label)}: {_plain(_last(one.error))}{why}"
    if failed:
        yield f"           tracebacks: python -m jobs.logs {_plain(latest.name)}"


def _by_stage(sweep: Sweep) -> Iterator[str]:
    """How many of each stage are done, in few lines."""
    total = Counter(one.entry.stage.name for one in sweep.tasks)
    done = Counter(one.entry.stage.name for one in sweep.tasks if one.state == "done")
    parts = [f"{name} {done[name]}/{count}" for name, count in total.items()]
    for i in range(0, len(parts), 6):
        yield f"           [dim]{_plain(', '.join(parts[i : i + 6]))}[/]"


def _driver(launch: Launch) -> str:
    from jobs.output.show import duration

    d, record = launch.record["driver"], launch.record
    jobs = record.get("slurm_jobs") or []
    more = f" and {len(jobs) - JOBS} more" if len(jobs) > JOBS else ""
    job = f", SLURM job {', '.join(jobs[:JOBS])}{more}" if jobs else ""
    on = f" on {record['on']}" if record.get("on") else ""
    when = time.strftime("%d %b %H:%M", time.localtime(record["begun"]))
    if launch.alive:
        return f"{d['host']}:{d['pid']}{on}{job}, since {when}, heard of {_ago(launch.beat())}"
    took = ""
    if "ended" in record:
        took = f", ended after {duration(record['ended'] - record['begun'])}"
    return f"{d['host']}:{d['pid']}{on}{job}, begun {when}{took}"


def _far(one: Standing) -> str:
    from jobs.output.show import duration

    said = one.progress or {}
    parts = [_plain(said["note"])] if said.get("note") else []
    if said.get("total"):
        parts.append(f"{100 * said['done'] / said['total']:.0f} %")
    if one.again:
        parts.append(f"attempt {len(one.again) + 1} after {told(Counter(one.again))}")
    if (left := _left(one)) is not None:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def _left(one: Standing) -> float | None:
    """Seconds until done, from the pace of this attempt."""
    said = one.progress or {}
    try:
        moved, spent = said["done"] - said["first"], time.time() - said["since"]
        return spent * (said["total"] - said["done"]) / moved if moved > 0 and spent > 0 else None
    except (KeyError, TypeError):
        return None


def _who(one: Standing) -> str:
    owner = one.owner or {}
    job = f" job {owner['job']}" if owner.get("job") else ""
    return f"{owner.get('host', '?')}:{owner.get('pid', '?')}{job}, heard of {_ago(owner['beat'])}"


def _why(one: Standing) -> str:
    """The cause of a failure, on which machine, at which attempt."""
    where = f" on {one.node}" if one.node else ""
    attempt = f", attempt {len(one.again) + 1}" if one.again else ""
    return _plain(f"{told({one.cause: 1})}{where}{attempt}")


def _ago(seconds: float) -> str:
    from jobs.output.show import duration

    return f"{duration(max(0.0, round(seconds)))} ago".replace(".0 s", " s")


def _last(error: str) -> str:
    rows = error.strip().splitlines()
    return rows[-1] if rows else ""


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(str(text))


# ---------------------------------------------------------------------- the command


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 where there is nothing by that name."""
    parser = argparse.ArgumentParser(prog="python -m jobs.status", description=__doc__)
    parser.add_argument("name", nargs="?", help="one sweep; without it all that were launched")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--watch", action="store_true", help="look again until nothing runs")
    args = parser.parse_args(argv)
    names = [args.name] if args.name else all_names(args.runs)
    if not names:
        print(f"nothing was launched in {args.runs}; give --runs", file=sys.stderr)
        return 2
    try:
        (_watch if args.watch else _once)(args.runs, names)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def all_names(runs: str) -> list[str]:
    """Sweeps that were launched, and before them those that only wait in SLURM's queue."""
    launched = sweeps(runs)
    waiting = [n for n in submitted(runs) if n not in launched and open_job(runs, n) is not None]
    return [*waiting, *launched]


def rows(runs: str, name: str, found: set[str] | None = None) -> tuple[list[str], float]:
    """One sweep's lines, and the seconds after which another look is worth it; 0 for never.

    Raises LookupError naming those that there are.
    """
    try:
        sweep = look(runs, name, found)
    except LookupError:
        if (queue := _queue(runs, name)) is None:
            raise
        return [f"[bold]{_plain(name)}[/]  submitted", f"  job      {queue[0]}"], queue[1]
    if any(launch.alive for launch in sweep.launches):
        return list(lines(sweep)), EVERY
    queue = _queue(runs, name)
    if queue is None or not queue[1]:
        return list(lines(sweep)), 0.0
    first, *rest = lines(sweep)
    return [first, f"  job      {queue[0]}", *rest], queue[1]


def _queue(runs: str, name: str) -> tuple[str, float] | None:
    """What SLURM says of the job that has the sweep, and when to ask again."""
    job = open_job(runs, name)
    if job is None:
        return None
    try:
        state = slurm_state.states([job])[job]
    except slurm_state.SlurmAway as error:
        return f"{job}: SLURM does not say how it stands ({_plain(str(error))})", 0.0
    if state.phase == "waiting":
        return _plain(f"{job} waits" + (f" ({state.reason})" if state.reason else "")), SELDOM
    if state.phase == "running":
        return f"{job} runs, its driver begins", EVERY
    return f"{job} is gone; the same command submits the rest", 0.0


def _once(runs: str, names: Sequence[str], found: set[str] | None = None) -> bool:
    """Print all; whether anything runs."""
    from rich.console import Console

    console, alive = Console(), False
    for name in names:
        text, again = rows(runs, name, found)
        alive = alive or again > 0
        for line in text:
            console.print(line, highlight=False, soft_wrap=True)
    return alive


def _watch(runs: str, names: Sequence[str]) -> None:
    """A live view in a terminal, else the whole again every now and then."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    found: set[str] = set()
    if not console.is_terminal:
        while _once(runs, names, found):
            time.sleep(15 * EVERY)
            print(flush=True)
        return

    def view() -> tuple[Text, float]:
        seen = [rows(runs, name, found) for name in names]
        text = Text("\n").join(Text.from_markup(line) for some, _ in seen for line in some)
        return text, min((again for _, again in seen if again), default=0.0)

    text, again = view()
    with Live(text, console=console, auto_refresh=False) as live:
        while again:
            time.sleep(again)
            text, again = view()
            live.update(text, refresh=True)


if __name__ == "__main__":
    sys.exit(redact.guarded(main))

"""What a launch would do, task by task, and why: ``python -m jobs.launch SWEEP --dry-run``.

HIT is found, RESUME goes on from a checkpoint, RUN begins, and BLOCKED waits for a living process
that works on it, or for another BLOCKED one. Nothing here computes or changes a result.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jobs.run.slurm_files import home
from jobs.store.sound import LARGE
from jobs.store.stage import Task, walk
from jobs.store.stale import stale_lines
from jobs.store.store import MARKER, Store
from jobs.sweep.cost import Cost, Costs, Span, hours, size
from jobs.sweep.estimates import describe, finetune_estimate
from jobs.sweep.graphs import first_tasks
from jobs.sweep.nearest import Cached

State = Literal["HIT", "RUN", "RESUME", "BLOCKED"]
STATES: tuple[State, ...] = ("HIT", "RUN", "RESUME", "BLOCKED")
OLDER = "of the stage, cached has"  # in the reason of a stage whose version was raised
APART = 8  # trials that have lines of their own; more are shown together


@dataclass(frozen=True)
class Planned:
    """A task, what would become of it, why, and the share of it that is left to do."""

    task: Task
    state: State
    reason: str = ""
    left: float = 1.0


# ---------------------------------------------------------------------- the tasks of a sweep


def asked_trials(config: Any, runs: Path, plan: str) -> dict[int, dict[str, Any]]:
    """Parameters of the trials that are known: asked by an earlier launch, or given in the file."""
    from jobs.store.ledger import known_trials

    given = dict(enumerate(config.search.known()[: config.search.trials]))
    asked = known_trials(runs, config.name, plan)
    return {n: p for n, p in (given | asked).items() if n < config.search.trials}


# ---------------------------------------------------------------------- state and reason


def plan_tasks(tasks: Iterable[Task], store: Store) -> list[Planned]:
    """What would become of the tasks and all they need, inputs first."""
    every = walk(list(tasks))
    cached = Cached(store, {task.key for task in every})
    found: dict[str, Planned] = {}
    for task in every:
        found[task.key] = _planned(task, store, cached, found)
    return list(found.values())


def _planned(task: Task, store: Store, cached: Cached, found: Mapping[str, Planned]) -> Planned:
    if store.find(task) is not None:
        if (name := store.damaged(task, LARGE)) is None:
            return Planned(task, "HIT", left=0.0)
        return Planned(task, "RUN", f"its {name} is damaged; made again")
    if (owner := store.owner(task)) is not None:
        said = store.progress(task) or {}
        done = f", {100 * said['done'] / said['total']:.0f} % done" if said.get("total") else ""
        return Planned(task, "BLOCKED", f"{owner['host']}:{owner['pid']} works on it{done}")
    blocked = [n for n in task.needs() if found[n.key].state == "BLOCKED"]
    if blocked:
        return Planned(task, "BLOCKED", f"needs {blocked[0].label}")
    if (step := store.checkpoint(task)) is not None:
        said = store.progress(task) or {}
        at, total = said.get("done"), said.get("total")
        if not total:
            return Planned(task, "RESUME", f"checkpoint at step {step}")
        share = f"{at:g} of {total:g}"
        where = f"step {share}" if step == at else f"step {step}, {share} done"
        return Planned(task, "RESUME", f"checkpoint at {where}", max(0.0, 1 - at / total))
    return Planned(task, "RUN", _reason(task, store, cached, found))


def _reason(task: Task, store: Store, cached: Cached, found: Mapping[str, Planned]) -> str:
    if (store.path(task) / MARKER).exists():
        return "its files are not whole; made again"
    if (error := store.error(task)) is not None:
        lines = str(error.get("error", "")).strip().splitlines()
        return f"failed last time: {lines[-1] if lines else 'no reason known'}"
    near = cached.nearest(task)
    if near is None:
        return f"no {task.stage.name} in this store yet"
    if near.config is not None:
        return near.config
    anew = [n for n in task.needs() if n.key in near.inputs and found[n.key].state != "HIT"]
    if anew:
        return f"needs {anew[0].label}, which runs"
    if near.inputs:
        return f"other {near.names[0]}: {_source(task, near.names[0])}"
    return "not kept: its folder is gone"


def _source(task: Task, name: str) -> str:
    """Which input it is, for people."""
    value = task.inputs[name]
    one = value[0] if isinstance(value, tuple) and value else value
    return one.label if isinstance(one, Task) else str(getattr(one, "path", name))


# ---------------------------------------------------------------------- what people see


def lines(config: Any, profile: Any, runs: Path) -> Iterator[str]:
    """The dry run as text."""
    from jobs.store.ledger import plan_id

    store = Store(runs / "store")
    graph, first = first_tasks(config)
    plan = plan_id(config.model_dump(mode="json"), first)
    trials: dict[int, Any] = {}
    tasks = list(first)
    if graph is not None:
        asked = asked_trials(config, runs, plan)
        trials = {n: graph.trial(n, params) for n, params in sorted(asked.items())}
        tasks += [trial.summary for trial in trials.values()]
        if len(trials) == config.search.trials:
            tasks += graph.reports(graph.generators(list(trials.values())))
    planned = plan_tasks(tasks, store)
    if graph is not None and len(trials) == config.search.trials:
        planned = with_tables(planned, graph, list(trials.values()), store)
    costs = Costs(store.root, config.scale)
    total, guess = Cost(), Cost()
    rows = []
    for name, group in _groups(planned, apart=len(trials) <= APART).items():
        cost = Cost()
        for one in group:
            if one.state != "HIT":
                cost += costs.of(one.task, one.left)
        total += cost
        rows.append(_row(name, group, cost))
    if graph is not None and len(trials) < config.search.trials:
        guess, row = _unasked(config, graph, trials, costs)
        rows.append(row)
    if trials and not any(one.task.stage.name == "tables" for one in planned):
        cost = costs.of(graph.tables(list(trials.values()), []))
        guess += cost * (config.search.trials / len(trials))
        rows.append(("tables and figures", "RUN", "made of all trials", _priced(cost)))
    if graph is not None and len(trials) < config.search.trials:
        more, cost = _unasked_reports(config, graph, list(trials.values()), costs)
        guess += cost
        rows += more
    yield f"{config.name}: {config.kind} at scale {config.scale}, plan {plan}, results in {runs}"
    yield from _table(rows)
    open_trials = config.search.trials - len(trials) if graph is not None else 0
    yield from stale_lines((one.task for one in planned if one.state == "HIT"), store)
    if any(OLDER in one.reason for one in planned):
        yield "results of older versions stay on the disk: python -m jobs.prune says how much"
    yield from _totals(planned, open_trials, total + guess, _slots(profile), runs)
    yield from _on_a_gpu(config, [one.task for one in planned if one.state != "HIT"])
    yield from _script(config, profile, runs)


def show(config: Any, profile: Any, runs: Path) -> int:
    """Print the dry run. Digests of large files that it took are kept for the launch."""
    from jobs.store.digests import remembered

    with remembered(runs):
        for line in lines(config, profile, runs):
            print(line)
    return 0


def with_tables(
    planned: list[Planned], graph: Any, trials: Sequence[Any], store: Store
) -> list[Planned]:
    """The tables too, where every trial has ended well: only then is their key known."""
    from jobs.search.outcomes import pareto, read_summary

    paths = {trial.number: store.find(trial.summary) for trial in trials}
    if not all(paths.values()):
        return planned
    numbers = {n: read_summary(path) for n, path in paths.items() if path is not None}
    search = graph.config.search
    front = pareto(numbers, search.space, search.limits())
    reports = graph.reports(graph.generators(trials))
    return plan_tasks([graph.tables(trials, front), *reports], store)


def _groups(planned: Sequence[Planned], apart: bool) -> dict[str, list[Planned]]:
    """Blocks of one fan-out together, and trials unless ``apart``; in order of appearance."""
    groups: dict[str, list[Planned]] = {}
    for one in planned:
        name = re.sub(r" \d+-\d+$", "", one.task.label)
        name = name if apart else re.sub(r" [\w.]+=.*$", "", name)
        groups.setdefault(name, []).append(one)
    return groups


def _row(name: str, group: Sequence[Planned], cost: Cost) -> tuple[str, ...]:
    count = len(group)
    name = f"{name} x{count}" if count > 1 else group[0].task.label
    states = {state: [one for one in group if one.state == state] for state in STATES}
    present = [(state, ones) for state, ones in states.items() if ones]
    said = ", ".join(state if count == 1 else f"{len(ones)} {state}" for state, ones in present)
    reason = next((ones[0].reason for state, ones in present if state != "HIT"), "")
    return name, said, reason, _priced(cost)


def _priced(cost: Cost) -> str:
    if not cost.seconds.high and not cost.bytes.high:
        return ""
    mark = "~" if cost.guessed else ""
    return f"{mark}{hours(cost.seconds)}, {size(cost.bytes.middle)}"


def _unasked(
    config: Any, graph: Any, trials: Mapping[int, Any], costs: Costs
) -> tuple[Cost, tuple[str, ...]]:
    """Trials whose settings depend on results: their price is that of any other."""
    search = config.search
    missing = [n for n in range(search.trials) if n not in trials]
    like = graph.trial(-1, search.middle())
    one = Cost()
    for task in like.tasks:
        one += costs.of(task)
    numbers = _ranges(missing)
    count = len(missing)
    parts = "fine-tune, measure, images, FID, compare"
    first = missing[0]
    sees = max(0, first - search.parallelism + 1)
    why = (
        "settings not asked yet"
        if sees == 0
        else (
            f"trial {first} is asked once trial{'s 0-' + str(sees - 1) if sees > 1 else ' 0'} ended"
        )
    )
    name = f"trial{'s' if count > 1 else ''} {numbers}: {count} x ({parts})"
    return one * count, (name, "RUN", why, _priced(one * count))


def _unasked_reports(
    config: Any, graph: Any, trials: Sequence[Any], costs: Costs
) -> tuple[list[tuple[str, ...]], Cost]:
    """Analyses of all trials, where not all are known: priced by one trial beside the start."""
    known = trials or [graph.trial(-1, config.search.middle())]
    cost = Cost()
    names = []
    for report in graph.reports(graph.generators(known[:1])):
        own = {task.key for task in walk([known[0].summary, *graph.shared()])}
        for task in walk(report, own):
            cost += costs.of(task)
        names.append(report.label.removeprefix("report on "))
    if not names:
        return [], cost
    cost = cost * config.search.trials
    return [(f"analyses: {', '.join(names)}", "RUN", "of all trials", _priced(cost))], cost


def _ranges(numbers: Sequence[int]) -> str:
    """[2, 3, 4, 7] as "2-4, 7"."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[2] = min(widths[2], 70)
    for row in rows:
        yield "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip()


def _slots(profile: Any) -> int:
    """Stages at work at once; a driver of workers offers more."""
    return profile.workers if profile.kind == "slurm_workers" else profile.slots()


def _totals(
    planned: Sequence[Planned], open_trials: int, cost: Cost, slots: int, runs: Path
) -> Iterator[str]:
    counts = {state: sum(one.state == state for one in planned) for state in STATES}
    said = [f"{n} {state}" for state, n in counts.items() if n]
    yield ", ".join([*said, *([f"{open_trials} trials not asked yet"] if open_trials else [])])
    if cost.seconds.high:
        yield f"work: {hours(cost.seconds)}; at {slots} at once, no less than " + hours(
            cost.seconds * (1 / slots)
        )
        place = runs
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        short = "; NOT ENOUGH" if cost.bytes.high > free else ""
        yield (
            f"disk: {size(cost.bytes.middle)} ({size(cost.bytes.low)} to "
            f"{size(cost.bytes.high)}), {size(free)} free{short}"
        )
        yield f"memory: about {size(cost.memory)} for the largest stage"
        if cost.gpu_memory:
            yield f"GPU memory: about {size(cost.gpu_memory)} for the largest stage"
    if cost.guessed:
        yield (
            "~ marks numbers of a table (jobs/sweep/rates.py) or an estimate, the others are "
            "this store's own history"
        )


def _on_a_gpu(config: Any, tasks: Iterable[Task]) -> Iterator[str]:
    """What a fine-tune of this size takes on a card, once for all of them."""
    if config.scale == "paper":
        found = (finetune_estimate(task) for task in tasks)
        if (counted := next((one for one in found if one is not None), None)) is not None:
            each = Span(*counted.estimate.seconds_per_kimg)
            yield describe(counted, hours(each * counted.kimg))


def _script(config: Any, profile: Any, runs: Path) -> Iterator[str]:
    """What sbatch would be given, where the profile is one of SLURM."""
    if not profile.kind.startswith("slurm"):
        return
    from cluster import slurm

    logs = slurm.logs_in(profile, home(runs, config.name))
    count = 1
    if profile.kind == "slurm_workers":  # as many as there are stages for, at most
        count = min(profile.workers, profile.max_array_size)
    yield ""
    yield from slurm.script(profile, f"sigmaflow-{config.name}", logs, count).splitlines()

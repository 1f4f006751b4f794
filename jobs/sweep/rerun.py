"""``--rerun STAGE``: make results anew that other sources made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jobs.store.stage import Task, walk
from jobs.store.store import Store

SHOWN = 6  # labels that are named


def known_tasks(config: Any, runs: Path) -> list[Task]:
    """Every task of a sweep whose key is known now, inputs first."""
    from jobs.store.ledger import plan_id
    from jobs.sweep.graphs import first_tasks
    from jobs.sweep.plan import asked_trials, plan_tasks, with_tables

    graph, first = first_tasks(config)
    if graph is None:
        return walk(list(first))
    asked = asked_trials(config, runs, plan_id(config.model_dump(mode="json"), first))
    trials = [graph.trial(n, params) for n, params in sorted(asked.items())]
    planned = plan_tasks([*first, *(t.summary for t in trials)], Store(runs / "store"))
    if len(trials) == config.search.trials:
        planned = with_tables(planned, graph, trials, Store(runs / "store"))
    return [one.task for one in planned]


def rerun_problems(stages: Sequence[str]) -> list[str]:
    """Names that no stage has."""
    if not stages:
        return []
    from jobs.stages import ALL

    names = sorted(stage.name for stage in ALL)
    return [f"--rerun {name}: no such stage; stages: {', '.join(names)}"
            for name in stages if name not in names]  # fmt: skip


def rerun(config: Any, runs: Path, stages: Sequence[str], say: Callable[..., None]) -> None:
    """Move away what ``--rerun`` names before anything runs, so that every profile does it."""
    if not stages:
        return
    from jobs.store.digests import remembered
    from jobs.store.stale import retire

    with remembered(runs):
        labels = retire(known_tasks(config, runs), Store(runs / "store"), stages)
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    said = f"{len(labels)} results are made anew: {', '.join(labels[:SHOWN])}{more}"
    if not labels:
        said = (f"no result of {', '.join(stages)} is stale: the sources that are here made them,"
                " or others that are recorded to give the same bytes")  # fmt: skip
    say(f"--rerun: {said}", highlight=False, markup=False, soft_wrap=True)

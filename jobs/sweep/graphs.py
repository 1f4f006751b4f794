"""The tasks of a sweep file, by its kind."""

from __future__ import annotations

from typing import Any

from jobs.store.stage import Task


def first_tasks(config: Any) -> tuple[Any, tuple[Task, ...]]:
    """The `SweepGraph` of a search (else None), and the tasks known before anything is asked."""
    from jobs.sweep.graph import RehearsalGraph, SweepGraph, pretrain_graph

    searches = {"sweep": SweepGraph, "rehearsal": RehearsalGraph}
    if config.kind in searches:
        graph = searches[config.kind](config)
        return graph, graph.shared()
    if config.kind == "rewards":
        from jobs.sweep.comparison import RewardsGraph

        return None, (RewardsGraph(config).table(),)
    if config.kind == "score":
        from jobs.sweep.score_graph import ScoreGraph

        return None, (ScoreGraph(config).last,)
    if config.kind == "card":
        from jobs.sweep.card_graph import CardGraph

        return None, (CardGraph(config).last,)
    return None, (pretrain_graph(config),)

"""The tasks of a sweep file, by its kind."""

from __future__ import annotations

from typing import Any

from jobs.store.stage import Task


def first_tasks(config: Any) -> tuple[Any, tuple[Task, ...]]:
    """The `SweepGraph` of a search (else None), and the tasks known before anything is asked."""
    from jobs.sweep.graph import RehearsalGraph, SweepGraph
    from jobs.sweep.pretrain_graph import pretrain_graph

    searches = {"sweep": SweepGraph, "rehearsal": RehearsalGraph}
    if config.kind in searches:
        graph = searches[config.kind](config)
        return graph, graph.shared()
    if config.kind == "rewards":
        from jobs.sweep.comparison import RewardsGraph

        return None, (RewardsGraph(config).table(),)
    if config.kind == "score":
        from jobs.sweep.score_graph import ScoreGraph

        score = ScoreGraph(config)
        return None, (score.last, *score.reports(score.named()))
    if config.kind == "card":
        from jobs.sweep.card_graph import CardGraph

        return None, (CardGraph(config).last,)
    return None, (pretrain_graph(config),)


def subjects(config: Any) -> dict[Any, Any]:
    """By role, how the sweep's generators are evaluated: what analyses are asked of."""
    if config.kind == "score":
        from jobs.sweep.score_graph import scored

        return scored(config)
    from jobs.sweep.graph import evaluated

    return evaluated(config)

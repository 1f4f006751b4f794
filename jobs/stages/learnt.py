"""What a reward learns from: the answers of a rankings file or result, in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigmaflow.preferences.orders import Orders
    from sigmaflow.preferences.rankings import Rankings
    from sigmaflow.rewards.data import Items, Source


def answers_of(
    source: Path, config: Mapping[str, Any], bank: Source | None = None
) -> Rankings | Orders:
    """The answers at `source`, checked against a bank where there is one, which is read for it."""
    from jobs.stages.shapes import ranking_file
    from sigmaflow.preferences.orders import holds_orders, read_preferences
    from sigmaflow.rewards.checks import check_data, check_orders

    path = ranking_file(source)
    if bank is None:
        return read_preferences(path)
    check = check_orders if holds_orders(path) else check_data
    return check(path, bank, config["split_seed"])


def parts_of(
    answers: Rankings | Orders, config: Mapping[str, Any]
) -> tuple[Rankings, Rankings, Rankings] | tuple[Orders, Orders, Orders]:
    """Training, validation and test; answers to one question are never parted.

    Of whole orders only the ends where `config` says so.
    """
    from sigmaflow.preferences.orders import Orders, split_questions
    from sigmaflow.preferences.rankings import split

    if not isinstance(answers, Orders):
        return split(answers, config["split_seed"]).of(answers)
    if config.get("answers") == "best_and_worst":
        answers = answers.ends()
    return split_questions(answers, config["split_seed"])


def items_of(part: Rankings | Orders, pool: Any = None) -> Items:
    """A part as the loss sees it, with an anchor of `pool` (seeds) for each answer where given."""
    from sigmaflow.preferences.orders import Orders
    from sigmaflow.preferences.questions import assign_anchors
    from sigmaflow.rewards.data import Items

    anchors = None if pool is None else assign_anchors(part, pool)
    if isinstance(part, Orders):
        return Items.of_orders(part, anchors)
    return Items.of(part, anchors)


def trained_on(items: Items, config: Mapping[str, Any]) -> Items:
    """The share of the training items that a reward learns from, drawn by its seed."""
    from sigmaflow.rewards.learning import subset

    if "share" not in config:
        return items
    count = max(1, round(config["share"] * len(items)))
    return subset(items, count, config["train"]["seed"])

"""Counts that are larger than what they are taken from. A stage would cut them in silence, so each
is an error before any work. No file is opened but the index of an image set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Keys = tuple[str, ...]
SHIPPED_PICTURES = 1280  # of the shipped image set


def too_many(config: Any) -> Iterator[tuple[Keys, str]]:
    """Each such count: its keys, and the value, what bounds it and the remedy."""
    for key, bound, what in _pairs(config):
        value, most = _at(config, key), bound if isinstance(bound, int) else _at(config, bound)
        if value is None or value <= most:
            continue
        of, remedy = f"there are {most} {what}", f"set it to at most {most:g}"
        if isinstance(bound, str):
            of = f"{bound} is {most:g}, and it counts some of these {what}"
            remedy += f", or raise {bound}"
        yield tuple(key.split(".")), f"is {value:g}, but {of}; {remedy}"


def _pairs(config: Any) -> Iterator[tuple[str, str | int, str]]:
    """(count, what bounds it as a key or a number, what is counted)."""
    if config.kind in ("sweep", "rehearsal"):
        for name in ("annotator_seeds", "mesh_seeds"):
            yield f"evaluation.{name}", "evaluation.seeds", "seeds"
        tuned, space = config.finetune, config.search.space
        searched = {"kimg", "tick_kimg", "watch.ticks", "watch.heldout"} & set(space)
        if tuned.watch.heldout != "off" and not searched:
            ticks = math.ceil(tuned.kimg / tuned.tick_kimg - 1e-9)
            yield "finetune.watch.ticks", ticks, "ticks (finetune.kimg over finetune.tick_kimg)"
    if config.kind == "rehearsal":
        yield "pictures", SHIPPED_PICTURES, "shipped pictures"
    if config.kind == "score":
        yield "evaluation.mesh_seeds", "seeds", "seeds"
    if config.kind == "card":
        yield "card.lit_seeds", "card.mesh_seeds", "surfaces"
        yield "card.truth_seeds", "card.training_identities", "identities"
        yield "card.embedded", "card.samples", "pictures"
        yield "card.embedded", _pictures(config.images), f"pictures in {config.images}"
    if config.kind == "pretrain":
        for phase in ("warmstart", "refine"):
            yield f"{phase}.volume_kimg", f"{phase}.kimg", "views"
        if config.images == "mini":
            for phase in ("warmstart", "refine", "projected"):
                yield f"{phase}.heldout", "heldout.identities", "identities"


def _pictures(images: str) -> int:
    if images == "mini":
        return SHIPPED_PICTURES
    from jobs.sweep.outside import picture_count

    return picture_count(images)


def _at(config: Any, key: str) -> Any:
    """A value by its dotted key; None where a section that may be null is."""
    for name in key.split("."):
        config = getattr(config, name, None)
    return config

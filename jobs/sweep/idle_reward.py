"""Settings of the reward that no network which is trained heeds. See `jobs.sweep.idle`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.search.outcomes import REWARD

# Settings that only rewards of some representations heed, or some backbones.
OF_REPRESENTATION = {"views": ("depth",), "image_size": ("depth",), "near": ("depth",),
                     "far": ("depth",), "points": ("points",), "latents": ("depth", "points"),
                     "view_resolution": ("depth", "points")}  # fmt: skip
OF_BACKBONE = {
    "f_maps": ("unet3d", "resnet3d", "projections"),
    "feature_size": ("unet3d",),
    "pooling": ("unet3d",),
    "checkpoint": ("unet3d",),
    "norm": ("resnet50", "resnet18", "pointnet", "pointnet2", "curvenet"),  # with BatchNorm
}
RANGE = object()  # some number of a searched range


@dataclass(frozen=True)
class Idle:
    """A key without effect, the key that is the reason (none: the kind is), and the words."""

    key: str
    because: str
    said: str


def of_the_reward(config: Any) -> Iterator[Idle]:
    """Keys of `reward`, of `rows` and of a search of either."""
    yield Idle("reward.train.seed", "", "set reward.seed, reward.split_seed or"
               " reward.heldout_seed in its place")  # fmt: skip
    searched, rows = config.search.space, getattr(config, "rows", {})
    own = config.reward.backbone
    tried = set(values(searched, REWARD + "backbone", own))
    if config.kind == "rewards":
        for name in searched:
            if name.startswith(REWARD):
                yield Idle(name, f"search.space.{name}", f"search.space.{name} gives it to every"
                           " reward; leave one of them out")  # fmt: skip
        for key in set.intersection(*(set(row) for row in rows.values())):
            yield Idle(f"reward.{key}", "rows", "every row has its own; leave it out")
        for name, row in rows.items():
            yield from _unheeded(f"rows.{name}", {row.get("backbone", own)} if REWARD + "backbone"
                                 not in searched else tried, set(row))  # fmt: skip
        if REWARD + "backbone" not in searched:
            tried = {row.get("backbone", own) for row in rows.values()}
            for key in {*OF_REPRESENTATION, *OF_BACKBONE}:
                without = {row.get("backbone", own) for row in rows.values() if key not in row}
                if without < tried and without:
                    yield from _unheeded("reward", without, {key}, "of rows without their own")
    else:
        tried.add(own)  # of the file's own reward and of the held-out one
    yield from _unheeded("reward", tried)
    yield from _unheeded("search.space.reward", tried)
    for name in set(config.reward.pretrained) - tried:
        yield Idle(f"reward.pretrained.{name}", "reward.backbone", f"no reward has the backbone"
                   f" {name}; leave it out")  # fmt: skip
    for key, because, said in _switched_off(config, tried):
        yield Idle(f"reward.{key}", because, said)
        if REWARD + key in searched:
            yield Idle(f"search.space.{REWARD}{key}", "", said)
        for name in (name for name, row in rows.items() if key in row):
            yield Idle(f"rows.{name}.{key}", "", said)


def _unheeded(
    above: str, backbones: set[str], among: set[str] | None = None, which: str = "and the backbone"
) -> Iterator[Idle]:
    from sigmaflow.rewards.config import REPRESENTATIONS  # imports numpy

    seen = {REPRESENTATIONS[name] for name in backbones if name in REPRESENTATIONS}
    names = f"{which} is {', '.join(sorted(backbones))}" if which.startswith("and") else (
        f"the backbones {which} are {', '.join(sorted(backbones))}")  # fmt: skip
    for key, wanted in OF_REPRESENTATION.items():
        if not seen & set(wanted) and (among is None or key in among):
            yield Idle(f"{above}.{key}", "reward.backbone", f"only rewards that see"
                       f" {' or '.join(wanted)} heed it, {names}; leave it out")  # fmt: skip
    for key, wanted in OF_BACKBONE.items():
        if not backbones & set(wanted) and (among is None or key in among):
            yield Idle(f"{above}.{key}", "reward.backbone", f"only {', '.join(wanted)}"
                       f" {'heed' if len(wanted) > 1 else 'heeds'} it, {names}; leave it"
                       " out")  # fmt: skip


def _switched_off(config: Any, backbones: set[str]) -> Iterator[tuple[str, str, str]]:
    """Keys that other settings of the sweep switch off in every reward, the reason, the words."""
    from sigmaflow.rewards.config import REPRESENTATIONS
    from sigmaflow.rewards.semantics import semantics

    presets = [semantics(name, one) for name in _possible(config, "semantics")
               for one in REPRESENTATIONS if one in backbones]  # fmt: skip

    def resolved(key: str) -> set[Any]:
        """What a setting may be in some reward, presets filled in."""
        last = key.rpartition(".")[2]
        own = _possible(config, key)
        return (own - {None}) | ({getattr(p, last) for p in presets} if None in own else set())

    if "stretch" not in resolved("pooling") and "unet3d" in backbones:
        yield ("feature_size", "reward.pooling", "no reward stretches its feature: pooling is"
               " slices (of semantics paper, where none is given); set reward.pooling to stretch,"
               " or leave it out")  # fmt: skip
    if resolved("train.pairs_weight") <= {0}:
        yield ("train.pair_order", "reward.train.pairs_weight", "reward.train.pairs_weight is 0;"
               " change that, or leave it out")  # fmt: skip
    if resolved("train.recon_weight") <= {0}:
        yield ("train.recon_conv", "reward.train.recon_weight", "nothing is reconstructed, as"
               " reward.train.recon_weight is 0; set that weight, or leave it out")  # fmt: skip
    if _possible(config, "train.annotator_bias") <= {None, False}:
        yield (
            "train.annotator_decay",
            "reward.train.annotator_bias",
            "reward.train.annotator_bias is false; set it to true, or leave it out",
        )
    yield from _of_answers(config)


def _of_answers(config: Any) -> Iterator[tuple[str, str, str]]:
    """Keys that need anchors, or orders of more than two shapes."""
    rankings = config.rankings
    file, use = rankings.file, rankings.anchors.use
    if use == "never" or file is not None and use == "auto":
        why = "use is never" if use == "never" else "use is auto, which is off beside a file"
        by = "rankings.anchors.use" if use == "never" else "rankings.file"
        yield "anchors", by, f"the rankings have no anchors: rankings.anchors.{why}; leave it out"
    if file is not None and not Path(file).is_file():
        return  # named already, or by a prefetch
    if not config.whole_orders:
        why = "the annotator gives" if file is None else "rankings.file holds"
        for key in ("answers", "train.likelihood"):
            yield key, "rankings.file", f"{why} pairs, and it is of whole orders; leave it out"
    elif _possible(config, "answers") == {"best_and_worst"}:
        yield ("train.likelihood", "reward.answers", "reward.answers is best_and_worst, and of two"
               " shapes all likelihoods are one; leave it out")  # fmt: skip


def _possible(config: Any, key: str) -> set[Any]:
    """What a setting of the reward may be: of the file, of rows, of the search; None: not given,
    where a preset has a word."""
    searched, rows = config.search.space, getattr(config, "rows", {})
    own = config.reward
    *above, last = key.split(".")
    for name in above:
        own = getattr(own, name)
    given = getattr(own, last) if not above or last in own.model_fields_set else None
    tried = set(values(searched, REWARD + key, given))
    if config.kind != "rewards":
        return {given, *tried}
    return set().union(*({row[key]} if key in row else tried for row in rows.values()))


def values(space: Mapping[str, Any], name: str, own: Any) -> Sequence[Any]:
    """What a setting may be: the searched choices, or its own value; `RANGE` of a range."""
    if name not in space:
        return (own,)
    return space[name].choices or (RANGE,)

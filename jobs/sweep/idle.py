"""Settings that were given and cannot take effect: each is an error that says why.

A setting is idle because of another one. What lies on a higher layer (``--set`` over the sweep file
over the scale's file) may displace what lies below it, as it may override it; so a setting is wrong
only where it was given on the same layer as its reason or on a higher one. Defaults and the files
of ``sweeps/scales`` are never wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.search.outcomes import REWARD
from jobs.sweep.fid_section import FidSection
from jobs.sweep.given import BELOW, Given
from jobs.sweep.idle_reward import Idle, of_the_reward
from jobs.sweep.idle_training import of_finetunes, of_pretraining
from jobs.sweep.lines import Keys
from jobs.sweep.outside import network_of

# Sections that a kind does not read, and why.
UNREAD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "rewards": (("analyses", "no generator is measured in kind: rewards"),
                ("device", "nothing is analysed in kind: rewards"),
                ("images", "no picture is looked at in kind: rewards"),
                ("finetune", "nothing is fine-tuned in kind: rewards"),
                ("evaluation", "no generator is measured in kind: rewards"),
                ("reward.heldout_seed", "kind: rewards trains no held-out reward"),
                ("reward.ensemble", "kind: rewards trains no ensemble"),
                ("search.parallelism", "rows of kind: rewards wait for no result; --on says how"
                                       " many train at once")),
    "score": (("checkpoint", "kind: score measures before, after and control; set these"),
              ("finetune", "nothing is fine-tuned in kind: score"),
              ("rankings", "nothing is ranked in kind: score"),
              ("evaluation.seeds", "kind: score has seeds of its own; set seeds"),
              ("evaluation.first_seed", "kind: score has seeds of its own; set first_seed"),
              ("evaluation.annotator_seeds", "no annotator looks in kind: score"),
              ("evaluation.consistency_resolution", "kind: score compares no densities"),
              ("annotator.resolution", "no annotator looks in kind: score")),
    "pretrain": (("analyses", "nothing is analysed in kind: pretrain; set them in kind: score"),
                 ("device", "nothing is analysed in kind: pretrain"),
                 ("checkpoint", "kind: pretrain makes a generator (G and D)"),
                 ("seed", "phases have their own; set warmstart.seed, adversarial.seed and so on"),
                 ("sampler", "kind: pretrain samples no density on grids"),
                 ("slab", "kind: pretrain has no reward"),
                 ("annotator", "nothing is ranked in kind: pretrain"),
                 ("reward", "kind: pretrain has no reward"),
                 ("rankings", "nothing is ranked in kind: pretrain"),
                 ("finetune", "nothing is fine-tuned in kind: pretrain; set adversarial"),
                 ("evaluation", "nothing is measured in kind: pretrain")),
    "card": (("analyses", "kind: card measures one generator; set them in kind: score"),
             ("device", "nothing is analysed in kind: card"),
             ("reward", "kind: card has no reward"),
             ("rankings", "nothing is ranked in kind: card"),
             ("finetune", "nothing is fine-tuned in kind: card"),
             ("evaluation", "kind: card has counts of its own; set card"),
             ("slab.resolution", "a card shows the annotator the slab; set annotator.resolution"),
             ("slab.kind", "the annotator sees the regular grid")),
    "rehearsal": (("checkpoint", "a rehearsal starts from random weights (G and D)"),
                  ("images", "a rehearsal takes enlarged pictures of the shipped set")),
}  # fmt: skip


def problems(config: Any, given: Given) -> list[tuple[Keys, str]]:
    """What was given and cannot take effect, as ways into the file and sentences."""
    found: dict[Keys, str] = {}
    for one in _idle(config):
        keys, reason = _way(one.key), _way(one.because)
        layer = given.layer(keys)
        if layer > BELOW and layer >= given.layer(reason):
            for place in given.places(keys, layer):
                found.setdefault(place, f"has no effect: {one.said}")
    return list(found.items())


def _way(name: str) -> Keys:
    """A dotted name as keys; searched settings and those of rows have dots of their own."""
    whole, _, rest = name.partition("space.")
    if whole == "search.":
        last = [end for end in ("log",) if rest.endswith(f".{end}")]
        return ("search", "space", rest.removesuffix(".log"), *last)
    if name.startswith("rows."):
        return tuple(name.split(".", 2))
    return tuple(name.split(".")) if name else ("kind",)


def _idle(config: Any) -> Iterator[Idle]:
    for key, said in UNREAD.get(config.kind, ()):
        yield Idle(key, "", f"{said}; leave it out")
    if not any(value is not None for _, value in config.analyses):
        yield Idle("device", "analyses", "no analysis is asked for; leave it out")
    if config.kind in ("sweep", "rehearsal", "rewards"):
        yield from _in_the_search(config)
        yield from _of_rankings(config)
        yield from of_the_reward(config)
    if config.kind in ("sweep", "rehearsal"):
        yield from _searched(config)
        yield from of_finetunes(config)
    if config.kind == "rewards":
        if config.search.known_whole:
            yield Idle("seed", "search.sampler", f"{config.search.sampler} draws nothing; set"
                       " reward.seed, or leave it out")  # fmt: skip
        if config.rankings.file is not None:
            yield Idle("annotator", "rankings.file", "rankings come from rankings.file, and nobody"
                       " asks the annotator; leave it out")  # fmt: skip
    if config.kind == "score":
        yield from _of_a_score(config)
    if config.kind == "pretrain":
        yield from of_pretraining(config)


def _of_a_score(config: Any) -> Iterator[Idle]:
    if not config.fid:
        yield Idle("images", "fid", "no FID is taken; set fid to true, or leave it out")
        for key in FidSection.model_fields.keys() | {"extractor_weights"}:
            yield Idle(f"evaluation.{key}", "fid", "no FID is taken; set fid to true, or leave it"
                       " out")  # fmt: skip
    for key in set(type(config.annotator.config).model_fields) - {"level"}:
        yield Idle(f"annotator.config.{key}", "", "of the annotator kind: score reads level alone,"
                   " for meshes; leave it out")  # fmt: skip
    for key in set(type(config.reward).model_fields) - {"view_resolution"}:
        yield Idle(f"reward.{key}", "", "no reward is trained in kind: score; reward_model names"
                   " one; leave it out")  # fmt: skip
    network = network_of(config.reward_model)
    if network is not None and network.representation == "sigma":
        yield Idle("reward.view_resolution", "reward_model", "the reward sees slabs of density;"
                   " leave it out")  # fmt: skip
    if network is not None and network.representation != "sigma":
        yield Idle("slab", "reward_model", f"the reward sees {network.representation}, and no slab"
                   " is sampled; leave it out")  # fmt: skip


def _searched(config: Any) -> Iterator[Idle]:
    """Settings of fine-tunes that every trial has from the search."""
    for name in config.search.space:
        if name.startswith(REWARD):
            continue  # the file's own reward is trained too, and judges the start
        by = f"search.space.{name}"
        why = f"{by} gives it to every trial; narrow {by}, or leave it out"
        yield Idle(f"finetune.{name}", by, why)
        if name == "clamp":
            continue
        if name == "clamp.deviations":
            yield Idle("finetune.clamp.low", by, why)
            yield Idle("finetune.clamp.high", by, why)
        elif name.startswith("clamp."):
            yield Idle("finetune.clamp.deviations", by,
                       f"{by} makes the clamp a fixed one; leave one of them out")  # fmt: skip


def _in_the_search(config: Any) -> Iterator[Idle]:
    search = config.search
    if len(search.first) > search.trials:
        yield Idle("search.first", "search.trials", f"only the first {search.trials} of"
                   f" {len(search.first)} settings would be tried, as trials is {search.trials};"
                   " raise trials, or give fewer")  # fmt: skip
    if search.known_whole:
        for name, one in search.space.items():
            if one.log and one.steps is None and search.integer(name):
                yield Idle(f"search.space.{name}.log", "search.sampler",
                           f"{search.sampler} takes every whole number from {one.low:g} to"
                           f" {one.high:g}; give steps, or leave log out")  # fmt: skip


def _of_rankings(config: Any) -> Iterator[Idle]:
    rankings = config.rankings
    if rankings.file is not None:
        for key in ("questions", "sizes", "flip", "seed"):
            yield Idle(f"rankings.{key}", "rankings.file", "rankings come from rankings.file, and"
                       " the annotator is not asked; leave one of them out")  # fmt: skip
        yield Idle("rankings.anchors.least", "rankings.file", "rankings come from rankings.file,"
                   " and nobody measures the anchors; leave one of them out")  # fmt: skip
        if rankings.anchors.use != "always":
            for key in ("count", "psi"):
                yield Idle(f"rankings.anchors.{key}", "rankings.file", "rankings come from"
                           " rankings.file, and no anchor is used unless rankings.anchors.use is"
                           " always; set that, or leave it out")  # fmt: skip
    if rankings.anchors.use != "auto":
        yield Idle("rankings.anchors.least", "rankings.anchors.use", "rankings.anchors.use is"
                   f" {rankings.anchors.use}; set it to auto, or leave least out")  # fmt: skip

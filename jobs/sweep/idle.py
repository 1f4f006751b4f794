"""Settings that were given and cannot take effect: each is an error that says why.

A setting is idle because of another one. What lies on a higher layer (``--set`` over the sweep file
over the scale's file) may displace what lies below it, as it may override it; so a setting is wrong
only where it was given on the same layer as its reason or on a higher one. Defaults and the files
of ``sweeps/scales`` are never wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.search.outcomes import REWARD
from jobs.sweep.lines import Keys
from sigmaflow.finetune.config import PRESETS

BELOW, FILE, COMMAND = range(3)  # layers

# Sections that a kind does not read, and why.
UNREAD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "rewards": (("finetune", "nothing is fine-tuned in kind: rewards"),
                ("evaluation", "no generator is measured in kind: rewards"),
                ("reward.heldout_seed", "kind: rewards trains no held-out reward"),
                ("reward.ensemble", "kind: rewards trains no ensemble"),
                ("search.parallelism", "rows of kind: rewards wait for no result; --on says how"
                                       " many train at once")),
    "score": (("finetune", "nothing is fine-tuned in kind: score"),
              ("rankings", "nothing is ranked in kind: score"),
              ("reward.train", "no reward is trained in kind: score; reward_model names one"),
              ("evaluation.seeds", "kind: score has seeds of its own; set seeds"),
              ("evaluation.first_seed", "kind: score has seeds of its own; set first_seed")),
    "pretrain": (("reward", "kind: pretrain has no reward"),
                 ("rankings", "nothing is ranked in kind: pretrain"),
                 ("finetune", "nothing is fine-tuned in kind: pretrain; set adversarial"),
                 ("evaluation", "nothing is measured in kind: pretrain")),
    "rehearsal": (("checkpoint", "a rehearsal starts from random weights (G and D)"),
                  ("images", "a rehearsal takes enlarged pictures of the shipped set")),
}  # fmt: skip

# Settings that only one representation sees, or one backbone has.
OF_REPRESENTATION = {"views": ("depth",), "image_size": ("depth",), "near": ("depth",),
                     "far": ("depth",), "points": ("points",),
                     "view_resolution": ("depth", "points")}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """On which layer each key was given last."""

    layers: Mapping[Keys, int]

    def layer(self, keys: Sequence[str | int]) -> int:
        """The highest layer of a key and all below it; BELOW where none was given."""
        keys = tuple(keys)
        return max((n for k, n in self.layers.items() if k[: len(keys)] == keys), default=BELOW)

    def places(self, keys: Keys, layer: int) -> list[Keys]:
        """The key itself where it was given on that layer, else the keys below it that were."""
        if self.layers.get(keys) == layer:
            return [keys]
        return [k for k, n in self.layers.items() if k[: len(keys)] == keys and n == layer]


@dataclass(frozen=True)
class Idle:
    """A key without effect, the key that is the reason (none: the kind is), and the words."""

    key: str
    because: str
    said: str


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
    if config.kind in ("sweep", "rehearsal", "rewards"):
        yield from _in_the_search(config)
        yield from _of_rankings(config)
        yield from _of_the_reward(config)
    if config.kind in ("sweep", "rehearsal"):
        yield from _searched(config)
        yield from _of_finetunes(config)
    if config.kind == "score" and not config.fid:
        for key in ("extractor", "extractor_weights", "fid_images", "fid_psi", "fid_shard",
                    "fid_mirror", "fid_reference"):  # fmt: skip
            yield Idle(f"evaluation.{key}", "fid", "no FID is taken; set fid to true, or leave it"
                       " out")  # fmt: skip


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
        for key in ("questions", "sizes", "flip"):
            yield Idle(f"rankings.{key}", "rankings.file", "rankings come from rankings.file, and"
                       " the annotator is not asked; leave one of them out")  # fmt: skip
        yield Idle("rankings.anchors.least", "rankings.file", "rankings come from rankings.file,"
                   " and nobody measures the anchors; leave one of them out")  # fmt: skip
    if rankings.anchors.use != "auto":
        yield Idle("rankings.anchors.least", "rankings.anchors.use", "rankings.anchors.use is"
                   f" {rankings.anchors.use}; set it to auto, or leave least out")  # fmt: skip


def _of_the_reward(config: Any) -> Iterator[Idle]:
    """Keys of `reward`, and of rows, that no network which is trained heeds."""
    yield Idle("reward.train.seed", "", "set reward.seed, reward.split_seed or"
               " reward.heldout_seed in its place")  # fmt: skip
    searched, rows = config.search.space, getattr(config, "rows", {})
    own = config.reward.backbone
    tried = set(_values(searched, REWARD + "backbone", own))
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
    else:
        tried.add(own)  # of the file's own reward and of the held-out one
    yield from _unheeded("reward", tried)
    yield from _unheeded("search.space.reward", tried)
    for name in set(config.reward.pretrained) - tried:
        yield Idle(f"reward.pretrained.{name}", "reward.backbone", f"no reward has the backbone"
                   f" {name}; leave it out")  # fmt: skip
    biased = [config.reward.training().annotator_bias, REWARD + "train.annotator_bias" in searched,
              any("train.annotator_bias" in row for row in rows.values())]  # fmt: skip
    changed = {name.removeprefix(REWARD) for name in searched}.union(*rows.values())
    reconstructs = config.reward.training().recon_weight > 0 or changed & {
        "train.recon_weight", "semantics", "backbone"}  # fmt: skip
    if not reconstructs:
        yield Idle("reward.train.recon_conv", "reward.train.recon_weight", "nothing is"
                   " reconstructed, as reward.train.recon_weight is 0; set that weight, or leave"
                   " it out")  # fmt: skip
    if not any(biased):
        yield Idle("reward.train.annotator_decay", "reward.train.annotator_bias",
                   "reward.train.annotator_bias is false; set it to true, or leave it out")


def _unheeded(above: str, backbones: set[str], among: set[str] | None = None) -> Iterator[Idle]:
    from sigmaflow.rewards.config import REPRESENTATIONS  # imports numpy

    seen = {REPRESENTATIONS[name] for name in backbones if name in REPRESENTATIONS}
    names = ", ".join(sorted(backbones))
    for key, wanted in OF_REPRESENTATION.items():
        if not seen & set(wanted) and (among is None or key in among):
            yield Idle(f"{above}.{key}", "reward.backbone", f"only rewards that see"
                       f" {' or '.join(wanted)} heed it, and the backbone is {names}; leave it"
                       " out")  # fmt: skip
    if "unet3d" not in backbones and (among is None or "checkpoint" in among):
        yield Idle(f"{above}.checkpoint", "reward.backbone", f"only unet3d heeds it, and the"
                   f" backbone is {names}; leave it out")  # fmt: skip


def _values(space: Mapping[str, Any], name: str, own: Any) -> Sequence[Any]:
    """What a setting may be: the searched choices, or its own value."""
    if name not in space:
        return (own,)
    return space[name].choices or (None,)


def _of_finetunes(config: Any) -> Iterator[Idle]:
    """Fields of a fine-tune that another of its fields switches off in every trial."""
    tuned, space = config.finetune, config.search.space

    def of(name: str) -> Sequence[Any]:
        return _values(space, name, getattr(tuned, name))

    preset = {key: {PRESETS[s][key] for s in of("semantics")}
              for key in ("reward_phase", "micro_batch")}  # fmt: skip

    def resolved(name: str) -> set[Any]:
        return set().union(*({v} if v is not None else preset[name] for v in of(name)))

    off = [
        ("aug_p", "aug", set(of("aug")) == {"none"}, "none"),
        *((f"ada_{key}", "aug", "ada" not in of("aug"), "not ada")
          for key in ("target", "interval", "kimg")),
        *((key, "reward_phase", "separate" not in resolved("reward_phase"), "not separate")
          for key in ("reward_lr", "reward_beta2")),
        ("memory_gb", "micro_batch", "auto" not in resolved("micro_batch"), "not auto"),
        ("blur_fade_kimg", "blur_init_sigma", "blur_init_sigma" not in space
         and tuned.blur_init_sigma == 0, "0"),
        ("r1_interval", "r1_gamma", "r1_gamma" not in space and tuned.r1_gamma == 0, "0"),
        *((f"density_reg_{key}", "density_reg", "density_reg" not in space
           and tuned.density_reg == 0, "0") for key in ("interval", "p_dist", "points")),
        *((f"clamp.{key}", "bound", set(of("bound")) == {"softplus"}, "softplus, which has no ends")
          for key in ("low", "high", "deviations")),
        ("watch.ticks", "watch.heldout", tuned.watch.heldout == "off", "off"),
        ("ensemble.combine", "ensemble.size", tuned.ensemble.size == 1, "1"),
        ("ensemble.deviations", "ensemble.combine", tuned.ensemble.combine != "lower", "not lower"),
    ]  # fmt: skip
    for key, switch, is_off, value in off:
        by = f"search.space.{switch}" if switch in space else f"finetune.{switch}"
        if is_off:
            said = f"{by} is {value}; change that, or leave it out"
            yield Idle(f"finetune.{key}", by, said)
            for name in {key, key.split(".")[0]} & set(space):
                yield Idle(f"search.space.{name}", "", said)  # it would be searched for nothing


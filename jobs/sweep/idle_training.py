"""Settings of trainings that another setting of the same training switches off. See
`jobs.sweep.idle`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.sweep.idle_reward import Idle, values
from sigmaflow.finetune.config import PRESETS

Off = tuple[str, str, bool, str]  # key, the key that switches it off, whether it does, its value
OF_RAYS = ("identities", "views", "rays", "coarse", "fine", "empty_rays", "edge_rays")
OF_REGRESSION = ("regression_end", "identities", "views", "perceptual_weight", "perceptual_stages",
                 "volume_weight")  # fmt: skip


def of_finetunes(config: Any) -> Iterator[Idle]:
    """Fields of a fine-tune that are switched off in every trial."""
    tuned, space = config.finetune, config.search.space

    def of(name: str) -> Sequence[Any]:
        return values(space, name, getattr(tuned, name))

    def resolved(name: str) -> set[Any]:
        preset = {PRESETS[s][name] for s in of("semantics")}
        return set().union(*({v} if v is not None else preset for v in of(name)))

    def zero(name: str) -> bool:
        return set(of(name)) == {0}

    weights = space.get("lambda_r")
    controlled = 0 in of("lambda_r") or (weights is not None and weights.low == 0)
    deviations = tuned.clamp.deviations
    fixed = deviations is None or any(one.split(".")[0] == "clamp" for one in space)
    off: list[Off] = [
        *_of_a_loop(of, resolved),
        *((key, "reward_phase", "separate" not in resolved("reward_phase"), "not separate")
          for key in ("reward_lr", "reward_beta2")),
        *((f"clamp.{key}", "bound", set(of("bound")) == {"softplus"}, "softplus, which has no ends")
          for key in ("low", "high", "deviations")),
        *((f"clamp.{key}", "clamp.deviations", not fixed and getattr(tuned.clamp, key) is not None,
           f"{deviations}, in place of fixed ends, and not null") for key in ("low", "high")),
        *((key, "lambda_r", zero("lambda_r"), "0")
          for key in ("bound", "clamp_over", "reward_offset", "update_w_avg")),
        ("control_consistency", "lambda_r", not controlled, "never 0, as that of a control"),
        ("consistency_cutoff", "consistency_psi", resolved("consistency_psi") == {"reward"},
         "reward, whose cutoff it takes"),
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


def _of_a_loop(of: Any, resolved: Any) -> Iterator[Off]:
    """What fine-tunes and EG3D's plain training have in common."""

    def zero(name: str) -> bool:
        return set(of(name)) == {0}

    yield "aug_p", "aug", set(of("aug")) == {"none"}, "none"
    for key in ("target", "interval", "kimg"):
        yield f"ada_{key}", "aug", "ada" not in of("aug"), "not ada"
    yield "memory_gb", "micro_batch", "auto" not in resolved("micro_batch"), "not auto"
    yield "blur_fade_kimg", "blur_init_sigma", zero("blur_init_sigma"), "0"
    yield "r1_interval", "r1_gamma", zero("r1_gamma"), "0"
    for key in ("interval", "p_dist", "points"):
        yield f"density_reg_{key}", "density_reg", zero("density_reg"), "0"
    yield ("lazy_gain", "density_reg", zero("r1_gamma") and zero("density_reg"),
           "0, and so is r1_gamma")  # fmt: skip
    yield ("gpc_reg_fade_kimg", "gpc_reg_prob", set(of("gpc_reg_prob")) == {1},
           "1, from which the share begins to fall")  # fmt: skip


def of_pretraining(config: Any) -> Iterator[Idle]:
    """Fields of the phases of `kind: pretrain`."""
    if config.images != "mini":
        for key in ("training", "heldout", "block"):
            yield Idle(key, "images", "images come from a file, and nothing is rendered; leave it"
                       " out")  # fmt: skip
    for phase in ("warmstart", "refine", "projected", "adversarial"):
        if (one := getattr(config, phase)) is None:
            continue
        if config.images != "mini" and hasattr(one, "heldout"):
            yield Idle(f"{phase}.heldout", "images", "images come from a file, and there is no"
                       " held-out set; leave it out")  # fmt: skip
        for key, switch, is_off, value in _of_a_phase(phase, one):
            if is_off:
                yield Idle(f"{phase}.{key}", f"{phase}.{switch}", f"{phase}.{switch} is {value};"
                           " change that, or leave it out")  # fmt: skip


def _of_a_phase(phase: str, one: Any) -> Iterator[Off]:
    def of(name: str) -> Sequence[Any]:
        return (getattr(one, name),)

    if phase == "adversarial":
        resolved = one.resolved()
        yield from _of_a_loop(of, lambda name: {getattr(resolved, name)})
        return
    if phase == "projected":
        never = one.regression_weight == 0 and one.regression_floor == 0
        for key in OF_REGRESSION:
            yield key, "regression_weight", never, "0"
        yield ("regression_weight", "regression_end", one.regression_end == 0,
               "0, and the weight is its floor from the start")  # fmt: skip
        yield ("regression_end", "regression_floor", one.regression_floor == one.regression_weight,
               "the first weight, which does not fall")  # fmt: skip
    else:
        # VGG-16 also measures the held-out pictures, and these have no rays.
        whole = one.volume_kimg >= one.kimg
        for key in ("image_identities", "image_views", "volume_weight"):
            yield key, "volume_kimg", whole, "kimg, and no whole picture is shown"
        for key in OF_RAYS:
            yield key, "volume_kimg", one.volume_kimg == 0, "0, and no ray is drawn alone"
    for key in ("perceptual_stages", "precision"):
        if phase != "projected" or key != "precision":
            yield key, "perceptual_weight", one.perceptual_weight == 0, "0"

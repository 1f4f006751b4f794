"""A fine-tune's hours and GPU memory from its settings alone, for plans: no torch, no GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.stage import FileInput, Task
from sigmaflow.fields.grid import Grid
from sigmaflow.finetune.estimate import Estimate, Shape, estimate
from sigmaflow.rewards.config import RewardConfig

# A thousand views of 160 rays of 32 samples, in those of whole pictures of 64 x 64 pixels with
# their perceptual loss: 34.5 against 300 on one core.
RAYS, SAMPLES, OF_RAYS = 160, 32, 34.5 / 300
OF_FROZEN = 1 / 3  # of a step, where D alone learns; not measured apart


def warm_kimg(config: Mapping[str, Any]) -> float:
    """The length of a warm start in thousands of whole pictures, views by rays counted as the share
    of one that they cost."""
    rays = min(config["volume_kimg"], config["kimg"])
    samples = config["rays"] * (config["coarse"] + config["fine"])
    return config["kimg"] - rays + rays * OF_RAYS * samples / (RAYS * SAMPLES)


def gan_kimg(config: Mapping[str, Any]) -> float:
    """The length of a plain GAN training in thousands of images of whole steps."""
    return config["kimg"] - (1 - OF_FROZEN) * config.get("frozen_kimg", 0.0)


@dataclass(frozen=True)
class Counted:
    """An estimate with the samples at once and the kimg that were asked for."""

    estimate: Estimate
    micro_batch: int  #: asked for, else the most that fit
    kimg: float

    @property
    def memory(self) -> float:
        """Bytes on the card; those of a single sample where not even one fits."""
        return self.estimate.memory(max(self.micro_batch, 1))


def finetune_estimate(task: Task) -> Counted | None:
    """Of a fine-tune whose networks' settings can be read; None of anything else, and where it
    follows another reward than the U-Net, whose operations are not counted.

    They stand in the checkpoint's `config.json`, or in the config of the task that makes it.
    """
    if task.stage.name != "finetune" or "view_resolution" in task.config:
        return None
    networks = _networks(task.inputs["generator"])
    if networks is None:
        return None
    net = _reward(task.inputs["reward"])
    if net.get("backbone", "unet3d") != "unet3d":
        return None
    settings, grid = task.config["finetune"], Grid.from_dict(dict(task.config["grid"]))
    batch = settings["batch"]
    shape = Shape(
        networks["G"],
        networks["D"],
        grid.shape,
        grid.resolution,
        f_maps=net.get("f_maps", RewardConfig.model_fields["f_maps"].default),
        checkpoint=net.get("checkpoint", False),
        consistency=settings["consistency_resolution"],
        batch=batch,
        density_reg_interval=settings["density_reg_interval"],
        r1_interval=settings["r1_interval"],
        scored_share=task.config.get("tick_seeds", 0) / (1000 * settings["tick_kimg"]),
    )
    try:
        found = estimate(shape)
    except (KeyError, TypeError, ValueError):  # networks of another kind
        return None
    asked = settings.get("micro_batch")
    return Counted(found, asked if isinstance(asked, int) else found.micro_batch, settings["kimg"])


def describe(counted: Counted, hours: str) -> str:
    """One line for people, which says what it is not. hours: of all its kimg, as text."""
    one, card = counted.estimate, counted.estimate.card
    low, middle, high = one.seconds_per_kimg
    said = (
        f"a fine-tune on one {card.name} ({card.memory / 1e9:.0f} GB), estimated from counts of"
        f" operations and bytes, not measured: {hours}, {middle:.0f} s a kimg"
        f" ({low:.0f} to {high:.0f}); "
    )
    fits = one.micro_batch
    if fits == 0:
        return said + f"one sample needs {one.memory(1) / 1e9:.0f} GB and does not fit"
    whole = one.memory(one.batch) / 1e9
    said += f"micro-batches of {fits} fit in {one.memory(fits) / 1e9:.0f} GB"
    return said if fits == one.batch else said + f", the batch of {one.batch} needs {whole:.0f} GB"


def _networks(source: Any) -> Mapping[str, Any] | None:
    """Settings of G and D."""
    if isinstance(source, Task):
        config = source.config
        return config if {"G", "D"} <= set(config) else None
    files = source if isinstance(source, tuple) else (source,)
    for file in files:
        if isinstance(file, FileInput) and Path(file.path).name == "config.json":
            try:
                found = json.loads(Path(file.path).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return None
            known = isinstance(found, dict) and found.get("G") and found.get("D")
            return found if known else None
    return None


def _reward(source: Any) -> Mapping[str, Any]:
    """Settings of the reward network that are known before it is trained."""
    return source.config.get("network", {}) if isinstance(source, Task) else {}

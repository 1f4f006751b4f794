"""Everything a reward training is made of between two ticks, and its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sigmaflow.rewards.model import RewardConfig, RewardModel
from sigmaflow.tensors import read_state, write_state

FORMAT = 2


@dataclass
class RewardState:
    """Handle on a training: tensors by name, and the position as plain JSON values.

    Names are `model/...` (current weights), `best/...` (weights of the best epoch, once there is
    one), `adam/<parameter>/{exp_avg,exp_avg_sq,step}`. A handle taken from a tick refers to the
    live training: use it before asking for the next tick.
    """

    tensors: dict[str, torch.Tensor]
    progress: dict[str, Any]
    model_config: RewardConfig

    @property
    def done(self) -> bool:
        """Whether the training has ended (epochs spent, or stopped early)."""
        return bool(self.progress["done"])

    def model(self, best: bool = True) -> RewardModel:
        """A fresh model on the CPU in eval mode: the best weights so far, or the current ones."""
        part = "best/" if best and self.progress["best_epoch"] is not None else "model/"
        model = RewardModel(self.model_config)
        model.load_state_dict(
            {k[len(part) :]: v.cpu() for k, v in self.tensors.items() if k.startswith(part)}
        )
        return model.eval()

    def write(self, path: str | Path) -> None:
        """Write all of it as one safetensors file, atomically."""
        model = self.model_config.model_dump(mode="json")
        values = {"format": FORMAT, "progress": self.progress, "model": model}
        write_state(path, self.tensors, values)

    @classmethod
    def read(cls, path: str | Path) -> RewardState:
        """Read what `write` wrote. FileNotFoundError without it, ValueError where damaged."""
        tensors, values = read_state(path, FORMAT)
        try:
            return cls(tensors, values["progress"], RewardConfig.model_validate(values["model"]))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}: not the state of a reward training ({error})") from error

"""Everything a reward training is made of between two ticks, and its checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from sigmaflow.atomic import write_bytes, write_json
from sigmaflow.rewards.model import RewardConfig, RewardModel

FORMAT = 1
RECORD = "state.json"


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

    def save(self, folder: str | Path) -> None:
        """Write the checkpoint into `folder` (made if missing).

        The tensors go under a name made of their digest, then the record that names them replaces
        the old one, then older tensors go: a kill at any moment leaves one whole checkpoint.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data = save_tensors({k: v.detach().cpu().contiguous() for k, v in self.tensors.items()})
        digest = hashlib.sha256(data).hexdigest()
        name = f"state-{digest[:16]}.safetensors"
        write_bytes(folder / name, data)
        write_json(
            folder / RECORD,
            {
                "format": FORMAT,
                "tensors": name,
                "sha256": digest,
                "progress": self.progress,
                "model": self.model_config.model_dump(mode="json"),
            },
        )
        for old in folder.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> RewardState:
        """Read what `save` wrote. FileNotFoundError without one, ValueError where damaged."""
        folder = Path(folder)
        if not (folder / RECORD).is_file():
            raise FileNotFoundError(f"no reward checkpoint in {folder}")
        try:
            record = json.loads((folder / RECORD).read_text())
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']} is not {FORMAT}")
            data = (folder / record["tensors"]).read_bytes()
            if hashlib.sha256(data).hexdigest() != record["sha256"]:
                raise ValueError("the tensors are not the ones that the record describes")
            config = RewardConfig.model_validate(record["model"])
            return cls(load_tensors(data), record["progress"], config)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ValueError(f"the checkpoint in {folder} cannot be read: {error}") from error

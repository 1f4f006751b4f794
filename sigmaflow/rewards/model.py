"""The reward model: normalised slab -> ResNet-SE-3D-UNet -> MLP -> score (paper section 3.2.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from sigmaflow.atomic import write_bytes, write_json
from sigmaflow.fields.grid import Grid
from sigmaflow.fields.slab import normalise_slab
from sigmaflow.rewards.config import Head, RewardConfig, mini_config
from sigmaflow.rewards.unet3d import UNet3D, stretch

__all__ = ["Head", "MLP", "RewardConfig", "RewardModel", "mini_config", "reconstruction_l1"]

FORMAT = 1


class MLP(nn.Module):
    """Three linear layers: no activation after the first, softplus after the second."""

    def __init__(self, size_in: int, hidden: Sequence[int], size_out: int, doubled: bool):
        super().__init__()
        self.scale = 2.0 if doubled else 1.0
        self.input_layer = nn.Linear(size_in, hidden[0])
        self.hidden_layers = nn.ModuleList([nn.Sequential(nn.Linear(hidden[0], hidden[1]))])
        self.output_layer = nn.Linear(hidden[1], size_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.scale * self.input_layer(x)
        return self.output_layer(F.softplus(self.hidden_layers[0](u)))


class RewardModel(nn.Module):
    """Raw sigma slab `[B, X, Y, Z]` -> score `[B]`, higher is better. No dropout, no buffers."""

    def __init__(self, config: RewardConfig):
        super().__init__()
        self.config = config
        out, doubled = config.trunk_out, config.doubled
        self.MLP = MLP(config.feature_size, config.trunk, out, doubled)
        if "bt" in config.heads:
            self.scalar_rwd_head_BT = MLP(out, config.head, 1, doubled)
        self.scalar_rwd_head = MLP(out, config.head, 1, doubled)
        if "pairs" in config.heads:
            self.scalar_rwd_head_pairs = MLP(2 * out, config.head, 2, doubled)
        self.Conv3DModule = UNet3D(config.f_maps, config.groups, config.checkpoint)

    def network_input(self, slab: torch.Tensor) -> torch.Tensor:
        """`[B, X, Y, Z]` raw -> `[B, 1, Z, Y, X]` in [0, upper]. ValueError on another shape."""
        if slab.dim() != 4 or tuple(slab.shape[1:]) != self.config.grid.shape:
            raise ValueError(
                f"slab is {tuple(slab.shape)}; this reward takes [B, X, Y, Z] ="
                f" [B, {', '.join(map(str, self.config.grid.shape))}] of its grid"
            )
        scaled = normalise_slab(slab.to(self.MLP.input_layer.weight.dtype), self.config.upper)
        return scaled.permute(0, 3, 2, 1).contiguous()[:, None]

    def embed(self, maxima: torch.Tensor) -> torch.Tensor:
        """Slice maxima `[B, Z]` -> shared feature `[B, trunk_out]`."""
        return self.MLP(stretch(maxima, self.config.feature_size))

    def forward(self, slab: torch.Tensor) -> torch.Tensor:
        """Score of raw slabs: `[B, X, Y, Z]` -> `[B]`; differentiable in the slab."""
        with self._precision(slab):
            maxima = self.Conv3DModule(self.network_input(slab))
        return self.score(maxima.to(self.MLP.input_layer.weight.dtype))

    def _precision(self, slab: torch.Tensor) -> torch.autocast:
        half = self.config.precision == "bfloat16"
        return torch.autocast(slab.device.type, torch.bfloat16, enabled=half)

    def score(self, maxima: torch.Tensor) -> torch.Tensor:
        """Slice maxima `[B, Z]` -> score `[B]`."""
        return self.scalar_rwd_head(self.embed(maxima))[:, 0]

    def score_and_reconstruct(self, slab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score `[B]` and reconstruction loss `[B]` from one pass (`reconstruction_l1`)."""
        x = self.network_input(slab)
        with self._precision(slab):
            volume = self.Conv3DModule.volume(x)
        volume = volume.to(x.dtype)
        recon = self.Conv3DModule.reconstruction(volume)
        score = self.score(self.Conv3DModule.slice_maxima(volume))
        return score, reconstruction_l1(recon, x[:, 0])

    def check_grid(self, grid: Grid) -> None:
        """Raise ValueError naming every field in which `grid` is not the grid trained on."""
        mine, other = self.config.grid.as_dict(), grid.as_dict()
        wrong = [f"{name} is {other[name]!r}, trained on {mine[name]!r}" for name in mine
                 if mine[name] != other[name]]  # fmt: skip
        if wrong:
            raise ValueError(
                f"the reward was trained on another grid: {'; '.join(wrong)}. Sample slabs on"
                " reward.config.grid, or train a reward on this grid"
            )

    def save(self, path: str | Path) -> None:
        """Write `path` (safetensors) and, last, its sidecar `.json` with config and digest."""
        path = Path(path)
        data = save_tensors({k: v.detach().contiguous() for k, v in self.state_dict().items()})
        write_bytes(path, data)
        write_json(
            path.with_suffix(".json"),
            {
                "format": FORMAT,
                "config": self.config.model_dump(mode="json"),
                "sha256": hashlib.sha256(data).hexdigest(),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> RewardModel:
        """Read what `save` wrote, onto the CPU and in eval mode.

        Raises FileNotFoundError, or ValueError where sidecar and weights are damaged or do not
        belong together.
        """
        path = Path(path)
        sidecar = path.with_suffix(".json")
        for file in (path, sidecar):
            if not file.is_file():
                raise FileNotFoundError(f"reward file is missing: {file}")
        data = path.read_bytes()
        try:
            record = json.loads(sidecar.read_text())
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']} is not {FORMAT}")
            if record["sha256"] != hashlib.sha256(data).hexdigest():
                raise ValueError("the weights are not the ones that the sidecar describes")
            model = cls(RewardConfig.model_validate(record["config"]))
            model.load_state_dict(load_tensors(data))
        except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{path} is not a reward that can be read: {error}") from error
        return model.eval()


def reconstruction_l1(recon: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 `[B]` between volumes `[B, z, y, x]`, the first rescaled by item to the second's range.

    The auxiliary loss of section 3.2.2 before its weight (1e-2 in the paper; never active in the
    released code).
    """
    flat, goal = recon.flatten(1), target.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    floor, top = goal.amin(1, keepdim=True), goal.amax(1, keepdim=True)
    scaled = (flat - low) / (high - low) * (top - floor) + floor
    return (scaled - goal).abs().mean(1)

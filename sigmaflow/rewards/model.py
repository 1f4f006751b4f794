"""The reward model (paper section 3.2.2): representation -> backbone -> MLP -> score."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from sigmaflow.atomic import write_bytes, write_json
from sigmaflow.fields.depth import depth_input
from sigmaflow.fields.grid import Grid
from sigmaflow.fields.points import point_input
from sigmaflow.fields.slab import normalise_slab
from sigmaflow.jsontext import read_json
from sigmaflow.rewards.backbones import BACKBONES
from sigmaflow.rewards.config import Head, ReconConv, RewardConfig, mini_config

if TYPE_CHECKING:
    from sigmaflow.rewards.unet3d import UNet3D

__all__ = ["Head", "MLP", "RewardConfig", "RewardModel", "mini_config", "reconstruction_l1"]

FORMAT = 1
SMALLEST_RANGE = 1e-3  # of a volume that is rescaled to the slab's range


class MLP(nn.Module):
    """Three linear layers: no activation after the first, softplus (or cosine) after the second."""

    def __init__(
        self, size_in: int, hidden: Sequence[int], size_out: int, doubled: bool,
        activation: str = "softplus",
    ):  # fmt: skip
        super().__init__()
        self.scale = 2.0 if doubled else 1.0
        kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]]
        kinds = {"softplus": F.softplus, "cos": torch.cos}
        self.activation = kinds[activation]
        self.input_layer = nn.Linear(size_in, hidden[0])
        self.hidden_layers = nn.ModuleList([nn.Sequential(nn.Linear(hidden[0], hidden[1]))])
        self.output_layer = nn.Linear(hidden[1], size_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.scale * self.input_layer(x)
        return self.output_layer(self.activation(self.hidden_layers[0](u)))


class RewardModel(nn.Module):
    """A raw representation of B shapes -> score `[B]`, higher is better. No dropout.

    The representation is what `config.backbone` sees: sigma slabs `[B, X, Y, Z]` on `config.grid`,
    depth maps `[B, V, H, W]` of the views `config.yaws`, or clouds `[B, N, 3]`.
    """

    Conv3DModule: UNet3D  # of the backbone unet3d

    def __init__(self, config: RewardConfig):
        super().__init__()
        self.config = config
        kind = BACKBONES[config.backbone]
        out, how = config.trunk_out, (config.doubled, config.activation)
        self.MLP = MLP(kind.size(config), config.trunk, out, *how)
        if "bt" in config.heads:
            self.scalar_rwd_head_BT = MLP(out, config.head, 1, *how)
        self.scalar_rwd_head = MLP(out, config.head, 1, *how)
        if "pairs" in config.heads:
            self.scalar_rwd_head_pairs = MLP(2 * out, config.head, 2, *how)
        backbone = kind.build(config)
        named = {kind.prefix: backbone} if kind.prefix else dict(backbone.named_children())
        for name, module in named.items():
            self.add_module(name, module)
        # In a tuple, so that layers which are the reward's own have no second name.
        self._backbone = (backbone,)
        if config.frozen:
            backbone.requires_grad_(False)

    @property
    def backbone(self) -> nn.Module:
        """The network between `network_input` and `embed`."""
        return self._backbone[0]

    def train(self, mode: bool = True) -> RewardModel:
        """As usual, but BatchNorm stays in evaluation where `config.norm` is "running"."""
        super().train(mode)
        if self.config.norm == "running":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def network_input(
        self, x: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """A raw representation as the backbone takes it. ValueError on another shape.

        Sigma: `[B, X, Y, Z]` -> `[B, 1, Z, Y, X]` in [0, upper]. Depth: `[B, V, H, W]` ->
        `[B, V, 3, S, S]`, near 1 and far 0. Points: `[B, N, 3]` -> `[B, 3, points]`, centred and
        scaled; evenly spaced rows, or with a generator random ones, augmented.
        """
        config = self.config
        if config.representation == "sigma":
            return self._sigma_input(x)
        config.check_shape(tuple(x.shape[1:]))
        _check_finite(x, "hold NaN or infinity")
        x = x.to(self.MLP.input_layer.weight.dtype)
        if config.representation == "depth":
            return depth_input(x, config.image_size, config.near, config.far)
        cloud = point_input(x, config.points, generator)
        _check_finite(cloud, "are clouds whose points all coincide")
        return cloud

    def _sigma_input(self, slab: torch.Tensor) -> torch.Tensor:
        if slab.dim() != 4 or tuple(slab.shape[1:]) != self.config.grid.shape:
            raise ValueError(
                f"slab is {tuple(slab.shape)}; this reward takes [B, X, Y, Z] ="
                f" [B, {', '.join(map(str, self.config.grid.shape))}] of its grid"
            )
        scaled = normalise_slab(slab.to(self.MLP.input_layer.weight.dtype), self.config.upper)
        return scaled.permute(0, 3, 2, 1).contiguous()[:, None]

    def embed(self, out: torch.Tensor) -> torch.Tensor:
        """What the backbone gives -> shared feature `[B, trunk_out]`.

        The U-Net gives slice maxima `[B, Z]`, the others their feature `[B, F]`.
        """
        return self.MLP(BACKBONES[self.config.backbone].pool(out, self.config))

    def features(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Shared feature `[B, trunk_out]` of a raw representation, for every head."""
        with self._precision(x):
            out = self.backbone(self.network_input(x, generator))
        return self.embed(out.to(self.MLP.input_layer.weight.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score `[B]` of a raw representation; differentiable in it."""
        return self.scalar_rwd_head(self.features(x))[:, 0]

    def _precision(self, x: torch.Tensor) -> torch.autocast:
        half = self.config.precision == "bfloat16"
        return torch.autocast(x.device.type, torch.bfloat16, enabled=half)

    def score(self, out: torch.Tensor) -> torch.Tensor:
        """What the backbone gives -> score `[B]`."""
        return self.scalar_rwd_head(self.embed(out))[:, 0]

    def features_and_reconstruct(
        self, slab: torch.Tensor, conv: ReconConv = "before"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Shared feature `[B, trunk_out]` and reconstruction loss `[B]`.

        From one pass of the U-Net, the only backbone that reconstructs. conv: whether its last
        convolution comes "before" the rescaling to the slab's range, as released, where the loss
        does not see the convolution's scale; or "after" it, where the loss sees scale and sign.
        """
        x = self.network_input(slab)
        with self._precision(slab):
            volume = self.Conv3DModule.volume(x)
        volume = volume.to(x.dtype)
        if conv == "before":
            recon = reconstruction_l1(self.Conv3DModule.reconstruction(volume), x[:, 0])
        else:
            scaled = to_range(self.Conv3DModule.merged(volume), x)
            recon = (self.Conv3DModule.conv3d_for_recon(scaled) - x).abs().flatten(1).mean(1)
        features = self.embed(self.Conv3DModule.slice_maxima(volume))
        return features, recon

    def score_and_reconstruct(
        self, slab: torch.Tensor, conv: ReconConv = "before"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score `[B]` and reconstruction loss `[B]` (`features_and_reconstruct`) from one pass."""
        features, recon = self.features_and_reconstruct(slab, conv)
        return self.scalar_rwd_head(features)[:, 0], recon

    def load_backbone(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take the backbone's weights from tensors under its own names, such as torchvision's.

        Raises ValueError naming what is missing, unknown or of another shape. Last layers that the
        network does without may be there.
        """
        take = getattr(self.backbone, "take", self.backbone.load_state_dict)
        try:
            take(tensors)
        except RuntimeError as error:
            said = " ".join(str(error).split())
            raise ValueError(f"not the weights of {self.config.backbone}: {said}") from error

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
            record = read_json(sidecar)
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']} is not {FORMAT}")
            if record["sha256"] != hashlib.sha256(data).hexdigest():
                raise ValueError("the weights are not the ones that the sidecar describes")
            model = cls(RewardConfig.model_validate(record["config"]))
            model.load_state_dict(load_tensors(data))
        except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{path} is not a reward that can be read: {error}") from error
        return model.eval()


def _check_finite(x: torch.Tensor, what: str) -> None:
    """Raise ValueError naming the items that are not. On the CPU; elsewhere looking costs a wait,
    and a bad item comes out as NaN."""
    if x.device.type == "cpu" and not bool(torch.isfinite(x).all()):
        bad = [i for i, item in enumerate(x) if not bool(torch.isfinite(item).all())]
        raise ValueError(f"items {bad[:8]} of {len(x)} {what}")


def reconstruction_l1(recon: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 `[B]` between volumes `[B, z, y, x]`, the first rescaled by item to the second's range.

    The auxiliary loss of section 3.2.2 before its weight (1e-2 in the paper; never active in the
    released code). It does not see scale and offset of the first; value and gradient are finite for
    a constant one too (`to_range`).
    """
    return (to_range(recon, target) - target).abs().flatten(1).mean(1)


def to_range(volumes: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Volumes `[B, ...]` rescaled by item to minimum and maximum of `target`, same shape.

    A range below `SMALLEST_RANGE` is divided by that instead, so that a constant volume becomes the
    target's minimum in place of 0/0; all other numbers are the released code's.
    """
    flat, goal = volumes.flatten(1), target.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    floor, top = goal.amin(1, keepdim=True), goal.amax(1, keepdim=True)
    scaled = (flat - low) / (high - low).clamp_min(SMALLEST_RANGE) * (top - floor) + floor
    return scaled.view_as(target)

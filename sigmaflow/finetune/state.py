"""Everything a GAN run is made of, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sigmaflow.generators import DualDiscriminator, GANCheckpoint, TriPlaneGenerator
from sigmaflow.tensors import read_state, write_state

from .augment import Adaptation, AugmentPipe

FORMAT = 1


class ImageSet(Protocol):
    """Real images with camera labels."""

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 images [B, 3, H, W] and labels [B, 25]."""
        ...


@dataclass
class GANState:
    """Networks, optimisers and position of a run.

    augment: what the discriminator's images go through, None for nothing. adaptation: what moves
    its strength, None where that is fixed.
    """

    G: TriPlaneGenerator
    D: DualDiscriminator
    G_ema: TriPlaneGenerator
    optimizers: dict[str, torch.optim.Optimizer]
    images_seen: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    augment: AugmentPipe | None = None
    adaptation: Adaptation | None = None

    @property
    def device(self) -> torch.device:
        return next(self.G.parameters()).device

    def checkpoint(self) -> GANCheckpoint:
        """The networks alone."""
        return GANCheckpoint(self.G, self.D, self.G_ema, dict(self.meta))

    def save(self, path: str | Path) -> None:
        """Write all of it as one safetensors file, atomically."""
        tensors: dict[str, Tensor] = {}
        for name in ("G", "D", "G_ema"):
            for key, value in getattr(self, name).state_dict().items():
                tensors[f"{name}/{key}"] = value
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                for slot, value in slots.items():
                    tensors[f"opt/{name}/{index}/{slot}"] = value
        if self.augment is not None:
            tensors["augment/p"] = self.augment.p
        if self.adaptation is not None:
            tensors["augment/signs"] = self.adaptation.signs
        write_state(path, tensors, {"format": FORMAT, "images_seen": self.images_seen})

    def restore(self, path: str | Path) -> None:
        """Read a file of `save` into the networks and optimisers that this state holds.

        Raises ValueError, naming the file, where it is damaged or belongs to other networks.
        """
        tensors, header = read_state(path, FORMAT)
        parts: dict[str, dict[str, Tensor]] = {"G": {}, "D": {}, "G_ema": {}}
        slots: dict[str, dict[int, dict[str, Tensor]]] = {n: {} for n in self.optimizers}
        self._restore_augment(path, tensors)
        for key, value in tensors.items():
            head, rest = key.split("/", 1)
            if head == "opt":
                name, index, slot = rest.split("/")
                slots[name].setdefault(int(index), {})[slot] = value
            else:
                parts[head][rest] = value
        for name, part in parts.items():
            getattr(self, name).load_state_dict(part, strict=True)
        for name, optimizer in self.optimizers.items():
            current = optimizer.state_dict()
            current["state"] = slots[name]
            optimizer.load_state_dict(current)
        self.images_seen = int(header["images_seen"])

    def _restore_augment(self, path: str | Path, tensors: dict[str, Tensor]) -> None:
        """Take what `save` wrote of the augmentation out of `tensors`."""
        saved = {k: tensors.pop(k) for k in list(tensors) if k.startswith("augment/")}
        mine = [("augment/p", self.augment), ("augment/signs", self.adaptation)]
        if set(saved) != {name for name, part in mine if part is not None}:
            raise ValueError(f"{path}: saved under another setting of `aug`; use that one again")
        if self.augment is not None:
            self.augment.p.copy_(saved["augment/p"])
        if self.adaptation is not None:
            self.adaptation.signs = saved["augment/signs"]


@dataclass(frozen=True)
class Tick:
    """What a loop yields: where it is, means of the tick's metrics, and the state to save."""

    images_seen: int
    metrics: Mapping[str, float]
    state: GANState


class Means:
    """Means of named scalars over a tick. Values stay on their device until read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, **values: Tensor) -> None:
        for name, value in values.items():
            value = value.detach().float().mean()
            self._sums[name] = self._sums.get(name, 0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        out = {k: float(v) / self._counts[k] for k, v in self._sums.items()}
        self._sums, self._counts = {}, {}
        return out


def seed_step(seed: int, images_seen: int) -> np.random.Generator:
    """Seed torch for the step that starts at `images_seen` and give a numpy stream for it.

    All randomness of a step comes from here, which is why a resumed run repeats it.
    """
    sequence = np.random.SeedSequence([seed, images_seen])
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
    return np.random.default_rng(sequence.spawn(1)[0])


def shuffled(seed: int, position: int, count: int, length: int) -> np.ndarray:
    """Indices of images `position`..`position+count` of an endless shuffled reading.

    Every image is read once an epoch; epoch e has the order of (seed, e).
    """
    out = []
    while count > 0:
        epoch, offset = divmod(position, length)
        order = np.random.default_rng([seed, epoch]).permutation(length)
        take = order[offset : offset + count]
        out.append(take)
        position, count = position + len(take), count - len(take)
    return np.concatenate(out)


def update_ema(average: nn.Module, model: nn.Module, beta: float) -> None:
    """average <- beta * average + (1 - beta) * model; buffers are copied."""
    with torch.no_grad():
        for a, m in zip(average.parameters(), model.parameters()):
            a.copy_(m.lerp(a, beta))
        for a, m in zip(average.buffers(), model.buffers()):
            a.copy_(m)


def to_float(images: Tensor, device: torch.device) -> Tensor:
    """uint8 [B, 3, H, W] to [-1, 1]."""
    return images.to(device=device, dtype=torch.float32) / 127.5 - 1


def step_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Adam step with EG3D's repair of gradients: nan to 0, infinities to +-1e5."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
    optimizer.step()

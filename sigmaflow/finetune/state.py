"""Everything a GAN run is made of, in memory and on disk."""

from __future__ import annotations

import math
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
        """The means, and begin again."""
        out = {k: float(v) / self._counts[k] for k, v in self._sums.items()}
        self._sums, self._counts = {}, {}
        return out

    def not_finite(self) -> list[str]:
        """Names whose sum is NaN or infinite."""
        if not self._sums:
            return []
        good = torch.stack([torch.as_tensor(v) for v in self._sums.values()]).isfinite().tolist()
        return [name for name, fine in zip(self._sums, good) if not fine]

    def dump(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Sums and counts, for a checkpoint between two ticks."""
        return dict(self._sums), dict(self._counts)

    def load(self, sums: dict[str, Tensor], counts: Mapping[str, int]) -> None:
        """What `dump` gave, in the order of `counts`."""
        self._sums = {name: sums[name] for name in counts}
        self._counts = dict(counts)


class Samples:
    """A row for every image of a tick, by column; NaN where a column says nothing of it."""

    COLUMNS = ("images_seen", "sample", "reward", "saturated", "consistency", "logit")

    def __init__(self) -> None:
        self._steps: list[Tensor] = []
        self._open: Tensor | None = None

    def begin(self, images_seen: int, batch: int) -> None:
        """Open the rows of a step: those of images `images_seen` and on."""
        self._open = torch.full((batch, len(self.COLUMNS)), math.nan, dtype=torch.float64)
        self._open[:, 0], self._open[:, 1] = images_seen, torch.arange(batch)

    def put(self, rows: Tensor | slice, **columns: Tensor) -> None:
        """Values of some rows of the open step; one value stands for all of them."""
        for name, value in columns.items():
            value = value.detach().flatten().to("cpu", torch.float64)
            assert self._open is not None  # between `begin` and `end`
            self._open[rows, self.COLUMNS.index(name)] = value

    def end(self) -> None:
        """Close the step."""
        assert self._open is not None  # after `begin`
        self._steps.append(self._open)
        self._open = None

    def table(self) -> Tensor:
        """float64 [n, 6] of all closed steps."""
        return torch.cat(self._steps) if self._steps else torch.empty(0, len(self.COLUMNS))

    def read(self) -> dict[str, np.ndarray]:
        """The columns, and begin again."""
        columns = self.table().numpy().T
        self._steps = []
        whole = {"images_seen": np.int64, "sample": np.int64}
        return {n: c.astype(whole.get(n, np.float32)) for n, c in zip(self.COLUMNS, columns)}

    def load(self, table: Tensor) -> None:
        """What `table` gave."""
        self._steps = [table] if len(table) else []


@dataclass
class GANState:
    """Networks, optimisers and position of a run.

    augment: what the discriminator's images go through, None for nothing. adaptation: what moves
    its strength, None where that is fixed. means, samples: of the tick that has begun. micro_batch:
    images at once where the settings leave that to the memory, None before it is known. more:
    further networks of a loop by name, saved as G and D are; checkpoints do without them.
    """

    G: TriPlaneGenerator
    D: DualDiscriminator
    G_ema: TriPlaneGenerator
    optimizers: dict[str, torch.optim.Optimizer]
    images_seen: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    augment: AugmentPipe | None = None
    adaptation: Adaptation | None = None
    means: Means = field(default_factory=Means)
    samples: Samples = field(default_factory=Samples)
    micro_batch: int | None = None
    more: dict[str, nn.Module] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return next(self.G.parameters()).device

    def checkpoint(self) -> GANCheckpoint:
        """The networks alone."""
        return GANCheckpoint(self.G, self.D, self.G_ema, dict(self.meta))

    def networks(self) -> dict[str, nn.Module]:
        """All networks by the names under which they are saved."""
        return {"G": self.G, "D": self.D, "G_ema": self.G_ema, **self.more}

    def save(self, path: str | Path) -> None:
        """Write all of it as one safetensors file, atomically."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks().items():
            for key, value in network.state_dict().items():
                tensors[f"{name}/{key}"] = value
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                for slot, value in slots.items():
                    tensors[f"opt/{name}/{index}/{slot}"] = value
        if self.augment is not None:
            tensors["augment/p"] = self.augment.p
        if self.adaptation is not None:
            tensors["augment/signs"] = self.adaptation.signs
        values: dict[str, Any] = {"format": FORMAT, "images_seen": self.images_seen}
        sums, counts = self.means.dump()
        if counts:  # between two ticks
            tensors |= {f"means/{name}": value for name, value in sums.items()}
            values["means"] = counts
        if len(rows := self.samples.table()):
            tensors["samples/table"] = rows
        if self.micro_batch is not None:
            values["micro_batch"] = self.micro_batch
        write_state(path, tensors, values)

    def restore(self, path: str | Path) -> None:
        """Read a file of `save` into the networks and optimisers that this state holds.

        Raises ValueError, naming the file, where it is damaged or belongs to other networks.
        """
        tensors, header = read_state(path, FORMAT)
        networks = self.networks()
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in networks}
        slots: dict[str, dict[int, dict[str, Tensor]]] = {n: {} for n in self.optimizers}
        self._restore_augment(path, tensors)
        self._restore_tick(tensors, header)
        for key, value in tensors.items():
            head, rest = key.split("/", 1)
            if head == "opt":
                name, index, slot = rest.split("/")
                if name not in slots:
                    raise ValueError(f"{path}: saved with an optimiser {name!r} that these settings"
                                     " do without; use those of before")  # fmt: skip
                slots[name].setdefault(int(index), {})[slot] = value
            elif head in parts:
                parts[head][rest] = value
            else:
                raise ValueError(f"{path}: saved with a network {head!r} that these settings do "
                                 "without; use those of before")  # fmt: skip
        for name, part in parts.items():
            if not part:
                raise ValueError(f"{path}: saved without the network {name!r}; it is of another "
                                 "phase or of other settings")  # fmt: skip
            networks[name].load_state_dict(part, strict=True)
        for name, optimizer in self.optimizers.items():
            current = optimizer.state_dict()
            current["state"] = slots[name]
            optimizer.load_state_dict(current)
        self.images_seen = int(header["images_seen"])

    def _restore_tick(self, tensors: dict[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take what `save` wrote of a tick that had begun out of `tensors`."""
        sums = {k: tensors.pop(k) for k in list(tensors) if k.startswith("means/")}
        sums = {k.removeprefix("means/"): v.to(self.device) for k, v in sums.items()}
        self.means.load(sums, header.get("means", {}))
        self.samples.load(tensors.pop("samples/table", torch.empty(0)))
        self.micro_batch = header.get("micro_batch")

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
    """What a loop yields: where it is, means of the tick's metrics, and the state to save.

    samples: rows of the tick's images by column (`Samples.COLUMNS`), empty in loops without them.
    """

    images_seen: int
    metrics: Mapping[str, float]
    state: GANState
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """What a loop yields between two ticks where it was asked to stop: the state to save."""

    images_seen: int
    state: GANState


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
        for kept, new in zip(average.buffers(), model.buffers()):
            kept.copy_(new)


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

"""Slabs on the disk in shards, as a store that says how large it gets before it begins.

A store is a folder named after what its slabs depend on (`Recipe`), with `recipe.json` and, for
each shard, `<sha256>.npy`, float16 `[k, X, Y, Z]`, and `<sha256>.json` with the seeds of its rows.
A shard is named after its bytes and never changes, so several writers may fill one store and a kill
leaves whole shards; what is there already is not made again. The released data are such slabs in
float16, 45 GB of them (public code; 9,692 slabs of the paper's grid).
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sigmaflow.atomic import TEMPORARY, write_bytes, write_json
from sigmaflow.fields.grid import Grid
from sigmaflow.files import sha256_file
from sigmaflow.jsontext import read_json
from sigmaflow.rewards.data import SlabBank

FORMAT = 1
SHARD = 64  # slabs; 300 MB at the paper's grid
ROOM = 1.02  # of free space asked for, over the slabs' own bytes


@dataclass(frozen=True)
class Recipe:
    """All that a slab depends on besides its seed. generator: digest of the checkpoint."""

    generator: str
    grid: Grid
    psi: float
    cutoff: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "generator": self.generator, "grid": self.grid.as_dict(), "psi": self.psi,
            "cutoff": self.cutoff,
        }  # fmt: skip

    @property
    def key(self) -> str:
        """sha256 of it, 64 hex digits."""
        text = json.dumps(self.as_dict(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """What filling a store takes: seeds still to make, and bytes."""

    missing: tuple[int, ...]
    present: int
    slab_bytes: int
    free: int

    @property
    def bytes(self) -> int:
        """Still to be written."""
        return len(self.missing) * self.slab_bytes

    def __str__(self) -> str:
        total = (len(self.missing) + self.present) * self.slab_bytes
        return (
            f"{len(self.missing) + self.present} slabs, {_size(total)} in all;"
            f" {self.present} are there, {len(self.missing)} to make: {_size(self.bytes)},"
            f" {_size(self.free)} free"
        )


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


class SlabStore:
    """The slabs of one recipe below `root`. ValueError where the folder is of another recipe."""

    def __init__(self, root: str | Path, recipe: Recipe) -> None:
        self.recipe, self.folder = recipe, Path(root) / recipe.key[:32]
        card = {"format": FORMAT, "recipe": recipe.as_dict()}
        file = self.folder / "recipe.json"
        if file.exists() and json.loads(file.read_text(encoding="utf-8")) != card:
            raise ValueError(f"{file} is of other slabs; move the folder away")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            write_json(file, card)

    def shards(self) -> Iterator[tuple[Path, list[int]]]:
        """Files and the seeds of their rows. ValueError naming a shard that is damaged."""
        for card in sorted(self.folder.glob("*.json")):
            if card.name == "recipe.json" or card.name.startswith(TEMPORARY):
                continue
            try:
                record = read_json(card)
                seeds, size = [int(seed) for seed in record["seeds"]], int(record["bytes"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{card} cannot be read ({error}); remove it") from error
            file = card.with_suffix(".npy")
            if not file.is_file() or file.stat().st_size != size:
                raise ValueError(
                    f"{file} is missing or not {size} bytes long; remove {card.name} and fill the"
                    " store again"
                )
            yield file, seeds

    def plan(self, seeds: Iterable[int]) -> Plan:
        """What is missing for these seeds, and how large it gets. Reads no slab."""
        wanted = dict.fromkeys(int(seed) for seed in seeds)
        there = {seed for _, own in self.shards() for seed in own}
        missing = tuple(seed for seed in wanted if seed not in there)
        free = shutil.disk_usage(self.folder).free
        return Plan(missing, len(wanted) - len(missing), 2 * self.recipe.grid.size, free)

    def fill(
        self, seeds: Iterable[int], sample: Callable[[list[int]], torch.Tensor],
        progress: Callable[[int, int], None] | None = None, shard: int = SHARD,
    ) -> Plan:  # fmt: skip
        """Make what is missing; returns the plan it began with.

        sample: seeds -> raw slabs `[k, X, Y, Z]`, such as `GeneratorBank.take`. Raises OSError
        before any work where the disk has no room, ValueError naming seeds whose slab is constant,
        not finite, or beyond float16.
        """
        plan = self.plan(seeds)
        if plan.bytes * ROOM > plan.free:
            raise OSError(f"{self.folder}: no room for the slabs ({plan}); free some, or take"
                          " slabs from the generator as they are needed")  # fmt: skip
        for start in range(0, len(plan.missing), shard):
            block = list(plan.missing[start : start + shard])
            slabs = sample(block)
            if tuple(slabs.shape) != (len(block), *self.recipe.grid.shape):
                raise ValueError(f"slabs are {tuple(slabs.shape)} for {len(block)} seeds on"
                                 f" {self.recipe.grid.shape}")  # fmt: skip
            self._write(block, slabs.to(torch.float16).cpu().numpy())
            if progress:
                progress(min(start + shard, len(plan.missing)), len(plan.missing))
        return plan

    def _write(self, seeds: list[int], slabs: np.ndarray) -> None:
        flat = slabs.reshape(len(slabs), -1)
        low, high = flat.min(1), flat.max(1)
        bad = ~np.isfinite(low) | ~np.isfinite(high) | (low == high)
        if bad.any():
            named = [f"seed {s} spans [{a:g}, {b:g}]" for s, a, b, wrong
                     in zip(seeds, low, high, bad) if wrong]  # fmt: skip
            raise ValueError(f"{len(named)} slabs are constant or not finite in float16:"
                             f" {'; '.join(named[:8])}")  # fmt: skip
        stream = io.BytesIO()
        np.save(stream, slabs, allow_pickle=False)
        data = stream.getvalue()
        name = hashlib.sha256(data).hexdigest()
        write_bytes(self.folder / f"{name}.npy", data)
        write_json(self.folder / f"{name}.json", {"seeds": seeds, "bytes": len(data)})

    def verify(self) -> list[Path]:
        """Shards whose bytes are not what they are named after; reads all of them."""
        return [file for file, _ in self.shards() if sha256_file(file) != file.stem]

    def bank(self, seeds: Sequence[int] | None = None) -> SlabBank:
        """All shards as one bank, memory-mapped. ValueError naming `seeds` that are not there.

        A seed that two writers have both made counts once.
        """
        return open_banks([self], seeds)


def open_banks(stores: Sequence[SlabStore], seeds: Sequence[int] | None = None) -> SlabBank:
    """Several stores, such as of ranked shapes and of anchors, as one memory-mapped bank."""
    parts = [(np.load(file, mmap_mode="r"), own) for s in stores for file, own in s.shards()]
    bank = SlabBank.of_parts(parts, once=True)
    if seeds is not None:
        bank.require(seeds)
    return bank

"""Slabs made when they are asked for: a bank that is a generator."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.preferences.rankings import ANCHOR_PSI, MAX_SEED

if TYPE_CHECKING:
    from sigmaflow.generators import TriPlaneGenerator


class GeneratorBank:
    """Slabs of `G` on `grid`, sampled from z at every `take` (a `sigmaflow.rewards.data.Source`).

    psi: truncation; anchor_psi: that of `anchors`. half: round to float16 as stored slabs are, so
    that a training sees the same numbers. keep: the latest so many slabs stay in memory.
    batch: slabs sampled at once; above 1 their last bits depend on which are asked for together,
    and a training that goes on is no longer the same bytes.
    """

    def __init__(
        self, G: TriPlaneGenerator, grid: Grid, psi: float = 1.0, anchors: Collection[int] = (),
        anchor_psi: float = ANCHOR_PSI, half: bool = True, keep: int = 0, batch: int = 1,
    ) -> None:  # fmt: skip
        self.G, self.grid, self.psi, self.anchor_psi = G, grid, psi, anchor_psi
        self.anchors = frozenset(int(seed) for seed in anchors)
        self.dtype = torch.float16 if half else torch.float32
        self.keep, self.batch = keep, batch
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one slab."""
        return self.grid.shape

    def require(self, seeds: Iterable[int]) -> None:
        """Raise ValueError for what is no seed; all others can be made."""
        if bad := sorted({int(s) for s in seeds if not 0 <= int(s) <= MAX_SEED}):
            raise ValueError(f"{len(bad)} seeds are not in [0, {MAX_SEED}]: {bad[:10]}")

    def take(self, seeds: Sequence[int]) -> Tensor:
        """Slabs of these seeds, `[k, X, Y, Z]` float32 on the CPU.

        Raises ValueError naming seeds whose density float16 cannot hold.
        """
        wanted = list(dict.fromkeys(int(seed) for seed in seeds))
        made = {seed: self._kept[seed] for seed in wanted if seed in self._kept}
        for high in (False, True):
            todo = [s for s in wanted if s not in made and (s in self.anchors) == high]
            psi = self.anchor_psi if high else self.psi
            for start in range(0, len(todo), self.batch):
                block = todo[start : start + self.batch]
                made.update(zip(block, self._sample(block, psi)))
        if self.keep:
            for seed in wanted:
                self._kept[seed] = made[seed]
                self._kept.move_to_end(seed)
            while len(self._kept) > self.keep:
                self._kept.popitem(last=False)
        return torch.stack([made[int(seed)] for seed in seeds]).float()

    @torch.no_grad()
    def _sample(self, seeds: list[int], psi: float) -> Tensor:
        device = next(self.G.parameters()).device
        z = latents(seeds, self.G.z_dim).to(device)
        slabs = sample_slab(self.G, z, self.grid, truncation_psi=psi).to(self.dtype).cpu()
        finite = torch.isfinite(slabs).flatten(1).all(1).numpy()
        if not finite.all():
            bad = np.asarray(seeds)[~finite].tolist()
            raise ValueError(
                f"the density of seeds {bad[:8]} is not finite in {self.dtype}; look at the"
                " generator, or take float32 (half=False)"
            )
        return slabs

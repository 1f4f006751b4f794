"""Sigma slabs: latents of seeds, density on a grid, and the scale that the reward sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch

from sigmaflow.fields.grid import UPPER, Grid


class SlabGenerator(Protocol):
    """What a generator must offer for its density to be sampled. Planes are opaque here."""

    def mapping(
        self,
        z: torch.Tensor,
        c: torch.Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> torch.Tensor: ...

    def planes(self, ws: torch.Tensor, noise_mode: str = "const") -> Any: ...

    def sigma_grid(self, planes: Any, grid: Grid) -> torch.Tensor: ...

    def canonical_label(self) -> torch.Tensor: ...


def latents(seeds: Iterable[int], z_dim: int) -> torch.Tensor:
    """Latents `[n, z_dim]` float32, row i drawn as `RandomState(seeds[i]).randn(1, z_dim)`."""
    rows = [np.random.RandomState(int(seed)).randn(1, z_dim) for seed in seeds]
    stacked = np.concatenate(rows) if rows else np.empty((0, z_dim))
    return torch.from_numpy(stacked.astype(np.float32))


def sample_slab(
    G: SlabGenerator,
    z: torch.Tensor,
    grid: Grid,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    c: torch.Tensor | None = None,
    noise_mode: str = "const",
) -> torch.Tensor:
    """Raw density of the shapes of `z [B, z_dim]` on `grid`: `[B, *grid.shape]`.

    c: camera label `[B, 25]` or `[1, 25]` that conditions the mapping; the generator's canonical
    label when None (method of the paper, section 3.1). Differentiable in z and in G's parameters.
    Raises ValueError if the generator answers with another shape.
    """
    if c is None:
        c = G.canonical_label()
    c = c.to(z.device).expand(z.shape[0], -1)
    ws = G.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
    slab = G.sigma_grid(G.planes(ws, noise_mode=noise_mode), grid)
    if slab.shape != (z.shape[0], *grid.shape):
        raise ValueError(
            f"sigma_grid gave {tuple(slab.shape)}, expected {(z.shape[0], *grid.shape)} for {grid}"
        )
    return slab


def normalise_slab(
    slab: torch.Tensor, upper: float = UPPER, check: bool | None = None
) -> torch.Tensor:
    """Min-max of every item to [0, upper]: `[B, ...]` -> same shape (released: no epsilon).

    Differentiable, through minimum and maximum too.
    check: raise ValueError naming the items that are constant, NaN or infinite. None means yes on
    the CPU and no elsewhere, where looking costs a synchronisation at every call: there a bad item
    comes out as NaN, which the caller's look at its loss finds.
    """
    flat = slab.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    span = high - low
    if check is None:
        check = slab.device.type == "cpu"
    if check:
        good = (span > 0) & torch.isfinite(span)
        if not bool(good.all()):
            bad = (~good).nonzero().flatten().tolist()
            what = "; ".join(f"item {i} spans [{low[i]:g}, {high[i]:g}]" for i in bad[:8])
            raise ValueError(
                f"{len(bad)} of {len(flat)} slabs cannot be scaled to [0, {upper:g}] because they"
                f" are constant or not finite: {what}"
            )
    shape = (-1,) + (1,) * (slab.dim() - 1)
    return (slab - low.view(shape)) / span.view(shape) * upper

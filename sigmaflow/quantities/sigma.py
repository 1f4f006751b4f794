"""Sigma of each shape on a regular grid over the whole box, kept in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sigmaflow.measuring import Column, Measure, Quantity, Samples, Settings

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.generators import TriPlaneGenerator


class SigmaSettings(Settings):
    """The grid."""

    resolution: int = Field(64, ge=4)
    """points along each side of the box"""


def prepare(G: TriPlaneGenerator, files: Mapping[str, Path], settings: SigmaSettings) -> Measure:
    """Nothing is read beside the generator."""
    import numpy as np
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab

    side = G.rendering_kwargs["box_warp"]
    grid = Grid(resolution=settings.resolution, kind="regular", length=side)
    where = next(G.parameters()).device

    def measure(samples: Samples) -> dict[str, np.ndarray]:
        seeds = samples.seeds[:1] if samples.alike else samples.seeds
        with torch.no_grad():
            z = latents(seeds, G.z_dim).to(where)
            cubes = sample_slab(G, z, grid, truncation_psi=samples.psi).cpu().numpy()
        return {"sigma": np.broadcast_to(cubes, (len(samples.seeds), *cubes.shape[1:]))}

    return measure


QUANTITY = Quantity(
    name="sigma",
    version=1,
    columns=(
        Column("sigma", "raw density: the decoder's first channel, no activation", "1 / length",
               ("x", "y", "z"), "float16"),
    ),
    prepare=prepare,
    settings=SigmaSettings,
    task=32,
    mini=(0.005, 0.1),
    paper=(0.02, 0.2),
)  # fmt: skip

"""How positive sigma is distributed in each shape: in the whole box, and in the reward's slab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sigmaflow.fields.grid import Grid
from sigmaflow.measuring import Column, Measure, Quantity, Samples, Settings

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.generators import TriPlaneGenerator

DECADES = (-2, 6)  # powers of ten that the bins cover
PER_DECADE = 10
REGIONS = ("box", "slab")


def edges() -> np.ndarray:
    """Edges of the bins, [81] float64. What lies beyond either end is in no bin."""
    import numpy as np

    low, high = DECADES
    return np.logspace(low, high, (high - low) * PER_DECADE + 1)


class HistogramSettings(Settings):
    """Where sigma is sampled."""

    resolution: int = Field(128, ge=8)
    """points along each side of the box"""
    grid: Grid
    """the reward's slab"""


def prepare(
    G: TriPlaneGenerator, files: Mapping[str, Path], settings: HistogramSettings
) -> Measure:
    """Nothing is read beside the generator."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents, sample_slab

    side = G.rendering_kwargs["box_warp"]
    grids = {
        "box": Grid(resolution=settings.resolution, kind="regular", length=side),
        "slab": settings.grid,
    }
    where, bounds = next(G.parameters()).device, edges()

    def one(seed: int, psi: float) -> dict[str, np.ndarray | float]:
        found: dict[str, np.ndarray | float] = {}
        for region, grid in grids.items():
            with torch.no_grad():
                z = latents([seed], G.z_dim).to(where)
                sigma = sample_slab(G, z, grid, truncation_psi=psi)[0].cpu().numpy().ravel()
            positive = sigma[sigma > 0].astype(np.float64)
            found[f"{region}_max"] = float(sigma.max())
            found[f"{region}_positive"] = len(positive) / len(sigma)
            found[f"{region}_points"] = float(len(positive))
            found[f"{region}_counts"] = np.histogram(positive, bounds)[0]
        return found

    def measure(samples: Samples) -> dict[str, np.ndarray]:
        rows = [one(seed, samples.psi) for seed in samples.seeds[: 1 if samples.alike else None]]
        rows *= len(samples.seeds) // len(rows)
        return {column.name: np.stack([row[column.name] for row in rows])
                for column in QUANTITY.columns}  # fmt: skip

    return measure


QUANTITY = Quantity(
    name="sigma_histogram",
    version=1,
    columns=tuple(
        column
        for region in REGIONS
        for column in (
            Column(f"{region}_max", f"largest raw sigma in the {region}", "1 / length"),
            Column(f"{region}_positive", f"share of points of the {region} with sigma > 0"),
            Column(f"{region}_points", f"points of the {region} with sigma > 0"),
            Column(
                f"{region}_counts",
                f"points of the {region} by positive sigma, in bins of a tenth of a decade",
                axes=("bin",),
                dtype="int64",
            ),  # fmt: skip
        )
    ),
    prepare=prepare,
    settings=HistogramSettings,
    batch=4,
    task=32,
    mini=(0.02, 0.4),
    paper=(0.3, 2.0),
)

"""Distribution of positive sigma (paper Figure 17).

A reward learns the scale of the densities that it was trained on. Another generator, or a tuned
one, may have another scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import sigma_histogram
from sigmaflow.quantities.sigma_histogram import REGIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PAPER = {"original": 250.0, "tuned": 430.0}
"""Mean largest sigma of a shape, "roughly"; of which grid the paper does not say."""


class HistogramSettings(Settings):
    """`analyses.sigma_histogram`"""

    resolution: int = Field(128, ge=8)
    """points along each side of the box; the largest sigma grows with it"""
    psi: float = Field(0.7, ge=0, le=1)
    """truncation_psi"""
    seeds: int | None = Field(None, ge=2)
    """of those that the sweep evaluates, the first so many; null: all"""


@dataclass(frozen=True)
class Row:
    """One generator and region."""

    region: str = column("box, or the slab that the reward sees", form="s")
    n: int = column("latents", form="d")
    resolution: int = column("points along each side of the box; 0 for the slab's own grid")
    max_mean: float = column("mean over latents of the largest sigma", "1 / length", ".4g",
                             ("max_low", "max_high"))  # fmt: skip
    max_low: float = column("its 95 % Student t interval", "1 / length")
    max_high: float = column("its 95 % Student t interval", "1 / length")
    max_sd: float = column("sd of the largest sigma, divisor n - 1", "1 / length", ".3g")
    positive: float = column("mean share of points with sigma > 0", form=".3f")
    paper_max: float | None = column("the paper's, roughly, of EG3D", "1 / length", ".3g")


@dataclass(frozen=True)
class Bin:
    """One bin of one generator and region."""

    region: str = column("box or slab")
    low: float = column("lower edge", "1 / length")
    high: float = column("upper edge", "1 / length")
    density: float = column(
        "mean over latents of the density among points of positive sigma", "length"
    )
    sd: float = column("its sd over latents, divisor n - 1", "length")


def asks(settings: HistogramSettings, subject: Subject) -> dict[str, Ask]:
    """The histograms. Raises ValueError for more seeds than there are."""
    seeds, grid = subject.first(settings.seeds), {"resolution": settings.resolution}
    return {"sigma": Ask(sigma_histogram.QUANTITY, seeds, settings.psi, grid)}


def analyse(
    measured: Mapping[str, Measured], settings: HistogramSettings, subject: Subject
) -> dict[str, list[Any]]:
    """A row for each region, and its bins."""
    import numpy as np

    from sigmaflow.statistics.intervals import mean_interval

    found, bounds = measured["sigma"], sigma_histogram.edges()
    rows, bins = [], []
    for region in REGIONS:
        top = found[f"{region}_max"]
        counts = found[f"{region}_counts"].astype(np.float64)
        # Of a shape without positive sigma every bin is empty.
        total = np.maximum(found[f"{region}_points"], 1.0)
        density = counts / total[:, None] / np.diff(bounds)
        rows.append(Row(
            region, len(top), settings.resolution if region == "box" else 0, float(top.mean()),
            *mean_interval(top), float(top.std(ddof=1)), float(found[f"{region}_positive"].mean()),
            PAPER.get(subject.role),
        ))  # fmt: skip
        mean, sd = density.mean(0), density.std(0, ddof=1)
        bins += [Bin(region, *map(float, one)) for one in zip(bounds, bounds[1:], mean, sd)]
    return {"sigma_histogram": rows, "sigma_bins": bins}


def draw(tables: Mapping[str, pd.DataFrame], settings: HistogramSettings) -> dict[str, Figure]:
    """Densities of positive sigma on two logarithmic axes, for the box and for the slab."""
    import numpy as np

    from sigmaflow.figures import style

    @style.styled
    def made() -> Figure:
        bins = tables["sigma_bins"]
        figure = style.new_figure(7.0, 3.0)
        colours = {"original": style.BEFORE, "tuned": style.AFTER, "control": style.CONTROL}
        for axes, region in zip(figure.subplots(1, 2, sharey=True), REGIONS):
            said: set[str] = set()
            for (_, role), part in bins[bins["region"] == region].groupby(
                ["generator", "role"], sort=False
            ):
                part = part[part["density"] > 0]
                middle = np.sqrt(part["low"] * part["high"])
                low = np.maximum(part["density"] - part["sd"], part["density"] / 10)
                axes.fill_between(middle, low, part["density"] + part["sd"], color=colours[role],
                                  alpha=0.12, lw=0)  # fmt: skip
                axes.plot(middle, part["density"], color=colours[role], lw=1.2,
                          label=None if role in said else role)  # fmt: skip
                said.add(role)
            axes.set(xscale="log", yscale="log", xlabel="sigma", title=f"Positive sigma, {region}")
        figure.axes[0].set_ylabel("density, mean and sd over latents")
        figure.axes[0].legend(loc="lower left")
        return figure

    return {"sigma_histogram": made()}


ANALYSIS = Analysis(
    name="sigma_histogram",
    version=1,
    settings=HistogramSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("sigma_histogram", Row, "Largest raw sigma of a shape, with 95% Student t intervals, "
              "and the share of points where sigma is positive."),
        Table("sigma_bins", Bin, "Density of positive raw sigma in bins of a tenth of a decade."),
    ),
    draw=draw,
    paper="Figure 17",
)  # fmt: skip

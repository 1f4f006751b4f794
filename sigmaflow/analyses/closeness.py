"""Is tuning a step toward the mean face (paper section 4.3.2, Table 4), and are shapes more alike.

Three shapes of each latent are compared: the original, the tuned one, and the original generator at
psi 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column, finite
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import sigma

BOOTSTRAP = "its 95 % bootstrap interval"
WILSON = "its 95 % Wilson interval"


class ClosenessSettings(Settings):
    """`analyses.closeness`"""

    resolution: int = Field(64, ge=4)
    """points along each side of the box that shapes are compared at"""


@dataclass(frozen=True)
class Row:
    """One generator."""

    n: int = column("latents", form="d")
    moved: int = column("latents whose shape changed at all")
    closer: int = column("tuned shapes nearer to their own original than to the mean face")
    share_closer: float = column("their share", form=".2f", interval=("share_low", "share_high"))
    share_low: float = column(WILSON)
    share_high: float = column(WILSON)
    to_original: float = column("mean absolute difference to the own original", "sigma", ".3g")
    to_reference: float = column("mean absolute difference to the mean face", "sigma", ".3g")
    alpha: float = column("share of the way to the mean face", form="+.2f",
                          interval=("alpha_low", "alpha_high"))  # fmt: skip
    alpha_low: float = column(BOOTSTRAP)
    alpha_high: float = column(BOOTSTRAP)
    residual: float | None = column("length of the change beside that way over its whole length, a"
                                    " ratio of norms", form=".2f",
                                    interval=("residual_low", "residual_high"))  # fmt: skip
    residual_low: float | None = column(BOOTSTRAP)
    residual_high: float | None = column(BOOTSTRAP)
    p: float = column("one-sided Wilcoxon: the mean face is farther than the original", form=".1e")


@dataclass(frozen=True)
class Spread:
    """One generator."""

    n: int = column("latents", form="d")
    before: float = column("mean pairwise difference of the originals", "sigma", ".3g")
    after: float = column("mean pairwise difference of the tuned", "sigma", ".3g")
    ratio: float | None = column("their ratio; below 1: more alike", form=".2f",
                                 interval=("ratio_low", "ratio_high"))  # fmt: skip
    ratio_low: float | None = column(BOOTSTRAP)
    ratio_high: float | None = column(BOOTSTRAP)


def asks(settings: ClosenessSettings, subject: Subject) -> dict[str, Ask]:
    """Sigma of the shapes, and of the mean face."""
    grid = {"resolution": settings.resolution}
    return {
        "shapes": Ask(sigma.QUANTITY, subject.seeds, subject.psi, grid),
        "mean": Ask(sigma.QUANTITY, subject.seeds[:1], 0.0, grid, sides=("before",)),
    }


def analyse(
    measured: Mapping[str, Measured], settings: ClosenessSettings, subject: Subject
) -> dict[str, list[Any]]:
    """One row of distances, and one of the spread."""
    import numpy as np

    from sigmaflow.statistics.closeness import closeness_of
    from sigmaflow.statistics.diversity import diversity

    names = ("before shapes", "after shapes", "before mean")
    before, after, mean = (measured[name]["sigma"].astype(np.float32) for name in names)
    near: dict[str, Any] = {**closeness_of(before, after, mean[0]).as_dict()}
    spread: dict[str, Any] = {**diversity(before, after).as_dict()}
    for said, nullable in ((near, ("residual",)), (spread, ("ratio",))):
        for name in nullable:
            said |= {end: finite(said[end]) for end in (name, f"{name}_low", f"{name}_high")}
    return {
        "closeness": [Row(**{name: near[name] for name in Row.__dataclass_fields__})],
        "diversity": [Spread(**{name: spread[name] for name in Spread.__dataclass_fields__})],
    }


ANALYSIS = Analysis(
    name="closeness",
    version=1,
    settings=ClosenessSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("closeness", Row, "Distances of tuned shapes from their own originals and from the "
              "mean face, with 95% intervals: Wilson of the share, bootstrap of the rest."),
        Table("diversity", Spread, "Mean pairwise difference of shapes before and after tuning; "
              "the ratio has a 95% bootstrap interval over seeds."),
    ),
    paper="Table 4, section 4.3.2",
    pair=True,
)  # fmt: skip

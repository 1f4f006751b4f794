"""Reward against truncation_psi (paper Table 5, section 4.3.2).

The paper's reward falls from the mean face (psi 0) to full diversity (psi 1), and the tuned
generator at psi 0.7 is scored as high as the mean face.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import reward

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CANONICAL = 0.7  # truncation_psi at which the paper compares generators
PAPER = {
    ("original", 0.0): (17.93, 17.93, math.nan),
    ("original", 0.25): (14.70, 14.93, 1.50),
    ("original", 0.5): (8.70, 8.56, 2.36),
    ("original", 0.7): (5.76, 5.80, 2.32),
    ("original", 1.0): (2.78, 2.89, 2.40),
    ("tuned", 0.7): (18.64, 18.51, 1.90),
}
"""Mean, median and sd by role and psi, of EG3D on 100 latents; the sd at psi 0 is "~0" there."""


class TruncationSettings(Settings):
    """`analyses.truncation`"""

    psis: tuple[float, ...] = Field((0.0, 0.25, 0.5, 0.7, 1.0), min_length=1)
    """truncation_psi of the original, each in [0, 1]"""
    tuned_psis: tuple[float, ...] = (0.7,)
    """of generators that were fine-tuned"""
    seeds: int | None = Field(None, ge=2)
    """of those that the sweep evaluates, the first so many; null: all"""

    @field_validator("psis", "tuned_psis")
    @classmethod
    def _are_truncations(cls, psis: tuple[float, ...]) -> tuple[float, ...]:
        if wrong := [psi for psi in psis if not 0 <= psi <= 1]:
            raise ValueError(f"{wrong[0]} is no truncation_psi; give numbers from 0 to 1")
        if len(set(psis)) < len(psis):
            raise ValueError("a truncation_psi is named twice; name each once")
        return psis


@dataclass(frozen=True)
class Row:
    """One generator at one truncation."""

    psi: float = column("truncation_psi", form=".2f")
    n: int = column("latents, the same for every row", form="d")
    mean: float = column("mean reward", "reward", ".2f", ("mean_low", "mean_high"))
    mean_low: float = column("95 % Student t interval of the mean", "reward")
    mean_high: float = column("95 % Student t interval of the mean", "reward")
    median: float = column("median reward", "reward", ".2f")
    sd: float = column("standard deviation, divisor n - 1", "reward", ".2f")
    paper_mean: float | None = column("the paper's, of EG3D and its own reward", "reward", ".2f")
    paper_median: float | None = column("the paper's", "reward")
    paper_sd: float | None = column("the paper's", "reward")


def asks(settings: TruncationSettings, subject: Subject) -> dict[str, Ask]:
    """The reward at every psi of the generator's role. Raises ValueError for more seeds than there
    are."""
    psis = settings.psis if subject.role == "original" else settings.tuned_psis
    seeds = subject.first(settings.seeds)
    return {f"psi {psi:g}": Ask(reward.QUANTITY, seeds, psi) for psi in sorted(psis)}


def analyse(
    measured: Mapping[str, Measured], settings: TruncationSettings, subject: Subject
) -> dict[str, list[Row]]:
    """A row for each psi."""
    import numpy as np

    from sigmaflow.statistics.intervals import mean_interval

    rows = []
    for name, ask in asks(settings, subject).items():
        scores = measured[name]["score"]
        low, high = mean_interval(scores)
        paper = PAPER.get((subject.role, ask.psi), (math.nan,) * 3)
        rows.append(Row(
            psi=ask.psi, n=len(scores), mean=float(scores.mean()), mean_low=low, mean_high=high,
            median=float(np.median(scores)), sd=float(scores.std(ddof=1)),
            **{f"paper_{k}": None if math.isnan(v) else v
               for k, v in zip(("mean", "median", "sd"), paper)},
        ))  # fmt: skip
    return {"truncation": rows}


def draw(tables: Mapping[str, pd.DataFrame], settings: TruncationSettings) -> dict[str, Figure]:
    """Mean reward and its spread over psi; fine-tuned generators as points beside the curve."""
    from sigmaflow.figures import style

    @style.styled
    def made() -> Figure:
        table = tables["truncation"]
        figure = style.new_figure(4.2, 3.0)
        axes = figure.subplots()
        colours = {"original": style.BEFORE, "tuned": style.AFTER, "control": style.CONTROL}
        said: set[str] = set()
        shift = 0.0  # so that generators of one psi stand side by side
        for (of, _), part in table.groupby(["role", "generator"], sort=False):
            role = str(of)
            label = None if role in said else role
            said.add(role)
            if role == "original":
                low, high = part["mean"] - part["sd"], part["mean"] + part["sd"]
                axes.fill_between(part["psi"], low, high, color=colours[role], alpha=0.15, lw=0)
                axes.plot(part["psi"], part["mean"], "o-", color=colours[role], ms=3.5, label=label)
                first = part.iloc[0]
                axes.axhline(first["mean"], color=style.SOFT, linestyle=(0, (4, 2)), linewidth=0.9)
                continue
            shift += 0.015
            axes.errorbar(
                part["psi"] + shift, part["mean"], yerr=part["sd"], fmt="D", ms=3.5, lw=1,
                capsize=2, color=colours[role], alpha=0.8, label=label,
            )  # fmt: skip
        axes.set(title="Reward against truncation", xlabel="truncation_psi",
                 ylabel="reward, mean and sd over latents")  # fmt: skip
        axes.legend(loc="best")
        return figure

    return {"truncation": made()}


ANALYSIS = Analysis(
    name="truncation",
    version=1,
    settings=TruncationSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("truncation", Row, "Reward of the same latents at several truncations, with 95% "
              "Student t intervals of the mean; the paper's means are of EG3D and another "
              "reward."),
    ),
    draw=draw,
    paper="Table 5",
)  # fmt: skip

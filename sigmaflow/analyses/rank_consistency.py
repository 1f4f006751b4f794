"""Does a reward order the same latents alike at two truncations (paper Table 9, Figure 18).

A weak order at low truncation_psi may come from a spread of rewards that is small there, so the
ratio of standard deviations stands beside the rank correlation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column, finite
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import reward

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PAPER = {"original": (0.37, 0.80, 0.70, 1.5), "tuned": (0.75, 1.00, 0.80, 1.9)}
"""Of EG3D on 100 latents: rho, shares of the first and of the last ten, ratio of sd."""


class RankSettings(Settings):
    """`analyses.rank_consistency`"""

    psi: float = Field(0.7, ge=0, le=1)
    """truncation_psi whose best and worst are followed"""
    low_psi: float = Field(0.25, ge=0, le=1)
    """truncation_psi at which they are looked for"""
    ends: int = Field(10, ge=1)
    """latents at each end of the order that are followed; they stay if they are in their half"""

    @model_validator(mode="after")
    def _are_two(self) -> RankSettings:
        if min(self.psi, self.low_psi) == 0 or self.psi == self.low_psi:
            raise ValueError("psi and low_psi must be two truncations above 0: at 0 all latents "
                             "are one shape")  # fmt: skip
        return self


@dataclass(frozen=True)
class Row:
    """One generator."""

    n: int = column("latents", form="d")
    rho: float | None = column("Spearman rank correlation of the rewards at both truncations;"
                               " none where all rewards are equal", "", "+.2f",
                               ("rho_low", "rho_high"))  # fmt: skip
    rho_low: float | None = column("its 95 % interval, Fisher's z with Bonett and Wright's error")
    rho_high: float | None = column("its 95 % interval")
    top: float = column("share of the best at psi in the better half at low_psi; chance is 0.5", "",
                        ".2f", ("top_low", "top_high"))  # fmt: skip
    top_low: float = column("its 95 % Wilson interval")
    top_high: float = column("its 95 % Wilson interval")
    bottom: float = column("share of the worst at psi in the worse half at low_psi", "",
                           ".2f", ("bottom_low", "bottom_high"))  # fmt: skip
    bottom_low: float = column("its 95 % Wilson interval")
    bottom_high: float = column("its 95 % Wilson interval")
    sd_ratio: float | None = column("sd of the rewards at psi over that at low_psi", form=".1f")
    paper_rho: float | None = column("the paper's, of EG3D", form="+.2f")
    paper_top: float | None = column("the paper's, of EG3D")
    paper_bottom: float | None = column("the paper's, of EG3D")
    paper_sd_ratio: float | None = column("the paper's, of EG3D", form=".1f")


@dataclass(frozen=True)
class Seed:
    """One latent of one generator."""

    seed: int = column("seed of the latent")
    reward: float = column("reward at psi", "reward")
    low_reward: float = column("reward at low_psi", "reward")


def asks(settings: RankSettings, subject: Subject) -> dict[str, Ask]:
    """The reward at both truncations. Raises ValueError for fewer seeds than two ends have."""
    if len(subject.seeds) < 2 * settings.ends:
        raise ValueError(f"ends {settings.ends}: generators are evaluated with "
                         f"{len(subject.seeds)} seeds, and both ends need {2 * settings.ends}; "
                         "lower ends, or evaluate more")  # fmt: skip
    return {
        "reward": Ask(reward.QUANTITY, subject.seeds, settings.psi),
        "low": Ask(reward.QUANTITY, subject.seeds, settings.low_psi),
    }


def analyse(
    measured: Mapping[str, Measured], settings: RankSettings, subject: Subject
) -> dict[str, list[Any]]:
    """One row of the generator, and one of each latent."""
    import numpy as np

    from sigmaflow.statistics.intervals import spearman, wilson

    high, low = measured["reward"]["score"], measured["low"]["score"]
    n, ends = len(high), settings.ends
    order, low_order = (np.argsort(x, kind="stable") for x in (high, low))
    half = n // 2
    top = len(set(order[-ends:]) & set(low_order[n - half :]))
    bottom = len(set(order[:ends]) & set(low_order[:half]))
    rho, rho_low, rho_high = map(finite, spearman(high, low))
    spread = float(low.std(ddof=1))
    paper = PAPER.get(subject.role, (None,) * 4)
    row = Row(
        n, rho, rho_low, rho_high, top / ends, *wilson(top, ends), bottom / ends,
        *wilson(bottom, ends), float(high.std(ddof=1)) / spread if spread > 0 else None, *paper,
    )  # fmt: skip
    seeds = [Seed(*one) for one in zip(measured["reward"].seeds, high.tolist(), low.tolist())]
    return {"rank_consistency": [row], "rank_seeds": seeds}


def draw(tables: Mapping[str, pd.DataFrame], settings: RankSettings) -> dict[str, Figure]:
    """Rank correlation of every generator with its interval, as in Figure 18."""
    from sigmaflow.figures import style

    @style.styled
    def made() -> Figure:
        table = tables["rank_consistency"]
        figure = style.new_figure(4.2, 0.9 + 0.28 * len(table))
        axes = figure.subplots()
        colours = {"original": style.BEFORE, "tuned": style.AFTER, "control": style.CONTROL}
        for place, row in enumerate(table.to_dict("records")):
            if row["rho"] is None or math.isnan(row["rho"]):
                continue
            colour = colours[row["role"]]
            axes.barh(place, row["rho"], 0.6, color=colour, alpha=0.75)
            axes.plot([row["rho_low"], row["rho_high"]], [place] * 2, color=style.INK, lw=1)
        axes.axvline(0, color=style.SOFT, linewidth=0.9)
        axes.set_yticks(range(len(table)), table["generator"])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(title="Order of the same latents at two truncations",
                 xlabel=f"Spearman correlation, psi {settings.psi:g} and {settings.low_psi:g}",
                 xlim=(min(-0.1, axes.get_xlim()[0]), 1))  # fmt: skip
        return figure

    return {"rank_consistency": made()}


ANALYSIS = Analysis(
    name="rank_consistency",
    version=1,
    settings=RankSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("rank_consistency", Row, "Rank correlation of the rewards of the same latents at two "
              "truncations, with 95% intervals; top and bottom are shares of the best and worst "
              "that stay in their half. The paper's numbers are of EG3D and another reward."),
        Table("rank_seeds", Seed, "Rewards of the same latents at two truncations."),
    ),
    draw=draw,
    paper="Table 9, Figure 18",
)  # fmt: skip

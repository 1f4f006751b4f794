"""Rewards of the same latents before and after tuning (paper Figure 7, section 4.3.1).

By the reward that the fine-tune followed and, where there is one, by the held-out reward, which it
never saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column, finite
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import reward

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

INTERVAL = "its 95 % Student t interval"
WILSON = "its 95 % Wilson interval"


class ShiftSettings(Settings):
    """`analyses.reward_shift`"""


@dataclass(frozen=True)
class Row:
    """One generator under one reward."""

    judge: str = column("reward, which the fine-tune followed, or heldout", form="s")
    n: int = column("latents", form="d")
    before_mean: float = column("mean of the original", "reward", ".2f")
    before_sd: float = column("sd of the original, divisor n - 1", "reward")
    after_mean: float = column("mean of the tuned", "reward", ".2f")
    after_sd: float = column("sd of the tuned", "reward")
    delta_mean: float = column("mean change of a latent", "reward", "+.2f",
                               ("delta_low", "delta_high"))  # fmt: skip
    delta_low: float = column(INTERVAL, "reward")
    delta_high: float = column(INTERVAL, "reward")
    delta_median: float = column("median change", "reward")
    delta_sd: float = column("sd of the changes", "reward")
    positive: int = column("latents whose reward rises")
    share_positive: float = column("their share", form=".2f", interval=("share_low", "share_high"))
    share_low: float = column(WILSON)
    share_high: float = column(WILSON)
    cohens_d: float | None = column("mean change over the pooled sd of before and after")
    cohens_dz: float | None = column("mean change over the sd of the changes", form=".2f")


@dataclass(frozen=True)
class Seed:
    """One latent under one reward."""

    judge: str = column("reward or heldout")
    seed: int = column("seed of the latent")
    before: float = column("of the original", "reward")
    after: float = column("of the tuned", "reward")


def asks(settings: ShiftSettings, subject: Subject) -> dict[str, Ask]:
    """The scores of every reward that there is."""
    judges = [name for name in ("reward", "heldout") if name in subject.files]
    return {
        name: Ask(reward.QUANTITY, subject.seeds, subject.psi, files={"reward": name})
        for name in judges
    }


def analyse(
    measured: Mapping[str, Measured], settings: ShiftSettings, subject: Subject
) -> dict[str, list[Any]]:
    """A row for each reward, and the scores of each latent."""
    from sigmaflow.statistics.shift import reward_shift

    rows, seeds = [], []
    for judge in asks(settings, subject):
        before, after = (measured[f"{side} {judge}"] for side in ("before", "after"))
        shift: dict[str, Any] = {**reward_shift(before["score"], after["score"]).as_dict()}
        del shift["confidence"]
        shift |= {name: finite(shift[name]) for name in ("cohens_d", "cohens_dz")}
        rows.append(Row(judge, **shift))
        pairs = zip(before.seeds, before["score"].tolist(), after["score"].tolist())
        seeds += [Seed(judge, *one) for one in pairs]
    return {"reward_shift": rows, "reward_seeds": seeds}


def draw(tables: Mapping[str, pd.DataFrame], settings: ShiftSettings) -> dict[str, Figure]:
    """Figure 7 of each generator under the reward that it followed."""
    from sigmaflow.figures import reward_histograms

    seeds = tables["reward_seeds"]
    own = seeds[seeds["judge"] == "reward"]
    return {
        "reward_shift-" + "".join(c if c.isalnum() else "_" for c in str(name)): reward_histograms(
            part["before"], part["after"], ("original", str(name))
        )
        for name, part in own.groupby("generator", sort=False)
    }


ANALYSIS = Analysis(
    name="reward_shift",
    version=1,
    settings=ShiftSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("reward_shift", Row, "Rewards of the same latents before and after tuning, with 95% "
              "intervals: Student t of the mean change, Wilson of the share that rises."),
        Table("reward_seeds", Seed, "Rewards of each latent before and after tuning."),
    ),
    draw=draw,
    paper="Figure 7, Table 2",
    pair=True,
)  # fmt: skip

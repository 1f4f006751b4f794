"""Whom a synthetic annotator prefers, the tuned shape or the original (paper Table 3).

The paper asked people; this table is a simulated one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from sigmaflow.analysing import Analysis, Ask, Subject, Table, column, finite
from sigmaflow.measuring import Measured, Settings
from sigmaflow.quantities import measures

DEFECTS = ("roughness", "floaters", "cavities", "asymmetry", "nose")
WILSON = "its 95 % Wilson interval"


class PreferenceSettings(Settings):
    """`analyses.preference`"""

    seeds: int | None = Field(None, ge=2)
    """of those that the sweep evaluates, the first so many; null: all"""


@dataclass(frozen=True)
class Row:
    """One generator."""

    n: int = column("latents that the annotator was asked about", form="d")
    tuned: int = column("answers for the tuned shape")
    original: int = column("answers for the original")
    none: int = column("answers for neither")
    share_tuned: float = column(
        "share of the tuned", form=".2f", interval=("share_tuned_low", "share_tuned_high")
    )
    share_tuned_low: float = column(WILSON)
    share_tuned_high: float = column(WILSON)
    share_original: float = column(
        "share of the original", form=".2f", interval=("share_original_low", "share_original_high")
    )
    share_original_low: float = column(WILSON)
    share_original_high: float = column(WILSON)
    share_none: float = column("share of neither", form=".2f")
    share_none_low: float = column(WILSON)
    share_none_high: float = column(WILSON)
    cohens_h: float = column(
        "Cohen's h of tuned against original",
        form="+.2f",
        interval=("cohens_h_low", "cohens_h_high"),
    )
    cohens_h_low: float = column("its 95 % interval by the delta method")
    cohens_h_high: float = column("its 95 % interval by the delta method")
    sign_p: float | None = column("two-sided sign test among decided answers", form=".1e")


@dataclass(frozen=True)
class Change:
    """One measure of one generator."""

    measure: str = column("what the annotator looks at", form="s")
    n: int = column("latents")
    before: float = column("mean of the original")
    after: float = column("mean of the tuned")
    change: float = column("mean change of a latent", form="+.3g", interval=("low", "high"))
    low: float = column("its 95 % Student t interval")
    high: float = column("its 95 % Student t interval")


def asks(settings: PreferenceSettings, subject: Subject) -> dict[str, Ask]:
    """The annotator's measures. Raises ValueError for more seeds than there are."""
    return {"shapes": Ask(measures.QUANTITY, subject.first(settings.seeds), subject.psi)}


def analyse(
    measured: Mapping[str, Measured], settings: PreferenceSettings, subject: Subject
) -> dict[str, list[Any]]:
    """One row of answers, and one of each measure."""
    from sigmaflow.statistics.intervals import mean_interval
    from sigmaflow.statistics.preferences import preference

    before, after = measured["before shapes"], measured["after shapes"]
    delta = after["score"] - before["score"]
    counts = [int(one.sum()) for one in (delta > 0, delta < 0, delta == 0)]
    found: dict[str, Any] = {**preference(*counts, simulated=True).as_dict()}
    row = Row(**{name: found[name] for name in Row.__dataclass_fields__ if name != "sign_p"},
              sign_p=finite(found["sign_p"]))  # fmt: skip
    changes = []
    for name in DEFECTS:
        change = after[name] - before[name]
        changes.append(Change(
            name, len(change), float(before[name].mean()), float(after[name].mean()),
            float(change.mean()), *mean_interval(change),
        ))  # fmt: skip
    return {"preference": [row], "measure_changes": changes}


ANALYSIS = Analysis(
    name="preference",
    version=1,
    settings=PreferenceSettings,
    asks=asks,
    analyse=analyse,
    tables=(
        Table("preference", Row, "Simulated preference: a synthetic annotator, not people; 95% "
              "Wilson intervals."),
        Table("measure_changes", Change, "Changes of what the synthetic annotator looks at, with "
              "95% Student t intervals."),
    ),
    paper="Table 3",
    pair=True,
)  # fmt: skip

"""Every reward of a sweep before every generator of it: which tasks, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MEMBER = "member "  # begins the names of an ensemble's judges
REGULAR = "reward, regular grid"


def table(start: Path, tuned: Mapping[int, Path]) -> pd.DataFrame:
    """A row for each trial and judge: the paired change of the same seeds' rewards.

    An ensemble's members are there, and their mean, minimum and mean less one deviation, seed by
    seed: a gain that only the followed reward sees is a gain of the reward, not of the shapes.
    """
    import pandas as pd

    from sigmaflow.statistics.shift import reward_shift

    before = judged(pd.read_parquet(start / "scores.parquet"))
    rows = []
    for number, folder in tuned.items():
        after = judged(pd.read_parquet(folder / "scores.parquet"))
        for name in before.columns.drop("seed"):
            shift = reward_shift(before[name], after[name]).as_dict()
            kept = ("n", "before_mean", "before_sd", "after_mean", "after_sd", "delta_mean",
                    "delta_low", "delta_high", "share_positive")  # fmt: skip
            rows.append({"trial": number, "judge": name, **{k: shift[k] for k in kept}})
    return pd.DataFrame(rows)


def judged(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores by seed with those of the ensemble as a whole, where there is one."""
    members = scores[[name for name in scores.columns if name.startswith(MEMBER)]]
    if members.shape[1] == 0:
        return scores
    mean, spread = members.mean(axis=1), members.std(axis=1, ddof=0)
    return scores.assign(**{
        "ensemble mean": mean, "ensemble minimum": members.min(axis=1),
        "ensemble mean - sd": mean - spread,
    })  # fmt: skip


def unique(rewards: Sequence[tuple[str, Any, int]]) -> list[tuple[str, Any, int]]:
    """(name, reward, view resolution) without rewards that an earlier name has."""
    first: dict[str, tuple[str, Any, int]] = {}
    for one in rewards:
        first.setdefault(one[1].key, one)
    return list(first.values())

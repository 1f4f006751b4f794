"""A sweep over seeds: what its trials have in common with themselves under another seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from jobs.search.outcomes import shown

SEED, CHANGE = "seed", "change"
MEASURES = {
    "reward gain": "reward_delta_mean",
    "held-out gain": "heldout_delta_mean",
    "share rising": "reward_share_positive",
    "annotator prefers tuned": "preference_share_tuned",
    "own original nearer": "closeness_share_closer",
    "diversity": "diversity_ratio",
    "FID change": "fid_change",
}
"""Columns of the table of trials, by what people call them."""


def repeated(config: Mapping[str, Any]) -> bool:
    """Whether the sweep runs the same settings under several seeds."""
    return len(config["space"].get(SEED, {}).get("choices", ())) > 1


def repeats(trials: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """One row a setting and measure: n trials, their mean, sd (n - 1) and 95 % Student t interval.

    Of an ablation, what was changed is one setting, `CHANGE`.
    The interval says what another seed of the fine-tune would give; those of the table of trials
    say what other faces would. sd and interval are null where n is 1. ``trials`` is the table of
    that name, ``config`` the tables'.
    """
    base = config.get("base", {})
    settings = [name for name in config["params"] if name != SEED and name not in base]
    if base:
        told = {n: _change(base, s) for n, s in zip(config["numbers"], config["settings"])}
        trials, settings = trials.assign(**{CHANGE: trials["trial"].map(told)}), [*settings, CHANGE]
    rows = [
        {**setting, "measure": name, **_summary(group[column].to_numpy(float))}
        for setting, group in _groups(trials, settings)
        for name, column in MEASURES.items()
    ]
    return pd.DataFrame(rows)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """For print: a row a setting, a column a measure, "mean [low, high]"."""
    settings = [c for c in table.columns if c not in ("measure", "n", "mean", "sd", "low", "high")]
    rows = []
    for setting, group in _groups(table, settings):
        said = {
            row["measure"]: _said(row["mean"], row["low"], row["high"])
            for row in group.to_dict("records")
        }
        rows.append({**setting, "n": int(group["n"].max()), **said})
    return pd.DataFrame(rows)


def _change(base: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What an ablation's trial changes, in words."""
    changed = [f"{name} {shown(params[name])}" for name in base if params[name] != base[name]]
    return ", ".join(changed) or "none"


def _groups(
    table: pd.DataFrame, settings: list[str]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Rows of equal settings, in the order of the first of each."""
    if not settings:
        yield {}, table
        return
    for values, group in table.groupby(settings, sort=False, dropna=False):
        yield dict(zip(settings, values)), group


def _summary(values: np.ndarray) -> dict[str, float]:
    from sigmaflow.statistics.intervals import mean_interval

    values = values[np.isfinite(values)]
    n = len(values)
    low, high = mean_interval(values) if n > 1 else (np.nan, np.nan)
    return {
        "n": n,
        "mean": values.mean() if n else np.nan,
        "sd": values.std(ddof=1) if n > 1 else np.nan,
        "low": low,
        "high": high,
    }


def _said(mean: float, low: float, high: float) -> str:
    if mean != mean:
        return "--"
    return f"{mean:.2f}" + ("" if low != low else f" [{low:.2f}, {high:.2f}]")

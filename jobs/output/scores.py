"""Tables of scored generators: Table 2 of the paper and what its Figures 7 to 9 draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jobs.output.tables import between, tabular
from sigmaflow.statistics.compression import slope_against_control, spread_ratio
from sigmaflow.statistics.shift import reward_shift
from sigmaflow.statistics.slope import final_on_initial

CALLED = {"before": "original", "control": "control", "after": "tuned"}
FIDS = (
    "fid",
    "fid_low",
    "fid_high",
    "kid",
    "kid_low",
    "kid_high",
    "fid_change",
    "fid_change_low",
    "fid_change_high",
)
Runs = dict[str, pd.DataFrame]  # "control" and "tuned", those that there are


def rewards_table(scores: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """One row a seed: `seed`, `before`, `after`, `delta`, `control`, `control_delta` (or nan)."""
    table = pd.DataFrame({"seed": list(scores["before"])})
    for name in ("before", "after", "control"):
        found = scores.get(name)
        table[name] = [found[s] if found else np.nan for s in table["seed"]]
    table["delta"] = table["after"] - table["before"]
    table["control_delta"] = table["control"] - table["before"]
    return table


def ticks_table(ticks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`configuration`, `images_seen`, `seed`, `reward` of fine-tunes that were followed."""
    parts = [frame.assign(configuration=CALLED[name]) for name, frame in ticks.items()]
    if not parts:
        return pd.DataFrame(
            {
                "configuration": pd.Series(dtype=object),
                "images_seen": pd.Series(dtype="int64"),
                "seed": pd.Series(dtype="int64"),
                "reward": pd.Series(dtype=float),
            }
        )
    return pd.concat(parts, ignore_index=True)[["configuration", "images_seen", "seed", "reward"]]


def initial_and_final(rewards: pd.DataFrame, ticks: pd.DataFrame) -> tuple[Runs, str]:
    """Columns `seed`, `initial` and `final` of each run, and where they are from.

    The paper's are the first and last of Figure 8 ("ticks"); where a run was not followed, all are
    the scored seeds ("seeds").
    """
    scored = [CALLED[n] for n in ("after", "control") if not rewards[n].isna().any()]
    if not set(scored) <= set(ticks["configuration"]):
        columns = {"tuned": "after", "control": "control"}
        return {
            name: pd.DataFrame({"seed": rewards["seed"], "initial": rewards["before"],
                                "final": rewards[columns[name]]}) for name in scored
        }, "seeds"  # fmt: skip
    runs = {}
    for name in scored:
        wide = ticks[ticks["configuration"] == name].pivot(
            index="images_seen", columns="seed", values="reward"
        )
        runs[name] = pd.DataFrame(
            {
                "seed": wide.columns,
                "initial": wide.iloc[0].to_numpy(),
                "final": wide.iloc[-1].to_numpy(),
            }
        )
    return runs, "ticks"


def shift_table(rewards: pd.DataFrame) -> pd.DataFrame:
    """Figure 7 in numbers, a row a configuration: `reward_shift`."""
    rows = [
        {"configuration": CALLED[name], **reward_shift(rewards["before"], rewards[name]).as_dict()}
        for name in ("control", "after")
        if not rewards[name].isna().any()
    ]
    return pd.DataFrame(rows)


def slope_table(runs: Runs, source: str) -> pd.DataFrame:
    """Figure 9 in numbers, a row a run: slope of final on initial and its test against b = 1, the
    ratio of spreads, and the slope less the control's (nan where that says nothing)."""
    rows = []
    for name, run in runs.items():
        slope = final_on_initial(run["initial"], run["final"])
        spread = spread_ratio(run["initial"], run["final"]).as_dict()
        row = {"configuration": name, "source": source, **slope.as_dict()}
        row |= {k: spread[k] for k in ("sd_ratio", "sd_ratio_low", "sd_ratio_high")}
        row["sd_ratio_p"] = spread["p"]
        row |= {f"against_control{end}": np.nan for end in ("", "_low", "_high", "_p")}
        control = runs.get("control")
        same = control is not None and run["seed"].equals(control["seed"])
        if (
            name != "control"
            and control is not None
            and same
            and np.allclose(run["initial"], control["initial"])
        ):
            d = slope_against_control(run["initial"], run["final"], control["final"])
            row |= {
                "against_control": d.difference,
                "against_control_low": d.difference_low,
                "against_control_high": d.difference_high,
                "against_control_p": d.p,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def table2(
    rewards: pd.DataFrame, shift: pd.DataFrame, fids: Mapping[str, Mapping[str, Any]], name: str
) -> pd.DataFrame:
    """Table 2, a row a configuration: rewards, their gain, and the FID where it was measured.

    fids: "control" and "after", each what `compare_fid` says; name: what the FID may be called.
    """
    gains = {row["configuration"]: row for row in shift.to_dict("records")}
    rows = []
    for key, called in CALLED.items():
        if rewards[key].isna().any():
            continue
        gain, fid = gains.get(called, {}), fids.get(key, {})
        row = {
            "configuration": called, "reward_mean": rewards[key].mean(),
            "reward_sd": rewards[key].std(ddof=1), "gain": gain.get("delta_mean"),
            "gain_low": gain.get("delta_low"), "gain_high": gain.get("delta_high"),
            "share_rising": gain.get("share_positive"), "fid_name": name,
        }  # fmt: skip
        if key == "before" and fids:  # every comparison holds the start's own
            fid = next(iter(fids.values()))
            start = {f: fid[f.replace("id", "id_start", 1)] for f in FIDS[:6]}
            fid = {**start, "fid_protocol": fid["fid_protocol"]}
        row |= {f: fid.get(f) for f in FIDS} | {"protocol": fid.get("fid_protocol", "")}
        rows.append(row)
    numbers = ["gain", "gain_low", "gain_high", "share_rising", *FIDS]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def latex(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """`table2` and `slope` as LaTeX."""
    t, s = tables["table2"], tables["slope"]
    short = t[["configuration"]].copy()
    name = t["fid_name"].iloc[0]
    caption = "Mean reward of the same seeds and its gain with 95% intervals"
    if name:
        short[name] = [between(*v) for v in t[["fid", "fid_low", "fid_high"]].to_numpy()]
        change = t[["fid_change", "fid_change_low", "fid_change_high"]].to_numpy()
        short["change"] = [between(value, low, high, "+.3f") for value, low, high in change]
        caption = (f"{name} (lower is better) with its paired change, and mean reward of "
                   "the same seeds with its gain; 95% intervals; protocol "
                   f"{t['protocol'].iloc[0][:12]}")  # fmt: skip
    short["reward"] = t["reward_mean"].map("{:.2f}".format)
    gains = t[["gain", "gain_low", "gain_high"]].to_numpy()
    short["gain"] = [between(value, low, high, "+.2f") for value, low, high in gains]
    slopes = s[["configuration", "n"]].copy()
    for head, columns in {
        "b": ("slope", "slope_low", "slope_high"),
        "ratio of sd": ("sd_ratio", "sd_ratio_low", "sd_ratio_high"),
        "b less control": ("against_control", "against_control_low", "against_control_high"),
        "mean gain": ("mean_gain", "mean_gain_low", "mean_gain_high"),
    }.items():
        form = "+.2f" if head in ("b less control", "mean gain") else ".2f"
        slopes[head] = [
            between(value, low, high, form) for value, low, high in s[list(columns)].to_numpy()
        ]
    slopes.insert(3, "p (b = 1)", s["p"].map("{:.1e}".format))
    return {
        "table2": tabular(short, caption + "."),
        "slope": tabular(
            slopes,
            "Slope b of final on initial reward, its test against b = 1, and "
            "the ratio of their standard deviations, with 95% intervals.",
        ),
    }

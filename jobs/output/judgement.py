"""Tables and figures of how far rewards can be trusted, and of how many rankings are enough."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd

from sigmaflow.rewards.config import REPRESENTATIONS
from sigmaflow.rewards.curve import CurvePoint, enough

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sigmaflow.rewards.calibration import Calibration

WITHIN = 0.01  # of the accuracy with all rankings


def kind_of(reward: Path) -> dict[str, str]:
    """What a trained reward is, as columns."""
    network = json.loads((reward / "reward.json").read_text())["config"]
    backbone = network.get("backbone", "unet3d")
    return {"backbone": backbone, "representation": REPRESENTATIONS[backbone],
            "latents": network.get("latents", "one")}  # fmt: skip


def calibration_table(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Results of `calibration` by the name of their reward: a row for each head and bin."""
    parts = []
    for name, folder in folders.items():
        frame = pd.read_parquet(folder / "calibration.parquet")
        frame.insert(0, "model", name)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def calibrations(table: pd.DataFrame) -> dict[str, Calibration]:
    """What `reliability` draws, by reward, and by head where one has several."""
    from sigmaflow.rewards.calibration import Bin, Calibration

    several = set(table.loc[table["head"] != "scalar", "model"])
    found: dict[str, Calibration] = {}
    for (model, head), part in table.groupby(["model", "head"], sort=False):
        whole = part.iloc[0]
        bins = tuple(Bin(**{name: row[name] for name in Bin.__dataclass_fields__})
                     for row in part.to_dict("records"))  # fmt: skip
        name = f"{model}, {head}" if model in several else str(model)
        found[name] = Calibration(int(whole["pairs"]), whole["ece"], whole["brier"], whole["nll"],
                                  bins)  # fmt: skip
    return found


def calibration_figure(table: pd.DataFrame) -> Figure:
    """Reliability of every reward of a `calibration_table`."""
    from sigmaflow.figures.judgement import reliability

    return reliability(calibrations(table))


def calibration_latex(table: pd.DataFrame) -> str:
    """One line a reward and head."""
    from jobs.output.tables import tabular

    short = table.drop_duplicates(["model", "head"])
    short = short[["model", "head", "pairs", "ece", "brier", "nll"]]
    return tabular(
        short.rename(columns={"ece": "ECE", "brier": "Brier", "nll": "NLL"}),
        "Calibration on regular test pairs: expected calibration error (10 bins of confidence),"
        " Brier score (0.25 for a coin) and mean negative log-likelihood.",
    )


# ---------------------------------------------------------------------- how many are enough?


def pairs_table(candidates: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against the pairs learnt from: of each row, share and seed the training of lowest
    validation loss."""
    best = candidates.groupby(["row", "share", "seed"], sort=False)["val_loss"].idxmin()
    found = candidates.loc[sorted(best)].sort_values("share", kind="stable")
    order = {row: i for i, row in enumerate(candidates["row"].unique())}
    found = found.sort_values("row", key=lambda rows: rows.map(order), kind="stable")
    columns = ["row", "representation", "backbone", "view", "latents", "share", "seed", "answers",
               "pairs", "regular", "regular_low", "regular_high", "n_regular", "all", "all_low",
               "all_high", "n_all", "val_loss", "best_epoch"]  # fmt: skip
    return found[columns].reset_index(drop=True)


def curves_of(table: pd.DataFrame) -> dict[str, list[CurvePoint]]:
    """Learning curves of a `pairs_table`, by row."""
    return {
        str(row): [
            CurvePoint(int(one["answers"]), int(one["pairs"]), int(one["seed"]), one["regular"],
                       one["regular_low"], one["regular_high"], int(one["n_regular"]))
            for one in part.to_dict("records")
        ]
        for row, part in table.groupby("row", sort=False)
    }  # fmt: skip


def curves_figure(
    table: pd.DataFrame, ceiling: float | None = None, baseline: float | None = None
) -> Figure:
    """Accuracy on the number of answers learnt from, a line a row."""
    from sigmaflow.figures.judgement import learning_curves

    return learning_curves(curves_of(table), ceiling, baseline)


def how_many(table: pd.DataFrame) -> list[str]:
    """For each row of a `pairs_table`: what few and all answers give, and what is enough."""
    said = []
    for row, points in curves_of(table).items():
        sizes = sorted({p.questions for p in points})
        pairs = {p.questions: p.pairs for p in points}
        means = {n: fmean(p.share for p in points if p.questions == n) for n in sizes}
        least = enough(points, WITHIN)
        near = str(pairs[least]) if least < sizes[-1] else "no fewer"
        said.append(
            f"{row}: {means[sizes[0]]:.2f} of {pairs[sizes[0]]} pairs, {means[sizes[-1]]:.2f} of"
            f" {pairs[sizes[-1]]}; {near} come within {WITHIN:g} of that"
        )
    return said


def pairs_latex(table: pd.DataFrame) -> str:
    """Means over seeds, with means of the ends of their Wilson intervals."""
    from jobs.output.tables import tabular

    rows = []
    for (row, _), part in table.groupby(["row", "share"], sort=False):
        share, low, high = (part[name].mean() for name in ("regular", "regular_low",
                                                           "regular_high"))  # fmt: skip
        rows.append({"row": row, "answers": int(part["answers"].iloc[0]),
                     "pairs": round(part["pairs"].mean()), "seeds": len(part),
                     "accuracy": f"{share:.2f} [{low:.2f}, {high:.2f}]",
                     "n": int(part["n_regular"].iloc[0])})  # fmt: skip
    return tabular(
        pd.DataFrame(rows),
        "Accuracy on regular test pairs by the number of answers (and pairs) learnt from: means"
        " over seeds, which draw the answers and the first weights, and of the ends of the 95%"
        " Wilson intervals. Test pairs are the same throughout.",
    )

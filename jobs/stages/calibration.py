"""Whether a trained reward is right as often as it says, and from how much it has learnt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobs.run.attempt import Context
from jobs.stages.learnt import answers_of, items_of, parts_of, trained_on
from jobs.stages.reward import bank_of
from jobs.stages.shapes import device
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from sigmaflow.rewards.calibration import Calibration
    from sigmaflow.rewards.data import Items

CALIBRATION = Stage(
    name="calibration",
    version=1,
    run="jobs.stages.calibration:run_calibration",
    sources=("sigmaflow/rewards", "sigmaflow/preferences"),
    gpu=0.25,
)


def run_calibration(ctx: Context) -> None:
    """`calibration.parquet`: for every head a row for each bin of its confidence on the regular
    test pairs; `answers.json`: how many answers and regular pairs each part has."""
    import pandas as pd

    from sigmaflow.rewards.calibration import calibration, regular_probabilities
    from sigmaflow.rewards.evaluate import head_reports
    from sigmaflow.rewards.model import RewardModel

    c = ctx.config
    model = RewardModel.load(ctx.input("reward") / "reward.safetensors").to(device())
    answers = answers_of(ctx.input("rankings"), c)
    train, val, test = (items_of(part) for part in parts_of(answers, c))
    used = {"train": trained_on(train, c), "val": val, "test": test}
    said = {name: {"answers": len(items), "pairs": _pairs(items)} for name, items in used.items()}
    (ctx.folder / "answers.json").write_text(json.dumps(said, indent=1) + "\n")
    reports = head_reports(model, bank_of(ctx, model.config), test)
    rows = []
    for head, told in reports.items():
        rows += bins_of(head, calibration(regular_probabilities(told.probabilities, test)))
    pd.DataFrame(rows).to_parquet(ctx.folder / "calibration.parquet", index=False)


def bins_of(head: str, found: Calibration) -> list[dict[str, Any]]:
    """A calibration as rows of its table."""
    whole = {"head": head, "pairs": found.n, "ece": found.ece, "brier": found.brier,
             "nll": found.nll}  # fmt: skip
    return [{**whole, **vars(one)} for one in found.bins]


def _pairs(items: Items) -> int:
    return int((items.pair_mask & items.regular).sum())

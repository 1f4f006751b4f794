"""One generator before many judges: rewards that were trained for other trials, and ensembles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.run.attempt import Context
from jobs.stages.scoring import open_reward, score_seeds
from jobs.stages.shapes import generator_of
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from sigmaflow.finetune.terms import RewardTerm

JUDGE = Stage(
    name="judge",
    version=2,
    run="jobs.stages.judge:run_judge",
    sources=("sigmaflow/generators", "sigmaflow/fields", "sigmaflow/rewards/model.py"),
    gpu=0.5,
)


def run_judge(ctx: Context) -> None:
    """`scores.parquet`: seed, and a column of rewards for each of `judges`.

    A judge of grid "regular" looks at the same part of the box without the released grid's shear.
    """
    import pandas as pd

    c = ctx.config
    seeds = list(range(c["first_seed"], c["first_seed"] + c["seeds"]))
    judges = [_judge(folder, said)
              for folder, said in zip(ctx.input("rewards"), c["judges"], strict=True)]  # fmt: skip
    scores = score_seeds(generator_of(ctx), judges, seeds, c["psi"], ctx.progress)
    columns = {said["name"]: row for said, row in zip(c["judges"], scores)}
    pd.DataFrame({"seed": seeds, **columns}).to_parquet(ctx.folder / "scores.parquet", index=False)


def _judge(folder: Path, said: dict[str, Any]) -> RewardTerm:
    """A reward with what this judge looks at."""
    reward = open_reward(folder, said["resolution"])
    if not said["grid"]:
        return reward
    grid = reward.view.grid.model_copy(update={"kind": said["grid"]})
    return replace(reward, view=replace(reward.view, grid=grid))

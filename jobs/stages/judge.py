"""One generator before many judges: rewards that were trained for other trials, and ensembles."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage

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

    from sigmaflow.rewards.scoring import open_reward, score_generator

    c = ctx.config
    seeds = list(range(c["first_seed"], c["first_seed"] + c["seeds"]))
    judges = [open_reward(folder, device(), said["resolution"], shown=said["grid"])
              for folder, said in zip(ctx.input("rewards"), c["judges"], strict=True)]  # fmt: skip
    scores = score_generator(generator_of(ctx), judges, seeds, c["psi"], ctx.progress)
    columns = {said["name"]: row for said, row in zip(c["judges"], scores)}
    pd.DataFrame({"seed": seeds, **columns}).to_parquet(ctx.folder / "scores.parquet", index=False)

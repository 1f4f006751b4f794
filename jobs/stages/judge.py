"""One generator before many judges: rewards that were trained for other trials, and ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from torch import Tensor

    from sigmaflow.generators import TriPlaneGenerator
    from sigmaflow.rewards.config import RewardConfig

JUDGE = Stage(
    name="judge",
    version=1,
    run="jobs.stages.judge:run_judge",
    sources=("sigmaflow/generators", "sigmaflow/fields", "sigmaflow/rewards/model.py"),
    gpu=0.5,
)
BATCH = 16
CELLS = 2**22  # of slabs at once: 1 of the paper's, 16 of mini's


def run_judge(ctx: Context) -> None:
    """`scores.parquet`: seed, and a column of rewards for each of `judges`.

    A judge of grid "regular" looks at the same part of the box without the released grid's shear.
    """
    import numpy as np
    import pandas as pd
    import torch

    from sigmaflow.fields.slab import latents
    from sigmaflow.rewards.model import RewardModel

    c, G = ctx.config, generator_of(ctx)
    seeds = list(range(c["first_seed"], c["first_seed"] + c["seeds"]))
    models = [
        RewardModel.load(folder / "reward.safetensors").to(device())
        for folder in ctx.input("rewards")
    ]
    judges = list(zip(c["judges"], models, strict=True))
    scores = np.zeros((len(judges), len(seeds)), dtype=np.float64)
    step = max(1, min(BATCH, CELLS // max(m.config.grid.size for m in models)))
    with torch.no_grad():
        for i in range(0, len(seeds), step):
            z = latents(seeds[i : i + step], G.z_dim).to(device())
            raw: dict[Any, Tensor] = {}
            for row, (judge, model) in enumerate(judges):
                what = seen_by(model.config, judge)
                if what not in raw:
                    raw[what] = show(G, z, c["psi"], *what)
                scores[row, i : i + step] = model(raw[what]).cpu().numpy()
            ctx.progress(i, len(seeds))
    columns = {judge["name"]: row for (judge, _), row in zip(judges, scores)}
    pd.DataFrame({"seed": seeds, **columns}).to_parquet(ctx.folder / "scores.parquet", index=False)


def seen_by(config: RewardConfig, judge: dict[str, Any]) -> tuple[Any, ...]:
    """What a judge looks at: equal for judges that may look at the same tensor."""
    if config.representation == "sigma":
        grid = config.grid
        return "sigma", grid.model_copy(update={"kind": judge["grid"]}) if judge["grid"] else grid
    return config.representation, config.yaws, judge["resolution"]


def show(G: TriPlaneGenerator, z: Tensor, psi: float, kind: str, *how: Any) -> Tensor:
    """The raw representation of z, one latent for all views as in a fine-tune (`seen_by`)."""
    from sigmaflow.fields.depth import sample_depth
    from sigmaflow.fields.points import sample_points
    from sigmaflow.fields.slab import sample_slab

    if kind == "sigma":
        return sample_slab(G, z, how[0], truncation_psi=psi)
    yaws, resolution = how
    if kind == "depth":
        return sample_depth(G, z, yaws, truncation_psi=psi, resolution=resolution)
    return sample_points(G, z, truncation_psi=psi, resolution=resolution)

"""Shapes of a generator, by blocks of seeds: slabs for rewards, measures for the annotator."""

from __future__ import annotations

from pathlib import Path

from jobs.run.attempt import Context
from jobs.store.stage import Stage

_SOURCES = ("sigmaflow/generators", "sigmaflow/fields/grid.py", "sigmaflow/fields/slab.py")

SLABS = Stage(
    name="slabs", version=3, run="jobs.stages.shapes:run_slabs", sources=_SOURCES, gpu=0.25
)
MEASURES = Stage(
    name="measures",
    version=3,
    run="jobs.stages.shapes:run_measures",
    sources=(*_SOURCES, "sigmaflow/preferences"),
    gpu=0.25,
)
BATCH = 8


def generator_of(ctx: Context, name: str = "generator"):
    """G_ema of a checkpoint input: outside files, or the folder `gan` of a finished training."""
    from sigmaflow.generators import load_generator

    return load_generator(gan_folder(ctx.input(name))).to(device())


def gan_folder(value: Path | list[Path]) -> Path:
    """Folder of a checkpoint given as its files, or as the result that holds it."""
    return value[0].parent if isinstance(value, list) else value / "gan"


def device():
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_blocks(ctx: Context) -> list[int]:
    """The seeds of this task: listed, or a stretch of those that a rankings file asks for."""
    if "seeds" in ctx.config:
        return list(ctx.config["seeds"])
    from sigmaflow.preferences.orders import read_preferences

    seeds = read_preferences(ranking_file(ctx.input("rankings"))).seeds.tolist()  # ascending
    start, stop = ctx.config["part"]
    return seeds[start:stop]


def ranking_file(value: Path) -> Path:
    """A rankings file given as itself or as the result that holds it."""
    return value / "rankings.csv" if value.is_dir() else value


def run_slabs(ctx: Context) -> None:
    """Raw slabs of seeds at one psi: `slabs.npy` float32 [n, x, y, z] and `seeds.npy`."""
    import numpy as np
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab

    G = generator_of(ctx)
    grid = Grid.from_dict(ctx.config["grid"])
    seeds = seed_blocks(ctx)
    out = np.lib.format.open_memmap(
        ctx.folder / "slabs.npy", mode="w+", dtype=np.float32, shape=(len(seeds), *grid.shape)
    )
    with torch.no_grad():
        for i in range(0, len(seeds), BATCH):
            z = latents(seeds[i : i + BATCH], G.z_dim).to(device())
            slab = sample_slab(G, z, grid, truncation_psi=ctx.config["psi"])
            out[i : i + BATCH] = slab.cpu().numpy()
            ctx.progress(i, len(seeds))
    out.flush()
    np.save(ctx.folder / "seeds.npy", np.asarray(seeds, dtype=np.int64))


def run_measures(ctx: Context) -> None:
    """What the annotator sees in seeds at one psi: `measures.parquet`."""
    import pandas as pd

    from sigmaflow.preferences.annotator import AnnotatorConfig
    from sigmaflow.preferences.looking import measure_seeds

    rows = measure_seeds(
        generator_of(ctx),
        ctx.config["seeds"],
        ctx.config["psi"],
        ctx.config["view"],
        AnnotatorConfig(**ctx.config["annotator"]),
        ctx.progress,
    )
    pd.DataFrame(rows).to_parquet(ctx.folder / "measures.parquet", index=False)

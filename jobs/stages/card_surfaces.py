"""Of a card: components of meshes, the shapes that the annotator likes least, true surfaces."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage

_SOURCES = ("sigmaflow/card", "sigmaflow/generators", "sigmaflow/fields")
CARD_MESHES = Stage(
    name="card_meshes", version=1, run="jobs.stages.card_surfaces:run_meshes", sources=_SOURCES,
    gpu=0.25,
)  # fmt: skip
CARD_SHAPES = Stage(
    name="card_shapes", version=1, run="jobs.stages.card_surfaces:run_shapes", sources=_SOURCES,
    gpu=0.25,
)  # fmt: skip
CARD_TRUTH = Stage(
    name="card_truth", version=1, run="jobs.stages.card_surfaces:run_truth",
    sources=(*_SOURCES, "sigmaflow/datasets"), gpu=0.25,
)  # fmt: skip
ROW, WORST = 8, 2  # shapes a row, and rows of the worst


def cubes_of(G, seeds, psi: float, resolution: int):
    """Seed and raw sigma [N, N, N] on a regular grid over the whole box, one after the other."""
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab

    grid = Grid(resolution=resolution, kind="regular", length=G.rendering_kwargs["box_warp"])
    for seed in seeds:
        with torch.no_grad():
            z = latents([seed], G.z_dim).to(device())
            yield seed, sample_slab(G, z, grid, truncation_psi=psi)[0].cpu().numpy()


def mesh_or_none(cube, level: float, length: float, border: str = "thin"):
    """The surface of a cube, closed at its sides or where `border` of `sigmaflow.fields.mesh` cuts
    it; an empty mesh where there is none."""
    import numpy as np

    from sigmaflow.fields.mesh import EmptySurface, Mesh, extract_mesh

    try:
        return extract_mesh(cube, level=level, length=length, border=border)
    except EmptySurface:
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))


def arrays_of(meshes: dict) -> dict:
    """`<seed>/vertices` and `<seed>/faces`, as `jobs.output.pictures.read_meshes` reads them."""
    return {f"{seed}/{part}": getattr(mesh, part) for seed, mesh in meshes.items()
            for part in ("vertices", "faces")}  # fmt: skip


def run_meshes(ctx: Context) -> None:
    """`meshes.parquet`: components and border of each seed's surface; `meshes.npz` of the lit."""
    import numpy as np
    import pandas as pd

    from sigmaflow.card.surfaces import at_border, parts_of

    c, G = ctx.config, generator_of(ctx)
    rows, lit = [], {}
    for i, (seed, cube) in enumerate(cubes_of(G, c["seeds"], c["psi"], c["resolution"])):
        mesh = mesh_or_none(cube, c["level"], G.rendering_kwargs["box_warp"])
        parts = parts_of(mesh)
        rows.append({"seed": seed, "components": parts.count, "largest": parts.share,
                     "cavities": parts.cavities, "area": mesh.area if parts.count else 0.0,
                     "border": at_border(cube, c["level"])})  # fmt: skip
        if seed in c["lit"]:
            lit[seed] = mesh
        ctx.progress(i + 1, len(c["seeds"]))
    pd.DataFrame(rows).to_parquet(ctx.folder / "meshes.parquet", index=False)
    np.savez_compressed(ctx.folder / "meshes.npz", **arrays_of(lit))


def run_shapes(ctx: Context) -> None:
    """`meshes.npz` and `shapes.parquet` (`seed`, `score`, `row`) of the shapes that the annotator
    scores lowest, in two rows, and highest, in one; without what surrounds the face, which it is
    not shown."""
    import numpy as np
    import pandas as pd

    c, G = ctx.config, generator_of(ctx)
    table = pd.concat([pd.read_parquet(p / "measures.parquet") for p in ctx.input("measures")])
    table = table[table["valid"]].sort_values(["score", "seed"])[["seed", "score"]]
    size = max(1, min(ROW, len(table) // (WORST + 1)))
    worst = table.head(WORST * size).assign(row="worst")
    chosen = pd.concat([worst, table.tail(size)[::-1].assign(row="best")], ignore_index=True)
    chosen.to_parquet(ctx.folder / "shapes.parquet", index=False)
    seeds = list(dict.fromkeys(chosen["seed"].tolist()))
    meshes = {seed: mesh_or_none(cube, c["level"], G.rendering_kwargs["box_warp"], "paper")
              for seed, cube in cubes_of(G, seeds, 1.0, c["resolution"])}  # fmt: skip
    np.savez_compressed(ctx.folder / "meshes.npz", **arrays_of(meshes))


def run_truth(ctx: Context) -> None:
    """`truth.parquet`: distances of each training latent's surface from the true head, a row a
    seed and part, in % of the head's width."""
    from dataclasses import asdict

    import pandas as pd

    from sigmaflow.card.truth import gaps, head_width
    from sigmaflow.datasets.headpaint import SKIN
    from sigmaflow.datasets.heads import build_head, latent
    from sigmaflow.fields.mesh import Mesh

    c, G = ctx.config, generator_of(ctx)
    rows = []
    for i, (seed, cube) in enumerate(cubes_of(G, c["seeds"], 1.0, c["resolution"])):
        made = mesh_or_none(cube, c["level"], G.rendering_kwargs["box_warp"])
        head = build_head(latent(seed))
        width = head_width(head.vertices, head.faces, head.part, SKIN)
        if len(made.faces):
            found = gaps(Mesh(head.vertices, head.faces), made, width)
            rows += [{"seed": seed, "part": part, "width": width, **asdict(gap)}
                     for part, gap in found.items()]  # fmt: skip
        ctx.progress(i + 1, len(c["seeds"]))
    columns = ["seed", "part", "width", "to", "to_p90", "back", "back_p90"]
    pd.DataFrame(rows, columns=columns).to_parquet(ctx.folder / "truth.parquet", index=False)

"""Measure one generator: rewards, annotator, shapes, pictures, meshes."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage

_SOURCES = (
    "sigmaflow/generators",
    "sigmaflow/fields",
    "sigmaflow/metrics/generated.py",
    "sigmaflow/preferences",
    "sigmaflow/rewards/model.py",
    "sigmaflow/rewards/unet3d.py",
)
EVALUATE = Stage(
    name="evaluate", version=4, run="jobs.stages.evaluate:run_evaluate", sources=_SOURCES, gpu=0.5
)
BATCH = 16
VIEWS = (-0.6, 0.0, 0.6)  # yaw, radians


def run_evaluate(ctx: Context) -> None:
    """`rewards.parquet`, `measures.parquet`, `shapes.npy` [n, N, N, N] float16, `reference.npy`
    (the psi = 0 shape), `pictures.npz`, `meshes.npz`."""
    import numpy as np
    import pandas as pd
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab
    from sigmaflow.preferences.annotator import AnnotatorConfig
    from sigmaflow.preferences.looking import measure_seeds
    from sigmaflow.rewards.scoring import open_reward, score_generator

    c = ctx.config
    G = generator_of(ctx)
    seeds = list(range(c["first_seed"], c["first_seed"] + c["seeds"]))
    psi, side = c["psi"], G.rendering_kwargs["box_warp"]

    ctx.note("rewards")
    rays = c.get("view_resolution", {})
    rewards = [
        open_reward(ctx.input(name), device(), rays.get(name)) for name in ("reward", "heldout")
    ]
    scores = score_generator(G, rewards, seeds, psi)
    pd.DataFrame({"seed": seeds, "reward": scores[0], "heldout": scores[1]}).to_parquet(
        ctx.folder / "rewards.parquet", index=False
    )

    ctx.note("annotator")
    rows = measure_seeds(
        G,
        seeds[: c["annotator_seeds"]],
        psi,
        c["view"],
        AnnotatorConfig(**c["annotator"]),
    )
    pd.DataFrame(rows).to_parquet(ctx.folder / "measures.parquet", index=False)

    ctx.note("shapes")
    coarse = Grid(resolution=c["consistency_resolution"], kind="regular", length=side)
    with torch.no_grad():
        shapes = [
            sample_slab(
                G, latents(seeds[i : i + BATCH], G.z_dim).to(device()), coarse, truncation_psi=psi
            )
            for i in range(0, len(seeds), BATCH)
        ]
        mean = sample_slab(G, torch.zeros(1, G.z_dim, device=device()), coarse, truncation_psi=0.0)
    np.save(ctx.folder / "shapes.npy", torch.cat(shapes).cpu().numpy().astype(np.float16))
    np.save(ctx.folder / "reference.npy", mean[0].cpu().numpy().astype(np.float16))

    ctx.note("pictures")
    pictures = views_of(G, seeds[:8], psi)
    np.savez(ctx.folder / "pictures.npz", pictures=pictures, yaw=np.array(VIEWS))

    ctx.note("meshes")
    meshes = mesh_arrays(
        G,
        seeds[: c["mesh_seeds"]],
        psi,
        c["mesh_resolution"],
        AnnotatorConfig(**c["annotator"]).level,
    )
    np.savez_compressed(ctx.folder / "meshes.npz", **meshes)


def views_of(G, seeds, psi: float):
    """Pictures of seeds from `VIEWS`: uint8 [n, views, 3, R, R]."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents
    from sigmaflow.generators import RaySampling
    from sigmaflow.generators.cameras import frontal_label
    from sigmaflow.metrics.generated import image_batch, to_uint8

    step, pictures = image_batch(G), []
    for i in range(0, len(seeds), step):
        z = latents(seeds[i : i + step], G.z_dim).to(device())
        with torch.no_grad():
            ws = G.mapping(z, G.canonical_label().expand(len(z), -1), truncation_psi=psi)
            planes = G.planes(ws)
            views = [
                G.synthesis(
                    ws,
                    frontal_label(yaw=yaw).to(device()).expand(len(z), -1),
                    planes=planes,
                    sampling=RaySampling(deterministic=True),
                )["image"]
                for yaw in VIEWS
            ]
        pictures.append(torch.stack([to_uint8(v).cpu() for v in views], dim=1).numpy())
    return np.concatenate(pictures)


def mesh_arrays(G, seeds, psi: float, resolution: int, level: float):
    """`<seed>/vertices` and `<seed>/faces` of the iso-surfaces; empty ones where there is none."""
    import numpy as np
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.mesh import EmptySurface, extract_mesh
    from sigmaflow.fields.slab import latents, sample_slab

    side = G.rendering_kwargs["box_warp"]
    fine = Grid(resolution=resolution, kind="regular", length=side)
    arrays = {}
    for seed in seeds:
        with torch.no_grad():
            z = latents([seed], G.z_dim).to(next(G.parameters()).device)
            cube = sample_slab(G, z, fine, truncation_psi=psi)[0].cpu().numpy()
        try:
            mesh = extract_mesh(cube, level=level, length=side, border="paper")
            vertices, faces = mesh.vertices, mesh.faces
        except EmptySurface:
            vertices, faces = np.zeros((0, 3)), np.zeros((0, 3))
        arrays[f"{seed}/vertices"] = vertices.astype(np.float32)
        arrays[f"{seed}/faces"] = faces.astype(np.int32)
    return arrays

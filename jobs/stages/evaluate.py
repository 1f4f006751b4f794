"""Measure one generator: rewards, annotator, shapes, features of images, meshes."""

from __future__ import annotations

from jobs.run import Context
from jobs.stage import Stage
from jobs.stages.finetune import score_seeds
from jobs.stages.shapes import device, generator_of, measure_seeds

_SOURCES = (
    "sigmaflow/generators",
    "sigmaflow/fields",
    "sigmaflow/metrics",
    "sigmaflow/preferences",
    "sigmaflow/rewards/model.py",
    "sigmaflow/rewards/unet3d.py",
)
EVALUATE = Stage(
    name="evaluate", version=2, run="jobs.stages.evaluate:run_evaluate", sources=_SOURCES, gpu=0.5
)
REAL = Stage(
    name="real",
    version=1,
    run="jobs.stages.evaluate:run_real",
    sources=("sigmaflow/metrics", "sigmaflow/datasets/images.py"),
    gpu=0.25,
)
FID_FIRST_SEED = 400000
BATCH = 16
POINTS = 2**21  # samples of a rendering that are held at once
VIEWS = (-0.6, 0.0, 0.6)  # yaw, radians


def run_real(ctx: Context) -> None:
    """Moments of the real images' features: `moments.npz`."""
    import numpy as np

    from sigmaflow.finetune.images import open_images
    from sigmaflow.metrics.features import extractor, moments_of

    images = open_images(image_file(ctx.input("images")))
    extract = extractor(ctx.config["extractor"], ctx.config["weights"], device=str(device()))

    def batches():
        for i in range(0, len(images), BATCH):
            ctx.progress(i, len(images))
            yield images.batch(np.arange(i, min(i + BATCH, len(images))))[0]

    np.savez(ctx.folder / "moments.npz", **moments_of(extract, batches()).to_arrays())


def image_file(value):
    """An image set given as itself or as the result that holds it."""
    return value / "faces.zip" if value.is_dir() and (value / "faces.zip").exists() else value


def to_uint8(images):
    """[-1, 1] to uint8 as EG3D rounds: times 127.5, plus 128, clamped."""
    import torch

    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def image_batch(G) -> int:
    """Images rendered at once: a matter of memory, 2 for EG3D-512 and 16 for mini."""
    samples = G.neural_rendering_resolution**2 * G.rendering_kwargs["depth_resolution"]
    return max(1, min(BATCH, POINTS // samples))


def fake_batches(ctx: Context, G, labels):
    """uint8 images of the fixed latents and poses, the same for every generator."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents
    from sigmaflow.generators import RaySampling

    count, batch = ctx.config["fid_images"], image_batch(G)
    poses = np.random.default_rng(ctx.config["seed"]).integers(0, len(labels), count)
    for i in range(0, count, batch):
        index = np.arange(i, min(i + batch, count))
        z = latents(FID_FIRST_SEED + index, G.z_dim).to(device())
        c = labels[torch.as_tensor(poses[index])].to(device())
        with torch.no_grad():
            out = G.synthesis(
                G.mapping(z, c), c, noise_mode="const", sampling=RaySampling(deterministic=True)
            )
        ctx.progress(i, count)
        yield to_uint8(out["image"]).cpu()


def run_evaluate(ctx: Context) -> None:
    """`rewards.parquet`, `measures.parquet`, `shapes.npy` [n, N, N, N] float16, `reference.npy`
    (the psi = 0 shape), `moments.npz`, `pictures.npz`, `meshes.npz`."""
    import numpy as np
    import pandas as pd
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab
    from sigmaflow.finetune.images import open_images
    from sigmaflow.metrics.features import extractor, moments_of
    from sigmaflow.preferences.annotator import AnnotatorConfig
    from sigmaflow.rewards.model import RewardModel

    c = ctx.config
    G = generator_of(ctx)
    seeds = list(range(c["first_seed"], c["first_seed"] + c["seeds"]))
    psi, side = c["psi"], G.rendering_kwargs["box_warp"]

    ctx.note("rewards")
    rewards = [
        RewardModel.load(ctx.input(name) / "reward.safetensors").to(device()).eval()
        for name in ("reward", "heldout")
    ]
    scores = score_seeds(G, rewards, seeds, psi)
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
        mean = sample_slab(
            G, torch.zeros(1, G.z_dim, device=device()), coarse, truncation_psi=0.0
        )
    np.save(ctx.folder / "shapes.npy", torch.cat(shapes).cpu().numpy().astype(np.float16))
    np.save(ctx.folder / "reference.npy", mean[0].cpu().numpy().astype(np.float16))

    ctx.note("pictures")
    images = open_images(image_file(ctx.input("images")))
    extract = extractor(c["extractor"], c["weights"], device=str(device()))
    moments = moments_of(extract, fake_batches(ctx, G, images.labels))
    np.savez(ctx.folder / "moments.npz", **moments.to_arrays())
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

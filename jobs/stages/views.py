"""What depth and point rewards see: depth maps of ranked shapes, by blocks of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of, seed_blocks
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from sigmaflow.rewards.config import RewardConfig
    from sigmaflow.rewards.data import DepthBank

VIEWS = Stage(
    name="views",
    version=2,
    run="jobs.stages.views:run_views",
    sources=("sigmaflow/generators", "sigmaflow/fields/depth.py", "sigmaflow/rewards/semantics.py"),
    gpu=0.25,
)


def run_views(ctx: Context) -> None:
    """Depth maps of seeds at one psi: `maps.npy` float32 [n, V, r, r] in world units, `seeds.npy`,
    and the cameras c, `cameras.npy` [V, 25]. Rays are not jittered, so they come out the same."""
    import numpy as np
    import torch

    from sigmaflow.fields.depth import depth_of_ws, view_labels
    from sigmaflow.rewards.semantics import seen_latents

    c = ctx.config
    G, seeds = generator_of(ctx), seed_blocks(ctx)
    size, yaws = c["resolution"], c["yaws"]
    labels = view_labels(G, yaws)
    out = np.lib.format.open_memmap(
        ctx.folder / "maps.npy", mode="w+", dtype=np.float32,
        shape=(len(seeds), len(yaws), size, size),
    )  # fmt: skip
    with torch.no_grad():
        for i, seed in enumerate(seeds):  # alone: depth has limits that a batch shares
            z = seen_latents([seed], G.z_dim, yaws, c["latents"])[0].to(device())
            z = z[:1] if c["latents"] == "one" else z
            canonical = G.canonical_label().expand(len(z), -1)
            ws = G.mapping(z, canonical, truncation_psi=c["psi"])
            ws = ws if c["latents"] == "one" else ws[None]
            out[i] = depth_of_ws(G, ws, labels, resolution=size)[0].cpu().numpy()
            ctx.progress(i + 1, len(seeds))
    out.flush()
    np.save(ctx.folder / "seeds.npy", np.asarray(seeds, dtype=np.int64))
    np.save(ctx.folder / "cameras.npy", labels.cpu().numpy())


def load_views(folders: Sequence[Path], network: RewardConfig) -> DepthBank:
    """Several `views` results as what a depth or point reward sees, by seed."""
    import numpy as np
    import torch

    from sigmaflow.rewards.data import CloudBank, DepthBank

    maps = np.concatenate([np.load(f / "maps.npy", mmap_mode="r") for f in folders])
    seeds = np.concatenate([np.load(f / "seeds.npy") for f in folders]).tolist()
    if network.representation == "depth":
        return DepthBank(maps, seeds)
    return CloudBank(maps, seeds, torch.from_numpy(np.load(folders[0] / "cameras.npy")))

"""Rewards that are trained no more, as stages open them and score a generator's seeds with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.fields.grid import Grid
    from sigmaflow.finetune.terms import RewardTerm
    from sigmaflow.generators import TriPlaneGenerator

BATCH = 16
CELLS = 2**22  # points of fields that are looked at at once: 1 of the paper's slabs, 16 of mini's


def open_reward(
    folder: Path, resolution: int | None = None, grid: Grid | None = None
) -> RewardTerm:
    """The reward of a `reward` result on this machine's device, and what it looks at.

    resolution: rays a side of its depth maps, or of those behind its clouds; not asked of slabs.
    grid: ValueError where it saw slabs of another one.
    """
    from jobs.stages.shapes import device
    from sigmaflow.fields.depth import RESOLUTION
    from sigmaflow.finetune.terms import RewardTerm, view_of
    from sigmaflow.rewards.model import RewardModel

    reward = RewardModel.load(folder / "reward.safetensors")
    if grid is not None and reward.config.representation == "sigma":
        reward.check_grid(grid)
    view = view_of(reward.config, RESOLUTION if resolution is None else resolution)
    score = reward.to(device()).eval().requires_grad_(False)
    return RewardTerm(score, truncation_psi=reward.config.psi, view=view)


def score_seeds(
    G: TriPlaneGenerator, rewards: Sequence[RewardTerm], seeds: Sequence[int], psi: float,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """Scores float64 [len(rewards), n] of seeds at psi; rewards of the same view share it."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents

    out = np.zeros((len(rewards), len(seeds)), dtype=np.float64)
    where = next(G.parameters()).device
    step = max(1, min(BATCH, CELLS // max(reward.view.size for reward in rewards)))
    with torch.no_grad():
        for i in range(0, len(seeds), step):
            z = latents(seeds[i : i + step], G.z_dim).to(where)
            ws = G.mapping(z, G.canonical_label().expand(len(z), -1), truncation_psi=psi)
            planes = G.planes(ws, noise_mode="const")
            seen = {}
            for r, reward in enumerate(rewards):
                if reward.view not in seen:
                    seen[reward.view] = reward.look(G, planes, ws)
                out[r, i : i + step] = reward.score(seen[reward.view]).cpu().numpy()
            if progress is not None:
                progress(i, len(seeds))
    return out

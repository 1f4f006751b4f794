"""Trained rewards: opened, and shown the shapes of a generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.finetune.terms import RewardTerm
    from sigmaflow.generators import TriPlaneGenerator

BATCH = 16
CELLS = 2**22  # points of fields that are looked at at once: 1 of the paper's slabs, 16 of mini's


def open_reward(
    path: Path,
    device: torch.device,
    resolution: int | None = None,
    grid: Grid | None = None,
    shown: str = "",
) -> RewardTerm:
    """A trained reward on a device, and what it looks at.

    Args:
        path: `reward.safetensors`, with its `reward.json` beside it, or the folder of both.
        device: Where it computes.
        resolution: Rays a side of its depth maps, or of those behind its clouds; of no effect
            where it sees slabs.
        grid: Where it sees slabs, the grid that they must have been sampled on.
        shown: The kind of grid that it is shown in place of the one it was trained on; "" for its
            own.

    Raises:
        ValueError: It saw slabs of another grid.
    """
    from sigmaflow.fields.depth import RESOLUTION
    from sigmaflow.finetune.terms import RewardTerm, SlabView, view_of
    from sigmaflow.rewards.model import RewardModel

    reward = RewardModel.load(path / "reward.safetensors" if path.is_dir() else path)
    if grid is not None and reward.config.representation == "sigma":
        reward.check_grid(grid)
    view = view_of(reward.config, RESOLUTION if resolution is None else resolution)
    if shown and isinstance(view, SlabView):
        view = replace(view, grid=view.grid.model_copy(update={"kind": shown}))
    score = reward.to(device).eval().requires_grad_(False)
    return RewardTerm(score, truncation_psi=reward.config.psi, view=view)


def score_generator(
    G: TriPlaneGenerator, rewards: Sequence[RewardTerm], seeds: Sequence[int], psi: float,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """Scores float64 [len(rewards), n] of seeds at psi; rewards of the same view share it."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents

    out = np.zeros((len(rewards), len(seeds)), dtype=np.float64)
    where = next(G.parameters()).device
    step = max(1, min(BATCH, CELLS // max(reward.view.size for reward in rewards if reward.view)))
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

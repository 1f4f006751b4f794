"""Reward of each shape (paper Eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sigmaflow.measuring import Column, Measure, Quantity, Samples, Settings

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.generators import TriPlaneGenerator


class RewardSettings(Settings):
    """What the reward looks at, beyond what its own file says."""

    rays: int | None = None
    """rays a side of its depth maps, or of those behind its clouds; None where it sees slabs"""
    shown: Literal["", "regular"] = ""
    """grid of its slabs in place of its own"""


def prepare(G: TriPlaneGenerator, files: Mapping[str, Path], settings: RewardSettings) -> Measure:
    """Opens the reward on G's device."""
    import numpy as np

    from sigmaflow.rewards.scoring import open_reward, score_generator

    where = next(G.parameters()).device
    term = open_reward(files["reward"], where, settings.rays, shown=settings.shown)

    def measure(samples: Samples) -> dict[str, np.ndarray]:
        seeds = samples.seeds[:1] if samples.alike else samples.seeds
        scores = score_generator(G, [term], seeds, samples.psi)[0]
        return {"score": np.broadcast_to(scores, len(samples.seeds))}

    return measure


QUANTITY = Quantity(
    name="reward",
    version=1,
    columns=(Column("score", "scalar head of the reward", "reward"),),
    prepare=prepare,
    settings=RewardSettings,
    files=("reward",),
)

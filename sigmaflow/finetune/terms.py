"""What a reward in the loop sees and says: one representation, one network or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from sigmaflow.fields import depth as depths
from sigmaflow.fields.grid import Grid
from sigmaflow.fields.points import depth_points
from sigmaflow.generators import TriPlaneGenerator
from sigmaflow.generators.volume import RaySampling
from sigmaflow.rewards.config import RewardConfig

SAMPLES = 96  # of the density along a ray, as EG3D renders
Score = Callable[[Tensor], Tensor]
"""A representation of B shapes to rewards [B], differentiable."""


class View(Protocol):
    """A representation of B scenes, differentiable in what `planes` and `ws` came from.

    What a scene looks like does not depend on the others of its batch.
    """

    @property
    def size(self) -> int:
        """About how many points of the density it looks at in a scene."""

    def __call__(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class SlabView:
    """Raw sigma [B, x, y, z] on a grid (paper section 3.1)."""

    grid: Grid

    @property
    def size(self) -> int:
        return self.grid.size

    def __call__(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor:
        return G.sigma_grid(planes, self.grid)


@dataclass(frozen=True)
class DepthView:
    """Expected depths [B, V, r, r] at `yaws` radians, one latent for all views (paper Eq. 2)."""

    yaws: tuple[float, ...] = depths.SINGLE
    resolution: int = depths.RESOLUTION

    @property
    def size(self) -> int:
        return len(self.yaws) * self.resolution**2 * SAMPLES

    def __call__(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor:
        c = depths.view_labels(G, self.yaws)
        return depths.depth_of_planes(G, planes, c, self.resolution, limits="scene")


@dataclass(frozen=True)
class PointsView:
    """Clouds [B, r * r, 3] in world units from the canonical view (paper Eq. 3)."""

    resolution: int = depths.RESOLUTION

    @property
    def size(self) -> int:
        return self.resolution**2 * SAMPLES

    def __call__(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor:
        c = depths.view_labels(G, depths.SINGLE)
        maps = depths.depth_of_planes(G, planes, c, self.resolution, limits="scene")
        return depth_points(maps[:, 0], c)


@dataclass(frozen=True)
class ImageView:
    """Pictures [B, 3, R, R] in about [-1, 1] from one yaw, without randomness.

    With it any differentiable function of pictures is a reward:
    `RewardTerm(function, view=ImageView())`.
    """

    yaw: float = 0.0

    @property
    def size(self) -> int:
        return depths.RESOLUTION**2 * SAMPLES

    def __call__(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor:
        c = depths.view_labels(G, (self.yaw,)).expand(len(planes), -1)
        sampling = RaySampling(deterministic=True)
        return G.synthesis(ws, c, noise_mode="const", sampling=sampling, planes=planes)["image"]


def view_of(config: RewardConfig, resolution: int = depths.RESOLUTION) -> View:
    """What a reward of these settings was trained to look at.

    resolution: rays a side of its depth maps, or of those that its clouds are made of. Raises
    ValueError where each view of a shape was of another latent: a scene has one.
    """
    if config.representation == "sigma":
        return SlabView(config.grid)
    if config.latents != "one":
        raise ValueError(
            f"the reward was trained on another latent for each view (latents: {config.latents});"
            " a generator is followed and judged by views of one: train it with latents: one"
        )
    if config.representation == "depth":
        return DepthView(config.yaws, resolution)
    return PointsView(resolution)


@dataclass(frozen=True)
class RewardTerm:
    """r_theta with what it was trained on.

    score: a representation to rewards [B]. grid: of the raw sigma slab that it takes, or `view`
    makes another representation. centre, spread: the loss sees (r - centre) / spread.
    """

    score: Score
    grid: Grid | None = None
    truncation_psi: float = 1.0
    view: View | None = None
    centre: float = 0.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        if (self.grid is None) == (self.view is None):
            raise ValueError("a reward term takes a grid, or a view that makes what it sees")
        if not self.spread > 0:
            raise ValueError(f"spread {self.spread} of a reward must be above 0: the start's "
                             "rewards do not differ")  # fmt: skip

    @property
    def cells(self) -> int:
        """Of the slab; 1 of other representations."""
        grid = self.grid or getattr(self.view, "grid", None)
        return grid.size if grid is not None else 1

    def look(self, G: TriPlaneGenerator, planes: Tensor, ws: Tensor) -> Tensor:
        """The representation of B scenes."""
        if self.view is not None:
            return self.view(G, planes, ws)
        assert self.grid is not None  # one of the two is given
        return SlabView(self.grid)(G, planes, ws)

    def standard(self, score: Tensor) -> Tensor:
        """Rewards in the units of the loss."""
        return (score - self.centre) / self.spread


@dataclass(frozen=True)
class Member:
    """A reward of an ensemble, with mean and deviation of its scores on the start generator."""

    score: Score
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise ValueError(f"deviation {self.deviation} of an ensemble's reward must be above 0")


@dataclass(frozen=True)
class Ensemble:
    """Several rewards of one representation as one.

    Each is standardised, they are combined, and the result is in the units of the first: "mean",
    "min" (the most sceptical counts), or "lower", the mean minus `deviations` standard deviations
    among the members (n in the denominator).
    """

    members: Sequence[Member]
    combine: Literal["mean", "min", "lower"] = "mean"
    deviations: float = 1.0

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("an ensemble has no members; give at least one reward")

    def __call__(self, representation: Tensor) -> Tensor:
        """Rewards [B] of a representation of B shapes."""
        return self.of(torch.stack([m.score(representation) for m in self.members]))

    def of(self, scores: Tensor) -> Tensor:
        """Rewards [B] from the members' scores [n, B]."""
        where: dict[str, Any] = dict(dtype=scores.dtype, device=scores.device)
        mean = torch.tensor([m.mean for m in self.members], **where)[:, None]
        deviation = torch.tensor([m.deviation for m in self.members], **where)[:, None]
        each = (scores - mean) / deviation
        if self.combine == "min":
            out = each.amin(0)
        elif self.combine == "mean":
            out = each.mean(0)
        else:
            # Equal members would make the root's gradient infinite.
            spread = each.var(0, correction=0).clamp_min(1e-12).sqrt()
            out = each.mean(0) - self.deviations * spread
        return out * deviation[0] + mean[0]

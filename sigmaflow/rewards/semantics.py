"""Where the paper and the released code differ on learning a reward, difference by difference.

Sections are the paper's. What the public code does is in its folder
`reward_model_training/reward_model_framework`: `core_modules/models` (networks and losses),
`core_modules/data` (views, clouds, loader) and `configs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sigmaflow.rewards.config import (
    REPRESENTATIONS,
    VIEWS,
    BackboneName,
    Head,
    ReconConv,
    RewardConfig,
    TrainConfig,
)

if TYPE_CHECKING:  # plans read the settings without torch
    import torch


@dataclass(frozen=True)
class Semantics:
    """The differences. The defaults are the paper's, for the sigma field.

    heads: the paper's MLP gives a score alone (Fig. 5); the public code also trains a
        Bradley-Terry head and a classifier of pairs on the same feature.
    scalar_weight, bt_weight, pairs_weight: of their losses. The paper's only one is Eq. 4; the
        public `configs/loss/all_losses.yaml` has 1e-3, 1e-3 and 1.
    pair_order: the public classifier sees both orders of a pair for three epochs, then one at
        random.
    monitor: whose validation loss stops the training, "the validation loss" of section 3.2.2; the
        public code follows the pair classifier's.
    recon_weight: of the L1 reconstruction of the slab, 1e-2 in section 3.2.2 and for the sigma
        U-Net only. In the public code nothing reconstructs: its network is fixed to give the global
        feature alone.
    recon_conv: by the text the reconstruction is "normalised back to the slab's input scale". The
        public function does so behind the last convolution ("before"), whose scale and sign then
        have no gradient: weight decay alone moves them, through 0 to an inverted reconstruction.
        Here the convolution comes "after", so that the loss holds it. Nothing else differs: for a
        weight of 1 and a bias of 0 both give the same numbers.
    pooling: the paper does not say how a feature map becomes a vector; "slices" is the maximum of
        each z slice. The public code stretches these to 8192 entries.
    doubled: the public MLP's residual branch has no layers and doubles its first linear layer. The
        paper's is an MLP.
    activation: of trunk and heads; "cos" in the runs of PointNet++ and CurveNet that were released,
        by the notes in their configs.
    latents: whether the views of one shape are of one latent. The public
        `synthesize_triple_dmap.py` draws one for each view, so that only the first is of the
        labelled shape; the canonical view and the clouds made of it are not.
    anchors: whether questions hold a low-truncation anchor (section 4.1). Not in the public configs
        of PointNet++ and CurveNet (`include_goodseed: false`).
    frozen: the public depth networks keep their ImageNet weights. The paper does not say so.
    norm: the public code fixes parameters but leaves BatchNorm in training, where it uses the
        batch's statistics and moves the running ones; "running" keeps a frozen network as it is.
    batch: questions a step. Section 3.2.2 has 1, 8 and 2 for sigma, depth and points; the public
        PointNet has 4.
    """

    heads: tuple[Head, ...] = ("scalar",)
    scalar_weight: float = 1.0
    bt_weight: float = 0.0
    pairs_weight: float = 0.0
    pair_order: Literal["both", "one"] = "both"
    monitor: Head = "scalar"
    recon_weight: float = 1e-2
    recon_conv: ReconConv = "after"
    pooling: Literal["stretch", "slices"] = "slices"
    doubled: bool = False
    activation: Literal["softplus", "cos"] = "softplus"
    latents: Literal["one", "each"] = "one"
    anchors: bool = True
    frozen: bool = False
    norm: Literal["batch", "running"] = "batch"
    batch: int = 1

    def model_settings(self) -> dict[str, Any]:
        """The fields of `RewardConfig` among them."""
        return self._of(RewardConfig)

    def train_settings(self) -> dict[str, Any]:
        """The fields of `TrainConfig` among them."""
        return self._of(TrainConfig)

    def _of(self, model: type[RewardConfig] | type[TrainConfig]) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name in model.model_fields}


PAPER = Semantics()
RELEASED = Semantics(
    heads=("scalar", "bt", "pairs"),
    scalar_weight=1e-3,
    bt_weight=1e-3,
    pairs_weight=1.0,
    pair_order="one",
    monitor="pairs",
    recon_weight=0.0,
    recon_conv="before",
    pooling="stretch",
    doubled=True,
)
"""The released sigma reward."""

BATCHES = {"sigma": 1, "depth": 8, "points": 2}


def semantics(name: Literal["paper", "released"], backbone: BackboneName) -> Semantics:
    """The semantics of this name for a backbone. ValueError for another name."""
    kind = REPRESENTATIONS[backbone]
    if name == "paper":
        recon = PAPER.recon_weight if backbone == "unet3d" else 0.0
        return replace(PAPER, recon_weight=recon, batch=BATCHES[kind])
    if name != "released":
        raise ValueError(f"semantics are 'paper' or 'released', not {name!r}")
    if kind == "sigma":
        return RELEASED
    bare = backbone in ("pointnet2", "curvenet")
    return replace(
        RELEASED,
        latents="each",
        anchors=not bare,
        activation="cos" if bare else "softplus",
        frozen=kind == "depth",
        batch=4 if backbone == "pointnet" else BATCHES[kind],
    )


def view_latents(
    seeds: Iterable[int], z_dim: int, views: int, latents: Literal["one", "each"]
) -> torch.Tensor:
    """Latents `[n, views, z_dim]` float32 of the views of seeds' shapes.

    "one": the seed's latent (`sigmaflow.fields.slab.latents`) for every view. "each": row v of
    `RandomState(seed).randn(views, z_dim)`, the first of which is the seed's latent.
    """
    import numpy as np
    import torch

    draws = []
    for seed in seeds:
        z = np.random.RandomState(int(seed)).randn(views if latents == "each" else 1, z_dim)
        draws.append(np.broadcast_to(z, (views, z_dim)))
    stacked = np.stack(draws) if draws else np.empty((0, views, z_dim))
    return torch.from_numpy(stacked.astype(np.float32))


def seen_latents(
    seeds: Iterable[int], z_dim: int, yaws: Sequence[float], latents: Literal["one", "each"]
) -> torch.Tensor:
    """Latents `[n, V, z_dim]` float32 of seeds' shapes as the V cameras at `yaws` see them.

    "each" is the public code's: three latents are drawn for the triple view, whichever of its
    cameras are used, so the canonical view, which single-view maps and clouds are made of, is never
    of the seed's own shape. Raises ValueError for other cameras than those.
    """
    if latents == "one":
        return view_latents(seeds, z_dim, len(yaws), "one")
    triple = VIEWS["triple"]
    if unknown := [yaw for yaw in yaws if yaw not in triple]:
        raise ValueError(f"latents 'each' are those of the views {triple}, none is at {unknown}")
    every = view_latents(seeds, z_dim, len(triple), "each")
    return every[:, [triple.index(yaw) for yaw in yaws]]

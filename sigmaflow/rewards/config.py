"""Settings of the reward and of its training. Imports without torch, so that plans need none."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sigmaflow.fields.grid import SLAB_ENTIRE, UPPER, Grid

Head = Literal["scalar", "bt", "pairs"]
RECON_CHANNELS = 4  # of the U-Net's reconstruction branch


class RewardConfig(BaseModel):
    """What a reward is made of and what it was trained on.

    grid, upper, psi, cutoff and generator say how its slabs were made: they are recorded with the
    weights and checked at use. The defaults are the released network; `mini_config` is small.

    f_maps: channels by level, multiples of `groups`, the first at least 8.
    feature_size: length of the global feature (8192 released; the slices are stretched to it).
    trunk, head: hidden sizes (two each) of the shared MLP and of the heads; trunk_out its output.
    doubled: the released trunk and heads double their first layer (a residual branch without
        layers); without it they are plain.
    heads: "scalar" is the reward; "bt" and "pairs" exist in the released state dict.
    generator: digest of the generator whose slabs it saw, "" when unknown.
    checkpoint: remake the U-Net's activations in the backward pass (`UNet3D`): the same numbers.
    precision: "bfloat16" runs the U-Net under autocast: other numbers, in less memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid: Grid = Grid(resolution=256, kind="released", pads=SLAB_ENTIRE)
    upper: float = Field(default=UPPER, gt=0)
    psi: float = 1.0
    cutoff: int | None = Field(default=None, ge=0)
    generator: str = ""
    f_maps: tuple[int, ...] = Field(default=(8, 16, 32, 64, 128, 256), min_length=2)
    groups: int = Field(default=8, ge=1)
    feature_size: int = Field(default=8192, ge=1)
    trunk: tuple[int, int] = (512, 512)
    trunk_out: int = Field(default=512, ge=1)
    head: tuple[int, int] = (256, 128)
    doubled: bool = True
    heads: tuple[Head, ...] = ("scalar",)
    checkpoint: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _sizes_fit(self) -> RewardConfig:
        if any(width < 1 for width in (*self.trunk, *self.head)):
            raise ValueError("hidden sizes must be at least 1")
        if any(width % self.groups or width < 1 for width in self.f_maps):
            raise ValueError(f"f_maps {self.f_maps} must be multiples of groups {self.groups}")
        if self.f_maps[0] < 2 * RECON_CHANNELS:
            raise ValueError(f"the first of f_maps {self.f_maps} must be at least 8")
        if min(self.grid.shape) >> (len(self.f_maps) - 1) < 1:
            raise ValueError(
                f"{len(self.f_maps)} levels halve the slab {self.grid.shape} to nothing; use fewer"
                " levels (f_maps) or a finer grid"
            )
        if "scalar" not in self.heads or len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads {self.heads} must name 'scalar', and each head once")
        return self


def mini_config(grid: Grid, **changes: object) -> RewardConfig:
    """Four levels and a narrow MLP with the scalar head only: what a laptop trains in minutes."""
    small = dict(f_maps=(8, 16, 32, 64), feature_size=64, trunk=(64, 64), trunk_out=64)
    return RewardConfig(**{"grid": grid, **small, "head": (32, 16), **changes})


class TrainConfig(BaseModel):
    """How a reward is trained. The defaults are the paper's; `mini_training` is for small nets.

    seed: of the first weights and of the order of questions. batch: questions a step. patience:
    epochs without a lower validation loss before it stops. recon_weight: of the auxiliary L1 on the
    normalised slab, 1e-2 in the paper's text, inactive in the released code. questions_per_tick:
    also tick within an epoch, at the first step that completes so many; None ticks by epoch.
    eval_batch: slabs scored at once in evaluation. mirror: show each shape mirrored in x with
    probability a half, which the paper does not: left and right of a face are worth the same, and a
    reward that has seen too few faces to know lets the generator win by lopsided ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=42, ge=0)
    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-5, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    patience: int = Field(default=3, ge=1)
    recon_weight: float = Field(default=0.0, ge=0)
    questions_per_tick: int | None = Field(default=None, ge=1)
    eval_batch: int = Field(default=8, ge=1)
    mirror: bool = False


def mini_training(**changes: object) -> TrainConfig:
    """Settings that teach `mini_config` within a few epochs of a few hundred questions."""
    return TrainConfig(**{"lr": 1e-3, "batch": 4, "epochs": 12, "patience": 4, **changes})

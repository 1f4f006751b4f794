"""Settings of the reward and of its training. Imports without torch, so that plans need none."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic.functional_serializers import SerializerFunctionWrapHandler

from sigmaflow.fields.grid import SLAB_ENTIRE, UPPER, Grid
from sigmaflow.seeds import Seed

Head = Literal["scalar", "bt", "pairs"]
Likelihood = Literal["pairs", "plackett_luce"]
ReconConv = Literal["after", "before"]
Representation = Literal["sigma", "depth", "points"]
BackboneName = Literal[
    "unet3d", "resnet3d", "projections", "voxnet",
    "resnet50", "resnet18", "vggface", "vgg4096",
    "pointnet", "pointnet2", "curvenet",
]  # fmt: skip
REPRESENTATIONS: dict[BackboneName, Representation] = {
    **dict.fromkeys(("unet3d", "resnet3d", "projections", "voxnet"), "sigma"),
    **dict.fromkeys(("resnet50", "resnet18", "vggface", "vgg4096"), "depth"),
    **dict.fromkeys(("pointnet", "pointnet2", "curvenet"), "points"),
}
"""What each backbone sees."""

Views = Literal["single", "triple"]
VIEWS: dict[Views, tuple[float, ...]] = {"single": (0.0,), "triple": (1.0, 0.0, -1.0)}
"""Yaws of the depth views of section 3.1 by name, radians, in the released order."""

RECON_CHANNELS = 4  # of the U-Net's reconstruction branch
SMALLEST_CLOUD = 64  # points: CurveNet's last stage keeps one in 32


class Settings(BaseModel):
    """Settings that are recorded. Those in `later` are written only where they were changed.

    So files, keys and identities of runs that do not use a newer setting stay the same bytes. Their
    defaults are what old records mean: they must never change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unused = {k for k in self.later if getattr(self, k) == fields[k].default}
        return {k: v for k, v in handler(self).items() if k not in unused}


class RewardConfig(Settings):
    """What a reward is made of and what it was trained on.

    grid, upper, psi, cutoff and generator say how its slabs were made: they are recorded with the
    weights and checked at use. The defaults are the released network; `mini_config` is small.
    `sigmaflow.rewards.semantics` says where paper and released code differ.

    backbone: sub-module N of section 3.2.2, by name (`sigmaflow.rewards.backbones`); it decides
        the representation: raw sigma slabs, depth maps or point clouds.
    f_maps: channels by level of "unet3d" (the first at least 8), "resnet3d" and "projections";
        multiples of `groups`.
    feature_size: length of the U-Net's global feature (8192 released).
    pooling: "stretch" blows the U-Net's slice maxima up to feature_size, as released; "slices"
        takes them as they are, one a z slice.
    trunk, head: hidden sizes (two each) of the shared MLP and of the heads; trunk_out its output.
    doubled: the released trunk and heads double their first layer (a residual branch without
        layers); without it they are plain.
    activation: of trunk and heads before their last layer.
    heads: "scalar" is the reward; "bt" and "pairs" exist in the released state dict.
    generator: digest of the generator whose slabs it saw, "" when unknown.
    checkpoint: remake the U-Net's activations in the backward pass (`UNet3D`): the same numbers.
    precision: "bfloat16" runs the backbone under autocast: other numbers, in less memory.
    yaws: of the depth views, radians, in the order of the maps; (1, 0, -1) is the triple view.
    latents: "one" for all views of a shape; "each" view another, as the released maps were made
        (recorded here; `sigmaflow.rewards.semantics.seen_latents` draws them).
    image_size, near, far: depth maps are resized to image_size pixels, near becomes 1 and far 0.
    points: rows that are kept of a cloud, at least 64.
    augmented: in training, random rows of a cloud, scaled and jittered; otherwise evenly spaced.
    frozen: the backbone is not trained.
    norm: statistics that BatchNorm uses in training: of the "batch" (which also moves the running
        ones) or the "running" ones, kept as they are.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        "backbone pooling activation yaws latents image_size near far points augmented frozen"
        " norm".split()
    )

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
    backbone: BackboneName = "unet3d"
    pooling: Literal["stretch", "slices"] = "stretch"
    activation: Literal["softplus", "cos"] = "softplus"
    yaws: tuple[float, ...] = Field(default=(0.0,), min_length=1)
    latents: Literal["one", "each"] = "one"
    image_size: int = Field(default=224, ge=32)
    near: float = 2.25
    far: float = 3.3
    points: int = Field(default=2048, ge=SMALLEST_CLOUD)
    augmented: bool = True
    frozen: bool = False
    norm: Literal["batch", "running"] = "batch"

    @property
    def representation(self) -> Representation:
        """What the backbone sees."""
        return REPRESENTATIONS[self.backbone]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError where one item of this shape is not what the reward takes.

        Sigma: `[X, Y, Z]` of the grid. Depth: `[V, H, W]`, a map for each of `yaws`. Points:
        `[N, 3]` with at least `points` rows.
        """
        if self.representation == "sigma" and shape != self.grid.shape:
            raise ValueError(f"slabs are {shape}, the grid's {self.grid.shape}")
        if self.representation == "depth" and (len(shape) != 3 or shape[0] != len(self.yaws)):
            raise ValueError(f"depth maps are {shape}; a reward of {len(self.yaws)} views takes"
                             f" [{len(self.yaws)}, H, W] (yaws)")  # fmt: skip
        if self.representation == "points" and (
            len(shape) != 2 or shape[1] != 3 or shape[0] < self.points
        ):
            raise ValueError(f"clouds are {shape}; the reward takes [N, 3] with N at least"
                             f" {self.points} (points)")  # fmt: skip

    @model_validator(mode="after")
    def _sizes_fit(self) -> RewardConfig:
        if any(width < 1 for width in (*self.trunk, *self.head)):
            raise ValueError("hidden sizes must be at least 1")
        if "scalar" not in self.heads or len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads {self.heads} must name 'scalar', and each head once")
        if self.near >= self.far:
            raise ValueError(f"near {self.near} must be below far {self.far}")
        if self.representation == "points" and self.precision != "float32":
            raise ValueError(
                f"{self.backbone} finds neighbours by small differences, which {self.precision}"
                " does not hold; use float32"
            )
        if self.backbone in ("unet3d", "resnet3d", "projections"):
            self._levels_fit()
        return self

    def _levels_fit(self) -> None:
        if any(width % self.groups or width < 1 for width in self.f_maps):
            raise ValueError(f"f_maps {self.f_maps} must be multiples of groups {self.groups}")
        if self.backbone != "unet3d":
            return
        if self.f_maps[0] < 2 * RECON_CHANNELS:
            raise ValueError(f"the first of f_maps {self.f_maps} must be at least 8")
        if min(self.grid.shape) >> (len(self.f_maps) - 1) < 1:
            raise ValueError(
                f"{len(self.f_maps)} levels halve the slab {self.grid.shape} to nothing; use fewer"
                " levels (f_maps) or a finer grid"
            )


def mini_config(grid: Grid, **changes: object) -> RewardConfig:
    """Four levels and a narrow MLP with the scalar head only: what a laptop trains in minutes."""
    small = dict(f_maps=(8, 16, 32, 64), feature_size=64, trunk=(64, 64), trunk_out=64)
    return RewardConfig(**{"grid": grid, **small, "head": (32, 16), **changes})


class TrainConfig(Settings):
    """How a reward is trained. The defaults are the paper's; `mini_training` is for small nets.

    seed: of the first weights and of the order of questions. batch: questions a step. patience:
    epochs without a lower validation loss before it stops. recon_weight: of the auxiliary L1 on the
    normalised slab, 1e-2 in the paper's text, inactive in the released code. recon_conv: where
    the last convolution of the reconstruction stands: "after" the rescaling to the slab's range, so
    that the loss sees its scale and sign, or "before" it, as released, where the loss sees neither
    and the convolution is not trained. questions_per_tick:
    also tick within an epoch, at the first step that completes so many; None ticks by epoch.
    eval_batch: slabs scored at once in evaluation. mirror: show each shape mirrored in x with
    probability a half, which the paper does not: left and right of a face are worth the same, and a
    reward that has seen too few faces to know lets the generator win by lopsided ones.
    scalar_weight, bt_weight, pairs_weight: of the losses of the heads (`sigmaflow.rewards.losses`);
    Eq. 4 is the scalar's. pair_order: the pair classifier sees "both" orders of a pair, or, as
    released, from the fourth epoch "one" at random. monitor: the head whose validation loss decides
    which epoch is best and when to stop. likelihood: of whole orders, for the scalar and the
    Bradley-Terry head: "pairs" is the mean over all pairs (Eq. 4), "plackett_luce" chooses the best
    of what is left, again and again; of two shapes they are the same. annotator_bias: learn what
    each annotator adds to the common opinion, a direction of the shared features that is left out
    when the reward scores; annotator_decay: weight of its squared length in the loss.
    tf32: whether GPUs may round factors of products to 10 bits, as the released code does; None
    leaves torch as it is set (convolutions do, matrix products do not). Other devices do not.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        "scalar_weight bt_weight pairs_weight pair_order monitor likelihood annotator_bias"
        " annotator_decay tf32".split()
    )

    seed: Seed = 42
    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-5, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    patience: int = Field(default=3, ge=1)
    recon_weight: float = Field(default=0.0, ge=0)
    recon_conv: ReconConv = "after"
    questions_per_tick: int | None = Field(default=None, ge=1)
    eval_batch: int = Field(default=8, ge=1)
    mirror: bool = False
    scalar_weight: float = Field(default=1.0, ge=0)
    bt_weight: float = Field(default=0.0, ge=0)
    pairs_weight: float = Field(default=0.0, ge=0)
    pair_order: Literal["both", "one"] = "both"
    monitor: Head = "scalar"
    likelihood: Likelihood = "pairs"
    annotator_bias: bool = False
    annotator_decay: float = Field(default=0.01, ge=0)
    tf32: bool | None = None

    @property
    def weights(self) -> dict[Head, float]:
        """Weights of the heads whose loss is trained."""
        every: dict[Head, float]
        every = {"scalar": self.scalar_weight, "bt": self.bt_weight, "pairs": self.pairs_weight}
        return {head: weight for head, weight in every.items() if weight > 0}

    @property
    def heads(self) -> tuple[Head, ...]:
        """Heads that a reward needs for this training, the scalar one always."""
        return ("scalar", *(head for head in self.weights if head != "scalar"))

    @model_validator(mode="after")
    def _something_is_learnt(self) -> TrainConfig:
        if self.monitor not in self.weights:
            raise ValueError(
                f"monitor is the head {self.monitor!r}, whose loss has weight 0; give it a weight"
                f" ({self.monitor}_weight) or follow another"
            )
        return self


def mini_training(**changes: object) -> TrainConfig:
    """Settings that teach `mini_config` within a few epochs of a few hundred questions."""
    return TrainConfig(**{"lr": 1e-3, "batch": 4, "epochs": 12, "patience": 4, **changes})

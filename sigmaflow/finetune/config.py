"""Settings of the GAN loop. Defaults are the paper's (section 3.2.3) and EG3D's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic.functional_serializers import SerializerFunctionWrapHandler
from typing_extensions import Self

from sigmaflow.seeds import Seed

Cutoff = Annotated[int, Field(ge=0)] | Literal["all"]
MicroBatch = Annotated[int, Field(ge=1)] | Literal["auto"]
Psi = Annotated[float, Field(ge=0)]

PAPER: Mapping[str, Any] = MappingProxyType(
    dict(
        reward_phase="summed",
        lazy_gain=True,
        micro_batch="auto",  # gradients are those of the whole batch, whatever it is
        neighbours="batch",
        reward_psi="trained",
        reward_cutoff="all",
        consistency_psi="reward",
        consistency_cutoff="all",
        update_w_avg=False,
        clamp_over="each",
        reward_offset=0.0,
        consistency_over="mean",
        control_consistency=True,
    )
)
"""Eq. 5-7 as printed, in EG3D's training loop."""

RELEASED: Mapping[str, Any] = MappingProxyType(
    dict(
        reward_phase="separate",
        lazy_gain=False,
        micro_batch=1,
        neighbours="micro_batch",
        reward_psi=1.0,
        reward_cutoff=14,
        consistency_psi=0.7,
        consistency_cutoff=14,
        update_w_avg=True,
        clamp_over="mean",
        reward_offset=1e-6,
        consistency_over="sum",
        control_consistency=False,
    )
)
"""What the released code does, of which the paper's Table 2 is."""

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"paper": PAPER, "released": RELEASED})


class Config(BaseModel):
    """Frozen settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LoopConfig(Config):
    """What the plain GAN part of the loop needs, for pretraining and fine-tuning alike."""

    kimg: float = Field(20.0, gt=0, description="thousands of images shown")
    batch: int = Field(16, ge=1)
    tick_kimg: float = Field(1.0, gt=0, description="thousands of images between two ticks")
    g_lr: float = Field(0.0025, gt=0)
    d_lr: float = Field(0.002, gt=0)
    beta2: float = Field(0.99, ge=0, lt=1)
    r1_gamma: float = Field(20.0, ge=0)
    r1_interval: int = Field(16, ge=1)
    density_reg: float = Field(0.25, ge=0)
    density_reg_interval: int = Field(4, ge=1)
    density_reg_p_dist: float = Field(0.004, gt=0)
    density_reg_points: int = Field(1000, ge=1)
    gpc_reg_prob: float = Field(0.5, ge=0, le=1, description="share of swapped condition cameras")
    gpc_reg_fade_kimg: float = Field(
        0.0, ge=0, description="kimg over which that share falls from 1; EG3D's pretraining: 1000"
    )
    blur_init_sigma: float = Field(
        0.0, ge=0, description="first width of the discriminator's blur; EG3D's pretraining: 10"
    )
    blur_fade_kimg: float = Field(100.0, ge=0, description="kimg over which the blur goes to 0")
    aug: Literal["none", "fixed", "ada"] = Field("none", description="of what D sees")
    aug_p: float = Field(0.0, ge=0, le=1, description="strength at the start, and if fixed")
    ada_target: float = Field(0.6, ge=-1, le=1, description="mean sign of real logits")
    ada_interval: int = Field(4, ge=1, description="steps between two moves of the strength")
    ada_kimg: float = Field(500.0, gt=0, description="kimg from strength 0 to 1")
    ema_kimg: float = Field(5.0, gt=0, description="half-life of the generator's moving average")
    noise_mode: Literal["random", "const", "none"] = "random"
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of super-resolution and discriminator (autocast)"
    )
    micro_batch: MicroBatch | None = Field(
        None, description="images at once, gradients added up; auto: what fits into memory_gb"
    )
    memory_gb: float = Field(20.0, gt=0, description="what `micro_batch: auto` may fill")
    lazy_gain: bool | None = Field(
        None, description="whether lazy regularisers are multiplied by their interval"
    )
    neighbours: Literal["batch", "micro_batch"] | None = Field(
        None, description="among which images poses are swapped, and w_avg moves once"
    )
    seed: Seed = 0

    def resolved(self) -> Self:
        """With what is None filled in from the preset; again does no harm."""
        preset = PRESETS[getattr(self, "semantics", "paper")]
        known = {k: v for k, v in preset.items() if k in type(self).model_fields}
        found = {k: v for k, v in known.items() if getattr(self, k) is None}
        return self.model_copy(update=found)

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Self:
        size = self.resolved().micro_batch
        if isinstance(size, int) and self.batch % size:
            raise ValueError(f"micro_batch {size} does not divide batch {self.batch}")
        return self


class AdversarialConfig(LoopConfig):
    """EG3D's plain training, before any fine-tune.

    frozen_kimg: length of a first part in which D alone learns: no step of the generator, of its
    moving average or of w_avg. A discriminator that starts from nothing then knows the generator
    before it moves it. Fine-tunes have no such setting: they start with a discriminator that is in
    balance, and what they measure by tick is a generator that moves. It is written only where it is
    used, so that keys of other runs stay as they are.
    """

    frozen_kimg: float = Field(
        0.0, ge=0, description="thousands of images at the start during which only D learns"
    )

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = handler(self)
        if self.frozen_kimg == 0:
            del found["frozen_kimg"]
        return found

    @model_validator(mode="after")
    def _frozen_part_ends(self) -> Self:
        if self.frozen_kimg > self.kimg:
            raise ValueError(f"frozen_kimg {self.frozen_kimg} is longer than the whole training, "
                             f"kimg {self.kimg}")  # fmt: skip
        return self


class FinetuneConfig(LoopConfig):
    """Eq. 5-7, as the paper prints them or as the released code computes them.

    semantics names a preset (`PRESETS`) for the fields whose default is None; a field that is given
    wins over it, so that the differences can be crossed one by one:

    reward_phase: "summed" into the generator's loss, on latents of the same z under the canonical
        condition; "shared", summed on the very planes that are rendered, which saves a pass of the
        backbone and needs `noise_mode` const or none and untruncated latents; or a "separate" phase
        after the discriminator's with latents and an Adam (`reward_lr`, `reward_beta2`) of its own.
    reward_psi, reward_cutoff: truncation of the scored latents; "trained" is what the reward was
        trained at. consistency_psi, consistency_cutoff: of the compared ones; "reward" is the
        reward's whole truncation, and saves a pass of the backbone.
    update_w_avg: scoring moves the live w_avg (`Semantics`).
    clamp_over: bounds on the reward of "each" latent or on the "mean" of a micro-batch.
    reward_offset: added to the negated bounded reward; moves no gradient.
    consistency_over: "mean" or "sum" over the latents of a micro-batch.
    control_consistency: whether the consistency stays where lambda_r is 0.
    bound: how the reward is bounded: "clamp" to [clamp_low, clamp_high]; "tanh", a smooth one
        between the same ends; "softplus", -softplus(-2 r), which has no lower end and needs none.
    standardise: bound and weigh (r - mean) / deviation of the start generator's rewards, and read
        the clamp in these units.
    """

    lambda_r: float = Field(10.0, ge=0, description="weight of the reward, Eq. 6")
    lambda_c: float = Field(0.01, ge=0, description="weight of the density consistency, Eq. 7")
    clamp_low: float = -10.0
    clamp_high: float = 10.0
    bound: Literal["clamp", "tanh", "softplus"] = "clamp"
    standardise: bool = False
    consistency_resolution: int = Field(64, ge=2)
    semantics: Literal["paper", "released"] = "paper"
    reward_phase: Literal["summed", "shared", "separate"] | None = None
    reward_lr: float = Field(0.0025, gt=0, description="of the separate phase's Adam")
    reward_beta2: float = Field(0.99, ge=0, lt=1)
    reward_psi: Psi | Literal["trained"] | None = None
    reward_cutoff: Cutoff | None = None
    consistency_psi: Psi | Literal["reward"] | None = None
    consistency_cutoff: Cutoff | None = None
    update_w_avg: bool | None = None
    clamp_over: Literal["each", "mean"] | None = None
    reward_offset: float | None = None
    consistency_over: Literal["mean", "sum"] | None = None
    control_consistency: bool | None = None

    @model_validator(mode="after")
    def _clamp_is_an_interval(self) -> FinetuneConfig:
        if self.clamp_low >= self.clamp_high:
            raise ValueError(
                f"clamp_low {self.clamp_low} must be below clamp_high {self.clamp_high}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_rendered_can_be_scored(self) -> FinetuneConfig:
        found = self.resolved()
        if found.reward_phase != "shared":
            return self
        if found.noise_mode == "random":
            raise ValueError("reward_phase shared compares the planes that are rendered with the "
                             "start's: noise_mode must be const or none")  # fmt: skip
        for name, plain in (("reward_psi", ("trained", 1)), ("consistency_psi", ("reward", 1)),
                            ("update_w_avg", (False,))):  # fmt: skip
            if (value := getattr(found, name)) not in plain:
                raise ValueError(
                    f"reward_phase shared scores the planes that are rendered: {name} "
                    f"must be {' or '.join(map(str, plain))}, and is {value}"
                )
        return self


class WarmstartConfig(Config):
    """Fit of known latents to their rendered views, before any adversary.

    First `volume_kimg` images by random rays at the pictures' own resolution, without
    super-resolution: a step takes `identities` latents, `views` views of each and `rays` rays a
    view, with `coarse` and `fine` samples a ray. Then whole images with a perceptual loss (VGG-16),
    of which a step takes `image_identities` latents and `image_views` views of each.
    """

    kimg: float = Field(40.0, gt=0, description="thousands of views shown")
    volume_kimg: float = Field(28.0, ge=0)
    identities: int = Field(8, ge=1)
    views: int = Field(2, ge=1)
    rays: int = Field(192, ge=1)
    coarse: int = Field(16, ge=4)
    fine: int = Field(16, ge=4)
    empty_rays: float = Field(
        0.12, ge=0, le=1, description="weight of drawing a ray far from the head; near it, 1"
    )
    edge_rays: float = Field(
        0.0, ge=0, description="further weight of rays where a picture has contrast, such as eyes"
    )
    image_identities: int = Field(4, ge=1)
    image_views: int = Field(2, ge=1)
    perceptual_weight: float = Field(1.0, ge=0, description="of the distance of VGG-16 features")
    perceptual_stages: int = Field(3, ge=1, le=5)
    volume_weight: float = Field(0.5, ge=0, description="of the L1 of the raw volume rendering")
    tick_kimg: float = Field(0.4, gt=0)
    heldout: int = Field(
        48, ge=0, description="identities of the held-out set that every tick is measured on"
    )
    lr: float = Field(0.004, gt=0)
    warmup_kimg: float = Field(1.0, ge=0, description="thousands of views over which lr rises")
    mapping_lr_gain: float = Field(10.0, gt=0, description="the mapping's rate over the rest's")
    sigma_gain: float = Field(
        10.0, gt=0, description="first factor on the decoder's sigma row: surfaces, not fog"
    )
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    decay_from: float = Field(0.6, ge=0, le=1, description="share of kimg after which lr falls")
    density_reg: float = Field(0.05, ge=0)
    gpc_reg_prob: float = Field(0.5, ge=0, le=1)
    ema_kimg: float = Field(0.8, gt=0)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the perceptual network (autocast)"
    )
    seed: Seed = 0


class RefineConfig(WarmstartConfig):
    """A second warm start, from where the first ended."""

    head_gain: float = Field(
        0.05,
        gt=0,
        description="first factor on the colours that the super-resolution head adds: it knows "
        "nothing after rays alone, so its picture starts near the volume rendering",
    )


class ProjectedConfig(Config):
    """Training against a projected discriminator (Sauer et al. 2021), between fit and EG3D's own.

    Beside the hinge loss of `batch` images a step regresses `views` pictures of each of
    `identities` known latents, as the warm start does, with a weight that falls linearly from
    `regression_weight` to `regression_floor` at the share `regression_end` of kimg.
    """

    kimg: float = Field(100.0, gt=0, description="thousands of real images shown")
    batch: int = Field(8, ge=1)
    tick_kimg: float = Field(2.0, gt=0)
    g_lr: float = Field(0.001, gt=0)
    d_lr: float = Field(0.001, gt=0, description="of the discriminator's heads")
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    ema_kimg: float = Field(2.0, gt=0)
    known_latents: bool = Field(
        False, description="judge images of the training identities' latents, not of fresh ones"
    )
    width: int = Field(
        32, ge=1, description="channels of the finest mixed features; doubled at each coarser scale"
    )
    head_width: int = Field(64, ge=1, description="channels inside a head")
    adversarial_weight: float = Field(
        0.02, ge=0, description="of the generator's hinge loss, whose gradients are large"
    )
    regression_weight: float = Field(1.0, ge=0, description="of the regression at the start")
    regression_end: float = Field(
        0.5, ge=0, le=1, description="share of kimg at which that weight reaches its floor"
    )
    regression_floor: float = Field(0.2, ge=0, description="weight of the regression from there on")
    identities: int = Field(4, ge=1, description="known latents a step")
    views: int = Field(1, ge=1, description="pictures of each")
    perceptual_weight: float = Field(1.0, ge=0, description="within the regression")
    perceptual_stages: int = Field(3, ge=1, le=5)
    volume_weight: float = Field(0.5, ge=0, description="within the regression")
    density_reg: float = Field(0.05, ge=0)
    gpc_reg_prob: float = Field(0.5, ge=0, le=1, description="share of swapped condition cameras")
    noise_mode: Literal["random", "const", "none"] = "const"
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of VGG-16 and the fixed mixing (autocast)"
    )
    heldout: int = Field(
        48, ge=0, description="identities of the held-out set that every tick is measured on"
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _regression_falls(self) -> ProjectedConfig:
        if self.regression_floor > self.regression_weight:
            raise ValueError(f"regression_floor {self.regression_floor} is above "
                             f"regression_weight {self.regression_weight}")  # fmt: skip
        return self

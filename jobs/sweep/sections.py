"""The sections of a sweep file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    ValidationError,
    field_serializer,
    model_validator,
)

from jobs.sweep.fid_section import FidSection
from jobs.sweep.outside import File, RankingsFile
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid, SlabPads
from sigmaflow.finetune.config import FinetuneConfig
from sigmaflow.preferences.config import AnnotatorConfig
from sigmaflow.preferences.questions import make_questions
from sigmaflow.rewards.config import (
    REPRESENTATIONS,
    SMALLEST_CLOUD,
    VIEWS,
    BackboneName,
    Representation,
    RewardConfig,
    Settings,
    TrainConfig,
    Views,
)
from sigmaflow.rewards.semantics import Semantics, semantics
from sigmaflow.seeds import Seed, check_range


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Slab(Section):
    """Grid on which the reward sees the density (paper section 3.1)."""

    resolution: int = Field(256, ge=8)
    kind: Literal["released", "regular"] = "released"
    length: float = Field(1.0, gt=0)
    pads: SlabPads = SLAB_ENTIRE

    def grid(self) -> Grid:
        return Grid(resolution=self.resolution, kind=self.kind, length=self.length, pads=self.pads)


class Anchors(Section):
    """High-quality samples from the middle of the latent space (paper section 3.2.1)."""

    count: int = Field(1000, ge=4, le=1_000_000)
    psi: float = Field(0.25, ge=0, le=1)
    use: Literal["auto", "always", "never"] = "auto"
    """auto: only where the annotator prefers them in `least` of the questions."""
    least: float = Field(0.9, ge=0, le=1)


class RankingsSection(Section):
    """Where preferences come from: a file, or the synthetic annotator."""

    file: RankingsFile | None = None
    """rankings in the released format (columns index, rank1, rank2), or whole orders (question,
    annotator, rank1 ... rank6); None asks the annotator"""
    questions: int = Field(4346, ge=4, le=1_000_000)
    sizes: tuple[Annotated[int, Field(ge=2, le=6)], ...] = (2, 3, 4, 5, 6)
    flip: float = Field(0.1, ge=0, lt=0.5)
    seed: Seed = 0
    psi: float = Field(1.0, ge=0, le=1)
    anchors: Anchors = Anchors()

    @model_validator(mode="after")
    def _questions_can_be_made(self) -> RankingsSection:
        if self.file is None:
            make_questions(self.seed, self.questions, self.sizes)
        return self


class AnnotatorSection(Section):
    """The synthetic annotator: how fine it looks, and its fixed reference values."""

    resolution: int = Field(48, ge=16)
    config: AnnotatorConfig = AnnotatorConfig()


class RewardSection(Settings):
    """The reward and its training; `heldout_seed` trains the second one, for evaluation only.

    What is None is left to `semantics`.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        "backbone semantics pretrained views view_resolution image_size near far points pooling"
        " doubled activation latents anchors frozen norm checkpoint precision ensemble share seed"
        " answers".split()
    )

    backbone: BackboneName = "unet3d"
    semantics: Literal["paper", "released"] = "paper"
    """a preset of the fields below and of the training, where they are not given"""
    pretrained: dict[BackboneName, File] = {}
    """files of weights that backbones start from, under torchvision's or the backbone's names"""
    views: Views = "single"
    view_resolution: int = Field(128, ge=8)
    """rays a side of a depth map; a cloud has so many squared points"""
    image_size: int = Field(224, ge=32)
    near: float = RewardConfig.model_fields["near"].default
    far: float = RewardConfig.model_fields["far"].default
    points: int = Field(2048, ge=SMALLEST_CLOUD)
    f_maps: tuple[int, ...] = RewardConfig.model_fields["f_maps"].default
    feature_size: int = Field(8192, ge=1)
    trunk: tuple[int, int] = (512, 512)
    trunk_out: int = Field(512, ge=1)
    head: tuple[int, int] = (256, 128)
    pooling: Literal["stretch", "slices"] | None = None
    doubled: bool | None = None
    activation: Literal["softplus", "cos"] | None = None
    latents: Literal["one", "each"] | None = None
    anchors: bool | None = None
    frozen: bool | None = None
    norm: Literal["batch", "running"] | None = None
    checkpoint: bool = False
    """remake the U-Net's activations in the backward pass: the same numbers in less memory"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """of the backbone, in training and wherever it scores"""
    train: TrainConfig = TrainConfig()
    split_seed: Seed = 42
    heldout_seed: Seed = 43
    ensemble: int = Field(0, ge=0)
    """so many rewards more, of the seeds after heldout_seed, which only evaluate"""
    share: float = Field(1.0, gt=0, le=1)
    """of the training answers, drawn by the seed, smaller shares within larger ones"""
    seed: Seed | None = None
    """of the first weights, the order and that draw; None is split_seed"""
    answers: Literal["whole", "best_and_worst"] = "whole"
    """what is learnt of a rankings file of whole orders"""

    @field_serializer("train")
    def _what_was_given(self, train: TrainConfig, info: FieldSerializationInfo) -> dict[str, Any]:
        """The rest is the preset's to say."""
        return train.model_dump(mode=info.mode, exclude_unset=True)

    @model_validator(mode="after")
    def _fits_itself(self) -> RewardSection:
        check_range(self.heldout_seed, 1 + self.ensemble, "heldout_seed", "ensemble")
        if self.training().recon_weight > 0 and self.backbone != "unet3d":
            raise ValueError(f"{self.backbone} reconstructs nothing; set train.recon_weight to 0")
        if self.representation == "points" and self.view_resolution**2 < self.points:
            raise ValueError(
                f"points = {self.points}, but a cloud has view_resolution squared ="
                f" {self.view_resolution**2} of them; raise view_resolution or lower points"
            )
        return self

    @property
    def representation(self) -> Representation:
        """What the reward sees."""
        return REPRESENTATIONS[self.backbone]

    @property
    def rays(self) -> int | None:
        """Rays a side of what the reward is shown; None where it sees slabs."""
        return None if self.representation == "sigma" else self.view_resolution

    @property
    def yaws(self) -> tuple[float, ...]:
        """Cameras of its depth maps, radians; clouds are of the canonical one."""
        return VIEWS[self.views] if self.representation == "depth" else VIEWS["single"]

    @property
    def has_anchors(self) -> bool:
        """Whether anchors take part in its questions, where the rankings have them."""
        return self._preset.anchors if self.anchors is None else self.anchors

    @property
    def _preset(self) -> Semantics:
        return semantics(self.semantics, self.backbone)

    def training(self) -> TrainConfig:
        """How it is trained: what is given, over the semantics."""
        given = {name: getattr(self.train, name) for name in self.train.model_fields_set}
        return TrainConfig(**{**self._preset.train_settings(), **given})

    def network(self, grid: Grid, generator: str, psi: float) -> RewardConfig:
        """What it is made of. Raises ValueError where settings do not fit each other."""
        preset = self._preset.model_settings()
        own = {name: value for name in ("pooling", "doubled", "activation", "latents", "frozen",
               "norm") if (value := getattr(self, name)) is not None}  # fmt: skip
        settings = {**preset, **own, "heads": self.training().heads}
        if self.representation == "sigma":
            settings.pop("latents", None)
        if self.representation == "depth":
            settings |= {"yaws": self.yaws, "image_size": self.image_size, "near": self.near,
                         "far": self.far}  # fmt: skip
        if self.representation == "points":
            settings |= {"points": self.points}
        try:
            return RewardConfig(
                grid=grid, generator=generator, psi=psi, backbone=self.backbone,
                f_maps=self.f_maps, feature_size=self.feature_size, trunk=self.trunk,
                trunk_out=self.trunk_out, head=self.head, precision=self.precision,
                checkpoint=self.checkpoint and self.backbone == "unet3d", **settings,
            )  # fmt: skip
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class Clamp(Section):
    """Bounds of f_r: fixed, or so many standard deviations about the start's mean reward."""

    low: float | None = -10.0
    high: float | None = 10.0
    deviations: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> Clamp:
        if self.deviations is not None:
            return self
        if self.low is None or self.high is None:
            raise ValueError("give both low and high, or deviations")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class Watch(Section):
    """What is done where the held-out reward falls while the trained one rises."""

    heldout: Literal["off", "warn", "stop"] = "off"
    """off: it is not looked at; warn: said in metrics and progress; stop: the run ends there, and
    its result is the generator of the tick that the held-out reward liked best"""
    ticks: int = Field(3, ge=1)
    """over so many"""


class EnsembleSection(Section):
    """Rewards of other seeds beside the first, combined after standardising each."""

    size: int = Field(1, ge=1)
    combine: Literal["mean", "min", "lower"] = "mean"
    deviations: float = Field(1.0, ge=0)
    """of `lower`: the mean minus so many deviations among the rewards"""


class FinetuneSection(FinetuneConfig):
    """Settings of every fine-tune; a trial overrides those that are searched."""

    clamp_low: None = None  # type: ignore[assignment]  # the section `clamp` says it
    clamp_high: None = None  # type: ignore[assignment]  # likewise
    seed: Seed | None = None  # type: ignore[assignment]  # none: `settings` gives the sweep's
    clamp: Clamp = Clamp()
    tick_seeds: int = Field(200, ge=2, le=1_000_000)
    """fixed seeds from 300000 whose reward is followed at every tick (paper Fig. 8)"""
    watch: Watch = Watch()
    ensemble: EnsembleSection = EnsembleSection()

    @model_validator(mode="after")
    def _clamp_is_an_interval(self) -> FinetuneSection:
        return self  # its ends come with the start's rewards

    def settings(self, seed: int) -> dict[str, Any]:
        """What the stage is told of the loop, presets filled in. seed: where it has none itself."""
        own = {"clamp", "tick_seeds", "clamp_low", "clamp_high", "watch", "ensemble"}
        found = self.resolved().model_dump(mode="json", exclude=own)
        return {**found, "seed": seed if self.seed is None else self.seed}


class EvaluationSection(FidSection):
    """What every generator is measured with; the same latents and poses for all."""

    seeds: int = Field(100, ge=8)
    first_seed: Seed = 200000
    psi: float = Field(0.7, ge=0, le=1)
    annotator_seeds: int = Field(40, ge=4)
    consistency_resolution: int = Field(64, ge=8)
    extractor_weights: File | None = None
    mesh_seeds: int = Field(4, ge=1)
    mesh_resolution: int = Field(256, ge=32)

    @model_validator(mode="after")
    def _seeds_are_seeds(self) -> EvaluationSection:
        check_range(self.first_seed, self.seeds, "first_seed", "seeds")
        return self

"""What a sweep file may say. `sweeps/scales/<scale>.yaml` lies below it, `--set` above."""

from __future__ import annotations

import itertools
from typing import Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from jobs.search.outcomes import REWARD
from jobs.sweep.card_section import CardSection
from jobs.sweep.common import Common
from jobs.sweep.outside import (
    RewardFile,
    ScoredCheckpoint,
    Ticks,
    left_out,
    network_of,
)
from jobs.sweep.sections import (
    RewardSection,
    Section,
)
from jobs.sweep.settings import apply, check_values
from jobs.sweep.space import FIELDS, SearchSection
from sigmaflow.finetune.config import (
    AdversarialConfig,
    ProjectedConfig,
    RefineConfig,
    WarmstartConfig,
)
from sigmaflow.seeds import Seed, check_range


class SweepConfig(Common):
    """`kind: sweep`: the whole method under a search of loss weights."""

    kind: Literal["sweep"]
    search: SearchSection

    @model_validator(mode="after")
    def _fine_tunes_can_follow_the_reward(self) -> SweepConfig:
        self._can_follow(self.reward)
        return self

    def _can_follow(self, reward: RewardSection) -> None:
        """Raises ValueError where a fine-tune cannot follow a reward, or it cannot be built."""
        network = self.built(reward)
        if network.latents != "one":
            preset = f" (of semantics {reward.semantics})" if reward.latents is None else ""
            raise ValueError(
                f"reward.latents is {network.latents}{preset}: {reward.backbone} would learn other"
                " people's views, and a fine-tune shows it views of one latent; set reward.latents"
                " to one, or compare such rewards in kind: rewards"
            )

    @model_validator(mode="after")
    def _rendered_planes_can_be_scored(self) -> SweepConfig:
        searched = self.search.space.get("reward_phase")
        phases = [self.finetune.reward_phase, *(searched.choices or () if searched else ())]
        if "shared" in phases and self.rankings.psi != 1 and self.finetune.reward_psi != 1:
            raise ValueError(
                "finetune.reward_phase shared scores the planes that are rendered, which are not"
                f" truncated, and rewards learn from shapes at rankings.psi {self.rankings.psi}:"
                " set rankings.psi to 1, or reward_phase to summed"
            )
        return self

    @model_validator(mode="after")
    def _settings_can_be_searched(self) -> SweepConfig:
        check_values(self.search, self.finetune, self.reward, self._can_follow)
        return self

    @model_validator(mode="after")
    def _paper_scale_has_what_it_needs(self, info: ValidationInfo) -> SweepConfig:
        if left_out(info, "files"):
            return self
        e = self.evaluation
        lacking = []
        if self.scale == "paper" and self.checkpoint == "mini":
            lacking.append("checkpoint: the folder of EG3D's converted FFHQ checkpoint")
        if self.scale == "paper" and self.images == "mini":
            lacking.append("images: EG3D's FFHQ zip")
        if e.extractor != "stlpips-alex" and e.extractor_weights is None:
            lacking.append("evaluation.extractor_weights: the path of inception-2015-12-05.pt")
        if lacking:
            raise ValueError(f"this sweep also needs {'; '.join(lacking)}")
        return self


class RewardsConfig(Common):
    """`kind: rewards`: rewards of several representations on the same questions; Table 1."""

    kind: Literal["rewards"]
    checkpoint: ScoredCheckpoint = "mini"
    rows: dict[str, dict[str, Any]] = Field(min_length=1)
    """settings of `reward` by the name of a row"""
    search: SearchSection

    def row(self, name: str) -> dict[str, Any]:
        """A row's settings under the names of a search's."""
        return {REWARD + key: value for key, value in self.rows[name].items()}

    @model_validator(mode="after")
    def _every_row_can_be_searched(self) -> RewardsConfig:
        search = self.search
        if not search.known_whole and search.sampler != "random":
            raise ValueError(
                f"search.sampler is {search.sampler}; rows are searched without waiting for each"
                " other's results: take grid, ablation or random"
            )
        if foreign := [name for name in search.space if not name.startswith(REWARD)]:
            raise ValueError(f"search.space.{foreign[0]} is no setting of the reward; nothing is"
                             " fine-tuned here")  # fmt: skip
        if search.constraints:
            raise ValueError("search.constraints are of fine-tunes; leave them out")

        for name in self.rows:
            settings = self.row(name)
            unknown = sorted(set(settings) - set(FIELDS))
            if unknown:
                raise ValueError(f"rows.{name}.{unknown[0].removeprefix(REWARD)} is no setting of"
                                 " the reward")  # fmt: skip
            if both := sorted(set(settings) & set(search.space)):
                raise ValueError(f"rows.{name}: {both[0]} is searched as well; say it once")
            try:
                reward = apply(settings, self.finetune, self.reward)[1]
                self.built(reward)
            except ValueError as error:
                raise ValueError(f"rows.{name}: {error}") from error
            check_values(search, self.finetune, reward, self.built)
        return self

    @model_validator(mode="after")
    def _paper_scale_has_what_it_needs(self, info: ValidationInfo) -> RewardsConfig:
        if not left_out(info, "files") and self.scale == "paper" and self.checkpoint == "mini":
            raise ValueError("this sweep also needs checkpoint: the folder of EG3D's converted FFHQ"
                             " checkpoint")  # fmt: skip
        return self


class ScoreConfig(Common):
    """`kind: score`: two or three checkpoints, one reward, many seeds; no training."""

    kind: Literal["score"]
    before: ScoredCheckpoint
    after: ScoredCheckpoint
    control: ScoredCheckpoint | None = None
    """the same fine-tune without the reward"""
    ticks: Ticks | None = None
    """`ticks.parquet` of the fine-tune that made `after`: its trajectories"""
    control_ticks: Ticks | None = None
    fid: bool = False
    reward_model: RewardFile
    """path of a trained reward (`reward.safetensors` of a sweep)"""
    seeds: int = Field(100, ge=3)
    first_seed: Seed = 200000

    @model_validator(mode="after")
    def _seeds_are_seeds(self) -> ScoreConfig:
        check_range(self.first_seed, self.seeds, "first_seed", "seeds")
        return self

    @model_validator(mode="after")
    def _reward_can_be_shown_what_it_knows(self) -> ScoreConfig:
        network = network_of(self.reward_model)
        if network is None or network.representation == "sigma":
            return self
        if network.latents != "one":
            raise ValueError(
                f"reward_model {self.reward_model} was trained on another latent for each view"
                f" (latents: {network.latents}), and a generator is scored by views of one; give"
                " a reward of latents one"
            )
        rays = self.reward.view_resolution
        if network.representation == "points" and rays**2 < network.points:
            raise ValueError(
                f"reward_model {self.reward_model} sees {network.points} points, but a cloud has"
                f" reward.view_resolution squared = {rays**2} of them; give what it was trained at"
            )
        return self

    @model_validator(mode="after")
    def _fids_have_what_they_need(self, info: ValidationInfo) -> ScoreConfig:
        if left_out(info, "files") or not self.fid:
            return self
        e = self.evaluation
        if self.scale == "paper" and self.images == "mini":
            raise ValueError("images: EG3D's FFHQ zip is needed for FIDs; give it, or fid: false")
        if e.extractor != "stlpips-alex" and e.extractor_weights is None:
            raise ValueError(
                "evaluation.extractor_weights: the path of inception-2015-12-05.pt is "
                "needed for FIDs; give it, or fid: false"
            )
        return self


class RenderedSet(Section):
    """Pictures of parametric heads: `views` of each identity with FFHQ's poses, and `around` more
    from all sides. Identities are those of the seeds from `first_seed` on."""

    identities: int = Field(ge=8)
    first_seed: Seed
    views: int = Field(ge=1)
    around: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _seeds_are_seeds(self) -> RenderedSet:
        check_range(self.first_seed, self.identities, "first_seed", "identities")
        return self

    @property
    def seeds(self) -> range:
        """The seeds of the identities' latents."""
        return range(self.first_seed, self.first_seed + self.identities)


class PretrainConfig(Common):
    """`kind: pretrain`: make the mini generator again. No training sees the held-out identities."""

    kind: Literal["pretrain"]
    training: RenderedSet = RenderedSet(identities=20000, first_seed=1000000, views=3, around=1)
    heldout: RenderedSet = RenderedSet(identities=880, first_seed=2000000, views=2)
    G: dict[str, Any]
    D: dict[str, Any]
    max_yaw: float | None = Field(0.95, gt=0)
    """radians: adversaries see no picture whose camera stands farther to a side; null: all. Views
    from all sides are for the regression, FFHQ has none"""
    warmstart: WarmstartConfig
    refine: RefineConfig | None = None
    """a second warm start, from where the first ended, with settings of its own"""
    projected: ProjectedConfig | None = None
    """the phase between warm starts and EG3D's training; null: none"""
    adversarial: AdversarialConfig

    @model_validator(mode="after")
    def _name_is_no_other_sweeps_model(self) -> PretrainConfig:
        for end in ("-strongest", "-reward.safetensors", "-reward.json"):
            if self.name.endswith(end):
                raise ValueError(
                    f"name: {self.name!r} ends as the models of another sweep do in"
                    f" models/; take one that does not end in {end}"
                )
        return self

    @model_validator(mode="after")
    def _heldout_is_held_out(self) -> PretrainConfig:
        a, b = self.training.seeds, self.heldout.seeds
        if max(a.start, b.start) < min(a.stop, b.stop):
            raise ValueError(
                f"heldout: seeds {b.start} to {b.stop - 1} meet those of training, "
                f"{a.start} to {a.stop - 1}; move first_seed"
            )
        shown = self.training.views + self.training.around
        phases = {"warmstart": self.warmstart, "refine": self.refine, "projected": self.projected}
        for phase, name in itertools.product(phases, ("views", "image_views")):
            wanted = getattr(phases[phase], name, 0)
            if self.images == "mini" and wanted > shown:
                raise ValueError(
                    f"{phase}.{name}: {wanted}, but training renders {shown} views "
                    "of an identity; take fewer"
                )
        return self

    @model_validator(mode="after")
    def _networks_can_be_built(self, info: ValidationInfo) -> PretrainConfig:
        if not left_out(info, "networks"):
            check_networks(self.G, self.D)
        return self


class CardConfig(Common):
    """`kind: card`: measure a generator that was trained on rendered heads; trains nothing."""

    kind: Literal["card"]
    checkpoint: ScoredCheckpoint = "mini"
    card: CardSection = CardSection()

    @model_validator(mode="after")
    def _hours_are_of_curves(self) -> CardConfig:
        if unknown := sorted(set(self.card.hours) - set(self.card.curves)):
            raise ValueError(f"card.hours.{unknown[0]} is of no training in card.curves; name both"
                             " alike")  # fmt: skip
        return self


class RehearsalConfig(SweepConfig):
    """`kind: rehearsal`: a sweep at full size on random weights, to see that all of it holds."""

    kind: Literal["rehearsal"]  # type: ignore[assignment]  # the file says which of the two
    G: dict[str, Any]
    D: dict[str, Any]
    pictures: int = Field(16, ge=2)
    """pictures of the shipped set, enlarged, that stand in for the real images"""

    @model_validator(mode="after")
    def _paper_scale_has_what_it_needs(self, info: ValidationInfo) -> RehearsalConfig:
        if not left_out(info, "networks"):
            check_networks(self.G, self.D)
        return self


def check_networks(G: dict[str, Any], D: dict[str, Any]) -> None:
    """Raises ValueError where the classes do not take these settings. Allocates no weights."""
    import torch

    from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator

    for name, network, kwargs in (("G", TriPlaneGenerator, G), ("D", DualDiscriminator, D)):
        try:
            with torch.device("meta"):
                network(**kwargs)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{name} can't be built: {error}") from error


KINDS: dict[str, type[Common]] = {
    "sweep": SweepConfig,
    "score": ScoreConfig,
    "pretrain": PretrainConfig,
    "rehearsal": RehearsalConfig,
    "rewards": RewardsConfig,
    "card": CardConfig,
}

"""What every kind of sweep may say."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from jobs.sweep.analysis_graph import AnalysesSection
from jobs.sweep.given import Given
from jobs.sweep.idle import problems
from jobs.sweep.lines import Keys
from jobs.sweep.outside import Checkpoint, Images
from jobs.sweep.sections import (
    AnnotatorSection,
    EvaluationSection,
    FinetuneSection,
    RankingsSection,
    RewardSection,
    Section,
    Slab,
)
from sigmaflow.preferences.orders import holds_orders
from sigmaflow.rewards.config import RewardConfig
from sigmaflow.seeds import Seed


class Common(Section):
    """What every kind of sweep has."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    scale: Literal["mini", "paper"] = "mini"
    seed: Seed = 0
    threads: int = Field(1, ge=1)
    """threads of every stage; float sums depend on it, so it is part of each stage's key"""
    sampler: Literal["auto", "torch", "numba"] = "auto"
    """what samples sigma on grids; auto is numba where it is installed. Part of each stage's key"""
    block: int = Field(64, ge=1)
    """seeds a fan-out task takes"""
    checkpoint: Checkpoint = "mini"
    images: Images = "mini"
    slab: Slab = Slab()
    rankings: RankingsSection = RankingsSection()
    annotator: AnnotatorSection = AnnotatorSection()
    reward: RewardSection = RewardSection()
    finetune: FinetuneSection = FinetuneSection()
    evaluation: EvaluationSection = EvaluationSection()
    analyses: AnalysesSection = AnalysesSection()
    device: Literal["cpu", "cuda"] = "cpu"
    """where quantities of `analyses` are measured; numbers differ between the two, so it is part
    of their keys"""

    def stage_base(self) -> dict[str, Any]:
        """What the last bits of every stage's numbers depend on."""
        found = "numba" if importlib.util.find_spec("numba") else "torch"
        return {
            "threads": self.threads,
            "sampler": found if self.sampler == "auto" else self.sampler,
        }

    def misfits(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """What its files and settings say against each other: keys, and the text with remedy."""
        from jobs.sweep.counts import too_many
        from jobs.sweep.fit import misfits

        yield from too_many(self)
        yield from misfits(self)

    def idle(self, given: Given) -> list[tuple[Keys, str]]:
        """What was given and cannot take effect, with the reason."""
        return problems(self, given)

    @property
    def whole_orders(self) -> bool:
        """Whether the rankings are a file of whole orders, which names who answered."""
        file = self.rankings.file
        return file is not None and holds_orders(file)

    def built(self, reward: RewardSection) -> RewardConfig:
        """A reward's network. Raises ValueError where its settings do not fit each other, or the
        rankings do not say what it is to learn."""
        file = self.rankings.file
        missing = file is not None and not Path(file).is_file()  # prefetch says so
        if reward.training().annotator_bias and not (self.whole_orders or missing):
            raise ValueError(
                "reward.train.annotator_bias needs to know who answered: give rankings.file whole"
                " orders (question,annotator,rank1,...,rank6; python -m jobs.questions --read"
                " ANSWERS --orders FILE writes them), or leave it out"
            )
        return reward.network(self.slab.grid(), "", self.rankings.psi)

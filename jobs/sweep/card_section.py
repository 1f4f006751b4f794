"""What a sweep file of `kind: card` may say of its measurements."""

from __future__ import annotations

from pydantic import Field, model_validator

from jobs.sweep.outside import Curve, File
from jobs.sweep.sections import Section
from sigmaflow.metrics.protocol import BLOCK
from sigmaflow.seeds import Seed, check_range


class CardSection(Section):
    """How many seeds each measurement takes, and what is given by path."""

    samples: int = Field(2000, ge=8)
    """generated pictures that distances are taken of"""
    shard: int = Field(4 * BLOCK, ge=BLOCK, multiple_of=BLOCK)
    """of them, those that a fan-out task takes; no number depends on it"""
    embedded: int = Field(640, ge=8)
    """pictures of each set, evenly spaced, that the second embedder sees: it is slow"""
    first_seed: Seed = 320000
    """of all seeds but the samples' and the training's"""
    landmark_seeds: int = Field(200, ge=2)
    identities: int = Field(100, ge=3)
    yaw: float = Field(30.0, gt=0, le=90)
    mesh_seeds: int = Field(100, ge=2)
    mesh_resolution: int = Field(128, ge=16)
    lit_seeds: int = Field(12, ge=1)
    annotator_seeds: int = Field(300, ge=6)
    truth_seeds: int = Field(20, ge=2)
    training_first_seed: Seed = 1000000
    training_identities: int = Field(20000, ge=1)
    landmarks: File | None = None
    embedder: File | None = None
    curves: dict[str, Curve] = {}
    hours: dict[str, float] = {}

    @model_validator(mode="after")
    def _seeds_exist(self) -> CardSection:
        largest = max(self.landmark_seeds, self.identities, self.mesh_seeds, self.annotator_seeds)
        check_range(self.first_seed, largest, "first_seed", "seeds")
        check_range(self.training_first_seed, self.training_identities, "training_first_seed",
                    "training_identities")  # fmt: skip
        return self

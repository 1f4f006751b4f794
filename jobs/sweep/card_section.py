"""What a sweep file of `kind: card` may say of its measurements."""

from __future__ import annotations

from pydantic import Field

from jobs.sweep.sections import File, Section
from sigmaflow.metrics.protocol import BLOCK


class CardSection(Section):
    """How many seeds each measurement takes, and what is given by path."""

    samples: int = Field(2000, ge=8)
    """generated pictures that distances are taken of"""
    shard: int = Field(4 * BLOCK, ge=BLOCK, multiple_of=BLOCK)
    """of them, those that a fan-out task takes; no number depends on it"""
    embedded: int = Field(640, ge=8)
    """pictures of each set, evenly spaced, that the second embedder sees: it is slow"""
    first_seed: int = Field(320000, ge=0)
    """of all seeds but the samples' and the training's"""
    landmark_seeds: int = Field(200, ge=2)
    identities: int = Field(100, ge=3)
    yaw: float = Field(30.0, gt=0, le=90)
    mesh_seeds: int = Field(100, ge=2)
    mesh_resolution: int = Field(128, ge=16)
    lit_seeds: int = Field(12, ge=1)
    annotator_seeds: int = Field(300, ge=6)
    truth_seeds: int = Field(20, ge=2)
    training_first_seed: int = Field(1000000, ge=0, lt=2**32)
    training_identities: int = Field(20000, ge=1)
    landmarks: File | None = None
    embedder: File | None = None
    curves: dict[str, File] = {}
    hours: dict[str, float] = {}

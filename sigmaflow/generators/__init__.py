"""3D-aware generators. `load_generator("mini")` gives the one that ships with the package."""

from typing import TYPE_CHECKING

from sigmaflow.lazy import attach

if TYPE_CHECKING:  # for readers and for the hash of a stage's sources
    from .checkpoint import (
        CheckpointError,
        GANCheckpoint,
        build,
        digest,
        load_gan,
        load_generator,
        resolve,
        save_gan,
    )
    from .discriminator import DualDiscriminator
    from .triplane import TriPlaneGenerator
    from .volume import RaySampling

__all__ = [
    "CheckpointError",
    "DualDiscriminator",
    "GANCheckpoint",
    "RaySampling",
    "TriPlaneGenerator",
    "build",
    "digest",
    "load_gan",
    "load_generator",
    "resolve",
    "save_gan",
]
__getattr__, __dir__ = attach(__name__, __file__)

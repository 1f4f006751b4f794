"""GAN training with a learned reward. Loops are generators that yield a `Tick`."""

from typing import TYPE_CHECKING

from sigmaflow.lazy import attach

if TYPE_CHECKING:  # for readers and for the hash of a stage's sources
    from .config import (
        AdversarialConfig,
        FinetuneConfig,
        ProjectedConfig,
        RefineConfig,
        WarmstartConfig,
    )
    from .geometry import PAPER, RELEASED, Semantics
    from .loop import finetune
    from .projected import ProjectedDiscriminator
    from .projected_loop import start_projected_state, train_projected
    from .start import start_state
    from .state import GANState, ImageSet, Pause, Tick
    from .terms import Ensemble, ImageView, Member, RewardTerm
    from .warm import HeldOut, start_warm_state, warmstart

__all__ = [
    "AdversarialConfig",
    "Ensemble",
    "FinetuneConfig",
    "GANState",
    "HeldOut",
    "ImageSet",
    "ImageView",
    "Member",
    "PAPER",
    "Pause",
    "ProjectedConfig",
    "RefineConfig",
    "ProjectedDiscriminator",
    "RELEASED",
    "RewardTerm",
    "Semantics",
    "Tick",
    "WarmstartConfig",
    "finetune",
    "start_projected_state",
    "start_state",
    "start_warm_state",
    "train_projected",
    "warmstart",
]
__getattr__, __dir__ = attach(__name__, __file__)

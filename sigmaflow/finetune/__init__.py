"""GAN training with a learned reward. Loops are generators that yield a `Tick`."""

from typing import TYPE_CHECKING

from sigmaflow.lazy import attach

if TYPE_CHECKING:  # for readers and for the hash of a stage's sources
    from .config import AdversarialConfig, FinetuneConfig, WarmstartConfig
    from .geometry import PAPER, RELEASED, RewardTerm, Semantics
    from .loop import finetune, start_state
    from .state import GANState, ImageSet, Tick
    from .warm import start_warm_state, warmstart

__all__ = [
    "AdversarialConfig",
    "FinetuneConfig",
    "GANState",
    "ImageSet",
    "PAPER",
    "RELEASED",
    "RewardTerm",
    "Semantics",
    "Tick",
    "WarmstartConfig",
    "finetune",
    "start_state",
    "start_warm_state",
    "warmstart",
]
__getattr__, __dir__ = attach(__name__, __file__)

"""Where a GAN run begins: copies of the start, and its optimisers."""

from __future__ import annotations

import copy

import torch

from sigmaflow.generators import GANCheckpoint

from .augment import Adaptation, AugmentPipe
from .config import FinetuneConfig, LoopConfig
from .state import GANState


def lazy_adam(parameters, lr: float, beta2: float, interval: int) -> torch.optim.Adam:
    """Adam whose rate and decay account for a regulariser every `interval` steps (StyleGAN2 B)."""
    ratio = interval / (interval + 1)
    return torch.optim.Adam(parameters, lr=lr * ratio, betas=(0.0, beta2**ratio), eps=1e-8)


def geometry_phase(config: LoopConfig) -> str | None:
    """Where Eq. 6's terms come in: "summed", "separate", or None for not at all."""
    if not isinstance(config, FinetuneConfig):
        return None
    whole = config.resolved()
    return whole.reward_phase if whole.lambda_r > 0 or whole.control_consistency else None


def start_state(start: GANCheckpoint, config: LoopConfig) -> GANState:
    """Copies of the start networks with cold optimisers, at image 0."""
    G, D, G_ema = copy.deepcopy(start.G), copy.deepcopy(start.D), copy.deepcopy(start.G_ema)
    G.train().requires_grad_(True)
    D.train().requires_grad_(True)
    G_ema.eval().requires_grad_(False)
    g_interval = config.density_reg_interval if config.density_reg > 0 else 1
    optimizers: dict[str, torch.optim.Optimizer] = {
        "G": lazy_adam(G.parameters(), config.g_lr, config.beta2, g_interval),
        "D": lazy_adam(D.parameters(), config.d_lr, config.beta2, config.r1_interval),
    }
    if isinstance(config, FinetuneConfig) and geometry_phase(config) == "separate":
        betas = (0.0, config.reward_beta2)
        optimizers["reward"] = torch.optim.Adam(G.parameters(), config.reward_lr, betas, eps=1e-8)
    state = GANState(G, D, G_ema, optimizers, meta=dict(start.meta))
    if config.aug != "none":
        state.augment = AugmentPipe(config.aug_p).to(state.device)
    if config.aug == "ada" and state.augment is not None:
        state.adaptation = Adaptation(
            state.augment, config.ada_target, config.ada_interval, config.ada_kimg
        )
    return state

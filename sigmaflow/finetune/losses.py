"""Terms of the GAN loss (EG3D section 4; paper Eq. 5-7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator
from sigmaflow.generators.discriminator import resize


def swap_cameras(c: Tensor, probability: float) -> Tensor:
    """Conditioning cameras: each row with that probability its neighbour's (EG3D section 4.4)."""
    if probability == 0:
        return c
    swap = torch.rand(len(c), 1, device=c.device) < probability
    return torch.where(swap, torch.roll(c, 1, 0), c)


def r1_penalty(D: DualDiscriminator, image: Tensor, image_raw: Tensor, c: Tensor) -> Tensor:
    """Squared gradients of the real logits over both images, [B]."""
    image = image.detach().requires_grad_(True)
    image_raw = image_raw.detach().requires_grad_(True)
    logits = D(image, image_raw, c)
    grads = torch.autograd.grad(logits.sum(), [image, image_raw], create_graph=True)
    return sum(g.square().sum(dim=(1, 2, 3)) for g in grads)


def density_variation(G: TriPlaneGenerator, planes: Tensor, points: int, p_dist: float) -> Tensor:
    """Mean |sigma(p) - sigma(p + noise)| at uniform p in [-1, 1]^3 (EG3D's density_reg)."""
    p = torch.rand(len(planes), points, 3, device=planes.device) * 2 - 1
    near = p + torch.randn_like(p) * p_dist
    sigma = G.sigma(planes, torch.cat([p, near], dim=1))
    return (sigma[:, :points] - sigma[:, points:]).abs().mean()


def real_pair(images: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Real image and its low-resolution partner, as the discriminator sees them."""
    return images, resize(images, resolution)


@dataclass(frozen=True)
class RewardTerm:
    """r_theta with what it was trained on. `score`: raw sigma slab [B, x, y, z] to [B]."""

    score: Callable[[Tensor], Tensor]
    grid: Grid
    truncation_psi: float = 1.0


def geometry_terms(
    G: TriPlaneGenerator,
    G_old: TriPlaneGenerator,
    z: Tensor,
    reward: RewardTerm | None,
    clamp: tuple[float, float],
    consistency: Grid | None,
) -> dict[str, Tensor]:
    """Reward and consistency of one batch of latents under the canonical condition.

    Returns `reward` [B] (raw), `reward_loss` = -mean clamp(reward) (Eq. 6), `saturation` (share
    outside the clamp) and `consistency` = mean |sigma_new - sigma_old| (Eq. 7). Terms that were
    not asked for are absent. The backbone runs once.
    """
    c = G.canonical_label().expand(len(z), -1)
    psi = reward.truncation_psi if reward else 1.0
    planes = G.planes(G.mapping(z, c, truncation_psi=psi), noise_mode="const")
    out: dict[str, Tensor] = {}
    if reward is not None:
        score = reward.score(G.sigma_grid(planes, reward.grid))
        low, high = clamp
        out["reward"] = score
        out["reward_loss"] = -score.clamp(low, high).mean()
        out["saturation"] = ((score <= low) | (score >= high)).float()
    if consistency is not None:
        with torch.no_grad():
            old = G_old.planes(G_old.mapping(z, c, truncation_psi=psi), noise_mode="const")
            target = G_old.sigma_grid(old, consistency)
        out["consistency"] = (G.sigma_grid(planes, consistency) - target).abs().mean()
    return out


def generator_loss(logits: Tensor) -> Tensor:
    """Non-saturating loss, mean softplus(-D(G(z)))."""
    return F.softplus(-logits).mean()


def discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """mean softplus(D(fake)) + mean softplus(-D(real))."""
    return F.softplus(fake).mean() + F.softplus(-real).mean()

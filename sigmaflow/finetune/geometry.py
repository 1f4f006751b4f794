"""Reward and consistency of the density field (paper Eq. 5-7), as printed and as released."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import TriPlaneGenerator

from .config import FinetuneConfig
from .shared import Shared
from .terms import RewardTerm

CELLS_PER_QUERY = 1_000_000  # the released sampler maps the latent again for each so many cells
# Blocks of the backbone that are remade on the way back. The last holds half of its activations,
# which would lie beside the reward network's, and takes a third of its time forward.
REMADE = 1


class Truncation(NamedTuple):
    """Truncation of latents: `psi` toward w_avg on the first `cutoff` rows (None: on all)."""

    psi: float = 1.0
    cutoff: int | None = None


@dataclass(frozen=True)
class Semantics:
    """Where paper and released code differ on the two terms. The defaults are the paper's.

    reward: truncation of the latents that are scored; None is the psi of the reward term.
    consistency: truncation of the latents whose fields are compared, in both generators, each
        with its own w_avg; None is the reward's, and one pass of the backbone serves both terms.
    clamp: "each" bounds the reward of every latent (Eq. 6), "mean" that of the batch.
    offset: added to the negated bounded reward. It moves the loss and no gradient.
    update_w_avg: asking for a slab moves the live w_avg as training does, latent by latent and
        once for each million cells of the slab; the consistency term then sees what is left.
    consistency_over: "mean" or "sum" over the latents of the batch.
    bound: of the reward: "clamp" (Eq. 6), "tanh" or "softplus" (`bounded`).
    """

    reward: Truncation | None = None
    consistency: Truncation | None = None
    clamp: Literal["each", "mean"] = "each"
    offset: float = 0.0
    update_w_avg: bool = False
    consistency_over: Literal["mean", "sum"] = "mean"
    bound: Literal["clamp", "tanh", "softplus"] = "clamp"


PAPER = Semantics()
RELEASED = Semantics(
    reward=Truncation(1.0, 14),
    consistency=Truncation(0.7, 14),
    clamp="mean",
    offset=1e-6,
    update_w_avg=True,
    consistency_over="sum",
)
"""The released fine-tuning, micro-batch by micro-batch (there of one latent each)."""


def semantics_of(config: FinetuneConfig, trained_psi: float = 1.0) -> Semantics:
    """What the settings say of the two terms. trained_psi: of the reward."""
    c: Any = config.resolved()  # filled in: no setting is None

    def rows(cutoff: int | str) -> int | None:
        return None if cutoff == "all" else int(cutoff)

    reward: Truncation | None = None
    if (c.reward_psi, c.reward_cutoff) != ("trained", "all"):
        psi = trained_psi if c.reward_psi == "trained" else float(c.reward_psi)
        reward = Truncation(psi, rows(c.reward_cutoff))
    consistency: Truncation | None = None
    if c.consistency_psi != "reward":
        consistency = Truncation(float(c.consistency_psi), rows(c.consistency_cutoff))
    return Semantics(
        reward=reward,
        consistency=consistency,
        clamp=c.clamp_over,
        offset=c.reward_offset,
        update_w_avg=c.update_w_avg,
        consistency_over=c.consistency_over,
        bound=c.bound,
    )


def scored_ws(
    G: TriPlaneGenerator, z: Tensor, c: Tensor, truncation: Truncation, queries: int = 0
) -> Tensor:
    """ws [B, num_ws, w_dim] of the latents that are scored.

    queries: how often each latent in turn moves G's w_avg on the way, 0 for never.
    """
    if queries == 0:
        return G.mapping(z, c, *truncation)
    rows = []
    for i in range(len(z)):
        for _ in range(queries):
            ws = G.mapping(z[i : i + 1], c[i : i + 1], *truncation, update_emas=True)
        rows.append(ws)
    return torch.cat(rows)


def bounded(
    score: Tensor, clamp: tuple[float, float], bound: Literal["clamp", "tanh", "softplus"]
) -> Tensor:
    """f_r of rewards of any shape: between the ends of `clamp`, but for "softplus".

    "tanh" has slope 1 in the middle of the clamp and never quite 0. "softplus" is
    -softplus(-2 r), the released code's alternative: it saturates above 0 only.
    """
    low, high = clamp
    if bound == "clamp":
        return score.clamp(low, high)
    if bound == "softplus":
        return -F.softplus(-2 * score)
    middle, reach = (low + high) / 2, (high - low) / 2
    return middle + reach * torch.tanh((score - middle) / reach)


def reward_loss(
    score: Tensor, clamp: tuple[float, float], semantics: Semantics = PAPER
) -> tuple[Tensor, Tensor]:
    """Loss before lambda_r from rewards [B], and which values lie outside the clamp ([B] or
    scalar): there a clamped reward has no gradient."""
    low, high = clamp
    if semantics.clamp == "mean":
        score = score.mean()
    loss = -bounded(score, clamp, semantics.bound).mean() + semantics.offset
    return loss, ((score <= low) | (score >= high)).float()


def field_distance(new: Tensor, old: Tensor, over: Literal["mean", "sum"] = "mean") -> Tensor:
    """mean |sigma_new - sigma_old| of fields [B, ...], averaged or added over the latents."""
    difference = (new - old).abs()
    return difference.mean() if over == "mean" else difference.flatten(1).mean(1).sum()


def geometry_terms(
    G: TriPlaneGenerator,
    G_old: TriPlaneGenerator,
    z: Tensor,
    reward: RewardTerm | None,
    clamp: tuple[float, float],
    consistency: Grid | None,
    semantics: Semantics = PAPER,
    shared: Shared | None = None,
) -> dict[str, Tensor]:
    """Reward and consistency of one batch of latents z [B, z_dim] under the canonical condition.

    shared: ws and planes of z under conditions of its own, untruncated, which are taken instead.

    Returns `reward` [B] (raw), `reward_loss` = -mean clamp(reward) (Eq. 6), `saturation` (share
    outside the clamp) and `consistency` = mean |sigma_new - sigma_old| (Eq. 7), the last three as
    `semantics` has them, and `consistency_each` [B] without gradient. The loss is of the reward as
    `reward.standard` has it. Terms that were not asked for are absent. The backbone runs once
    unless the two terms truncate differently or w_avg moves between them.
    """
    c = G.canonical_label().expand(len(z), -1) if shared is None else shared.c
    scored = semantics.reward or Truncation(reward.truncation_psi if reward else 1.0)
    compared = semantics.consistency or scored
    if shared is not None and {scored, compared} != {Truncation()}:
        raise ValueError("planes that are rendered are not truncated, and these terms ask for "
                         f"{scored} and {compared}")  # fmt: skip
    out: dict[str, Tensor] = {}
    planes = target = None
    if consistency is not None:  # first, so that it never stands beside the reward's activations
        with torch.no_grad():
            noise = "const" if shared is None else shared.noise_mode
            old = G_old.planes(G_old.mapping(z, c, *compared), noise)
            target = G_old.sigma_grid(old, consistency)
            del old
    moves = semantics.update_w_avg and reward is not None
    if reward is not None:
        queries = -(-reward.cells // CELLS_PER_QUERY) if moves else 0
        if shared is None:
            ws = scored_ws(G, z, c, scored, queries)
            planes = G.planes(ws, "const", REMADE)
        else:
            ws, planes = shared.ws, shared.planes
        score = reward.score(reward.look(G, planes, ws))
        out["reward"] = score
        standard = reward.standard(score)
        out["reward_loss"], out["saturation"] = reward_loss(standard, clamp, semantics)
    if consistency is not None and target is not None:
        if shared is not None:
            planes = shared.planes
        elif planes is None or compared != scored or (moves and compared.psi != 1):
            planes = G.planes(G.mapping(z, c, *compared), "const", REMADE)
        field = G.sigma_grid(planes, consistency)
        out["consistency"] = field_distance(field, target, semantics.consistency_over)
        with torch.no_grad():
            out["consistency_each"] = (field - target).abs_().flatten(1).mean(1)
    return out

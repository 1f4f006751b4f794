"""A batch in pieces: which images go together, and how many fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid
from sigmaflow.generators import TriPlaneGenerator

from .config import FinetuneConfig, LoopConfig
from .geometry import geometry_terms, semantics_of
from .losses import generator_loss, judged, picture, r1_penalty, real_pair
from .start import geometry_phase
from .state import GANState
from .terms import RewardTerm

Piece = slice | Tensor
"""Rows of a batch."""

MARGIN = 1.5  # of a step's peak over what its graph holds: gradients and buffers on the way back


def pieces_of(batch: int, size: int, group: int = 1) -> list[Piece]:
    """Rows of each micro-batch of `size`, which divides `batch`.

    group: of the discriminator's minibatch-std, which compares image i with those `batch / group`
    further on. Where it divides `size`, images that it compares stay together, in the order in
    which a micro-batch compares them: the logits are then those of the whole batch. Otherwise the
    groups are smaller than the network's and the logits are others.
    """
    if batch % size:
        raise ValueError(f"micro_batch {size} does not divide batch {batch}")
    if size == batch:
        return [slice(None)]
    group = min(group, batch)
    if size % group or batch % group:
        return [slice(i, i + size) for i in range(0, batch, size)]
    table = torch.arange(batch).reshape(group, -1)
    return [part.flatten() for part in table.split(size // group, dim=1)]


def graph_bytes(work: Callable[[], Tensor], but: set[int]) -> int:
    """Bytes that the graph of `work` holds for its backward pass.

    but: addresses of storages that do not count, such as those of weights.
    """
    held: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        alive = work()
    total = sum(size for address, size in held.items() if address not in but)
    del alive  # until here, so that no address was used twice
    return total


def image_bytes(
    state: GANState,
    config: LoopConfig,
    reward: RewardTerm | None = None,
    G_old: TriPlaneGenerator | None = None,
) -> dict[str, int]:
    """What one image adds to the memory of each phase: an estimate, from one image's graphs."""
    G, D, device = state.G, state.D, state.device
    networks = (G, D) if G_old is None else (G, D, G_old)
    weights = {p.untyped_storage().data_ptr() for net in networks for p in net.parameters()}
    z, c = torch.zeros(1, G.z_dim, device=device) + 0.5, G.canonical_label()
    image = torch.zeros(1, 3, G.img_resolution, G.img_resolution, device=device)
    real = real_pair(image, G.neural_rendering_resolution)

    def generator() -> Tensor:
        fake = picture(G, G.mapping(z, c), c, config.noise_mode, config.precision)
        return generator_loss(judged(D, fake, c, config.precision)).mean()

    works: dict[str, Callable[[], Tensor]] = {"generator": generator}
    if config.r1_gamma > 0:
        works["r1"] = lambda: r1_penalty(D, *real, c, config.precision).mean()
    if geometry_phase(config) is not None:
        assert isinstance(config, FinetuneConfig) and G_old is not None
        works["geometry"] = partial(_geometry, G, config, reward, G_old, z)
    w_avg = G.backbone.mapping.w_avg.clone()
    found = {name: int(MARGIN * graph_bytes(work, weights)) for name, work in works.items()}
    G.backbone.mapping.w_avg.copy_(w_avg)  # released scoring moves it
    return found


def _geometry(
    G: TriPlaneGenerator, config: FinetuneConfig, reward: RewardTerm | None,
    G_old: TriPlaneGenerator, z: Tensor,
) -> Tensor:  # fmt: skip
    grid = Grid(resolution=config.consistency_resolution, length=G.rendering_kwargs["box_warp"])
    clamp = config.clamp_low, config.clamp_high
    scored = reward if config.lambda_r > 0 else None
    out = geometry_terms(G, G_old, z, scored, clamp, grid, semantics_of(config))
    return out["consistency"] + out.get("reward_loss", 0)


def fitting_micro_batch(
    state: GANState,
    config: LoopConfig,
    reward: RewardTerm | None = None,
    G_old: TriPlaneGenerator | None = None,
) -> int:
    """The largest micro-batch that `memory_gb` holds beside the networks; at least 1.

    It depends on settings and networks only, not on the machine, so that a run is the same
    everywhere. One that keeps the discriminator's groups whole is preferred to a larger one that
    does not. Raises ValueError where not even the networks fit.
    """
    networks = (state.G, state.D, state.G_ema, *(() if G_old is None else (G_old,)))
    size = {id(n): sum(p.numel() * p.element_size() for p in n.parameters()) for n in networks}
    trained = sum(size[id(n)] for n in (state.G, state.D))
    # Weights, gradients of both players, two moments of every optimiser.
    fixed = sum(size.values()) + trained + 2 * trained
    fixed += 2 * size[id(state.G)] if "reward" in state.optimizers else 0
    budget = config.memory_gb * 1e9 - fixed
    if budget <= 0:
        raise ValueError(f"memory_gb {config.memory_gb} does not hold the networks and their "
                         f"optimisers, {fixed / 1e9:.1f} GB; give more")  # fmt: skip
    each = max(image_bytes(state, config, reward, G_old).values())
    fits = [n for n in range(1, config.batch + 1) if not config.batch % n and n * each <= budget]
    group = state.D.b4.mbstd_group_size
    whole = [n for n in fits if n % group == 0]
    return max(whole or fits, default=1)

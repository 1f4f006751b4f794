"""Images of a generator for an FID: image i is a function of the protocol and of i alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.slab import latents
from sigmaflow.generators import RaySampling
from sigmaflow.metrics.protocol import Protocol

BATCH = 16
POINTS = 2**21  # samples of a rendering that are held at once


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] to uint8 as EG3D rounds: times 127.5, plus 128, clamped."""
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def image_batch(G) -> int:
    """Images rendered at once: a matter of memory, 2 for EG3D-512 and 16 for mini."""
    samples = G.neural_rendering_resolution**2 * G.rendering_kwargs["depth_resolution"]
    return max(1, min(BATCH, POINTS // samples))


def pose_index(protocol: Protocol, index: int, count: int) -> int:
    """Which of ``count`` cameras image ``index`` is seen from, each equally likely."""
    return int(np.random.default_rng((protocol.pose_seed, index)).integers(count))


def generated_blocks(
    G, labels: Tensor, protocol: Protocol, start: int, stop: int
) -> Iterator[Tensor]:
    """uint8 ``[block, 3, R, R]`` on the CPU, images ``start`` to ``stop`` (not included) in order.

    ``labels [n, 25]``: cameras that are drawn from, for conditioning and view alike. ``start`` must
    be a multiple of the protocol's block, as must ``stop`` before the last image. Where noise or
    rays are random, images are rendered one by one, each with its own seed, so that none depends on
    its neighbours; torch's generators are left as they were.
    """
    if start % protocol.block or (stop % protocol.block and stop != protocol.images):
        raise ValueError(f"images {start} to {stop} do not end at blocks of {protocol.block}")
    for first in range(start, stop, protocol.block):
        indices = range(first, min(first + protocol.block, stop))
        yield torch.cat(list(_images(G, labels, protocol, indices)))


def _images(G, labels: Tensor, protocol: Protocol, indices: range) -> Iterator[Tensor]:
    device = next(G.parameters()).device
    drawn = protocol.noise == "random" or protocol.rays == "stratified"
    step = 1 if drawn else image_batch(G)
    for i in range(0, len(indices), step):
        part = indices[i : i + step]
        seeds = [protocol.first_seed + k for k in part]
        poses = [pose_index(protocol, k, len(labels)) for k in part]
        z, c = latents(seeds, G.z_dim).to(device), labels[poses].to(device)
        where = [device] if device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(where, enabled=drawn):
            if drawn:
                torch.manual_seed(seeds[0])
            ws = G.mapping(z, c, truncation_psi=protocol.psi)
            sampling = RaySampling(deterministic=protocol.rays == "deterministic")
            image = G.synthesis(ws, c, noise_mode=protocol.noise, sampling=sampling)["image"]
        yield to_uint8(image).cpu()

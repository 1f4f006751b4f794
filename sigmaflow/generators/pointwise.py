"""Colours and sigma of a tri-plane scene at arbitrary points, on CPUs by compiled kernels.

The formula is `F.grid_sample` on every plane (bilinear, zeros outside, no aligned corners), the
mean over planes and the decoder. The kernels take few points at a time, from planes whose channels
are last in memory, so that neither features nor hidden units are ever stored: the backward pass
makes both again.

Bytes do not depend on the number of threads. Points are shared out in fixed parts, and what parts
ask of the decoder is added in their order. Of the planes' gradients a thread owns some channels of
one plane, and adds what points ask in the order of the points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import sampler

CHANNELS, COLORS = 32, 32  # of planes and of the decoder, for which the kernels are compiled
TEXELS_PER_POINT = 4  # fewer points of a plane do not pay for its copy with channels last


class Layers(NamedTuple):
    """The decoder's layers with their gains, sigma first among the outputs.

    weight [64, C], bias [64], last_weight [1 + 32, 64], last_bias [1 + 32].
    """

    weight: Tensor
    bias: Tensor
    last_weight: Tensor
    last_bias: Tensor


Features = Callable[[Tensor, Tensor], Tensor]
"""planes [B, n, C, P, P] and points [B, M, 3] to bilinear samples [B, n, M, C], by torch."""


def takes(planes: Tensor, count: int, axes: Tensor, weights: tuple[Tensor, Tensor]) -> bool:
    """Whether the kernels take planes [B, n, C, P, P], axes of n planes, layers with these weights,
    and `count` points a scene, which must be enough to pay."""
    shapes = (sampler.HIDDEN, CHANNELS), (1 + COLORS, sampler.HIDDEN)
    return (
        planes.dim() == 5
        and planes.shape[1:3] == (len(axes), CHANNELS)
        and count * TEXELS_PER_POINT >= planes.shape[-1] * planes.shape[-2]
        and all(w.shape == shape for w, shape in zip(weights, shapes))
        and all(map(_compiled, (planes, axes, *weights)))
    )


def takes_points(points: Tensor, scenes: int) -> bool:
    """Whether the kernels take points [B, M, 3]. They have no gradients of points."""
    return (
        points.dim() == 3
        and points.shape[0] == scenes
        and points.shape[2] == 3
        and _compiled(points)
        and not (points.requires_grad and torch.is_grad_enabled())
    )


def _compiled(tensor: Tensor) -> bool:
    """Whether kernels may be used now for tensors such as this one. They know nothing of autocast,
    torch.func, torch.compile and the modes that count or fake torch's operations."""
    return (
        sampler.resolve(tensor.device, tensor.dtype, sampler.HIDDEN) == "numba"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
    )


def channels_last(planes: Tensor) -> Tensor:
    """planes [B, n, C, P, P] with the same values, each texel's channels contiguous."""
    if planes.permute(0, 1, 3, 4, 2).is_contiguous():
        return planes
    return _ChannelsLast.apply(planes)


class _ChannelsLast(torch.autograd.Function):
    """`channels_last`; the gradient has its channels first again."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor) -> Tensor:
        return _runner().channels_last(planes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient if torch.is_grad_enabled() else _runner().channels_first(gradient)


def evaluate(
    planes: Tensor, points: Tensor, axes: Tensor, layers: Layers, features: Features, colors: bool
) -> tuple[Tensor | None, Tensor]:
    """Colours [B, M, 32], or None if not asked for, and raw sigma [B, M]; differentiable.

    planes [B, n, C, P, P], best by `channels_last`; points [B, M, 3]; axes [n, 2, 3]: from a point
    to its coordinates on every plane, -1 to 1 from edge to edge. features: the samples by torch,
    for gradients of gradients. The caller has asked `takes` and `takes_points`.
    """
    planes, points = channels_last(planes), points.detach().contiguous()
    axes = axes.detach().contiguous()
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in (planes, *layers))
    if graph:
        return _Evaluate.apply(planes, *layers, points, axes, features, colors)
    return _runner().values(planes, points, axes, Layers(*(t.detach() for t in layers)), colors)


def decode(features: Tensor, layers: Layers, colors: bool) -> tuple[Tensor | None, Tensor]:
    """The decoder by torch, on samples [B, n, M, C]."""
    weight, bias, last_weight, last_bias = layers
    hidden = F.softplus(F.linear(features.mean(1), weight, bias))
    if not colors:
        return None, F.linear(hidden, last_weight[:1], last_bias[:1])[..., 0]
    out = F.linear(hidden, last_weight, last_bias)
    return torch.sigmoid(out[..., 1:]) * (1 + 2 * 0.001) - 0.001, out[..., 0]


def sum_over_samples(shares: Tensor, colors: Tensor) -> Tensor:
    """Sum [B, R, C] of colors [B, R, S, C] in shares [B, R, S, 1], along rays; differentiable."""
    fits = colors.numel() > 0 and shares.shape == (*colors.shape[:3], 1)
    if not (fits and colors.shape[3] == COLORS and _compiled(colors) and _compiled(shares)):
        return (shares * colors).sum(2)
    return _SumOverSamples.apply(shares.contiguous(), colors.contiguous())


class _SumOverSamples(torch.autograd.Function):
    """`sum_over_samples` without a product in memory."""

    @staticmethod
    def forward(ctx: Any, shares: Tensor, colors: Tensor) -> Tensor:
        ctx.save_for_backward(shares, colors)
        rays = shares.detach().flatten(0, 1)[..., 0], colors.detach().flatten(0, 1)
        return _runner().add_rays(*rays).view(*shares.shape[:2], COLORS)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor]:
        shares, colors = ctx.saved_tensors
        if torch.is_grad_enabled():
            given = given.unsqueeze(2)
            return (given * colors).sum(3, keepdim=True), given * shares
        rays = shares.flatten(0, 1)[..., 0], colors.flatten(0, 1), given.flatten(0, 1)
        found = _runner().part_rays(*(t.detach().contiguous() for t in rays))
        return found[0].view(shares.shape), found[1].view(colors.shape)


class _Evaluate(torch.autograd.Function):
    """`evaluate`. Its gradients have a graph of their own only if that is asked for: then torch
    makes them."""

    @staticmethod
    def forward(
        ctx: Any, planes: Tensor, weight: Tensor, bias: Tensor, last_weight: Tensor,
        last_bias: Tensor, points: Tensor, axes: Tensor, features: Features, colors: bool,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        layers = Layers(weight, bias, last_weight, last_bias)
        color, sigma = _runner().values(planes, points, axes, layers, colors)
        ctx.save_for_backward(planes, *layers, points, axes, color)
        ctx.features = features
        ctx.set_materialize_grads(False)
        return color, sigma

    @staticmethod
    def backward(ctx: Any, to_color: Tensor | None, to_sigma: Tensor | None) -> tuple:
        planes, *layers, points, axes, color = ctx.saved_tensors
        layers, rest = Layers(*layers), (None,) * 4
        wanted = ctx.needs_input_grad[:5]
        if to_color is None and to_sigma is None:
            return (None,) * 9
        if torch.is_grad_enabled():
            found = _by_torch(ctx, planes, points, layers, color is not None, to_color, to_sigma)
            return *found, *rest
        grads = (None if color is None else to_color), to_sigma
        to_planes, to_layers = _runner().gradients(
            planes, points, axes, layers, color, grads, wanted[0], any(wanted[1:])
        )
        made = (g if w else None for g, w in zip((to_planes, *to_layers), wanted))
        return *made, *rest


def _by_torch(
    ctx: Any, planes: Tensor, points: Tensor, layers: Layers, colors: bool, *grads: Tensor | None
) -> list[Tensor | None]:
    """Gradients with a graph of their own."""
    outputs = decode(ctx.features(planes, points), layers, colors)
    pairs = [(out, g) for out, g in zip(outputs, grads) if g is not None]
    inputs = (planes, *layers)
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad) if needed]
    outs, given = zip(*pairs)
    found = iter(torch.autograd.grad(outs, wanted, given, create_graph=True, allow_unused=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[:5]]


def _runner() -> Any:
    from . import pointrunner

    return pointrunner

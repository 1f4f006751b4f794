"""Runs the kernels that evaluate fields at points: layouts, threads, sums over parts.

Imported by `pointwise` only, where numba is installed. Threads as in `compiled`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from . import pointkernels
from .compiled import _in_order, _room, _share, empty
from .pointkernels import CHANNELS, CHUNK, COLORS, OUTPUTS, ROWS
from .pointwise import Layers
from .polynomials import FROM_LOGS, LANES, TO_POWERS, f32
from .sampler import HIDDEN

PART = 2**12  # points of one call; what they ask of the layers is added in one place
BAND = 2**16  # points of which it is held what they ask of the features
RAYS = 2**8  # of one call
NOTHING = np.zeros((0, COLORS), np.float32)
LINES = CHANNELS // LANES


def channels_last(planes: Tensor) -> Tensor:
    """A copy of planes [B, n, C, height, width] that has its channels last in memory."""
    batch, n, channels, height, width = planes.shape
    out = empty(batch, n, height, width, channels)
    _turn(planes.contiguous().flatten(3).flatten(0, 1), out.flatten(2, 3).flatten(0, 1))
    return out.permute(0, 1, 4, 2, 3)


def channels_first(planes: Tensor) -> Tensor:
    """A contiguous copy of what `channels_last` gives."""
    out = empty(*planes.shape)
    rows = planes.permute(0, 1, 3, 4, 2).contiguous().flatten(2, 3).flatten(0, 1)
    _turn(rows, out.flatten(3).flatten(0, 1))
    return out


def _turn(matrices: Tensor, out: Tensor) -> None:
    """Write the transposes of matrices [k, rows, columns] to `out`."""
    matrices, out = matrices.detach(), out.detach()

    @torch.no_grad()  # threads begin with gradients
    def work(start: int, stop: int) -> None:
        for k in range(start, stop):
            out[k].copy_(matrices[k].t())

    _share(work, len(out), 1, out[..., 0].numel())


def values(
    planes: Tensor, points: Tensor, axes: Tensor, layers: Layers, colors: bool
) -> tuple[Tensor | None, Tensor]:
    """Colours [B, M, 32], or None, and sigma [B, M]. planes: `pointwise.channels_last`."""
    texels, size = _texels(planes)
    batch, many = points.shape[:2]
    color = empty(batch, many, COLORS) if colors else None
    sigma = empty(batch, many)
    weight, bias = layers.last_weight, layers.last_bias
    first = _first(layers, planes.shape[1])
    last = (
        _array(weight[1:].t()), _array(bias[1:] * TO_POWERS), _array(weight[0] * FROM_LOGS),
        f32(bias[0].item()),
    )  # fmt: skip
    into = [NOTHING] * batch if color is None else list(color.numpy())
    per_scene = -(-many // PART)

    def work(start: int, stop: int) -> None:
        for n in range(start, stop):
            scene, part = divmod(n, per_scene)
            room = _room((CHUNK, CHANNELS), (CHUNK, HIDDEN), (CHUNK, COLORS))
            pointkernels.values(
                texels[scene], size, points[scene].numpy(), axes.numpy(), first, last, room,
                into[scene], sigma[scene].numpy(), part * PART, min((part + 1) * PART, many),
            )  # fmt: skip

    _share(work, batch * per_scene, 1, batch * many)
    return color, sigma


def gradients(
    planes: Tensor,
    points: Tensor,
    axes: Tensor,
    layers: Layers,
    color: Tensor | None,
    given: tuple[Tensor | None, Tensor | None],
    to_planes: bool,
    to_layers: bool,
) -> tuple[Tensor | None, Layers]:
    """Of planes, with their layout, and of layers, from those of colours and sigma.

    What is not asked for by `to_planes` and `to_layers` may be missing or wrong.
    """
    texels, size = _texels(planes)
    n, (batch, many) = planes.shape[1], points.shape[:2]
    to_color = NOTHING if given[0] is None else given[0].contiguous().numpy()
    to_sigma = torch.zeros(batch, many) if given[1] is None else given[1].contiguous()
    known = NOTHING if given[0] is None or color is None else color.numpy()
    first = _first(layers, n)
    last = _array(layers.last_weight.roll(-1, 0))
    back = _array(layers.weight / n)
    total: list[np.ndarray] = [np.zeros(shape) for shape in _shapes()]
    asked = empty(min(many, BAND) + ROWS, CHANNELS).numpy()
    places, every = axes.numpy(), [p.numpy() for p in points]
    out = np.zeros((batch, n, texels.shape[2], CHANNELS), np.float32) if to_planes else None
    for scene in range(batch):
        for start in range(0, many, BAND):
            stop = min(start + BAND, many)
            where = every[scene][start:stop]
            inputs = NOTHING, NOTHING
            if len(known):
                inputs = known[scene, start:stop], to_color[scene, start:stop]

            def part(begin: int, end: int, where=where, inputs=inputs, scene=scene, start=start):
                own = _room(*_shapes())
                shapes = (CHUNK, CHANNELS), *3 * ((CHUNK, HIDDEN),), (CHUNK, OUTPUTS), (2, HIDDEN)
                room = _room(*shapes, HIDDEN)
                sigma = to_sigma[scene, start:].numpy()
                pointkernels.slopes(
                    texels[scene], size, where, places, first, last, back, room, *inputs, sigma,
                    asked, own[:2], own[2:], to_layers, begin, end,
                )  # fmt: skip
                return own

            for own in _in_order(part, stop - start, PART):
                for whole, piece in zip(total, own):
                    whole += piece
            if out is None:
                continue
            own = out[scene]

            def lines(begin: int, end: int, where=where, own=own):
                plane, c = divmod(begin, LINES)
                pointkernels.scatter(
                    asked, where, places[plane], size, own[plane], c, c + end - begin
                )

            few = torch.get_num_threads() <= n
            _share(lines, n * LINES, LINES if few else 1, stop - start)
    to_weight, to_bias, to_last, to_last_bias = total
    order = [COLORS, *range(COLORS)]  # sigma first again
    found = Layers(
        _tensor(to_weight.T / n),
        _tensor(to_bias),
        _tensor(to_last[order] * FROM_LOGS),
        _tensor(to_last_bias[order]),
    )
    if out is None:
        return None, found
    found_planes = torch.from_numpy(out).view(batch, n, *planes.shape[3:], CHANNELS)
    return found_planes.permute(0, 1, 4, 2, 3), found


def add_rays(shares: Tensor, colors: Tensor) -> Tensor:
    """Sums [R, 32] of contiguous colors [R, S, 32] in contiguous shares [R, S]."""
    out = empty(len(shares), COLORS)
    arrays = shares.numpy(), colors.numpy(), out.numpy()
    _share(partial(pointkernels.add_rays, *arrays), len(out), RAYS, shares.numel())
    return out


def part_rays(shares: Tensor, colors: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `add_rays` from contiguous given [R, 32]."""
    found = empty(*shares.shape), empty(*colors.shape)
    arrays = (t.numpy() for t in (shares, colors, given, *found))
    _share(partial(pointkernels.part_rays, *arrays), len(shares), RAYS, shares.numel())
    return found


def _shapes() -> tuple[tuple[int, ...], ...]:
    """Of what a part asks of the layers, in the order of `pointkernels.slopes`."""
    return (CHANNELS, HIDDEN), (HIDDEN,), (OUTPUTS, HIDDEN), (OUTPUTS,)


def _texels(planes: Tensor) -> tuple[np.ndarray, tuple[int, int]]:
    """[B, n, height * width, C] without a copy, width and height."""
    height, width = planes.shape[3:]
    return planes.detach().permute(0, 1, 3, 4, 2).flatten(2, 3).numpy(), (width, height)


def _first(layers: Layers, planes: int) -> tuple[np.ndarray, np.ndarray]:
    """The first layer on sums over planes, in units of `polynomials.power`."""
    return _array(layers.weight.t() * (TO_POWERS / planes)), _array(layers.bias * TO_POWERS)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))

"""Sigma on a grid by the separable form of the tri-plane lookup (docs/sampling.md).

Bilinear interpolation, the mean over planes and the decoder's first layer are linear, so the
layer's weight is applied to the planes once, and the hidden units of a cell are a sum of
interpolated texels of 64 channels. A plane sees two coordinates only; on an axis-aligned grid it
is interpolated once for every pair of them. Softplus and one dot product are left per cell.

Gradients are recomputed tile by tile, and no step adds into shared places: the adjoint of an
interpolation is a matrix product, so that equal inputs give equal gradients, on CUDA as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import sampler
from .sites import Sites, hat

XY, XZ, YZ = (0, 1), (0, 2), (1, 2)
CELLS_PER_TILE = {"cpu": 2**15, "cuda": 2**18}
TEXELS_PER_TILE = 24
CELLS_PER_BAND = 32  # of one matrix product in the interpolation of planes


class Tables(NamedTuple):
    """What is left of planes and first layer for one grid; a pair that no plane sees is None.

    The first axis is the later world axis, channels are last, the first layer's bias is in one of
    them. Where the grid is sheared, x and y are texels of the spans and only z is interpolated:
    xy [V, U, C], xz [nz, U, C], yz [nz, V, C]. Elsewhere all are cells: xy [ny, nx, C],
    xz [nz, nx, C], yz [nz, ny, C].
    """

    xy: Tensor | None
    xz: Tensor | None
    yz: Tensor | None


def pairs_of(plane_axes: Tensor) -> list[tuple[int, int]] | None:
    """World axes along width and height of every plane; None unless all are permutations."""
    axes = plane_axes.detach().cpu()
    binary = ((axes == 0) | (axes == 1)).all()
    if not (binary and (axes.sum(1) == 1).all() and (axes.sum(2) == 1).all()):
        return None
    return [(rows[0], rows[1]) for rows in axes.argmax(dim=2).tolist()]


def few_cells(sites: Sites) -> bool:
    """Whether points cost less than the tables of a sheared grid, whose texels outnumber cells.

    By measurement on a CPU; never said of regular grids. Points have no repeatable gradients on
    every device, so ask only where none are wanted.
    """
    wide, high = (stop - start for start, stop in sites.spans[:2])
    which = sampler.resolve(sites.device, sites.dtype, sampler.HIDDEN)
    worth = wide * high // 2 if which == "numba" else 2 * wide * high
    return sites.sheared and sites.device.type == "cpu" and sites.grid.size < worth


def make_tables(
    planes: Tensor, pairs: list[tuple[int, int]], weight: Tensor, bias: Tensor, sites: Sites
) -> Tables:
    """Tables of one scene; differentiable.

    planes [n, c, P, P]; pairs: world axes along width and height of each; weight [C, c], bias [C]:
    the first layer with its gains, before the mean over planes. The result has the dtype of
    `sites`.
    """
    weight, bias = (weight / len(planes)).to(sites.dtype).t(), bias.to(sites.dtype)
    kept = [_texels_kept(sites, axis) for axis in range(3)]
    weights = _line_weights(sites, kept)
    seen: dict[tuple[int, int], Tensor] = {}  # texels by pair; those of equal pairs are added
    for plane, (wide, high) in zip(planes, pairs):
        for dim, texels in ((1, kept[high]), (2, kept[wide])):
            plane = (
                plane.narrow(dim, texels.start, len(texels))
                if isinstance(texels, range)
                else plane.index_select(dim, texels)
            )
        texels = plane.to(sites.dtype)
        if wide > high:
            wide, high, texels = high, wide, texels.transpose(1, 2)
        seen[wide, high] = seen[wide, high] + texels if (wide, high) in seen else texels
    tables: dict[tuple[int, int], Tensor] = {}
    for (wide, high), texels in seen.items():
        texels = _along(_along(texels, 1, high, weights, sites), 2, wide, weights, sites)
        shape = texels.shape[1:]
        texels = texels.flatten(1).t()
        table = texels @ weight if tables else torch.addmm(bias, texels, weight)
        tables[wide, high] = table.view(*shape, len(bias))
    return Tables(tables.get(XY), tables.get(XZ), tables.get(YZ))


def _lines(sites: Sites) -> dict[int, Tensor]:
    """Positions along the axes where they ask for no other index: [cells]."""
    cells = [range(n) for n in sites.grid.shape]
    lines = {2: sites.z(cells[2])}
    if not sites.sheared:
        lines |= {0: sites.x(*cells), 1: sites.y(*cells[1:])}
    return lines


def _texels_kept(sites: Sites, axis: int) -> range | Tensor:
    """Texels of the planes along a world axis: those of the span, or of them those that cells of
    a coarse grid lie between. -1 and P are zeros and left out."""
    span = _kept(sites.spans[axis], sites.size)
    lines = _lines(sites)
    if axis not in lines or sites.stride < 2:
        return range(*span)
    low = lines[axis].floor().long()
    texels = torch.cat([low, low + 1]).unique()
    return texels[(texels >= span[0]) & (texels < span[1])]


def _line_weights(sites: Sites, kept: list[range | Tensor]) -> dict[int, list[tuple[int, Tensor]]]:
    """Interpolation of the axes of `_lines` from texels `kept`, in bands of cells.

    A band is its first texel, counted from the first kept one, and weights [texels, cells]: few
    texels matter to cells that are neighbours, so the whole matrix would be mostly zeros.
    """
    bands: dict[int, list[tuple[int, Tensor]]] = {}
    for axis, positions in _lines(sites).items():
        texels = kept[axis]
        if not isinstance(texels, range):
            bands[axis] = [(0, hat(positions, texels.to(sites.dtype)).t())]
            continue
        bands[axis] = []
        for position in positions.split(CELLS_PER_BAND):
            start, stop = _kept(sites.touched(position), sites.size)
            weight = hat(position, sites.texels(start, stop)).t()
            bands[axis].append((start - texels.start, weight))
    return bands


def _along(
    plane: Tensor, dim: int, axis: int, weights: dict[int, list[tuple[int, Tensor]]], sites: Sites
) -> Tensor:
    """`plane` [c, high, wide] interpolated along `dim`, or with the zeros that its span reaches."""
    if axis in weights:
        parts = []
        for start, weight in weights[axis]:
            band = plane.narrow(dim, start, len(weight))
            parts.append(band @ weight if dim == 2 else weight.t() @ band)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
    span = sites.spans[axis]
    start, stop = _kept(span, sites.size)
    zeros = [start - span[0], span[1] - stop]
    return F.pad(plane, zeros if dim == 2 else [0, 0, *zeros]) if any(zeros) else plane


def _kept(span: tuple[int, int], size: int) -> tuple[int, int]:
    return max(span[0], 0), min(span[1], size)


@dataclass(frozen=True)
class _Tile:
    """A brick of cells, all levels deep, with its interpolation weights where sheared."""

    rows: slice
    columns: slice
    shape: tuple[int, int, int]  # columns, nz, rows
    along_x: Tensor | None = None  # [columns, nz, rows, U] on the texels `wide` of the tables
    along_y: Tensor | None = None  # [columns, nz, V] on the texels `high`
    wide: slice | Tensor | None = None
    high: slice | None = None


def _tiles(sites: Sites, rows: range) -> Iterator[_Tile]:
    _, ny, nz = sites.grid.shape
    budget = max(CELLS_PER_TILE.get(sites.device.type, 2**18) // nz, 1)
    # A tile's weights along x and y are dense, so thin tiles where cells are many texels apart.
    widest = max(round(TEXELS_PER_TILE / max(sites.stride, 1)), 4)
    thick = min(len(rows), widest)
    many = max(budget // thick, 1)
    if sites.sheared:
        many = min(many, widest)
    levels = range(nz)
    for j in range(0, ny, many):
        columns = range(j, min(j + many, ny))
        if sites.sheared:
            position = sites.y(columns, levels)
            span = sites.touched(position)
            along_y, high = hat(position, sites.texels(*span)), _within(span, sites.spans[1])
        for i in range(rows.start, rows.stop, thick):
            block = range(i, min(i + thick, rows.stop))
            brick = (
                slice(block.start, block.stop),
                slice(columns.start, columns.stop),
                (len(columns), nz, len(block)),
            )
            if not sites.sheared:
                yield _Tile(*brick)
                continue
            position = sites.x(block, columns, levels)
            texels, wide = _texels_along_x(position, sites)
            yield _Tile(*brick, hat(position, texels), along_y, wide, high)


def _texels_along_x(position: Tensor, sites: Sites) -> tuple[Tensor, slice | Tensor]:
    """Texels that the positions touch, and where they stand in the tables."""
    span = sites.touched(position)
    if sites.stride < 2:
        return sites.texels(*span), _within(span, sites.spans[0])
    low = position.floor().clamp_(max=sites.size - 1).unique()
    texels = torch.cat([low, low + 1]).unique()
    return texels, texels.long() - sites.spans[0][0]


def _within(texels: tuple[int, int], span: tuple[int, int]) -> slice:
    return slice(texels[0] - span[0], texels[1] - span[0])


def _hidden(tables: Tables, tile: _Tile) -> Tensor:
    """First-layer outputs of a tile, [columns, nz, rows, C], in memory of its own."""
    xy, xz, yz = tables
    across, along = tile.along_y, tile.along_x
    if across is None or along is None:
        hidden = _total(
            None if xy is None else xy[tile.columns, None, tile.rows],
            None if xz is None else xz[None, :, tile.rows],
            None if yz is None else yz[:, tile.columns].transpose(0, 1).unsqueeze(2),
        )
        # A single table is a view so far, and lacks an axis.
        alone = sum(table is not None for table in tables) == 1
        return hidden.expand(*tile.shape, -1).clone() if alone else hidden
    texels = _total(
        None if xy is None else torch.tensordot(across, xy[tile.high][:, tile.wide], dims=1),
        None if xz is None else xz[None, :, tile.wide],
        None
        if yz is None
        else torch.bmm(across.transpose(0, 1), yz[:, tile.high]).transpose(0, 1).unsqueeze(2),
    )
    texels = texels.expand(*tile.shape[:2], along.shape[-1], -1)
    return (along.flatten(0, 1) @ texels.flatten(0, 1)).unflatten(0, tile.shape[:2])


def _total(*parts: Tensor | None) -> Tensor:
    first, *others = (part for part in parts if part is not None)
    for part in others:
        first = first + part
    return first


def _add_hidden_gradient(gradients: Tables, tile: _Tile, hidden: Tensor) -> None:
    """Add the adjoint of `_hidden` at `hidden` [columns, nz, rows, C] to the tables' gradients."""
    xy, xz, yz = gradients
    across, along = tile.along_y, tile.along_x
    if across is None or along is None:
        if xy is not None:
            xy[tile.columns, tile.rows] += hidden.sum(1)
        if xz is not None:
            xz[:, tile.rows] += hidden.sum(0)
        if yz is not None:
            yz[:, tile.columns] += hidden.sum(2).transpose(0, 1)
        return
    texels = along.flatten(0, 1).transpose(1, 2) @ hidden.flatten(0, 1)
    texels = texels.unflatten(0, tile.shape[:2])
    if xy is not None:
        rows = xy[tile.high]
        rows[:, tile.wide] += torch.tensordot(across, texels, dims=([0, 1], [0, 1]))
    if xz is not None:
        xz[:, tile.wide] += texels.sum(0)
    if yz is not None:
        yz[:, tile.high] += torch.bmm(across.permute(1, 2, 0), texels.sum(2).transpose(0, 1))


def softplus_(x: Tensor) -> Tensor:
    """softplus in the memory of `x`."""
    if x.device.type != "cpu":
        return x.copy_(F.softplus(x))
    # log(1 + exp x) of three vectorised passes: four times as fast as softplus on a CPU.
    tail = (x - 20).clamp_min_(0)
    return x.clamp_(max=20).exp_().add_(1).log_().add_(tail)


class _Differentiable(torch.autograd.Function):
    """Tables to sigma [rows, ny, nz]; nothing of the size of the hidden layer is kept."""

    @staticmethod
    def forward(ctx, field: Field, rows: range, row: Tensor, constant: Tensor, *tables):
        ctx.save_for_backward(row, *tables)
        ctx.sites, ctx.rows, ctx.compiled = field.sites, rows, field.maps is not None
        return field.evaluate(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        row, *tables = ctx.saved_tensors
        tables = Tables(*tables)
        if ctx.compiled and ctx.sites.sheared and tables.xz is not None:
            wanted, to_row = sampler.kernels().gradients(tables, row, ctx.sites, ctx.rows, gradient)
            return None, None, to_row, gradient.sum(), *wanted
        wanted = Tables(*(None if t is None else torch.zeros_like(t) for t in tables))
        to_row = torch.zeros_like(row) if ctx.needs_input_grad[2] else None
        for tile in _tiles(ctx.sites, ctx.rows):
            offset = ctx.rows.start
            rows = slice(tile.rows.start - offset, tile.rows.stop - offset)
            local = gradient[rows, tile.columns].permute(1, 2, 0).contiguous()
            hidden = _hidden(tables, tile)
            slope = torch.sigmoid(hidden)
            if to_row is not None:
                to_row += local.flatten() @ softplus_(hidden).flatten(0, 2)
            _add_hidden_gradient(wanted, tile, slope.mul_(row).mul_(local.unsqueeze(-1)))
        return None, None, to_row, gradient.sum(), *wanted


class Field:
    """Sigma of one scene on one grid, as a function of x rows.

    planes to sites: as `make_tables` takes them; row [C], constant []: the second layer's density
    row and bias with their gains. Compiled kernels take the planes themselves, so that tables are
    made only where torch samples or where gradients are asked for. Raises ValueError where the
    planes are not squares of `sites.size`.
    """

    def __init__(
        self,
        planes: Tensor,
        pairs: list[tuple[int, int]],
        weight: Tensor,
        bias: Tensor,
        row: Tensor,
        constant: Tensor,
        sites: Sites,
    ):
        if planes.shape[-2:] != (sites.size, sites.size):
            raise ValueError(
                f"planes are {tuple(planes.shape)}; the last two sides must be {sites.size} texels"
            )
        self.row, self.constant, self.sites = row, constant, sites
        scene = planes, pairs, weight, bias, sites
        inputs = planes, weight, bias, row, constant
        self.graph = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
        compiled = sampler.resolve(sites.device, sites.dtype, len(bias)) == "numba"
        self.maps = sampler.kernels().make_maps(*scene) if compiled else None
        self.tables = make_tables(*scene) if self.graph or not compiled else None

    def __call__(self, rows: range, out: Tensor | None = None) -> Tensor:
        """Sigma [len(rows), ny, nz] of x rows `rows`, with gradients where they are asked for;
        then `out` must be None.

        A second derivative raises RuntimeError: the backward pass is not differentiable.
        """
        if not (self.graph and torch.is_grad_enabled()):
            return self.evaluate(rows, out)
        if out is not None:
            raise ValueError("out= takes no gradients; call under torch.no_grad() or leave it out")
        assert self.tables is not None  # made where gradients are asked for
        return _Differentiable.apply(self, rows, self.row, self.constant, *self.tables)

    def evaluate(self, rows: range, out: Tensor | None = None) -> Tensor:
        """As a call, without gradients."""
        sites, shape = self.sites, (len(rows), *self.sites.grid.shape[1:])
        if self.maps is not None:
            compiled = sampler.kernels()
            out = compiled.empty(*shape) if out is None else out
            compiled.fill(self.maps, self.row, self.constant, sites, rows, out)
            return out
        if out is None:
            out = torch.empty(shape, dtype=sites.dtype, device=sites.device)
        assert self.tables is not None  # made where there are no maps
        for tile in _tiles(sites, rows):
            sigma = softplus_(_hidden(self.tables, tile)) @ self.row + self.constant
            local = slice(tile.rows.start - rows.start, tile.rows.stop - rows.start)
            out[local, tile.columns] = sigma.permute(2, 0, 1)
        return out

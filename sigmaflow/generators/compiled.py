"""Runs the compiled kernels: maps of a scene, places of cells on them, threads.

Imported by `sampler.kernels` only. `torch.get_num_threads()` ordinary threads for one call each
(the kernels let go of the interpreter's lock), since numba's own pools do not survive forks. None
of the large steps is torch's, whose threads spin after each and whose sums may know their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid

from . import adjoint, kernels, sheared
from .kernels import CHANNELS
from .polynomials import FROM_LOGS, LANES, NARROW, TO_POWERS, f32
from .sampler import HIDDEN
from .sheared import LEVELS
from .sites import Sites

ROWS = 4  # x rows of one call
PART = 16  # x rows whose gradients are added in one place
LINES = 8  # lines of maps of one call
MAPS = 8  # channels of one call
ALONE = 2**14  # cells that one thread samples before another would have started
NOTHING = np.zeros((0, 0, 0), np.float32)

T = TypeVar("T")


@dataclass(frozen=True)
class Maps:
    """What the kernels take of one scene: planes of equal pairs added, and the first layer.

    xy, xz, yz [c, texels, texels], the earlier axis first, over the spans of the sites; their
    first axis is empty where no plane sees the pair. weight [C, c'], bias [C].
    """

    xy: np.ndarray
    xz: np.ndarray
    yz: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def make_maps(
    planes: Tensor, pairs: list[tuple[int, int]], weight: Tensor, bias: Tensor, sites: Sites
) -> Maps:
    """Maps of one scene, without gradients; arguments as in `separable.make_tables`."""
    channels = planes.shape[1]
    maps: dict[tuple[int, int], Tensor] = {}
    for plane, (wide, high) in zip(planes.detach().float().contiguous(), pairs):
        pair = (min(wide, high), max(wide, high))
        spans = [sites.spans[axis] for axis in pair]
        fresh = pair not in maps
        if fresh:
            maps[pair] = empty(channels, *(stop - start for start, stop in spans))
        start, out = (spans[0][0], spans[1][0]), maps[pair].numpy()
        add = partial(kernels.gather, plane.numpy(), wide < high, start, fresh, out)
        _share(add, channels, MAPS, out.size)
    filled = -(-channels // CHANNELS) * CHANNELS
    weights = np.zeros((len(weight), filled), np.float32)
    weights[:, :channels] = (weight.detach() * (TO_POWERS / len(planes))).numpy()
    xy, xz, yz = (maps[p].numpy() if p in maps else NOTHING for p in ((0, 1), (0, 2), (1, 2)))
    return Maps(xy, xz, yz, weights, (bias.detach() * TO_POWERS).float().numpy())


Place = tuple[np.ndarray, np.ndarray]  # lower texel of every cell and share of the next


def _place(position: Tensor, sites: Sites, start: int, lanes: int = 1) -> Place:
    """Places of positions [n] on a map that starts at texel `start`, filled up to `lanes`."""
    position = _filled(position, lanes)
    low = position.floor().clamp_(max=sites.size - 1)
    return (low.long() - start).numpy().astype(np.uint32), (position - low).numpy()


def _deep(grid: Grid, axes: int) -> Tensor:
    """What levels [nz] of a sheared grid add to the index so many axes before z."""
    return torch.arange(*grid.ranges[2], dtype=torch.float64) / grid.resolution**axes


def _scale(sites: Sites) -> tuple[np.float32, ...]:
    """From an index to texels, as the kernels ask."""
    grid = sites.grid
    return tuple(map(f32, (grid.voxel, grid.length / 2, 2 / sites.box_warp, sites.size)))


def _filled(levels: Tensor, lanes: int = LANES) -> Tensor:
    """[..., n] with the last level repeated until n is a multiple of `lanes`."""
    more = -levels.shape[-1] % lanes
    return torch.cat([levels, levels[..., -1:].expand(*levels.shape[:-1], more)], -1)


def fill(maps: Maps, row: Tensor, constant: Tensor, sites: Sites, rows: range, out: Tensor) -> None:
    """Write sigma of x rows `rows` to `out` [len(rows), ny, nz]; as `separable.Field` asks."""
    last = (row.detach() * FROM_LOGS).float().numpy(), f32(constant.item())
    (_sheared_rows if sites.sheared else _regular_rows)(maps, last, sites, rows, out)


def _regular_rows(maps: Maps, last: tuple, sites: Sites, rows: range, out: Tensor) -> None:
    _, ny, nz = sites.grid.shape
    starts = [start for start, _ in sites.spans]
    x = _place(sites.x(rows, range(1), range(1)), sites, starts[0])
    deep = sites.y(range(ny), range(1))
    z = _place(sites.z(range(nz)), sites, starts[2], LANES)
    nothing = np.zeros(HIDDEN, np.float32)
    yz, beyond = np.empty((0, 1, HIDDEN, 0), np.float32), f32(0)
    if len(maps.yz):
        places = _place(deep, sites, starts[1]), z
        yz, beyond = _layer(maps.yz, *places, z[0].size, maps.weight, nothing)
        beyond = beyond.max()
    powers = np.exp(yz / f32(TO_POWERS)) if beyond < NARROW else yz
    y = _place(deep, sites, starts[1], LANES)
    many = max(y[0].size, z[0].size)
    room: list[int | tuple[int, ...]] = [
        (HIDDEN, y[0].size), (HIDDEN, z[0].size), (HIDDEN, z[0].size), y[0].size, z[0].size,
        HIDDEN, HIDDEN, max(maps.xy.shape[2], maps.xz.shape[2]), (maps.weight.shape[1], many),
    ]  # fmt: skip
    target = out.numpy()

    def lines(start: int, stop: int) -> None:
        kernels.regular(
            maps.xy, maps.xz, yz, powers, beyond, (x, y, z),
            maps.weight, maps.bias, *last, _room(*room), target, start, stop,
        )  # fmt: skip

    _share(lines, len(rows), ROWS, out.numel())


def _sheared_rows(maps: Maps, last: tuple, sites: Sites, rows: range, out: Tensor) -> None:
    _, ny, nz = sites.grid.shape
    starts, grid = [start for start, _ in sites.spans], sites.grid
    begin, end = _span(sites, rows)
    z = _place(sites.z(range(nz)), sites, starts[2], LEVELS)
    across, along = _texels(begin, end, sites.spans[0]), _texels(*sites.spans[1], sites.spans[1])
    nothing = np.zeros(HIDDEN, np.float32)
    xy, xy_sizes = _layer(maps.xy, across, along, 1, maps.weight, nothing)
    xz, xz_sizes = _layer(maps.xz, across, z, LEVELS, maps.weight, maps.bias)
    yz, beyond = np.empty((0, 1, HIDDEN, LEVELS), np.float32), f32(0)
    if len(maps.yz):
        texels, beyond = _layer(maps.yz, along, z, LEVELS, maps.weight, nothing)
        yz, beyond = empty(ny, *texels.shape[1:]).numpy(), beyond.max()
        y = _place(sites.y(range(ny), range(nz)), sites, starts[1], LEVELS)
        _share(partial(sheared.heights, texels, y, yz), ny, LINES, yz.size)
    powers = np.exp(yz / f32(TO_POWERS)) if beyond < NARROW else yz
    deep = tuple(_filled(_deep(grid, n), LEVELS).numpy() for n in (2, 1))
    corner = grid.ranges[0][0] + rows.start, grid.ranges[1][0], begin, starts[1]
    pace = sites.stride, float(grid.resolution)
    scene, sizes = (xy[..., 0], xz, yz, powers), (xy_sizes, xz_sizes, beyond)
    target = out.numpy()

    def lines(start: int, stop: int) -> None:
        room, *places = _room(sheared.ROOM, *4 * (LEVELS,))
        terms = room[sheared.TERMS : sheared.SAVED].reshape(-1, HIDDEN)
        rooms = room, terms, np.empty(HIDDEN, np.int32), *places
        sheared.sheared(
            scene, sizes, *last, deep, _scale(sites), corner, pace, rooms, target, start, stop
        )

    _share(lines, len(rows), ROWS, out.numel())


def gradients(
    tables: tuple[Tensor | None, ...], row: Tensor, sites: Sites, rows: range, gradient: Tensor
) -> tuple[tuple[Tensor | None, ...], Tensor]:
    """Of `separable.Tables` on a sheared grid and of the row [C], from that of x rows `rows`
    [len(rows), ny, nz]. The same bytes by any number of threads: what parts of the rows ask for
    is added in their order."""
    _, ny, nz = sites.grid.shape
    grid, (start, start_y, _) = sites.grid, (span[0] for span in sites.spans)
    given = gradient.contiguous().numpy()
    known = tuple(NOTHING if t is None else t.detach().numpy() for t in tables)
    y = _place(sites.y(range(ny), range(nz)), sites, start_y)
    deep, scale = _deep(grid, 2).numpy(), _scale(sites)
    wanted = tuple(np.zeros_like(t) for t in known)
    weights, to_row = row.detach().numpy(), np.zeros(HIDDEN)

    def part(begin: int, end: int) -> tuple[int, tuple[np.ndarray, ...], np.ndarray]:
        first, last = _span(sites, range(rows.start + begin, rows.start + end))
        out = *(np.zeros_like(t[:, : last - first]) for t in known[:2]), np.zeros_like(known[2])
        corner = grid.ranges[0][0] + rows.start, grid.ranges[1][0], start, first
        room = np.empty(nz, np.uint32), np.empty(nz, np.float32), *_room(*3 * (HIDDEN,))
        own = np.zeros(HIDDEN)
        adjoint.sheared(
            known, y, weights, deep, scale, corner, float(grid.resolution), given, room, out, own,
            begin, end,
        )  # fmt: skip
        return first - start, out, own

    for offset, out, own in _in_order(part, len(rows), PART):
        for total, table in zip(wanted[:2], out):
            total[:, offset : offset + table.shape[1]] += table
        wanted[2][:] += out[2]
        to_row += own
    found = (None if t is None else torch.from_numpy(w) for t, w in zip(tables, wanted))
    return tuple(found), torch.from_numpy((to_row * FROM_LOGS).astype(np.float32))


def _in_order(work: Callable[[int, int], T], total: int, size: int) -> Iterator[T]:
    """What `work` gives for ranges of `size`, in their order, a thread's worth ahead."""
    blocks = [(start, min(start + size, total)) for start in range(0, total, size)]
    threads = min(torch.get_num_threads(), len(blocks))
    if threads == 1:
        yield from (work(*block) for block in blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        for n in range(0, len(blocks), threads):
            yield from pool.map(lambda block: work(*block), blocks[n : n + threads])


def _room(*shapes: int | tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Zeros that start at lines of the cache, as torch's do and numpy's do not: vectors that lie
    across two lines cost a tenth of the time."""
    return tuple(torch.zeros(shape).numpy() for shape in shapes)


def empty(*shape: int) -> Tensor:
    """Room for `shape` float32 that starts at a line of the cache. Where the system has huge pages
    numpy asks for them, which for a cube saves ten thousands of faults."""
    room = np.empty(math.prod(shape) + LANES, np.float32)
    start = -room.ctypes.data // room.itemsize % LANES
    return torch.from_numpy(room[start : start + math.prod(shape)].reshape(shape))


def _layer(
    plane: np.ndarray,
    first: Place,
    second: Place,
    length: int,
    weight: np.ndarray,
    bias: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The first layer on the crossings of two axes' places, [first, blocks, C, length], and the
    largest size of each line of them [first]."""
    lines, blocks = first[0].size, -(-second[0].size // length)
    out, sizes = empty(lines, blocks, HIDDEN, length).numpy(), np.empty(lines, np.float32)
    room = (HIDDEN, second[0].size), plane.shape[2], (weight.shape[1], second[0].size)

    def work(start: int, stop: int) -> None:
        kernels.lines(plane, first, second, weight, bias, _room(*room), out, sizes, start, stop)

    _share(work, lines, LINES, out.size)
    return out, sizes


def _texels(start: int, stop: int, span: tuple[int, int]) -> Place:
    """Places of the texels themselves, on a map over `span`."""
    position = np.arange(start, stop) - span[0]
    low = np.minimum(position, span[1] - span[0] - 2)
    return low.astype(np.uint32), (position - low).astype(np.float32)


def _span(sites: Sites, rows: range) -> tuple[int, int]:
    """Half-open range of texels that x rows `rows` touch."""
    _, ny, nz = sites.grid.shape
    first = sites.x(range(rows.start, rows.start + 1), range(1), range(1))
    last = sites.x(range(rows.stop - 1, rows.stop), range(ny - 1, ny), range(nz - 1, nz))
    return sites.touched(torch.stack([first, last]))


def _share(work: Callable[[int, int], None], total: int, size: int, cells: int) -> None:
    """Call `work` on ranges of `size` that make up `total`, on several threads if it pays."""
    blocks = [(start, min(start + size, total)) for start in range(0, total, size)]
    threads = min(torch.get_num_threads(), len(blocks), max(cells // ALONE, 1))
    if threads == 1:
        for block in blocks:
            work(*block)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *block) for block in blocks]:
            done.result()

"""Sheets of pictures: meshes before and after (Fig. 10), grids and samples of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sigmaflow.figures import style
from sigmaflow.figures.clay import Model, common_centre, framing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sigmaflow.fields.mesh import Mesh


@style.styled
def mesh_table(
    rows: Sequence[tuple[str, Sequence[Mesh]]],
    columns: Sequence[str] = ("before", "after"),
    yaws: Sequence[float] = (-40.0, 0.0, 40.0),
    pitch: float = 0.0,
    resolution: int = 320,
    supersample: int = 2,
    title: str = "",
) -> Figure:
    """Paper Fig. 10: one row a seed, one group of views a generator, one light and one scale.

    ``rows``: (label, meshes in the order of ``columns``). ``yaws`` and ``pitch``: degrees on EG3D's
    orbit of radius 2.7, here about the middle of what is shown; all cells share one focal length.
    ``resolution``: pixels of a cell's height.
    """
    listed = [(label, list(meshes)) for label, meshes in rows]
    bad = [label for label, meshes in listed if len(meshes) != len(columns)]
    if not listed or bad or not yaws:
        raise ValueError(
            f"every row needs {len(columns)} meshes ({', '.join(columns)}) and one "
            f"view; wrong: {', '.join(bad) or 'no rows or views'}"
        )
    everything = [m for _, meshes in listed for m in meshes]
    pivot = common_centre(everything)
    focal, width = framing(everything, yaws, pitch, pivot)
    cut = int(resolution * (1 - width) / 2)
    columns_kept = slice(cut, resolution - cut)
    gap = max(2, resolution // 24)
    lines = []
    for _, meshes in listed:
        blocks = []
        for mesh in meshes:
            model = Model(mesh)
            views = [model.view(yaw, pitch, focal, resolution, supersample, pivot) for yaw in yaws]
            blocks.append(np.concatenate([v[:, columns_kept] for v in views], axis=1))
        lines.append(_spaced(blocks, gap, axis=1))
    sheet = _spaced(lines, gap, axis=0)
    wide = len(yaws) * (resolution - 2 * cut)
    centres = [(i * (wide + gap) + wide / 2) / sheet.shape[1] for i in range(len(columns))]
    heights = [
        (i * (resolution + gap) + resolution / 2) / sheet.shape[0] for i in range(len(listed))
    ]
    inches = sheet.shape[1] / (1.25 * style.DPI)
    return _sheet(
        sheet,
        inches,
        list(zip(centres, columns)),
        list(zip(heights, [label for label, _ in listed])),
        title,
    )


def _spaced(blocks: Sequence[np.ndarray], gap: int, axis: int) -> np.ndarray:
    """Blocks of one size side by side (or stacked), ``gap`` white pixels between them."""
    shape = list(blocks[0].shape)
    shape[axis] = gap
    white, out = np.full(shape, 255, np.uint8), [blocks[0]]
    for block in blocks[1:]:
        out += [white, block]
    return np.concatenate(out, axis=axis)


def as_pictures(images: Any) -> np.ndarray:
    """uint8 ``[N, H, W, 3]`` from ``[N, H, W, 3]`` or ``[N, 3, H, W]``, numpy or torch."""
    x = images.detach().cpu().numpy() if hasattr(images, "detach") else np.asarray(images)
    if x.dtype != np.uint8 or x.ndim != 4 or not len(x):
        raise ValueError(f"images must be uint8 [N, H, W, 3], got {x.dtype} {list(x.shape)}")
    if x.shape[3] == 3:
        return x
    if x.shape[1] == 3:
        return x.transpose(0, 2, 3, 1)
    raise ValueError(f"images must have 3 channels, got {list(x.shape)}")


def tile(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """``[N, H, W, 3]`` row by row into one uint8 picture on white, ``gap`` pixels apart."""
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        out[y : y + h, x : x + w] = image
    return out


@style.styled
def image_grid(images: Any, columns: int = 8, title: str = "", cell: float = 0.8) -> Figure:
    """Images row by row, ``cell`` inches each. ``images``: see ``as_pictures``."""
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    pictures = as_pictures(images)
    columns = min(columns, len(pictures))
    sized = _sized(pictures, cell)
    return _sheet(tile(sized, columns, _gap(sized)), cell * columns, [], [], title)


@style.styled
def sample_sheet(
    rows: Sequence[tuple[str, Any]], columns: Sequence[str] = (), title: str = "", cell: float = 0.8
) -> Figure:
    """Labelled rows of images, the same number in each (for example psi down, seeds across)."""
    groups = [as_pictures(images) for _, images in rows]
    if not groups or len({g.shape for g in groups}) != 1:
        raise ValueError(
            "sample_sheet needs rows of equally many, equally large images, got "
            f"{[list(g.shape) for g in groups]}"
        )
    groups = [_sized(g, cell) for g in groups]
    count, size = groups[0].shape[0], groups[0].shape[1]
    if columns and len(columns) != count:
        raise ValueError(f"{len(columns)} column labels for {count} images a row")
    gap = _gap(groups[0])
    sheet = tile(np.concatenate(groups), count, gap)
    across = [((i * (size + gap) + size / 2) / sheet.shape[1], c) for i, c in enumerate(columns)]
    down = [
        ((i * (size + gap) + size / 2) / sheet.shape[0], label) for i, (label, _) in enumerate(rows)
    ]
    return _sheet(sheet, cell * count, across, down, title)


def _sized(pictures: np.ndarray, cell: float) -> np.ndarray:
    """Pictures at the size they are printed at (square), each by itself: edges stay sharp."""
    from PIL import Image

    side = round(cell * style.DPI)
    return np.stack(
        [
            np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.LANCZOS))
            for p in pictures
        ]
    )


def _gap(pictures: np.ndarray) -> int:
    return max(1, pictures.shape[1] // 40)


def _sheet(
    sheet: np.ndarray,
    inches: float,
    across: list[tuple[float, str]],
    down: list[tuple[float, str]],
    title: str,
) -> Figure:
    """One picture with labels above and at the left; sizes in inches, so nothing overlaps."""
    longest = max((len(line) for _, text in down for line in str(text).split("\n")), default=0)
    left = 0.12 + 0.075 * longest
    top = 0.06 + (0.2 if across else 0) + (0.24 if title else 0)
    tall = inches * sheet.shape[0] / sheet.shape[1]
    width, height = left + inches + 0.1, top + tall + 0.1
    figure = style.new_figure(width, height, layout=None)
    axes = figure.add_axes((left / width, 0.1 / height, inches / width, tall / height))
    axes.imshow(sheet, interpolation="antialiased", aspect="auto")
    axes.set_axis_off()
    for x, text in across:
        axes.annotate(
            text,
            (x, 1),
            (0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
        )
    for y, text in down:
        axes.annotate(
            text,
            (0, 1 - y),
            (-6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
        )
    if title:
        figure.text(left / width, 1 - 0.06 / height, title, va="top", fontsize=9.5)
    return figure

"""Pages of questions: cards of shapes in clay, seen from the front and from both sides.

Cards stand in lines, as many as fit, all at one scale. Each shape has a letter, each card boxes to
write the order into.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.figures.clay import Model, common_centre, framing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from sigmaflow.fields.mesh import Mesh

YAWS = (-45.0, 0.0, 45.0)
LINE = 6  # shapes a line of cards holds
LETTERS = "ABCDEF"

# Pixels.
WIDTH, FRONT, SIDE = 232, 296, 148  # of a shape; heights of its front view and of its side views
GAP, PAD, MARGIN, ROUND = 12, 20, 40, 16
TITLE, LETTER, BOXES, HEAD, FOOT = 58, 46, 66, 116, 30
HALF = (WIDTH - 6) // 2  # width of a side view
FILL = 0.97  # of a picture's height or width
CARD = TITLE + FRONT + 6 + SIDE + LETTER + BOXES
NARROWEST = 1200  # what the page's text needs
PAPER, WHITE, EDGE = "#EEF1F4", "#FFFFFF", "#D5DAE1"
INK, SOFT, BLUE = "#22272E", "#6B7480", "#004488"


@dataclass(frozen=True)
class Card:
    """A question: its number and its shapes in the order of their letters, None for no surface."""

    number: int
    meshes: Sequence[Mesh | None]


def in_lines(sizes: Sequence[int], lines: int) -> list[list[list[int]]]:
    """Positions of questions by page and line, so that a line holds at most `LINE` shapes.

    Each line takes the first questions left that fit, so few places stay empty. Raises ValueError
    for questions of fewer than 2 or more than `LINE` shapes.
    """
    if wrong := [n for n in sizes if not 2 <= n <= LINE]:
        raise ValueError(f"questions have 2 to {LINE} shapes, got {wrong[:5]}")
    left, filled = list(range(len(sizes))), []
    while left:
        line, room = [], LINE
        for at in list(left):
            if sizes[at] <= room:
                line.append(at)
                left.remove(at)
                room -= sizes[at]
        filled.append(line)
    return [filled[i : i + lines] for i in range(0, len(filled), lines)]


def page(lines: Sequence[Sequence[Card]], title: str, footer: str = "") -> Image:
    """One page of questions as a Pillow image (RGB)."""
    from PIL import Image, ImageDraw

    widest = max(sum(_width(card) + PAD for card in line) - PAD for line in lines)
    width = 2 * MARGIN + max(widest, NARROWEST)
    height = HEAD + len(lines) * (CARD + PAD) + FOOT + PAD
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 30), title, INK, _font(30, bold=True))
    hint = (
        "Order the shapes of every question from best to worst, and write their letters down:"
        " CAB means that C is best and B is worst."
    )
    draw.text((MARGIN, 74), hint, SOFT, _font(19))
    y = HEAD
    for line in lines:
        x = MARGIN
        for card in line:
            x += _draw_card(sheet, draw, card, x, y) + PAD
        y += CARD + PAD
    draw.text((MARGIN, y + 4), footer, SOFT, _font(14))
    return sheet


def _width(card: Card) -> int:
    return len(card.meshes) * (WIDTH + GAP) - GAP + 2 * PAD


def _draw_card(sheet: Image, draw: ImageDraw, card: Card, x: int, y: int) -> int:
    """Draws it with its upper left corner at x, y; returns its width."""
    from PIL import Image

    count, width = len(card.meshes), _width(card)
    draw.rounded_rectangle((x, y, x + width, y + CARD), ROUND, WHITE, EDGE, 2)
    draw.text((x + PAD, y + 14), str(card.number), BLUE, _font(28, bold=True))
    pictures = shape_views(card.meshes)
    for i, picture in enumerate(pictures):
        left, top = x + PAD + i * (WIDTH + GAP), y + TITLE
        if picture is None:
            draw.rectangle((left, top, left + WIDTH - 1, top + FRONT + SIDE + 5), PAPER)
            draw.text(
                (left + WIDTH // 2, top + FRONT // 2), "no surface", SOFT, _font(19), anchor="mm"
            )
        else:
            sheet.paste(Image.fromarray(picture), (left, top))
        middle = left + WIDTH // 2, top + FRONT + 6 + SIDE + LETTER // 2
        draw.text(middle, LETTERS[i], INK, _font(26, bold=True), anchor="mm")
    _draw_boxes(draw, count, x + width // 2, y + CARD - BOXES + 6)
    return width


def _draw_boxes(draw: ImageDraw, count: int, middle: int, top: int) -> None:
    side, gap = 44, 26
    wide = count * side + (count - 1) * gap
    x = middle - wide // 2
    draw.text((x - 14, top + side // 2), "best", SOFT, _font(17), anchor="rm")
    for i in range(count):
        draw.rounded_rectangle((x, top, x + side, top + side), 8, WHITE, SOFT, 2)
        if i < count - 1:
            draw.text((x + side + gap // 2, top + side // 2), ">", SOFT, _font(19), anchor="mm")
        x += side + gap
    draw.text((x - gap + 14, top + side // 2), "worst", SOFT, _font(17), anchor="lm")


def shape_views(meshes: Sequence[Mesh | None]) -> list[np.ndarray | None]:
    """Front view over both side views, uint8 `[FRONT + 6 + SIDE, WIDTH, 3]` a shape.

    One pivot, light and scale for all front views, and one for all side views, so that sizes can be
    compared.
    """
    there = [mesh for mesh in meshes if mesh is not None]
    if not there:
        return [None] * len(meshes)
    pivot = common_centre(there)
    front = _focal(there, YAWS[1:2], pivot, WIDTH / FRONT)
    sides = _focal(there, YAWS[::2], pivot, HALF / SIDE)
    return [None if m is None else _views(Model(m), front, sides, pivot) for m in meshes]


def _focal(
    meshes: Sequence[Mesh], yaws: Sequence[float], pivot: Sequence[float], aspect: float
) -> float:
    """Focal length at which all of it fits a picture that is `aspect` times as wide as high."""
    focal, share = framing(meshes, yaws, pivot=pivot, fill=FILL)
    return focal * min(1.0, aspect / share)  # wide shapes are made smaller, not cut


def _views(model: Model, front: float, sides: float, pivot: Sequence[float]) -> np.ndarray:
    left, middle, right = YAWS
    out = np.full((FRONT + 6 + SIDE, WIDTH, 3), 255, np.uint8)

    def put(yaw: float, focal: float, top: int, at: int, height: int, width: int) -> None:
        view = model.view(yaw, 0.0, focal, height, 3, pivot)
        cut = (height - width) // 2
        out[top : top + height, at : at + width] = view[:, cut : cut + width]

    put(middle, front, 0, 0, FRONT, WIDTH)
    put(left, sides, FRONT + 6, 0, SIDE, HALF)
    put(right, sides, FRONT + 6, WIDTH - HALF, SIDE, HALF)
    return out


@functools.lru_cache
def _font(size: int, bold: bool = False):
    """DejaVu, which comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / name), size)

"""Pictures as arrays of 8-bit RGB: the one place where picture files are opened.

Only the formats and modes that have one reading are taken; what Pillow would clip, blend or execute
is refused with the reason. Messages name no file; callers put file and member before them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

FORMATS = ("PNG", "JPEG", "WEBP")  # never others: for EPS, Pillow starts Ghostscript
MOST_BYTES = 64 * 2**20  # of a picture's file
MOST_PIXELS = 4096 * 4096
HEAD = 64  # bytes that hold a PNG's size, depth and mode
MODES = ("1", "L", "P", "RGB")
EIGHT = "save it as 8-bit RGB or grey"
OPAQUE = "save it as RGB over the background that the set has"


def decode(data: bytes) -> np.ndarray:
    """uint8 ``[H, W, 3]`` of a picture file's bytes.

    Raises ValueError with reason and remedy where the bytes are no whole PNG, JPEG or WebP picture
    of 8 bits a channel without transparency, or are larger than `MOST_BYTES` or `MOST_PIXELS`.
    """
    with _opened(data) as picture:
        pixels = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    return pixels


def size(data: bytes) -> tuple[int, int]:
    """Width and height that a picture file's first bytes say; the pixels stay unread.

    ``data``: the whole file, or at least `HEAD` bytes of a PNG. Raises ValueError as `decode` does,
    of what the header tells.
    """
    if is_png(data):
        width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
        _check_size(width, height)
        if data[24] > 8:
            raise ValueError(f"has {data[24]} bits a channel; {EIGHT}")
        if data[25] in (4, 6):
            raise ValueError(f"has an alpha channel; {OPAQUE}")
        return width, height
    with _opened(data) as picture:
        return picture.size


def is_png(data: bytes) -> bool:
    """Whether bytes begin as a PNG and hold its header whole."""
    return data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 33


def unequal(width: int, height: int, side: int) -> str:
    """What is said of a picture of another size than its set's."""
    return (f"is {width}x{height} pixels, not {side}x{side}; all pictures of a set must be equally"
            " large")  # fmt: skip


def text_of(data: bytes, key: str) -> str:
    """A text chunk of a PNG. Raises ValueError where there is none, or as `decode` does."""
    with _opened(data, ("PNG",)) as picture:
        picture.load()
        found = picture.text.get(key)
    if found is None:
        raise ValueError(f"holds no text {key!r}")
    return str(found)


@contextmanager
def _opened(data: bytes, formats: tuple[str, ...] = FORMATS) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError

    if len(data) > MOST_BYTES:
        raise ValueError(f"has {len(data)} bytes, of {MOST_BYTES} at most; save it smaller")
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            _check_size(*picture.size)
            if said := _unlike_rgb(picture):
                raise Unfit(said)
            yield picture
    except Unfit:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(f"is no {', '.join(formats)} picture; save it as PNG") from error
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError,
            Image.DecompressionBombError) as error:  # fmt: skip
        raise ValueError(f"is no readable picture ({error}); copy or save it again") from error


class Unfit(ValueError):
    """A readable picture of a kind that is not taken."""


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise Unfit(f"is {width}x{height} pixels, of {MOST_PIXELS} at most; scale it down")


def _unlike_rgb(picture: Any) -> str:
    """Why a conversion to RGB would change what is seen; empty where it does not."""
    if picture.mode[-1:] in "Aa" or "transparency" in picture.info:
        return f"has transparency (mode {picture.mode}); {OPAQUE}"
    deep = any(";16" in str(tile[3]) for tile in picture.tile)  # Pillow drops the lower byte
    if deep or picture.mode not in MODES:
        return f"is of mode {picture.mode}{', 16 bits a channel' if deep else ''}; {EIGHT}"
    if getattr(picture, "n_frames", 1) > 1:
        return f"holds {picture.n_frames} frames; save one as a picture of its own"
    return ""

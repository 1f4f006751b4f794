"""Pictures of every kind that Pillow knows: read as they look, or refused with mode and remedy."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from test_images import SIDE, members, write

from sigmaflow.datasets.images import ImageZip
from sigmaflow.datasets.pictures import decode, size, text_of

GREY = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
COLOURS = np.stack([GREY, GREY.T, 255 - GREY], -1)


def packed(picture, kind="PNG", **settings):
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()


def png16(channels):
    """A 16-bit PNG of 1 (grey) or 3 (RGB) channels, which Pillow cannot write."""
    colour = {1: 0, 3: 2}[channels]
    rows = (GREY.astype(">u2") * 257)[..., None].repeat(channels, -1).reshape(SIDE, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, colour, 0, 0, 0)),
              (b"IDAT", zlib.compress(raw)), (b"IEND", b""))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )


@pytest.mark.parametrize("kind,settings", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_eight_bits_are_what_they_were(kind, settings):
    assert np.array_equal(decode(packed(Image.fromarray(COLOURS), kind, **settings)), COLOURS)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_are_spread_to_three_channels(mode):
    picture = Image.fromarray(GREY).convert(mode)
    assert np.array_equal(decode(packed(picture)), np.asarray(picture.convert("RGB")))


def test_a_jpeg_is_read():
    assert np.abs(decode(packed(Image.fromarray(GREY), "JPEG", quality=98))[..., 0].astype(int)
                  - GREY).max() < 8  # fmt: skip


def with_mode(mode):
    return packed(Image.fromarray(COLOURS).convert(mode))


def see_through(mode):
    return packed(Image.fromarray(COLOURS).convert(mode), transparency=0)


UNFIT = {
    "grey of 16 bits": (packed(Image.fromarray(GREY.astype(np.uint16) * 257)), "16"),
    "written grey of 16 bits": (png16(1), "16"),
    "colours of 16 bits": (png16(3), "16 bits a channel; save it as 8-bit"),
    "RGBA": (with_mode("RGBA"), "mode RGBA"),
    "LA": (with_mode("LA"), "mode LA"),
    "P with a transparent colour": (see_through("P"), "transparency .mode P"),
    "L with a transparent grey": (see_through("L"), "transparency .mode L"),
    "RGBA in WebP": (packed(Image.fromarray(COLOURS).convert("RGBA").point(lambda v: v // 2),
                            "WEBP"), "transparency"),
    "CMYK": (packed(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"), "mode CMYK"),
    "frames": (packed(Image.fromarray(COLOURS), "PNG", save_all=True,
                      append_images=[Image.fromarray(255 - COLOURS)]), "2 frames"),
    "float TIFF": (packed(Image.fromarray(GREY / np.float32(255)), "TIFF"), "is no PNG, JPEG"),
    "integer TIFF": (packed(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "is no PNG, JPEG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n", "is no PNG, JPEG"),
    "GIF": (packed(Image.fromarray(GREY), "GIF"), "is no PNG, JPEG, WEBP picture; save it as PNG"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_would_be_clipped_blended_or_run_is_refused(name):
    data, said = UNFIT[name]
    with pytest.raises(ValueError, match=said):
        decode(data)


def text_png(length):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * length, zip=True)
    return packed(Image.fromarray(COLOURS), pnginfo=text)


@pytest.mark.parametrize("data,said", [
    (png16(1), "16 bits a channel; save it as 8-bit RGB or grey"),
    (with_mode("RGBA"), "has transparency .mode RGBA.; save it as RGB over the background"),
    (text_png(2 * 2**20), "is no readable picture .Decompressed data too large.*copy or save"),
    (packed(Image.fromarray(COLOURS))[:60], "is no readable picture"),
    (packed(Image.fromarray(np.zeros((4100, 4100), np.uint8))), "4100x4100 pixels, of 16777216"),
], ids=["16 bits", "alpha", "long text", "cut off", "large"])  # fmt: skip
def test_the_one_bad_picture_of_a_set_is_named(tmp_path, data, said):
    files, labels = members()
    files["00000/img00000002.png"] = data
    images = ImageZip(write(tmp_path / "set.zip", files, labels))
    with pytest.raises(ValueError, match=f"set.zip: 00000/img00000002.png: .*{said}") as caught:
        images.load_all()
    assert str(caught.value).count("img00000002") == 1


def test_a_size_is_read_from_the_first_bytes_of_a_png():
    whole = packed(Image.fromarray(COLOURS[:, :12]))
    assert size(whole[:64]) == size(whole) == (12, SIDE)
    assert size(packed(Image.fromarray(COLOURS), "JPEG")) == (SIDE, SIDE)
    with pytest.raises(ValueError, match="16 bits a channel"):
        size(png16(3)[:64])


def test_a_text_is_read_or_said_to_be_missing():
    assert text_of(text_png(10), "Comment") == "x" * 10
    with pytest.raises(ValueError, match="holds no text 'Other'"):
        text_of(text_png(10), "Other")

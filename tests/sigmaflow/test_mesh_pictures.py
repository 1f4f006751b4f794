"""Views and turns of meshes: what is in the frames and whether players can read them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sigmaflow.fields.mesh import Mesh, extract_mesh
from sigmaflow.figures.clay import GROUND
from sigmaflow.figures.turntable import turntable, view_strip, write_mp4, write_png, write_webp


@pytest.fixture(scope="module")
def pear():
    """A ball far from the origin with a nose toward the camera."""
    x, y, z = np.meshgrid(*[np.linspace(-0.5, 0.5, 32)] * 3, indexing="ij")
    body = 0.2 - np.sqrt((x - 0.2) ** 2 + (y - 0.1) ** 2 + (z - 0.1) ** 2)
    nose = 0.06 - np.sqrt((x - 0.2) ** 2 + (y - 0.1) ** 2 + (z - 0.32) ** 2)
    return extract_mesh((10 + 200 * np.maximum(body, nose)).astype(np.float32))


def seen(picture):
    """Rows and columns of what is not background."""
    ground = np.round(np.array(GROUND) * 255)
    return np.nonzero((np.abs(picture.astype(int) - ground) > 8).any(-1))


def test_a_turn_keeps_the_shape_in_the_middle_and_shows_every_side(pear):
    frames = list(turntable(pear, frames=4, pitch=0, resolution=64, supersample=1))
    assert len(frames) == 4 and frames[0].shape == (64, 64, 3) and frames[0].dtype == np.uint8
    for frame in frames:
        rows, columns = seen(frame)
        assert 22 < rows.mean() < 42 and 18 < columns.mean() < 46
        assert rows.min() > 0 and rows.max() < 63 and columns.min() > 0 and columns.max() < 63
    wide = [np.ptp(seen(frame)[1]) for frame in frames]
    assert min(wide[1], wide[3]) > 1.1 * max(wide[0], wide[2])  # the nose, from the side
    assert seen(frames[1])[1].min() < 32 - (seen(frames[1])[1].max() - 32)  # +90: nose at left


def test_a_strip_is_views_side_by_side(pear):
    strip = view_strip(pear, yaws=(-60, 0, 60), resolution=48, supersample=1)
    assert strip.shape[0] == 48 and strip.shape[1] % 3 == 0
    left, middle, right = np.split(strip, 3, axis=1)
    for view in (left, middle, right):
        assert len(seen(view)[0]) > 300
    assert np.array_equal(strip, view_strip(pear, (-60, 0, 60), resolution=48, supersample=1))


def test_an_empty_mesh_is_an_error():
    empty = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    with pytest.raises(ValueError, match="no faces"):
        view_strip(empty)
    with pytest.raises(ValueError, match="frames must be at least 2"):
        next(turntable(empty, frames=1))


def colours(n=5, side=32):
    return [np.full((side, side, 3), (40 * i, 200 - 30 * i, 90), np.uint8) for i in range(n)]


def test_png_and_webp_read_back(tmp_path):
    write_png(tmp_path / "a.png", colours()[2])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), colours()[2])
    write_webp(tmp_path / "a.webp", iter(colours()), rate=20)
    film = Image.open(tmp_path / "a.webp")
    assert film.n_frames == 5 and film.info["loop"] == 0
    for i, expected in enumerate(colours()):
        film.seek(i)
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - expected).max() < 12
    assert film.info["duration"] == 50
    with pytest.raises(ValueError, match="no frames"):
        write_webp(tmp_path / "b.webp", iter([]))
    assert not (tmp_path / "b.webp").exists()


def test_mp4_reads_back_and_repeats(tmp_path):
    av = pytest.importorskip("av")
    write_mp4(tmp_path / "a.mp4", iter(colours()), rate=20)
    write_mp4(tmp_path / "b.mp4", colours(), rate=20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 20
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert len(frames) == 5
    for frame, expected in zip(frames, colours()):
        assert np.abs(frame.astype(int) - expected).mean() < 8
    raw = (tmp_path / "a.mp4").read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")  # plays while it loads


def test_failed_videos_leave_nothing_behind(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="even sides, got 31 x 31"):
        write_mp4(tmp_path / "a.mp4", colours(side=31))
    with pytest.raises(ValueError, match="no frames"):
        write_mp4(tmp_path / "a.mp4", [])

    def broken():
        yield from colours(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(tmp_path / "a.mp4", broken())
    assert not list(tmp_path.iterdir())

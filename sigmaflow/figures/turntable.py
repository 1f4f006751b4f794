"""What people look at: several views of one mesh side by side, and a turn around it as video.

Drawn in clay on the CPU. MP4 needs PyAV (``pip install 'sigmaflow[video]'``), whose wheel carries
the encoder; animated WebP needs Pillow alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sigmaflow.atomic import write_bytes, write_with
from sigmaflow.fields.mesh import Mesh
from sigmaflow.figures.clay import Model, common_centre, framing

YAWS = (-60.0, -30.0, 0.0, 30.0, 60.0)
FRAMES, RATE = 72, 24  # three seconds a turn
ORIGIN = (0.0, 0.0, 0.0)


def view_strip(
    mesh: Mesh,
    yaws: Sequence[float] = YAWS,
    pitch: float = 0.0,
    resolution: int = 320,
    supersample: int = 2,
) -> np.ndarray:
    """Views at ``yaws`` degrees side by side: uint8 ``[resolution, width, 3]``, one scale."""
    model, focal, share = _staged(mesh, yaws, pitch)
    cut = int(resolution * (1 - share) / 2)
    views = [model.view(yaw, pitch, focal, resolution, supersample, ORIGIN) for yaw in yaws]
    return np.concatenate([v[:, cut : resolution - cut] for v in views], axis=1)


def turntable(
    mesh: Mesh,
    frames: int = FRAMES,
    pitch: float = 8.0,
    resolution: int = 384,
    supersample: int = 2,
) -> Iterator[np.ndarray]:
    """Pictures uint8 ``[resolution, resolution, 3]`` of a whole turn, the face first.

    The mesh turns about the middle of its own box; ``pitch`` in degrees, up is positive. The last
    picture is one step before the first, so that the turn loops.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    yaws = [360.0 * i / frames for i in range(frames)]
    model, focal, _ = _staged(mesh, yaws[:: max(1, frames // 24)], pitch)
    for yaw in yaws:
        yield model.view(yaw, pitch, focal, resolution, supersample, ORIGIN)


def _staged(mesh: Mesh, yaws: Sequence[float], pitch: float) -> tuple[Model, float, float]:
    """The mesh moved to the middle of the orbit, its focal length and width there."""
    if not len(mesh.faces):
        raise ValueError("the mesh has no faces; there is nothing to see")
    centred = Mesh(
        (mesh.vertices - np.array(common_centre([mesh]), np.float32)).astype(np.float32), mesh.faces
    )
    return Model(centred), *framing([centred], yaws, pitch, ORIGIN)


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """uint8 ``[H, W, 3]`` as PNG, whole or not there at all."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    write_bytes(path, stream.getvalue())


def write_webp(path: str | Path, frames: Iterable[np.ndarray], rate: int = RATE) -> None:
    """An endlessly looping animated WebP, whole or not there at all."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    if not pictures:
        raise ValueError(f"{path}: there are no frames")
    stream = io.BytesIO()
    pictures[0].save(
        stream,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        loop=0,
        duration=round(1000 / rate),
        quality=88,
        method=4,
    )
    write_bytes(path, stream.getvalue())


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], rate: int = RATE) -> None:
    """H.264 in MP4, playable while it loads, whole or not there at all.

    Frames uint8 ``[H, W, 3]`` with even sides. Raises ModuleNotFoundError without PyAV.
    """
    write_with(path, lambda temporary: _encode(temporary, frames, rate))


def _encode(path: Path, frames: Iterable[np.ndarray], rate: int) -> None:
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        stream = None
        for i, frame in enumerate(frames):
            if stream is None:
                height, width = frame.shape[:2]
                if height % 2 or width % 2:
                    raise ValueError(f"{path}: H.264 needs even sides, got {width} x {height}")
                stream = file.add_stream(
                    "libx264", rate=rate, options={"crf": "18", "preset": "medium"}
                )
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.thread_count = 1  # the same bytes on every machine
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, rate)
            file.mux(stream.encode(picture))
        if stream is None:
            raise ValueError(f"{path}: there are no frames")
        file.mux(stream.encode(None))

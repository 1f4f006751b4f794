"""Render the mini training set: parametric heads seen from many cameras, in EG3D's layout.

The data set is a zip of images ``00000/img00000000.png`` and ``dataset.json`` with
``{"labels": [[name, 25 numbers], ...], "seeds": [[name, seed], ...]}``; the label is the camera
(cam2world row by row, then the normalised intrinsics) and the seed gives the latent of the head,
``heads.latent(seed)``. The bytes depend on the arguments alone (and on the versions of anny, numpy
and Pillow).
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

RADIUS, FOCAL, PIVOT = 2.7, 4.2647, (0.0, 0.0, 0.2)
YAW_SD, YAW_MAX, PITCH_SD, PITCH_MAX = 0.35, 0.9, 0.15, 0.35
BACKGROUND = (1.0, 1.0, 1.0)  # every picture's, exactly 255 in all of its empty pixels
_STAMP = (1980, 1, 1, 0, 0, 0)
_FORMATS = {
    "png": ("png", {"compress_level": 6}),
    "jpeg": ("jpg", {"quality": 92, "subsampling": 0}),
}


def _camera(yaw, pitch, target=PIVOT):
    """EG3D's FFHQ camera, ``yaw`` and ``pitch`` in radians off the front: pose 4x4, intrinsics.

    It stands on the sphere of radius 2.7 about the origin and looks at ``target``.
    """
    h, v = np.pi / 2 + yaw, np.pi / 2 + pitch
    phi = np.arccos(1 - 2 * (v / np.pi))
    origin = RADIUS * np.array(
        [np.sin(phi) * np.cos(np.pi - h), np.cos(phi), np.sin(phi) * np.sin(np.pi - h)]
    )
    forward = np.array(target) - origin
    forward /= np.linalg.norm(forward)
    right = -np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, down / np.linalg.norm(down), forward], 1)
    pose[:3, 3] = origin
    return pose, np.array([[FOCAL, 0, 0.5], [0, FOCAL, 0.5], [0, 0, 1]])


def view_label(seed, k):
    """The camera of view ``k`` of a seed: 25 float32 numbers (cam2world 16, intrinsics 9).

    Yaw is normal with deviation 0.35 rad, cut at 0.9; pitch 0.15, cut at 0.35.
    """
    random = np.random.RandomState([int(seed), int(k), 25])
    yaw = np.clip(random.randn() * YAW_SD, -YAW_MAX, YAW_MAX)
    pitch = np.clip(random.randn() * PITCH_SD, -PITCH_MAX, PITCH_MAX)
    return _label(*_camera(yaw, pitch))


def around_label(seed, k):
    """The camera of view ``k`` of a seed from all sides: 25 float32 numbers.

    Yaw is uniform, pitch normal with deviation 0.25 rad, cut at 0.6; the camera looks at the middle
    of the head. Such views show ears, neck and the back of the head, which FFHQ's poses do not.
    """
    random = np.random.RandomState([int(seed), int(k), 360])
    yaw = random.uniform(-np.pi, np.pi)
    pitch = np.clip(random.randn() * 0.25, -0.6, 0.6)
    return _label(*_camera(yaw, pitch, target=(0.0, 0.0, 0.0)))


def _label(pose, intrinsics):
    return np.concatenate([pose.ravel(), intrinsics.ravel()]).astype(np.float32)


def render_view(head, label, resolution=64, supersample=3):
    """One picture of a ``heads.Head``: uint8 ``[resolution, resolution, 3]``.

    ``label``: 25 numbers, as of ``view_label``.
    """
    from sigmaflow.fields.raycast import render_mesh

    label = np.asarray(label, dtype=np.float64)
    if label.shape != (25,):
        raise ValueError(f"a camera label holds 25 numbers, got shape {label.shape}")
    look = head.look
    return render_mesh(
        head.vertices,
        head.faces,
        label[:16].reshape(4, 4),
        label[16:].reshape(3, 3),
        resolution,
        colors=head.colours,
        light=look.light,
        background=BACKGROUND,
        ambient=look.ambient,
        shade=head.shade,
        normals=head.normals,
        supersample=supersample,
        scene=head.scene,
    )


def encode(image, kind="png"):
    """Bytes of a uint8 ``[H, W, 3]`` image: ``kind`` "png" or "jpeg" (quality 92, 4:4:4)."""
    from PIL import Image

    if kind not in _FORMATS:
        raise ValueError(f"image format {kind!r} is none of {sorted(_FORMATS)}")
    out = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(out, kind, **_FORMATS[kind][1])
    return out.getvalue()


class ZipWriter:
    """Write a data set zip image by image; use as a context manager.

    The file appears under its name only when the block ends without an exception, until then it is
    ``<name>.tmp<pid>`` beside it. Members carry a fixed date, so equal images give equal bytes.
    """

    def __init__(self, out_zip):
        self.path = Path(out_zip)
        self._temporary = self.path.with_name(f"{self.path.name}.tmp{os.getpid()}")
        self._labels, self._seeds = [], []

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED)
        return self

    def add(self, data, extension, label, seed=None):
        """Append one encoded image (``bytes``), its 25 numbers and, when known, its seed."""
        i = len(self._labels)
        name = f"{i // 1000:05d}/img{i:08d}.{extension}"
        self._write(name, data)
        self._labels.append([name, [float(x) for x in label]])
        if seed is not None:
            self._seeds.append([name, int(seed)])

    def _write(self, name, data):
        info = zipfile.ZipInfo(name, _STAMP)
        info.create_system, info.external_attr = 3, 0o644 << 16
        self._zip.writestr(info, data)

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                meta = {"labels": self._labels}
                if self._seeds:
                    meta["seeds"] = self._seeds
                self._write("dataset.json", json.dumps(meta))
            self._zip.close()
            if kind is None:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def render_faces(
    seeds,
    views_per_seed,
    out_zip,
    resolution=64,
    progress=None,
    image_format="png",
    supersample=3,
    around=0,
):
    """Render pictures of each seed's head into a data set zip.

    ``seeds``: integers in [0, 2^32). ``views_per_seed``: pictures with FFHQ's poses
    (``view_label``), followed by ``around`` more from all sides (``around_label``).
    ``resolution`` in pixels. ``progress``: called with (heads
    done, heads in all) after each head. ``image_format``: "png" or "jpeg". Needs the optional extra
    ``faces``; ImportError without it. The zip is written atomically.
    """
    from sigmaflow.datasets import heads

    seeds = [int(s) for s in seeds]
    if image_format not in _FORMATS:
        raise ValueError(f"image format {image_format!r} is none of {sorted(_FORMATS)}")
    if int(views_per_seed) < 1:
        raise ValueError(f"views_per_seed must be positive, got {views_per_seed}")
    with ZipWriter(out_zip) as out:
        for done, seed in enumerate(seeds, 1):
            head = heads.build_head(heads.latent(seed))
            labels = [view_label(seed, k) for k in range(int(views_per_seed))]
            labels += [around_label(seed, k) for k in range(int(around))]
            for label in labels:
                image = render_view(head, label, resolution, supersample)
                out.add(encode(image, image_format), _FORMATS[image_format][0], label, seed)
            if progress is not None:
                progress(done, len(seeds))


def merge_zips(parts, out):
    """Join data set zips (a list of paths) into one, in order; the images are numbered anew.

    Images are copied byte for byte. Raises ValueError naming the file when a part is no data set.
    Seeds are kept when every part has them.
    """
    from sigmaflow.datasets.images import ImageZip

    readers = [ImageZip(part) for part in parts]
    try:
        keep = all(reader.seeds is not None for reader in readers)
        with ZipWriter(out) as target:
            for reader in readers:
                for i, name in enumerate(reader.names):
                    target.add(
                        reader.read_bytes(i),
                        name.rsplit(".", 1)[-1],
                        reader.labels[i],
                        reader.seeds[i] if keep and reader.seeds is not None else None,
                    )
    finally:
        for reader in readers:
            reader.close()

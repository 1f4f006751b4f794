"""Read a labelled image set: EG3D's layout as a zip or as a folder, ours included."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch


class ImageZip:
    """Images with camera labels: ``dataset.json`` and the images it names.

    ``path``: a zip or a folder. ``len()`` images; item ``i`` is ``(image, label)`` with a uint8
    tensor ``[3, H, W]`` and a float32 tensor ``[25]`` (cam2world 16, intrinsics 9). Attributes:
    ``names``; ``labels`` float32 array ``[n, 25]``; ``seeds`` int64 array ``[n]`` or None;
    ``resolution`` (pixels, of the first image). Raises ValueError naming file and member when
    ``dataset.json`` is missing or malformed, a label has not 25 finite numbers, a named image is
    missing or cannot be read, or an image is not square or of another size.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._zip = None
        if not self.path.exists():
            raise ValueError(f"{self.path}: no such file or folder")
        if self.path.is_dir():
            members = {p.relative_to(self.path).as_posix() for p in self.path.rglob("*")}
        else:
            try:
                self._zip = zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, OSError) as error:
                raise ValueError(f"{self.path}: not a readable zip ({error})") from error
            members = set(self._zip.namelist())
        if "dataset.json" not in members:
            raise self._error("dataset.json", "missing")
        try:
            meta = json.loads(self._bytes("dataset.json"))
            entries = [(str(name), values) for name, values in meta["labels"]]
        except (ValueError, TypeError, KeyError) as error:
            raise self._error("dataset.json", f'has no list "labels" of [name, numbers] ({error})'
                              ) from error
        if not entries:
            raise self._error("dataset.json", "names no images")
        self.names = [name for name, _ in entries]
        self.labels = np.stack([self._label(name, values) for name, values in entries])
        for name in self.names:
            if name not in members:
                raise self._error(name, "named in dataset.json but missing")
        self.seeds = self._read_seeds(meta)
        self.resolution = 0
        self.resolution = int(self[0][0].shape[-1])

    def _error(self, member, what):
        return ValueError(f"{self.path}: {member}: {what}")

    def _label(self, name, values):
        try:
            label = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise self._error(name, f"its label is not a list of numbers ({error})") from error
        if label.shape != (25,):
            raise self._error(name, f"its label has shape {label.shape}, not 25 numbers")
        if not np.isfinite(label).all():
            raise self._error(name, "its label holds NaN or infinity")
        return label

    def _read_seeds(self, meta):
        if not meta.get("seeds"):
            return None
        try:
            known = {name: int(seed) for name, seed in meta["seeds"]}
            return np.array([known[name] for name in self.names], dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise self._error("dataset.json", f'"seeds" does not fit the labels ({error!r})'
                              ) from error

    def _bytes(self, name):
        try:
            if self._zip is None:
                return (self.path / name).read_bytes()
            return self._zip.read(name)
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zipfile.zlib.error) as error:
            raise self._error(name, f"cannot be read ({error})") from error

    def read_bytes(self, i):
        """The stored bytes of image ``i``."""
        return self._bytes(self.names[i])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        from PIL import Image

        name = self.names[i]
        try:
            with Image.open(io.BytesIO(self._bytes(name))) as picture:
                pixels = np.array(picture.convert("RGB"))
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise self._error(name, f"is no readable image ({error})") from error
        side = self.resolution or pixels.shape[0]
        if pixels.shape != (side, side, 3):
            raise self._error(name, f"is {pixels.shape[1]}x{pixels.shape[0]} pixels, not "
                                    f"{side}x{side}")
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return image, torch.from_numpy(self.labels[i].copy())

    def load_all(self):
        """Every image: a uint8 tensor ``[n, 3, H, W]``."""
        images = torch.empty((len(self), 3, self.resolution, self.resolution), dtype=torch.uint8)
        for i in range(len(self)):
            images[i] = self[i][0]
        return images

    def close(self):
        """Close the zip; reading images afterwards raises ValueError."""
        if self._zip is not None:
            self._zip.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""Read a labelled image set: EG3D's layout as a zip or as a folder, ours included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigmaflow.datasets.index import ImageIndex
from sigmaflow.datasets.pictures import decode, unequal


class ImageZip(ImageIndex):
    """Images with camera labels: ``dataset.json`` and the images it names.

    ``path``: a zip or a folder, checked as a whole by `ImageIndex`. ``len()`` images; item ``i`` is
    ``(image, label)`` with a uint8 tensor ``[3, H, W]`` and a float32 tensor ``[25]`` (cam2world
    16, intrinsics 9). ``resolution``: pixels, of the first image. Any threads, forks and spawned
    processes may read at once. Raises ValueError naming file and member when an image cannot be
    read, is not square or of another size, or has transparency or more than 8 bits a channel.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.resolution = 0
        self.resolution = int(self[0][0].shape[-1])

    def read_bytes(self, i: int) -> bytes:
        """The stored bytes of image ``i``."""
        return self.read(self.names[i])

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        name = self.names[i]
        data = self.read(name)
        try:
            pixels = decode(data)
        except ValueError as error:
            raise self._error(name, str(error)) from error
        side = self.resolution or pixels.shape[0]
        if pixels.shape != (side, side, 3):
            raise self._error(name, unequal(pixels.shape[1], pixels.shape[0], side))
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return image, torch.from_numpy(self.labels[i].copy())

    def load_all(self) -> Tensor:
        """Every image: a uint8 tensor ``[n, 3, H, W]``."""
        images = torch.empty((len(self), 3, self.resolution, self.resolution), dtype=torch.uint8)
        for i in range(len(self)):
            images[i] = self[i][0]
        return images

    def __enter__(self) -> ImageZip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""How an image set stores its pictures, so that generated ones can pass the same encoder.

A JPEG has blocks and ringing that a network's features see. Pictures that were never stored as
JPEG would differ from stored ones by that alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Coding:
    """``kind``: "lossless" or "jpeg"; of a JPEG its quantisation tables and chroma subsampling
    (0: 4:4:4, 1: 4:2:2, 2: 4:2:0), which are all that its loss depends on."""

    kind: str = "lossless"
    tables: tuple[tuple[int, ...], ...] = ()
    subsampling: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 ``[B, 3, H, W]`` as they come back from such a file; lossless ones unchanged.

        Raises ``ValueError`` for other types or shapes.
        """
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be uint8 [B, 3, H, W], got {images.dtype} "
                             f"{list(images.shape)}")  # fmt: skip
        if self.kind == "lossless":
            return images
        return torch.stack([self._one(image) for image in images]) if len(images) else images

    def _one(self, image: Tensor) -> Tensor:
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(
            stream, "JPEG", qtables=[list(t) for t in self.tables], subsampling=self.subsampling
        )
        with Image.open(stream) as picture:
            return torch.from_numpy(np.asarray(picture).transpose(2, 0, 1).copy())


def coding_of(data: bytes) -> Coding:
    """The `Coding` of one stored picture. Raises ``OSError`` where it is none that Pillow reads."""
    from PIL import Image
    from PIL.JpegImagePlugin import get_sampling

    with Image.open(io.BytesIO(data)) as picture:
        if picture.format != "JPEG":
            return Coding()
        tables = tuple(tuple(t) for _, t in sorted(picture.quantization.items()))
        return Coding("jpeg", tables, max(0, get_sampling(picture)))

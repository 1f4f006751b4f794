"""Image sets as the loops want them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sigmaflow.datasets.images import ImageZip


class MemoryImages:
    """A small set, decoded once and held as uint8 [n, 3, H, W]."""

    def __init__(self, source: ImageZip):
        self.pixels = source.load_all()
        self.labels = torch.as_tensor(source.labels, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        index = torch.as_tensor(indices)
        return self.pixels[index], self.labels[index]


class StreamedImages:
    """A large set, decoded as it is asked for."""

    def __init__(self, source: ImageZip):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        items = [self.source[int(i)] for i in indices]
        return torch.stack([p for p, _ in items]), torch.stack([c for _, c in items])


def open_images(path, in_memory_bytes: int = 2**30) -> MemoryImages | StreamedImages:
    """The set at `path`, in memory where its pixels take at most `in_memory_bytes`."""
    source = ImageZip(path)
    size = len(source) * 3 * source.resolution**2
    return MemoryImages(source) if size <= in_memory_bytes else StreamedImages(source)

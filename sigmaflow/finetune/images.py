"""Image sets as the loops want them: batches by index, read ahead where that pays.

Which images a step sees follows from the seed and the images seen alone (`reading`), never from who
decodes them, so `workers` changes no byte. Workers are threads: reading, unpacking and decoding
release Python's lock, and threads need neither copies between processes nor a fork of a process
that holds a GPU or Ray's connections.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from sigmaflow.datasets.images import ImageZip
from sigmaflow.datasets.labels import yaws

AHEAD = 2  # batches decoded before they are asked for
Batch = tuple[np.ndarray, list[Future]]


class MemoryImages:
    """A small set, decoded once and held as uint8 [n, 3, H, W]. seeds: as in `ImageIndex`."""

    def __init__(self, source: ImageZip):
        self.pixels = source.load_all()
        self.seeds = source.seeds
        self.labels = torch.as_tensor(source.labels, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 images [B, 3, H, W] and labels [B, 25]."""
        index = torch.as_tensor(indices)
        return self.pixels[index], self.labels[index]

    def expect(self, coming: Iterable[np.ndarray]) -> None:
        """Nothing to do: all is here."""


class StreamedImages:
    """A large set, decoded as it is asked for, by `workers` threads; 0 decodes in the caller's.

    Given the batches to come (`expect`), it decodes the next ones while the caller computes.
    """

    def __init__(self, source: ImageZip, workers: int = 0):
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, got {workers}")
        self.source = source
        self.seeds = source.seeds
        self.labels = torch.as_tensor(source.labels, dtype=torch.float32)
        self._pool = ThreadPoolExecutor(workers, "images") if workers else None
        self._coming: Iterator[np.ndarray] = iter(())
        self._ready: deque[Batch] = deque()

    def __len__(self) -> int:
        return len(self.source)

    def expect(self, coming: Iterable[np.ndarray]) -> None:
        """Say which index arrays `batch` will be asked for; may be endless.

        A batch that was not announced is read all the same, and ends the reading ahead.
        """
        self._drop()
        if self._pool is not None:
            self._coming = iter(coming)
            self._read_ahead()

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 images [B, 3, H, W] and labels [B, 25]. ValueError names a picture that is bad."""
        if self._pool is None:
            items = [self.source[int(i)] for i in indices]
        else:
            items = [future.result() for future in self._take(indices)]
        return torch.stack([p for p, _ in items]), torch.stack([c for _, c in items])

    def close(self) -> None:
        """End the threads; a batch asked for afterwards raises RuntimeError."""
        self._drop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _take(self, indices: np.ndarray) -> list[Future]:
        if self._ready and np.array_equal(self._ready[0][0], indices):
            futures = self._ready.popleft()[1]
            self._read_ahead()
            return futures
        self._drop()
        return self._submit(indices)

    def _read_ahead(self) -> None:
        for indices in itertools.islice(self._coming, AHEAD - len(self._ready)):
            self._ready.append((indices, self._submit(indices)))

    def _submit(self, indices: np.ndarray) -> list[Future]:
        assert self._pool is not None  # read ahead only by threads
        return [self._pool.submit(self.source.__getitem__, int(i)) for i in indices]

    def _drop(self) -> None:
        for _, futures in self._ready:
            for future in futures:
                future.cancel()
        self._ready.clear()
        self._coming = iter(())


class SubsetImages:
    """Some images of a set, numbered anew. indices: int ``[n]``, of the whole set."""

    def __init__(self, images: MemoryImages | StreamedImages, indices: np.ndarray):
        self.images, self.indices = images, np.asarray(indices)
        self.labels = images.labels[torch.as_tensor(self.indices)]
        seeds = getattr(images, "seeds", None)
        self.seeds = None if seeds is None else np.asarray(seeds)[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 images [B, 3, H, W] and labels [B, 25]."""
        return self.images.batch(self.indices[indices])

    def expect(self, coming: Iterable[np.ndarray]) -> None:
        """As the whole set's."""
        self.images.expect(self.indices[some] for some in coming)


def facing(
    images: MemoryImages | StreamedImages, max_yaw: float | None
) -> MemoryImages | StreamedImages | SubsetImages:
    """The images whose camera's |yaw| is at most `max_yaw` radians; the set itself for None.

    Raises ValueError where none is left.
    """
    if max_yaw is None:
        return images
    kept = np.flatnonzero(np.abs(yaws(images.labels.numpy())) <= max_yaw)
    if not len(kept):
        raise ValueError(f"no image's camera has a yaw within {max_yaw} rad; raise max_yaw")
    return SubsetImages(images, kept)


def reading(seed: int, images_seen: int, batch: int, length: int) -> Iterator[np.ndarray]:
    """The index arrays that a run of this seed asks of a set of `length`, from `images_seen` on."""
    from sigmaflow.finetune.state import shuffled

    for position in itertools.count(images_seen, batch):
        yield shuffled(seed, position, batch, length)


def open_images(
    path, in_memory_bytes: int = 2**30, workers: int = 0
) -> MemoryImages | StreamedImages:
    """The set at `path`, in memory where its pixels take at most `in_memory_bytes`.

    workers: threads that decode a larger one; they change no result.
    """
    source = ImageZip(path)
    size = len(source) * 3 * source.resolution**2
    if size <= in_memory_bytes:
        return MemoryImages(source)
    return StreamedImages(source, workers)

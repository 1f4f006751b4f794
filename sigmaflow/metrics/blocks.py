"""Moments of blocks of images, summed along one fixed tree: any sharding, the same bytes.

Sums in float64 depend on their order in the last bits. So images are taken in blocks of a fixed
number, and blocks are merged two by two, then pairs of pairs, by their index alone. A shard holds
the largest complete nodes of that tree within its stretch, at most two a level.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sigmaflow.metrics.frechet import Moments


class BlockTree:
    """Moments of blocks ``start`` to ``next`` (not included), each of ``block`` images.

    Only the last block of a whole set may be shorter. ``dim`` and ``source`` as in `Moments`.
    """

    def __init__(self, dim: int, block: int, source: str = "", start: int = 0) -> None:
        if block < 1 or start < 0:
            raise ValueError(f"block {block} must be at least 1 and start {start} at least 0")
        self.dim, self.block, self.source = dim, block, source
        self.start = self.next = start
        self._nodes: list[tuple[int, int, Moments]] = []  # level, index in it, moments; in order

    @property
    def n(self) -> int:
        """Images seen."""
        return sum(m.n for _, _, m in self._nodes)

    def add(self, features: Any) -> BlockTree:
        """The next block, ``[B, dim]`` with B = ``block``, or fewer in the last; returns self."""
        moments = Moments(self.dim, self.source).add(features)
        if not 1 <= moments.n <= self.block:
            raise ValueError(f"a block has 1 to {self.block} images, not {moments.n}")
        self._check_open()
        self._push(0, self.next, moments)
        self.next += 1
        return self

    def join(self, other: BlockTree) -> BlockTree:
        """Add the shard that follows; returns self. ValueError for a gap or another kind."""
        if (other.dim, other.block, other.source) != (self.dim, self.block, self.source):
            raise ValueError(
                f"shards of different kinds: {self.source or 'unnamed'} ({self.dim}-d, blocks of "
                f"{self.block}) and {other.source or 'unnamed'} ({other.dim}-d, {other.block})"
            )
        if other.start != self.next:
            raise ValueError(
                f"the next block is {self.next}, the shard begins with {other.start}: shards must "
                "be joined in order, each once"
            )
        self._check_open()
        for level, index, moments in other._nodes:
            self._push(level, index, moments)
        self.next = other.next
        return self

    def total(self) -> Moments:
        """Moments of all blocks; ValueError where the first are missing."""
        if self.start:
            raise ValueError(f"blocks 0 to {self.start - 1} are missing")
        out = Moments(self.dim, self.source)
        for _, _, moments in self._nodes:
            out.merge(moments)
        return out

    def to_arrays(self) -> dict[str, Any]:
        """For ``numpy.savez``: 8 (dim + dim^2) bytes a node; `from_arrays` gives the same back."""
        nodes = [m.to_arrays() for _, _, m in self._nodes]
        d = self.dim
        return {
            "block": np.int64(self.block), "start": np.int64(self.start),
            "next": np.int64(self.next), "source": np.array(self.source),
            "place": np.array([k[:2] for k in self._nodes], dtype=np.int64).reshape(-1, 2),
            "n": np.array([m["n"] for m in nodes], dtype=np.int64),
            "mean": np.array([m["mean"] for m in nodes]).reshape(-1, d),
            "scatter": np.array([m["scatter"] for m in nodes]).reshape(-1, d, d),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Any) -> BlockTree:
        """The inverse of `to_arrays`; takes a mapping such as an open ``.npz`` file."""
        mean, scatter, source = arrays["mean"], arrays["scatter"], str(arrays["source"])
        out = cls(mean.shape[1], int(arrays["block"]), source, int(arrays["start"]))
        for place, n, m, s in zip(arrays["place"], arrays["n"], mean, scatter):
            one = Moments.from_arrays({"mean": m, "scatter": s, "n": n, "source": source})
            out._nodes.append((int(place[0]), int(place[1]), one))
        out.next = int(arrays["next"])
        return out

    def _check_open(self) -> None:
        if self.n < (self.next - self.start) * self.block:
            raise ValueError(f"block {self.next - 1} was short of {self.block}: it is the last")

    def _push(self, level: int, index: int, moments: Moments) -> None:
        while self._nodes and self._nodes[-1][:2] == (level, index - 1) and index % 2:
            both = Moments(self.dim, self.source)
            both.merge(self._nodes.pop()[2]).merge(moments)
            level, index, moments = level + 1, index // 2, both
        self._nodes.append((level, index, moments))

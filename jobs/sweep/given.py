"""On which layer a setting was given: the scale's file, the sweep's file, or the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.sweep.lines import Keys

BELOW, FILE, COMMAND = range(3)  # layers


@dataclass(frozen=True)
class Given:
    """On which layer each key was given last."""

    layers: Mapping[Keys, int]

    def layer(self, keys: Sequence[str | int]) -> int:
        """The highest layer of a key and all below it; BELOW where none was given."""
        keys = tuple(keys)
        return max((n for k, n in self.layers.items() if k[: len(keys)] == keys), default=BELOW)

    def places(self, keys: Keys, layer: int) -> list[Keys]:
        """The key itself where it was given on that layer, else the keys below it that were."""
        if self.layers.get(keys) == layer:
            return [keys]
        return [k for k, n in self.layers.items() if k[: len(keys)] == keys and n == layer]

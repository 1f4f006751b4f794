"""Analytic heads with defects by dose: what the annotator is tested on, without a generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sigmaflow.fields.grid import Grid

LEVEL = 10.0
_SHARPNESS = 200.0  # sigma per unit of length across the surface


@dataclass(frozen=True)
class Phantom:
    """An ellipsoid head with a nose, about the origin of a box of side 1.

    size: of the head relative to the standard one (half axes 0.24, 0.32, 0.28). nose: height of
    the bump in box sides (about 0.06 is natural, below zero is a dent). rough: amplitude of the
    wrinkles in box sides. floaters: number of loose balls in front and at the sides. skew: how much
    nearer the camera one cheek is than the other, in box sides. seed: of wrinkles and balls.
    """

    size: float = 1.0
    nose: float = 0.06
    rough: float = 0.0
    floaters: int = 0
    skew: float = 0.0
    seed: int = 0

    def sigma(self, grid: Grid) -> np.ndarray:
        """Density `[*grid.shape]` float32, about `LEVEL` on the surface and above it inside."""
        x, y, z = np.moveaxis(grid.points().numpy().astype(np.float64), 1, 0)
        rng = np.random.default_rng(self.seed)
        a, b, c = 0.24 * self.size, 0.32 * self.size, 0.28 * self.size
        z = z - self.skew * np.tanh(x / 0.1)
        z = z - self.nose * np.exp(-((x / 0.05) ** 2) - (y / 0.08) ** 2) * (z > 0)
        z = z - self._wrinkles(x, y, z, rng)
        radius = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
        inside = (1.0 - radius) * c
        for centre, r in self._balls(rng):
            away = np.sqrt(sum((p - q) ** 2 for p, q in zip((x, y, z), centre)))
            inside = np.maximum(inside, r - away)
        return (LEVEL + _SHARPNESS * inside).astype(np.float32).reshape(grid.shape)

    def _wrinkles(self, x, y, z, rng: np.random.Generator) -> np.ndarray:
        out = np.zeros_like(x)
        for _ in range(12 if self.rough else 0):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi * rng.uniform(8, 14) / np.linalg.norm(wave)
            out += np.sin(wave[0] * x + wave[1] * y + wave[2] * z + rng.uniform(0, 2 * np.pi))
        return self.rough * out / np.sqrt(6)

    def _balls(self, rng: np.random.Generator) -> list[tuple[Sequence[float], float]]:
        balls: list[tuple[Sequence[float], float]] = []
        for _ in range(self.floaters):
            side, height = rng.choice([-1, 1]), rng.uniform(-0.3, 0.3)
            balls.append(((side * 0.4, height, rng.uniform(-0.1, 0.4)), rng.uniform(0.035, 0.06)))
        return balls


def random_phantom(seed: int) -> Phantom:
    """A head whose defects are drawn at random: most have little of each, some have much."""
    rng = np.random.default_rng([seed, 0x5EED])
    return Phantom(
        size=rng.uniform(0.9, 1.1),
        nose=0.06 - 0.1 * rng.beta(1, 2.5),
        rough=0.012 * rng.beta(1, 2),
        floaters=int(rng.integers(0, 4)) * int(rng.random() < 0.4),
        skew=rng.normal() * 0.02,
        seed=seed,
    )

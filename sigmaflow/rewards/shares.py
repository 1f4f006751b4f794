"""Shares of right pairs and their intervals. Imports without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """Share of right pairs in [0, 1], its 95 % Wilson interval, and how many pairs."""

    share: float
    low: float
    high: float
    n: int


def wilson(right: float, n: int, z: float = 1.959963984540054) -> Accuracy:
    """Wilson's score interval of a share; all of [0, 1] (share NaN) without any pair."""
    if n == 0:
        return Accuracy(math.nan, 0.0, 1.0, 0)
    p, z2 = right / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Accuracy(p, max(0.0, middle - half), min(1.0, middle + half), n)

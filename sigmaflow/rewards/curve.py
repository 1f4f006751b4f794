"""Points of a learning curve, and how many rankings are enough. Imports without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CurvePoint:
    """A reward trained on so many questions, drawn and started by `seed`.

    pairs: regular ones among them. share: accuracy of the scalar head on the `n` regular test
    pairs, from low to high its 95 % Wilson interval.
    """

    questions: int
    pairs: int
    seed: int
    share: float
    low: float
    high: float
    n: int


def enough(points: Sequence[CurvePoint], within: float = 0.01) -> int:
    """The fewest questions whose mean accuracy comes within `within` of the largest size's.

    All sizes above must do so too. It says that more of the same did not help, not that none would.
    """
    if not points:
        raise ValueError("there are no points of a learning curve")
    sizes = sorted({p.questions for p in points})
    means = [np.mean([p.share for p in points if p.questions == size]) for size in sizes]
    near = sizes[-1]
    for size, mean in zip(sizes[::-1], means[::-1]):
        if mean < means[-1] - within:
            break
        near = size
    return near

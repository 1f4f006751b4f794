"""Whether a fine-tune still pleases a reward that it does not follow."""

from __future__ import annotations

from collections.abc import Sequence


def turned(trained: Sequence[float], heldout: Sequence[float], ticks: int) -> bool:
    """Whether the trained reward rose and the held-out one fell over the last `ticks` ticks.

    Both are means over the same fixed seeds, one a tick, the start generator's first. Rewards that
    are pulled at go on rising; when one that was trained on other data does not follow, the
    generator has begun to win by what only the first believes (overoptimisation).
    """
    if len(trained) != len(heldout):
        raise ValueError(f"{len(trained)} ticks of the trained reward, {len(heldout)} of the other")
    if len(trained) <= ticks:
        return False
    return trained[-1] > trained[-1 - ticks] and heldout[-1] < heldout[-1 - ticks]


def best(heldout: Sequence[float]) -> int:
    """Number of the tick whose held-out reward is highest, the first of equals."""
    return max(range(len(heldout)), key=lambda i: (heldout[i], -i))

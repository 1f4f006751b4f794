"""How often a trait occurs among the identities of a set of rendered heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from sigmaflow.datasets.headlatent import latent, traits

EVERY = 500  # identities between two words of progress


def count_traits(
    seeds: Iterable[int], progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Identities with each trait (glasses, beard, ...), by name, in `headlatent.traits`' order.

    ``seeds``: of the latents. Needs no head model. ``ValueError`` without seeds.
    """
    listed = [int(seed) for seed in seeds]
    if not listed:
        raise ValueError("no identities to count")
    counts: Counter[str] = Counter()
    for done, seed in enumerate(listed, 1):
        for name, has in traits(latent(seed)).items():
            counts[name] += bool(has)
        if progress is not None and done % EVERY == 0:
            progress(done, len(listed))
    return dict(counts)

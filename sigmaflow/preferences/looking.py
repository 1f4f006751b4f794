"""The synthetic annotator before the shapes of a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigmaflow.generators import TriPlaneGenerator
    from sigmaflow.preferences.config import AnnotatorConfig


def measure_seeds(
    G: TriPlaneGenerator, seeds: Sequence[int], psi: float, view: Mapping[str, Any],
    annotator: AnnotatorConfig, progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of the annotator's measures: `seed`, those of `ShapeMeasures`, and `score`.

    Args:
        G: The generator.
        seeds: Of the latents.
        psi: truncation_psi.
        view: The part of the box that it is shown, a regular grid: like the paper's annotator it
            sees the slab that the reward gets, at its own resolution, and nothing else.
        annotator: What it minds.
        progress: Told how many of how many shapes are done.
    """
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab
    from sigmaflow.preferences.annotator import measure, score, shown

    grid = Grid.from_dict(dict(view))
    rows = []
    with torch.no_grad():
        for i, seed in enumerate(seeds):
            z = latents([seed], G.z_dim).to(next(G.parameters()).device)
            slab = sample_slab(G, z, grid, truncation_psi=psi)[0].cpu().numpy()
            found = measure(shown(slab, grid), annotator)
            rows.append({"seed": int(seed), **found.as_dict(), "score": score(found, annotator)})
            if progress:
                progress(i + 1, len(seeds))
    return rows

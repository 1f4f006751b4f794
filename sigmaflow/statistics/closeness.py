"""Is tuning only a step toward the mean face? (Paper section 4.3.2, Table 4.)

For each latent three shapes are compared: the original, the tuned one, and the reference (the
original generator at psi = 0). Formulas as in the authors' released analysis: nearer by mean
absolute difference; alpha = <tuned - original, m> / <m, m> with m = reference - original (the
denominator at least 1e-12); residual fraction = |tuned - original - alpha m| / |tuned - original|,
a ratio of norms, not of energies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from sigmaflow.statistics.intervals import bootstrap_mean, check_confidence, wilson


@dataclass(frozen=True)
class Closeness:
    """Means over ``n`` latents; shares with Wilson, other intervals by seeded bootstrap.

    ``p``: one-sided Wilcoxon that the reference is farther than the original. ``residual`` is over
    the ``moved`` latents, those whose shape changed at all (nan when none did).
    """

    n: int
    moved: int
    closer: int
    share_closer: float
    share_low: float
    share_high: float
    to_original: float
    to_reference: float
    alpha: float
    alpha_low: float
    alpha_high: float
    residual: float
    residual_low: float
    residual_high: float
    p: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def compare(original: np.ndarray, tuned: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """One latent: three sigma grids of one shape -> distances, alpha and residual fraction.

    ``residual`` is nan where tuned equals original.
    """
    o, t, r = (np.asarray(v, dtype=np.float64).ravel() for v in (original, tuned, reference))
    if not len(o) == len(t) == len(r) or not len(o):
        raise ValueError(
            f"original, tuned and reference must have one shape, got "
            f"{np.shape(original)}, {np.shape(tuned)}, {np.shape(reference)}"
        )
    if not all(np.isfinite(v).all() for v in (o, t, r)):
        raise ValueError("a shape holds NaN or infinity")
    move, m = t - o, r - o
    alpha = float(move @ m) / max(float(m @ m), 1e-12)
    length = float(np.linalg.norm(move))
    rest = float(np.linalg.norm(move - alpha * m))
    return {
        "to_original": float(np.abs(move).mean()),
        "to_reference": float(np.abs(t - r).mean()),
        "alpha": alpha,
        "residual": rest / length if length > 0 else float("nan"),
    }


def closeness(
    rows: Iterable[Mapping[str, float]],
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Closeness:
    """Summarise rows of ``compare`` (a list of dicts, or a frame's ``to_dict("records")``)."""
    from scipy.stats import wilcoxon

    check_confidence(confidence)
    listed = list(rows)
    if not listed:
        raise ValueError("closeness needs at least one latent")
    names = ("to_original", "to_reference", "alpha", "residual")
    near, far, alpha, residual = (np.array([row[k] for row in listed], np.float64) for k in names)
    residual = residual[np.isfinite(residual)]
    n, closer = len(listed), int((near < far).sum())
    low, high = wilson(closer, n, confidence)
    a_low, a_high = bootstrap_mean(alpha, resamples, seed, confidence)
    nan = float("nan")
    r_low, r_high = (
        bootstrap_mean(residual, resamples, seed, confidence) if len(residual) else (nan, nan)
    )
    p = float(wilcoxon(far, near, alternative="greater").pvalue) if (far != near).any() else 1.0
    return Closeness(
        n=n,
        moved=len(residual),
        closer=closer,
        share_closer=closer / n,
        share_low=low,
        share_high=high,
        to_original=float(near.mean()),
        to_reference=float(far.mean()),
        alpha=float(alpha.mean()),
        alpha_low=a_low,
        alpha_high=a_high,
        residual=float(residual.mean()) if len(residual) else nan,
        residual_low=r_low,
        residual_high=r_high,
        p=p,
        confidence=confidence,
    )


def closeness_of(
    original: np.ndarray,
    tuned: np.ndarray,
    reference: np.ndarray,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Closeness:
    """From grids ``[S, ...]`` (paired) and one reference ``[...]`` for all latents."""
    if np.shape(original) != np.shape(tuned) or np.shape(original)[1:] != np.shape(reference):
        raise ValueError(
            f"shapes do not fit: original {np.shape(original)}, tuned "
            f"{np.shape(tuned)}, reference {np.shape(reference)}"
        )
    rows = [compare(o, t, reference) for o, t in zip(original, tuned)]
    return closeness(rows, resamples, seed, confidence)

"""The SYNTHETIC ANNOTATOR: a formula that stands where a person ranked shapes in the paper.

Nobody has ranked the mini generator's faces. This ranks them by geometry alone: roughness of the
visible iso-surface, floaters, asymmetry and a sunken nose. Its reference values are fixed numbers,
calibrated once on shapes of the untuned generator. Its score is ground truth for evaluation and
must never reach a reward or a generator other than through rankings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sigmaflow.fields.grid import Grid
from sigmaflow.preferences.config import DEFECTS, AnnotatorConfig, Reference
from sigmaflow.preferences.surface import (
    Surface,
    front_heights,
    largest_surface,
    roughness,
    smooth_heights,
)

EMPTY = -100.0  # raw sigma where the annotator is shown nothing


@dataclass(frozen=True)
class ShapeMeasures:
    """Measures of one shape. Lengths are in sides of the box.

    roughness: RMS angle (radians) of visible normals against their surroundings. floaters: volume
    of other visible shapes, over that of the largest. cavities: volume enclosed in it, likewise.
    asymmetry: mean left-right difference of the smoothed front heights at the best mirror plane.
    nose: how far the face centre stands out before the cheeks. volume: share of the box. valid:
    whether there is a shape to look at; the other values are 0 otherwise.
    """

    roughness: float = 0.0
    floaters: float = 0.0
    cavities: float = 0.0
    asymmetry: float = 0.0
    nose: float = 0.0
    volume: float = 0.0
    valid: bool = False

    def as_dict(self) -> dict[str, float]:
        """Plain values by name, for tables."""
        return asdict(self)


def shown(slab: np.ndarray, grid: Grid) -> np.ndarray:
    """The cube `[N, N, N]` of `grid.resolution` that holds `slab` `[*grid.shape]`, empty around."""
    cube = np.full((grid.resolution,) * 3, EMPTY, dtype=np.float32)
    cube[tuple(slice(*r) for r in grid.ranges)] = slab
    return cube


def measure(sigma: np.ndarray, config: AnnotatorConfig) -> ShapeMeasures:
    """Measures of a cube `[N, N, N]` (x, y, z over the whole box, regular grid, raw sigma).

    Cells that are not finite count as empty. Raises ValueError on another shape.
    """
    sigma = np.asarray(sigma)
    if sigma.ndim != 3 or len(set(sigma.shape)) != 1 or sigma.shape[0] < 8:
        raise ValueError(f"expected a cube [N, N, N] with N >= 8, got {sigma.shape}")
    sigma = np.nan_to_num(sigma, nan=-1e4, posinf=1e4, neginf=-1e4)
    surface = largest_surface(sigma, config.level)
    if surface is None or surface.volume < config.min_volume:
        return ShapeMeasures(volume=0.0 if surface is None else surface.volume)
    heights = front_heights(surface)
    # Smoothing first keeps wrinkles out of asymmetry and nose: they have their own measure.
    smooth = smooth_heights(heights, 0.03 / surface.voxel)
    asymmetry, middle = _asymmetry(smooth)
    return ShapeMeasures(
        roughness=roughness(surface, heights),
        floaters=surface.others,
        cavities=surface.cavities,
        asymmetry=asymmetry,
        nose=_nose(smooth, surface, config, middle),
        volume=surface.volume,
        valid=True,
    )


def _asymmetry(heights: np.ndarray) -> tuple[float, float]:
    """Mean absolute mirror difference of the front, and the x of the best mirror plane.

    The front is what lies within a quarter box of the foremost point. Planes are tried within
    0.05 of the middle, in steps of half a cell.
    """
    n = heights.shape[0]
    top = np.nanmax(heights)
    front = np.where(heights > top - 0.25, heights, np.nan)
    reach = max(1, int(round(0.1 * (n - 1))))
    best = (np.inf, 0.0)
    for shift in range(-reach, reach + 1):
        mirrored = np.full_like(front, np.nan)
        # Cell i meets cell n - 1 - i + shift.
        low, high = max(0, shift), min(n, n + shift)
        mirrored[low:high] = front[::-1][low - shift : high - shift]
        both = np.isfinite(front) & np.isfinite(mirrored)
        alone = (np.isfinite(front) ^ np.isfinite(mirrored)).sum()
        gap = np.minimum(np.abs(front - mirrored)[both], 0.1).sum()
        # A cell without a partner counts as a moderate gap, or the best shift is to slide away.
        cost = (gap + 0.03 * alone) / max(1, both.sum() + alone)
        # Of equal planes the one nearest to the middle.
        if cost < best[0] - 1e-12 or (cost <= best[0] and abs(shift) < abs(best[1])):
            best = (cost, shift)
    return float(best[0]), float(best[1]) / 2 / (n - 1)


def _nose(heights: np.ndarray, surface: Surface, config: AnnotatorConfig, middle: float) -> float:
    """Mean height in the nose window minus that in the windows of both cheeks."""
    n = heights.shape[0]
    x = np.arange(n) * surface.voxel - 0.5 - config.centre[0] - middle
    y = np.arange(n) * surface.voxel - 0.5 - config.centre[1]
    # Soft windows: a hard edge would jump by a cell whenever the mirror plane moves a little.
    rows = _window(y, config.nose_half[1])
    sides = _window(x - config.cheek, 0.02) + _window(x + config.cheek, 0.02)
    known = np.isfinite(heights)
    filled = np.where(known, heights, 0.0)
    means = []
    for columns in (_window(x, config.nose_half[0]), sides):
        weight = columns[:, None] * rows[None, :] * known
        if weight.sum() < 1e-6:
            return 0.0
        means.append(float((weight * filled).sum() / weight.sum()))
    return means[0] - means[1]


def _window(offset: np.ndarray, half: float) -> np.ndarray:
    return np.exp(-0.5 * (offset / (0.6 * half)) ** 2)


def defects(measures: ShapeMeasures, config: AnnotatorConfig) -> dict[str, float]:
    """The four quantities that are minded, before standardising; 0 is faultless."""
    loose = measures.floaters + config.cavity_weight * measures.cavities
    return {
        "roughness": measures.roughness,
        "floaters": float(np.log1p(loose / config.log_floaters)),
        "asymmetry": measures.asymmetry,
        "sunken_nose": max(0.0, config.nose_reference - measures.nose),
    }


def score(measures: ShapeMeasures, config: AnnotatorConfig) -> float:
    """Minus the weighted sum of standardised defects; finite, higher is better."""
    if not measures.valid:
        return config.empty_score
    total = 0.0
    for name, value in defects(measures, config).items():
        reference = config.references[name]
        standard = (value - reference.mean) / reference.scale
        total += config.weights[name] * float(np.clip(standard, -config.limit, config.limit))
    return -total


def annotate(sigma: np.ndarray, config: AnnotatorConfig) -> float:
    """Score of a cube `[N, N, N]`: `score(measure(...))`."""
    return score(measure(sigma, config), config)


def calibrate(
    measures: Sequence[ShapeMeasures], config: AnnotatorConfig | None = None
) -> AnnotatorConfig:
    """Fix the reference values from shapes of the untuned generator.

    The nose reference is their median prominence; means and deviations follow. A deviation is at
    least a tenth of the mean, so that a defect none of them has cannot rule everything.
    Raises ValueError with fewer than 8 valid shapes.
    """
    config = config or AnnotatorConfig()
    valid = [m for m in measures if m.valid]
    if len(valid) < 8:
        raise ValueError(f"{len(valid)} of {len(measures)} shapes have a surface; give at least 8")
    nose = float(np.median([m.nose for m in valid]))
    config = config.model_copy(update={"nose_reference": nose})
    table = {name: [defects(m, config)[name] for m in valid] for name in DEFECTS}
    references = {}
    for name, values in table.items():
        mean, scale = float(np.mean(values)), float(np.std(values))
        references[name] = Reference(mean=mean, scale=max(scale, 0.1 * abs(mean), 1e-6))
    return config.model_copy(update={"references": references})


def preference(score_a: np.ndarray, score_b: np.ndarray) -> np.ndarray:
    """Per question 1 where a is preferred, 0 where b is, 0.5 where they are equal."""
    a, b = np.asarray(score_a, dtype=float), np.asarray(score_b, dtype=float)
    return np.where(a == b, 0.5, (a > b).astype(float))


def anchor_preference(anchors: np.ndarray, winners: np.ndarray, losers: np.ndarray) -> float:
    """Share of questions whose anchor scores above both others, from clean scores `[n]` each.

    Below 0.9 the anchors are not what they are taken for; the caller leaves them out and says so.
    """
    anchors, winners, losers = (np.asarray(v, dtype=float) for v in (anchors, winners, losers))
    if len(anchors) == 0:
        raise ValueError("there are no questions to ask about anchors")
    return float(np.mean((anchors > winners) & (anchors > losers)))

"""What the synthetic annotator sees in each shape, and its score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sigmaflow.fields.grid import Grid
from sigmaflow.measuring import Column, Measure, Quantity, Samples, Settings
from sigmaflow.preferences.config import AnnotatorConfig

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.generators import TriPlaneGenerator


class MeasuresSettings(Settings):
    """What it looks at, and what it minds."""

    view: Grid
    """the part of the box that it is shown, a regular grid"""
    annotator: AnnotatorConfig = AnnotatorConfig()
    """where it looks, and weights and references of defects"""


def prepare(G: TriPlaneGenerator, files: Mapping[str, Path], settings: MeasuresSettings) -> Measure:
    """Nothing is read beside the generator."""
    import numpy as np

    from sigmaflow.preferences.looking import measure_seeds

    def measure(samples: Samples) -> dict[str, np.ndarray]:
        view = settings.view.as_dict()
        rows = measure_seeds(G, samples.seeds, samples.psi, view, settings.annotator)
        names = [column.name for column in QUANTITY.columns]
        return {name: np.array([float(row[name]) for row in rows]) for name in names}

    return measure


QUANTITY = Quantity(
    name="measures",
    version=1,
    columns=(
        Column("roughness", "RMS angle of visible normals against their surroundings", "radians"),
        Column("floaters", "volume of other visible shapes over that of the largest"),
        Column("cavities", "volume enclosed in the largest shape, over its own"),
        Column("asymmetry", "left-right difference of front heights", "side of the box"),
        Column("nose", "how far the face's centre stands out before the cheeks", "side of the box"),
        Column("volume", "share of the box"),
        Column("valid", "1 where there is a shape to look at; 0: the others are 0"),
        Column("score", "the annotator's, higher is better", "score"),
    ),
    prepare=prepare,
    settings=MeasuresSettings,
    batch=4,
    task=40,
    mini=(0.01, 0.2),
    paper=(0.5, 3.0),
)

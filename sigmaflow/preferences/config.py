"""Settings of the synthetic annotator. Imports without scipy, so that plans need none."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFECTS = ("roughness", "floaters", "asymmetry", "sunken_nose")


class Reference(BaseModel):
    """Mean and scale (> 0) by which a defect is standardised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    scale: float = Field(gt=0)


class AnnotatorConfig(BaseModel):
    """Where the annotator looks, how much it minds, and its fixed reference values.

    level: iso-level of sigma (10 is EG3D's). centre: x, y of the nose; nose_half: half width and
    half height of the window there; cheek: x distance of the cheeks from it; all in sides of the
    box. cavity_weight: how much enclosed volume counts against floating volume.
    log_floaters: floaters enter as log(1 + volume / this), so that dust is minded but a second
    head is not minded without bound. nose_reference: prominence below which a nose is sunken.
    limit: largest standardised defect. min_volume: share of the box below which there is no shape.
    Default references are rounded from `calibrate` on `phantoms.random_phantom(0..199)` at 48^3;
    a generator's own shapes need their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = 10.0
    centre: tuple[float, float] = (0.0, 0.0)
    nose_half: tuple[float, float] = (0.03, 0.06)
    cheek: float = Field(default=0.12, gt=0, lt=0.5)
    cavity_weight: float = Field(default=1.0, ge=0)
    log_floaters: float = Field(default=0.001, gt=0)
    nose_reference: float = 0.059
    limit: float = Field(default=5.0, gt=0)
    min_volume: float = Field(default=0.005, ge=0, lt=1)
    weights: dict[str, Annotated[float, Field(ge=0)]] = {name: 1.0 for name in DEFECTS}
    references: dict[str, Reference] = {
        "roughness": Reference(mean=0.060, scale=0.030),
        "floaters": Reference(mean=0.63, scale=1.07),
        "asymmetry": Reference(mean=0.0079, scale=0.0034),
        "sunken_nose": Reference(mean=0.0065, scale=0.0089),
    }

    @model_validator(mode="after")
    def _names_are_defects(self) -> AnnotatorConfig:
        for field in ("weights", "references"):
            names = set(getattr(self, field))
            if names != set(DEFECTS):
                raise ValueError(f"{field} are for {sorted(names)}; give exactly {list(DEFECTS)}")
        return self

    @property
    def empty_score(self) -> float:
        """Score without a shape: half as low again as the lowest with one."""
        return -1.5 * self.limit * sum(self.weights.values())

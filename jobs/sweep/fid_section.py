"""What a sweep file may say of its FIDs; part of its section `evaluation`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from sigmaflow.metrics.protocol import BLOCK, FIRST_SEED
from sigmaflow.seeds import MAX_SEED


def _statistics(value: str, info: ValidationInfo) -> str:
    if info.context and not info.context.get("files", True):
        return value
    from sigmaflow.metrics.reference import source_of

    try:
        source_of(value)
    except OSError as error:
        raise ValueError(
            f"{value!r} is no file of statistics ({error.strerror}); make one with "
            "python -m jobs.reference"
        ) from error
    return value


class FidSection(BaseModel):
    """The protocol of every FID of the sweep, as far as it may be chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extractor: Literal["clean-fid-inception", "nvidia-inception", "stlpips-alex"] = (
        "clean-fid-inception"
    )
    fid_images: int = Field(50000, ge=8, le=MAX_SEED + 1 - FIRST_SEED)
    fid_psi: float = Field(1.0, ge=0, le=1)
    fid_shard: int = Field(32 * BLOCK, ge=BLOCK, multiple_of=BLOCK)
    """images a fan-out task takes; no number depends on it"""
    fid_mirror: bool = False
    fid_reference: Annotated[str, AfterValidator(_statistics)] | None = None
    """statistics of real images; None takes them from `images`"""

"""Where to run: the model behind ``cluster/*.yaml``."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Profile(BaseModel):
    """A place to run. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["inline", "ray"]
    cpus: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """CPUs to use; auto is those that this process may use."""
    gpus: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """GPUs to use; auto is those that torch sees."""
    gpu_fraction: float = Field(1.0, gt=0, le=1)
    """Share of a GPU given to a stage that asks for a whole one; 0.5 lets two share it."""
    parallel: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Stages at once; auto is the number of CPUs."""
    object_store_mb: int = Field(200, ge=80)
    """Shared memory of Ray, MB. Stages hand over paths, not arrays, so little is needed."""

    def cpu_count(self) -> int:
        """CPUs to use, as a number."""
        if self.cpus != "auto":
            return self.cpus
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    def gpu_count(self) -> int:
        """GPUs to use, as a number. Imports torch when it has to look."""
        if self.gpus != "auto":
            return self.gpus
        import torch

        return torch.cuda.device_count()

    def slots(self) -> int:
        """Stages at once, as a number."""
        return self.cpu_count() if self.parallel == "auto" else self.parallel

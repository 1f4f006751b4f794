"""A training's state as one safetensors file: tensors by name, and JSON values beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from sigmaflow.atomic import write_bytes

ENTRY = "sigmaflow"  # where the JSON stands in the file's metadata


def write_state(path: str | Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write all of it to `path`, atomically. Equal states give equal bytes."""
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, save(flat, metadata={ENTRY: json.dumps(values)}))


def read_state(path: str | Path, known: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_state` wrote, where its value `format` is `known`.

    FileNotFoundError without the file; ValueError naming it where it is damaged or of another
    format.
    """
    path = Path(path)
    raw = path.read_bytes()
    try:
        length = int.from_bytes(raw[:8], "little")
        values = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][ENTRY])
        tensors, found = load(raw), values["format"]
    except Exception as error:  # safetensors has one error type of its own
        raise ValueError(f"{path}: not a readable checkpoint ({error})") from error
    if found != known:
        raise ValueError(f"{path}: format {found}, this version reads {known}")
    return tensors, values

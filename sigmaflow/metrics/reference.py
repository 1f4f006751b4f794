"""Statistics of real images as a file: taken once, named, and used only where they fit.

Our own `.npz` holds n, mean, scatter, the set they are of and the protocol, so a wrong file is
refused. clean-fid's published ones (``mu``, ``sigma``) are read as well; they hold none of that.
Features for KID lie beside it: ``NAME.npz`` and ``NAME-features.npy``, float32 ``[n, d]``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigmaflow.arrays import open_npz
from sigmaflow.atomic import write_with
from sigmaflow.files import sha256_file
from sigmaflow.jsontext import loads
from sigmaflow.metrics.frechet import Moments
from sigmaflow.metrics.protocol import Protocol, ProtocolError, differences

MODES = {"clean": "clean", "nvidia": "legacy_tensorflow"}  #: as clean-fid's file names have it


@dataclass(frozen=True)
class Reference:
    """Mean ``[d]`` and covariance ``[d, d]`` of real images; ``n`` is None where not recorded."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int | None


def features_beside(path: str | Path) -> Path:
    """Where the features of a statistics file lie, if they were kept."""
    path = Path(path)
    return path.with_name(f"{path.stem}-features.npy")


def save_reference(path: str | Path, moments: Moments, protocol: Protocol) -> None:
    """Write statistics made under ``protocol``: 8 (d + d^2) bytes, whole or not at all."""
    fields = protocol.of_reals()
    arrays: dict[str, Any] = {
        **moments.to_arrays(),
        "protocol": np.array(json.dumps(fields, sort_keys=True)),
        "protocol_hash": np.array(protocol.real_hash),
        "sha256": np.array(protocol.real),
    }

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)

    write_with(path, write)


def source_of(path: str | Path) -> str:
    """Which real images a statistics file is of, for ``Protocol.real``. Raises ValueError."""
    with _open(path) as arrays:
        if "protocol" in arrays:
            return str(arrays["sha256"])
    return f"clean-fid:{sha256_file(path)}"


def load_reference(path: str | Path, protocol: Protocol) -> Reference:
    """Statistics that fit ``protocol``. Raises ProtocolError naming what does not fit, and
    ValueError for a file of another kind."""
    with _open(path) as arrays:
        if "protocol" not in arrays:
            return _published(Path(path), arrays, protocol)
        made = loads(str(arrays["protocol"]))
        if wrong := differences(made, protocol.of_reals()):
            raise ProtocolError(
                f"{path}: statistics of another protocol, {'; '.join(wrong)} (file against run)"
            )
        moments = Moments.from_arrays(arrays)
    return Reference(moments.mean, moments.covariance_with(protocol.ddof), moments.n)


def _published(path: Path, arrays: Any, protocol: Protocol) -> Reference:
    """clean-fid's own file, whose name alone says how it was made."""
    mode = MODES.get(protocol.name)
    if mode is None or f"_{mode}_" not in path.name:
        raise ProtocolError(
            f"{path}: clean-fid's statistics fit the protocols "
            + " and ".join(f"{k} (files called *_{v}_*)" for k, v in MODES.items())
            + f", not {protocol.name} with this name"
        )
    mean, covariance = arrays["mu"].astype(np.float64), arrays["sigma"].astype(np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"{path}: mu {mean.shape} and sigma {covariance.shape} do not fit")
    return Reference(mean, covariance, None)


class _open:
    """An `.npz` as a mapping; ValueError for anything else."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Any:
        try:
            self._file = open_npz(self.path)
            known = set(self._file.files)
        except ValueError as error:
            raise ValueError(f"{self.path}: no .npz of statistics ({error})") from error
        if not ({"protocol", "mean", "scatter", "n"} <= known or {"mu", "sigma"} <= known):
            self._file.close()
            raise ValueError(
                f"{self.path}: neither our statistics nor clean-fid's (it holds "
                f"{', '.join(sorted(known)) or 'nothing'})"
            )
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()

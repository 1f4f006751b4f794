"""Folders of golden vectors, what is compared in them, and with which bars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

FIELD, PICTURE = 1e-5, 1e-4  # relative L2 in float32: ws, planes, sigma; what comes after


def relative(ours: Tensor, theirs: Tensor) -> float:
    """|ours - theirs| / |theirs| in the 2-norm; the numerator alone where theirs is zero."""
    return float((ours - theirs).norm() / (theirs.norm() or 1))


def absolute(ours: Tensor, theirs: Tensor) -> float:
    """The largest |ours - theirs|."""
    return float((ours - theirs).abs().max())


def entrywise(ours: Tensor, theirs: Tensor) -> float:
    """The largest relative error of an entry; entries below 1e-2 of the largest count as that."""
    floor = theirs.abs().max() * 1e-2 or 1
    return float(((ours - theirs).abs() / theirs.abs().clamp_min(floor)).max())


Measure = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Compared:
    """One value of ours. `theirs` is the array `key` of cases.npz unless it is given."""

    key: str
    ours: Any
    bar: float
    theirs: Any = None
    measure: Measure = relative


@dataclass(frozen=True)
class NotCovered:
    """Arrays whose names start so have nothing here to be compared with."""

    prefix: str
    reason: str


class Folder:
    """One folder. Arrays that are read through it count as inputs."""

    def __init__(self, path: Path):
        self.path, self.name = path, path.name
        self.inputs: set[str] = set()

    @cached_property
    def config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    @cached_property
    def meta(self) -> dict[str, Any]:
        return self.config.get("meta", {})

    @cached_property
    def readme(self) -> str:
        path = self.path / "README.md"
        return path.read_text() if path.is_file() else ""

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        path = self.path / "cases.npz"
        return dict(np.load(path)) if path.is_file() else {}

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def __getitem__(self, key: str) -> Tensor:
        self.inputs.add(key)
        return torch.as_tensor(self.arrays[key])

    def strings(self, key: str) -> list[str]:
        self.inputs.add(key)
        return self.arrays[key].tolist()

    def weights(self, file: str = "weights.safetensors") -> dict[str, Tensor]:
        extra = {"dataset_label_std", *self.config.get("extra_buffers", {})}
        state = load_file(self.path / file)
        return {k: v.float() for k, v in state.items() if k not in extra}


@dataclass(frozen=True)
class Kind:
    """A sort of folder, known by what is in it and not by its name."""

    name: str
    knows: Callable[[Folder], bool]
    compare: Callable[[Folder], Iterator[Compared | NotCovered]] | None = None
    elsewhere: str = ""  # where it is compared, or why it is not


@dataclass
class Row:
    key: str
    error: float
    bar: float
    measure: str

    @property
    def good(self) -> bool:
        return self.error <= self.bar  # NaN is not


@dataclass
class Report:
    """What came out of one folder."""

    name: str
    kind: str
    rows: list[Row] = field(default_factory=list)
    not_covered: dict[str, list[str]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        bad = [
            f"{r.key}: {r.measure} {r.error:.3g} above {r.bar:g}" for r in self.rows if not r.good
        ]
        return bad + [f"{key}: in cases.npz, but not compared" for key in self.forgotten]


def _double(value: Any) -> Tensor:
    return torch.as_tensor(
        np.asarray(value.detach() if isinstance(value, Tensor) else value)
    ).double()


def check(folder: Folder, kind: Kind, report: Report) -> None:
    """Fill the report; what was compared before an exception is kept."""
    done: set[str] = set()
    for item in kind.compare(folder):
        if isinstance(item, NotCovered):
            keys = [k for k in folder.arrays if k.startswith(item.prefix) and k not in done]
            done.update(keys)
            if keys:
                report.not_covered.setdefault(item.reason, []).extend(keys)
            continue
        theirs = folder.arrays[item.key] if item.theirs is None else item.theirs
        ours, theirs = _double(item.ours), _double(theirs)
        if ours.shape != theirs.shape:
            shapes = f"{tuple(ours.shape)} here, {tuple(theirs.shape)} there"
            raise AssertionError(f"{folder.name}/{item.key}: {shapes}")
        error = item.measure(ours, theirs)
        report.rows.append(Row(item.key, error, item.bar, item.measure.__name__))
        done.add(item.key)
    report.inputs = sorted(folder.inputs - done)
    report.forgotten = sorted(set(folder.arrays) - done - folder.inputs)

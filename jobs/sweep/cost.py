"""What a task will take: from finished tasks like it, else from a table of rough numbers.

Seconds and bytes grow with one obvious size of a stage (voxels, kimg, images). Where the store has
finished tasks of that stage on like inputs, their rates are used; else those of `jobs.sweep.rates`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.stage import Task, canonical
from jobs.store.store import MARKER, SHORT, SPEC
from jobs.sweep.estimates import finetune_estimate
from jobs.sweep.rates import Spec, count, rates_of

WARM = 60.0  # seconds of a first task that tell more of its work than of imports and compilation
SEEN = ("slabs", "views")  # stages, and inputs of a reward: what it sees of shapes


@dataclass(frozen=True)
class Span:
    """A number and the interval in which it is expected."""

    low: float = 0.0
    middle: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        return Span(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True)
class Cost:
    """Of one task, or a sum of them; ``guessed`` where any part is from the table."""

    seconds: Span = Span()
    bytes: Span = Span()  #: left on the disk when done
    memory: float = 0.0  #: bytes of main memory, of the largest part
    gpu_memory: float = 0.0  #: bytes of a GPU's, of the largest part; 0 where nothing is known
    guessed: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.bytes + other.bytes,
            max(self.memory, other.memory),
            max(self.gpu_memory, other.gpu_memory),
            self.guessed or other.guessed,
        )

    def __mul__(self, factor: float) -> Cost:
        return Cost(
            self.seconds * factor, self.bytes * factor, self.memory, self.gpu_memory, self.guessed
        )


@dataclass(frozen=True)
class Past:
    """What a finished task took; peaks of memory in bytes, 0 where they were not measured."""

    spec: Spec
    seconds: float
    bytes: float
    memory: int = 0
    gpu_memory: int = 0


class Costs:
    """Estimates against the history of one store. Reads a stage's history once."""

    def __init__(self, root: str | Path, scale: str) -> None:
        self._root, self._scale = Path(root), scale
        self._history: dict[str, list[Past]] = {}

    def of(self, task: Task, left: float = 1.0) -> Cost:
        """Of a task of which the share ``left`` is still to be done. Nothing is known of stages
        that are in neither table nor store."""
        spec = self.told(task)
        rates = rates_of(task.stage.name)
        unit = rates.unit(spec) if rates else 1.0
        size = rates.bytes(spec) if rates else 0.0
        like = self.like(task)
        memory = max((one.memory for one in like), default=0) or self.memory(task)
        gpu_memory: float = max((one.gpu_memory for one in like), default=0)
        past = [
            (one.seconds / (rates.unit(one.spec) if rates else 1.0),
             one.bytes / rates.bytes(one.spec) if rates else one.bytes)
            for one in like
        ]  # fmt: skip
        low, high = getattr(rates, self._scale) if rates else (0.0, 0.0)
        guess = Span(low, (low * high) ** 0.5, high)
        if past:
            seconds = _span([rate for rate, _ in past])
            warmed = len(like) > 1 or like[0].seconds >= WARM or not high
            if not warmed:
                seconds = _both(seconds, guess)
            on_disk = _span([share for _, share in past])
            return Cost(
                seconds * (unit * left), on_disk * (size or 1.0), memory, gpu_memory, not warmed
            )
        if self._scale == "paper" and (counted := finetune_estimate(task)) is not None:
            guess = Span(*counted.estimate.seconds_per_kimg)
            gpu_memory = counted.memory
        return Cost(guess * (unit * left), Span(0.5, 1.0, 2.0) * size, memory, gpu_memory, True)

    def like(self, task: Task) -> list[Past]:
        """Finished tasks of the same stage and version with like settings and inputs."""
        spec, rates = self.told(task), rates_of(task.stage.name)
        alike = rates.alike if rates else ()
        return [
            one for one in self.history(task.stage.name)
            if one.spec["version"] == task.stage.version and _alike(one.spec, spec, alike)
        ]  # fmt: skip

    def memory(self, task: Task) -> float:
        """Bytes of main memory by the table; 0 of stages that are not in it."""
        rates = rates_of(task.stage.name)
        return rates.memory(self.told(task)) if rates else 0.0

    def kind(self, task: Task) -> str:
        """Equal for tasks that are alike, in the sense of `like`."""
        spec, rates = self.told(task), rates_of(task.stage.name)
        fields = [_field(spec, name) for name in (rates.alike if rates else ())]
        return canonical([task.stage.name, task.stage.version, fields])

    def history(self, stage: str) -> list[Past]:
        """Every finished task of a stage."""
        if stage not in self._history:
            found = []
            for path in sorted(self._root.glob(f"{stage}/[!.]*/{MARKER}")):
                try:
                    marker = json.loads(path.read_bytes())
                    spec = json.loads((path.parent / SPEC).read_bytes())
                    on_disk = sum(entry["size"] for entry in marker["files"].values())
                    peak = marker.get("peak", {})
                    found.append(Past(
                        self._whole(spec), float(marker["seconds"]), float(on_disk),
                        int(peak.get("memory", 0)), int(peak.get("gpu_memory", 0)),
                    ))  # fmt: skip
                except (AttributeError, OSError, ValueError, KeyError, TypeError):
                    continue
            self._history[stage] = found
        return self._history[stage]

    def _whole(self, spec: Spec) -> Spec:
        """As `told`, of a finished task."""
        shapes = {}
        for name in SEEN:
            for key in spec["inputs"].get(name, ()):
                path = self._root / name / key[:SHORT] / SPEC
                shapes[key] = count(json.loads(path.read_bytes()))
        return {**spec, "shapes": shapes}

    @staticmethod
    def told(task: Task) -> Spec:
        """A spec with what its own text leaves out: how many shapes its slabs or views hold."""
        slabs = {n.key: count(n.spec()) for n in task.needs() if n.stage.name in SEEN}
        return {**task.spec(), "shapes": slabs}


def _alike(one: Spec, other: Spec, fields: tuple[str, ...]) -> bool:
    return all(_field(one, name) == _field(other, name) for name in fields)


def _field(spec: Spec, name: str) -> Any:
    """An input, or a dotted setting; None where there is none."""
    if name in spec["inputs"]:
        return spec["inputs"][name]
    value: Any = spec["config"]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _span(rates: list[float]) -> Span:
    """Median and range of what was seen, at least 20 % either way; of one, half to twice."""
    middle = statistics.median(rates)
    if len(rates) == 1:
        return Span(middle / 2, middle, middle * 2)
    return Span(min(*rates, 0.8 * middle), middle, max(*rates, 1.25 * middle))


def _both(one: Span, other: Span) -> Span:
    """Where neither is known well."""
    return Span(
        min(one.low, other.low), (one.middle * other.middle) ** 0.5, max(one.high, other.high)
    )


def hours(span: Span) -> str:
    """ "2 h 10 min (1 h 30 min to 4 h)"; seconds below a minute."""
    return f"{_time(span.middle)} ({_time(span.low)} to {_time(span.high)})"


def size(count: float) -> str:
    """ "9.3 MB"."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if count >= unit:
            return f"{count / unit:.{0 if count >= 100 * unit else 1}f} {name}"
    return f"{count:.0f} B"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360000 else f"{seconds / 86400:.0f} days"

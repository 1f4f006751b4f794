"""Quantities: what is measured of one shape after another, for one generator.

A quantity is one file of `sigmaflow/quantities`, which defines ``QUANTITY``. Nothing of it needs
torch to be imported; its ``prepare`` may.

    from sigmaflow.measuring import measure
    from sigmaflow.quantities.reward import QUANTITY
    measure(QUANTITY, G, range(100), psi=0.7, reward="reward.safetensors")["score"]   # [100]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np

    from sigmaflow.generators import TriPlaneGenerator


class Settings(BaseModel):
    """Settings of a quantity or an analysis: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Samples:
    """Shapes of a generator: latents of seeds at one truncation.

    Attributes:
        seeds: One for each shape; the latent of a seed is that of `sigmaflow.fields.slab.latents`.
        psi: truncation_psi, in [0, 1]; the mapping network sees the canonical camera.
    """

    seeds: tuple[int, ...]
    psi: float

    @property
    def alike(self) -> bool:
        """Whether all are one shape: at psi 0 every latent is mapped to the mean."""
        return self.psi == 0


@dataclass(frozen=True)
class Column:
    """What a quantity says of each shape: a number, or an array with named axes.

    Attributes:
        name: Of the column, or of the array's file.
        meaning: For readers; one line.
        unit: Empty for counts and shares.
        axes: Names of an array's axes after that of the shapes; none for a number.
        dtype: numpy's name.
    """

    name: str
    meaning: str
    unit: str = ""
    axes: tuple[str, ...] = ()
    dtype: str = "float64"


Measure = Callable[[Samples], Mapping[str, "np.ndarray"]]


@dataclass(frozen=True)
class Quantity:
    """Something that is measured of each shape of a generator.

    Attributes:
        name: As its file is called.
        version: Raised when the same settings and inputs would give other bytes.
        columns: What ``prepare``'s function returns, each [n] or [n, *axes].
        prepare: (G, files, settings) to a function of `Samples`: opens files once, then measures
            one batch after another. A shape's numbers must not depend on the others of its batch
            other than by the batch's size, which is always ``batch``.
        settings: Model of its settings.
        files: Names of the files that it reads, such as ``reward``.
        batch: Shapes that share one call; seeds from a multiple of it on.
        task: Shapes that one task of a fan-out takes, a multiple of ``batch``.
        gpu: Share of a GPU that a task takes, where there is any.
        mini: Seconds a shape, from and to, on one CPU core at mini scale; for estimates.
        paper: The same on one 24 GB GPU at paper scale.
    """

    name: str
    version: int
    columns: tuple[Column, ...]
    prepare: Callable[[TriPlaneGenerator, Mapping[str, Path], Any], Measure]
    settings: type[Settings] = Settings
    files: tuple[str, ...] = ()
    batch: int = 8
    task: int = 64
    gpu: float = 0.25
    mini: tuple[float, float] = (0.005, 0.1)
    paper: tuple[float, float] = (0.05, 1.0)

    def __post_init__(self) -> None:
        if self.task % self.batch:
            raise ValueError(f"quantity {self.name}: task {self.task} must be a multiple of batch "
                             f"{self.batch}")  # fmt: skip

    def tasks(self, seeds: range) -> Iterator[range]:
        """The seeds of the tasks that cover `seeds`: they begin at multiples of `task`, whoever
        asks, so that requests share them; the last ends at a multiple of `batch`."""
        if not seeds:
            return
        first = seeds.start // self.batch * self.batch
        end = -(-seeds.stop // self.batch) * self.batch
        while first < end:
            last = min((first // self.task + 1) * self.task, end)
            yield range(first, last)
            first = last

    def check(self, found: Mapping[str, Any], n: int) -> None:
        """Raises ValueError unless `found` holds the columns of `n` shapes."""
        import numpy as np

        shapes = {name: np.shape(values) for name, values in found.items()}
        fine = set(shapes) == {column.name for column in self.columns} and all(
            len(shape := shapes[column.name]) == 1 + len(column.axes) and shape[0] == n
            for column in self.columns
        )
        if not fine:
            wanted = ", ".join(f"{c.name} [{', '.join([str(n), *c.axes])}]" for c in self.columns)
            got = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ValueError(f"quantity {self.name} must return {wanted}; it returned {got}")

    def batches(self, seeds: range, psi: float) -> Iterator[Samples]:
        """The samples of one task, batch by batch."""
        for first in range(seeds.start, seeds.stop, self.batch):
            yield Samples(tuple(range(first, first + self.batch)), psi)


@dataclass(frozen=True)
class Measured:
    """Numbers of shapes, by the name of their column, in the order of `seeds`."""

    seeds: tuple[int, ...]
    columns: Mapping[str, np.ndarray] = field(repr=False)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def of(self, seeds: Iterable[int]) -> Measured:
        """Those of some of the seeds. Raises KeyError for one that was not measured."""
        chosen = tuple(seeds)
        rows = [self._place[seed] for seed in chosen]
        return Measured(chosen, {name: values[rows] for name, values in self.columns.items()})

    @cached_property
    def _place(self) -> dict[int, int]:
        return {seed: i for i, seed in enumerate(self.seeds)}


def measure(
    quantity: Quantity, G: TriPlaneGenerator, seeds: range, psi: float,
    settings: Settings | None = None, progress: Callable[[int, int], None] | None = None,
    **files: str | Path,
) -> Measured:  # fmt: skip
    """Measure the shapes of `seeds`: the same numbers whatever else is asked beside them.

    Args:
        quantity: What to measure.
        G: The generator, on its device.
        seeds: Consecutive seeds; whole batches are measured and those asked for are kept.
        psi: truncation_psi.
        settings: None takes the defaults.
        progress: Told how many of how many shapes are done.
        files: A path for each name in ``quantity.files``.

    Raises:
        ValueError: A file is missing, or the quantity's function does not return its columns.
    """
    import numpy as np

    if not seeds:
        raise ValueError(f"quantity {quantity.name}: no seeds are asked for")
    if set(files) != set(quantity.files):
        named = ", ".join(quantity.files) or "none"
        raise ValueError(f"quantity {quantity.name} reads files: {named}; given: "
                         f"{', '.join(files) or 'none'}")  # fmt: skip
    run = quantity.prepare(G, {k: Path(v) for k, v in files.items()},
                           settings or quantity.settings())  # fmt: skip
    parts: dict[str, list[np.ndarray]] = {column.name: [] for column in quantity.columns}
    done: list[int] = []
    tasks = list(quantity.tasks(seeds))
    total = sum(map(len, tasks))
    for task in tasks:
        for samples in quantity.batches(task, psi):
            found = run(samples)
            quantity.check(found, len(samples.seeds))
            for column in quantity.columns:
                parts[column.name].append(np.asarray(found[column.name], dtype=column.dtype))
            done += samples.seeds
            if progress is not None:
                progress(len(done), total)
    whole = Measured(tuple(done), {k: np.concatenate(v) for k, v in parts.items()})
    return whole.of(seeds)

"""Tasks of the analyses that a sweep file asks for: quantities, numbers of each generator, reports.

They are leaves of the graph: nothing waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError, create_model

from jobs.stages.analysis import ANALYSES, ANALYSIS_STAGES, REPORT_STAGES
from jobs.stages.analysis import FORMAT as ANALYSIS_FORMAT
from jobs.stages.quantity import FORMAT as QUANTITY_FORMAT
from jobs.stages.quantity import QUANTITY_STAGES
from jobs.store.stage import Input, Task
from jobs.sweep.sections import Section
from sigmaflow.analysing import ROLES, Analysis, Ask, Role, Subject

_SETTINGS: dict[str, Any] = {name: (one.settings | None, None) for name, one in ANALYSES.items()}
AnalysesSection = create_model(
    "AnalysesSection", __base__=Section, __doc__="Analyses by name; null: not asked for.",
    **_SETTINGS,
)  # fmt: skip


@dataclass(frozen=True)
class Generator:
    """A generator to analyse, and the reward that looks at it.

    Attributes:
        name: In tables.
        role: What it is among the others.
        checkpoint: Its files, or the task that makes it.
        files: What quantities read beside it: `reward`, and `heldout` where there is one.
        settings: What the sweep says of those files, by their names, as settings of quantities.
        given: What it says of all shapes: settings of every quantity that has such a field.
        original: What it was tuned from; None for the original itself.
    """

    name: str
    role: Role
    checkpoint: Input | tuple[Input, ...]
    files: Mapping[str, Input | tuple[Input, ...]]
    settings: Mapping[str, Mapping[str, Any]]
    given: Mapping[str, Any]
    original: Input | tuple[Input, ...] | None = None


class AnalysisGraph:
    """For a graph with `config`, which says how generators of a role are evaluated."""

    config: Any
    _subject: Callable[[Role], Subject]

    def reports(self, generators: Sequence[Generator]) -> tuple[Task, ...]:
        """The last task of every analysis that is asked for."""
        section = self.config.analyses
        asked = ((name, getattr(section, name)) for name in ANALYSES)
        return tuple(
            self._report(ANALYSES[name], settings, generators)
            for name, settings in asked
            if settings is not None
        )

    def parts(self, generators: Sequence[Generator]) -> tuple[Task, ...]:
        """What `reports` join: every analysis that is asked for, of each generator alone."""
        return tuple(part for report in self.reports(generators) for part in report.needs())

    def _report(self, analysis: Analysis, settings: Any, generators: Sequence[Generator]) -> Task:
        parts = [
            (one, part)
            for one in generators
            if (part := self._of(analysis, settings, one)) is not None
        ]
        said = [{"generator": one.name, "role": one.role} for one, _ in parts]
        return Task(
            REPORT_STAGES[analysis.name],
            {"threads": self.config.threads, "format": ANALYSIS_FORMAT, "analysis": analysis.name,
             "settings": settings.model_dump(mode="json"), "generators": said},
            {"parts": tuple(part for _, part in parts)},
            f"report on {analysis.name}",
        )  # fmt: skip

    def _of(self, analysis: Analysis, settings: Any, generator: Generator) -> Task | None:
        """The analysis of one generator; None where it has nothing to say of that role."""
        subject = replace(self._subject(generator.role), files=tuple(generator.files))
        sides = analysis.sides(settings, subject)
        if not sides:
            return None
        return Task(
            ANALYSIS_STAGES[analysis.name],
            {"threads": self.config.threads, "format": ANALYSIS_FORMAT, "analysis": analysis.name,
             "settings": settings.model_dump(mode="json"),
             "subject": {"role": subject.role, "psi": subject.psi, "files": subject.files,
                         "seeds": [subject.seeds.start, subject.seeds.stop]}},
            {f"asked_{i}": tuple(self._blocks(ask, generator, of == "original"))
             for i, (of, ask) in enumerate(sides.values())},
            f"{analysis.name} of {generator.name}",
        )  # fmt: skip

    def _blocks(self, ask: Ask, generator: Generator, original: bool) -> Iterator[Task]:
        """The tasks of a quantity, of a generator or of the original that it was tuned from."""
        quantity = ask.quantity
        files = {name: ask.files.get(name, name) for name in quantity.files}
        given = {k: v for k, v in generator.given.items() if k in quantity.settings.model_fields}
        for name in files.values():
            given |= generator.settings.get(name, {})
        settings = quantity.settings(**{**given, **ask.settings})
        checkpoint = generator.original if original else generator.checkpoint
        if checkpoint is None:
            raise ValueError(f"{generator.name}: what it was tuned from is not known")
        name = "original" if original else generator.name
        for seeds in quantity.tasks(ask.seeds):
            yield Task(
                QUANTITY_STAGES[quantity.name],
                {**self.config.stage_base(), "device": self.config.device,
                 "format": QUANTITY_FORMAT, "quantity": quantity.name,
                 "settings": settings.model_dump(mode="json"),
                 "samples": {"seeds": [seeds.start, seeds.stop], "psi": ask.psi}},
                {"generator": checkpoint,
                 **{name: generator.files[of] for name, of in files.items()}},
                f"{quantity.name} of {name} at psi {ask.psi:g} {seeds.start}-{seeds.stop - 1}",
            )  # fmt: skip


def unanswerable(config: Any, subjects: Mapping[Role, Subject]) -> Iterator[tuple[str, str]]:
    """Analyses that cannot be asked of a sweep's generators: name and reason."""
    for name in ANALYSES:
        if (settings := getattr(config.analyses, name)) is None:
            continue
        try:
            for role in ROLES:
                ANALYSES[name].asks(settings, subjects[role])
        except (ValueError, ValidationError) as error:
            yield name, str(error)

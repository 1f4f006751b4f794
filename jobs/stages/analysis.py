"""Stages of analyses: for each file of `sigmaflow/analyses` the numbers of one generator, and a
report that joins those of all generators to tables and figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.run.attempt import Context
from jobs.store.stage import ANALYSIS, REPORT, Stage
from sigmaflow.analysing import Analysis, Subject
from sigmaflow.measuring import Measured
from sigmaflow.registry import listed

FORMAT = 1  # of their settings and files: raised where all of them must be made again
if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ANALYSES: dict[str, Analysis] = listed("sigmaflow.analyses", "ANALYSIS")
ANALYSIS_STAGES = {
    name: Stage(
        name=f"{ANALYSIS}{name}", version=one.version, run="jobs.stages.analysis:run_analysis",
        imports=(f"sigmaflow.analyses.{name}",), torch=False,
        # Quantities are inputs with versions of their own, and figures are the report's.
        without=("sigmaflow.quantities", "sigmaflow.generators", "sigmaflow.figures"),
    )
    for name, one in ANALYSES.items()
}  # fmt: skip
REPORT_STAGES = {
    name: Stage(
        name=f"{REPORT}{name}", version=one.report_version, run="jobs.stages.analysis:run_report",
        sources=("jobs/output/rows.py",), imports=(f"sigmaflow.analyses.{name}",), torch=False,
        without=("sigmaflow.quantities", "sigmaflow.generators"),
    )
    for name, one in ANALYSES.items()
}  # fmt: skip


def run_analysis(ctx: Context) -> None:
    """`<table>.parquet`: the rows of one generator, without its name."""
    from jobs.output.rows import write_rows

    c = ctx.config
    analysis = ANALYSES[c["analysis"]]
    settings, subject = analysis.settings(**c["settings"]), subject_of(c["subject"])
    measured = {
        name: _read(ctx.input(f"asked_{i}")).of(ask.seeds)
        for i, (name, (_, ask)) in enumerate(analysis.sides(settings, subject).items())
    }
    rows = analysis.rows(measured, settings, subject)
    for table in analysis.tables:
        write_rows(ctx.folder / f"{table.name}.parquet", table, rows[table.name])


def run_report(ctx: Context) -> None:
    """`tables/<table>.parquet` and `.tex` of all generators, and `figures/`."""
    from jobs.output.rows import write_frame
    from sigmaflow.figures import save

    c = ctx.config
    analysis = ANALYSES[c["analysis"]]
    made = joined_report(analysis, c["settings"], ctx.input("parts"), c["generators"])
    for name in ("tables", "figures"):
        (ctx.folder / name).mkdir()
    for table in analysis.tables:
        place = ctx.folder / "tables" / table.name
        schema = REPORT_STAGES[analysis.name].schema
        write_frame(place.with_suffix(".parquet"), table, made.frames[table.name], schema)
        place.with_suffix(".tex").write_text(made.texts[table.name], encoding="utf-8")
    for name, figure in made.figures.items():
        save(figure, ctx.folder / "figures" / name)
    said = {"analysis": analysis.name, "paper": analysis.paper, "settings": c["settings"]}
    (ctx.folder / "analysis.json").write_text(json.dumps(said, indent=1) + "\n")


@dataclass(frozen=True)
class Report:
    """Tables, their LaTeX and the figures of an analysis of several generators, by name."""

    frames: Mapping[str, pd.DataFrame]
    texts: Mapping[str, str]
    figures: Mapping[str, Figure]


def joined_report(
    analysis: Analysis,
    settings: Mapping[str, Any],
    parts: Sequence[Path],
    generators: Sequence[Mapping[str, str]],
) -> Report:
    """The report of generators, each with the folder of its analysis."""
    from jobs.output.rows import joined, latex

    frames = {
        table.name: joined([folder / f"{table.name}.parquet" for folder in parts], generators)
        for table in analysis.tables
    }
    texts = {table.name: latex(table, frames[table.name]) for table in analysis.tables}
    figures = analysis.draw(frames, analysis.settings(**settings)) if analysis.draw else {}
    return Report(frames, texts, figures)


def subject_of(said: dict[str, Any]) -> Subject:
    """The subject that a task's settings hold."""
    return Subject(said["role"], range(*said["seeds"]), said["psi"], tuple(said["files"]))


def _read(folders: list[Path]) -> Measured:
    """The blocks of one quantity as one."""
    import numpy as np
    import pandas as pd

    frame = pd.concat([pd.read_parquet(f / "values.parquet") for f in folders], ignore_index=True)
    columns = {name: frame[name].to_numpy() for name in frame.columns if name != "seed"}
    for path in sorted(folders[0].glob("*.npy")):
        columns[path.stem] = np.concatenate([np.load(f / path.name) for f in folders])
    return Measured(tuple(frame["seed"].tolist()), columns)

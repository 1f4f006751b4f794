"""Stages of analyses: for each file of `sigmaflow/analyses` the numbers of one generator, and a
report that joins those of all generators to tables and figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.run.attempt import Context
from jobs.store.stage import Stage
from sigmaflow.analysing import Analysis, Subject
from sigmaflow.measuring import Measured
from sigmaflow.registry import listed

FORMAT = 1  # of their settings and files: raised where all of them must be made again
REPORT = "report_"  # begins the names of stages whose tables and figures are published
ANALYSES: dict[str, Analysis] = listed("sigmaflow.analyses", "ANALYSIS")
ANALYSIS_STAGES = {
    name: Stage(
        name=f"analysis_{name}", version=one.version, run="jobs.stages.analysis:run_analysis",
        imports=(f"sigmaflow.analyses.{name}",), torch=False,
        # Quantities are inputs with versions of their own, and figures are the report's.
        without=("sigmaflow.quantities", "sigmaflow.generators", "sigmaflow.figures"),
    )
    for name, one in ANALYSES.items()
}  # fmt: skip
REPORT_STAGES = {
    name: Stage(
        name=f"{REPORT}{name}", version=one.drawn, run="jobs.stages.analysis:run_report",
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
    from jobs.output.rows import joined, latex, write_frame
    from sigmaflow.figures import save

    c = ctx.config
    analysis = ANALYSES[c["analysis"]]
    for name in ("tables", "figures"):
        (ctx.folder / name).mkdir()
    frames = {}
    schema = REPORT_STAGES[analysis.name].schema
    for table in analysis.tables:
        parts = [folder / f"{table.name}.parquet" for folder in ctx.input("parts")]
        frame = frames[table.name] = joined(parts, c["generators"])
        place = ctx.folder / "tables" / table.name
        write_frame(place.with_suffix(".parquet"), table, frame, schema)
        place.with_suffix(".tex").write_text(latex(table, frame), encoding="utf-8")
    drawn = analysis.draw(frames, analysis.settings(**c["settings"])) if analysis.draw else {}
    for name, figure in drawn.items():
        save(figure, ctx.folder / "figures" / name)
    said = {"analysis": analysis.name, "paper": analysis.paper, "settings": c["settings"]}
    (ctx.folder / "analysis.json").write_text(json.dumps(said, indent=1) + "\n")


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

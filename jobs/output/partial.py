"""Tables and figures of a sweep that is not finished, from its ledger and its store alone.

They are named ``<sweep>+partial-*``, say in the file what is missing, and go when the whole ones
come. Neither a launch nor the sweep's input files are needed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from jobs.report import PART, PARTIAL, accuracy_line, drop_partial, publish, trial_table
from jobs.search.outcomes import pareto, read_summary, searches_reward
from jobs.stages.analysis import (
    ANALYSES,
    REPORT_STAGES,
    Report,
    joined_report,
)
from jobs.status import Sweep
from jobs.store.ledger import LAUNCH
from jobs.store.stage import ANALYSIS, REPORT
from jobs.store.store import SPEC, Store
from jobs.sweep.settings import tables_config
from jobs.sweep.space import SearchSection
from sigmaflow.analysing import Analysis
from sigmaflow.atomic import write_bytes, write_json, write_text, write_with

PARTS = ("finetune", "tuned", "last", "start", "reward")  # of a trial; older ledgers lack some
METADATA = b"sigmaflow.partial"  # in a partial Parquet file: JSON of `missing`
LAST = {  # stages that end them
    "sweep": "tables",
    "rehearsal": "tables",
    "score": "scores",
    "pretrain": "adversarial",
    "rewards": "comparison",
    "card": "card",
}


def report(sweep: Sweep, runs: Path) -> tuple[bool, list[str]]:
    """Publish what there is: whether anything was, and lines that say what."""
    record = sweep.latest.record
    store = Store(runs / "store")
    ends = [one for one in sweep.tasks if one.entry.stage.name == LAST.get(record["kind"])]
    if ends and ends[-1].state == "done" and not _missing_trials(sweep):
        reports = [one for one in sweep.tasks
                   if one.state == "done" and one.entry.stage.name.startswith(REPORT)]  # fmt: skip
        for one in (ends[-1], *reports):
            publish(store.path(one.entry), runs, sweep.latest.name)
        places = escape(f"tables in {runs / 'tables'}, figures in {runs / 'figures'}")
        return True, [*_numbers(sweep, store), f"complete: {places}"]
    if not record["trials"]:
        todo = [one.entry.label for one in sweep.tasks if one.state != "done"]
        return False, [f"not finished: {len(todo)} stages are missing, first {escape(todo[0])}"]
    if not isinstance(record["config"].get("search"), dict):
        said = f"{sweep.latest.folder / LAUNCH} is damaged: it has no config.search; launch again"
        return False, [escape(said)]
    lines = list(_numbers(sweep, store))
    missing = _missing_trials(sweep)
    inputs, config = _inputs(sweep, store)
    lacking = [name for name, value in inputs.items() if value is None]
    if lacking or not config["numbers"]:
        wanted = ", ".join(lacking) or "a first trial"
        said = f"no tables yet: they need {wanted}; trials missing: {_said(missing)}"
        return False, [*lines, escape(said)]
    _make(inputs, config, missing, runs, sweep.latest.name, list(_analyses(sweep, store)))
    lines += [
        f"[yellow]partial[/]: {len(config['numbers'])} of {record['trials']} trials; missing: "
        + escape(_said(missing)),
        escape(
            f"tables in {runs / 'tables'}, figures in {runs / 'figures'}, all named "
            f"{sweep.latest.name}{PART}*"
        ),
    ]
    return True, lines


def _missing_trials(sweep: Sweep) -> dict[int, str]:
    """Trials without a result, and why."""
    states = {one.entry.key: one for one in sweep.tasks}
    missing = {}
    for number in range(sweep.latest.record["trials"]):
        trial = sweep.plan.trials.get(number)
        if trial is None:
            missing[number] = "not asked"
            continue
        keys = [str(trial.get(part)) for part in ("finetune", "tuned", "last")]
        parts = [states[key] for key in keys if key in states]
        if len(parts) < len(keys):
            missing[number] = "its lines in the ledger are damaged; launch again"
            continue
        if parts[-1].state == "done":
            continue
        at = next(one for one in parts if one.state != "done")
        missing[number] = f"{at.entry.label} {at.state}"
    return missing


def _said(missing: Mapping[int, str]) -> str:
    return ", ".join(f"{number} ({why})" for number, why in missing.items()) or "none"


def _finished(sweep: Sweep, store: Store) -> dict[int, dict[str, Any]]:
    """Trials with a result, by number."""
    done = {one.entry.key: one.entry for one in sweep.tasks if one.state == "done"}
    return {
        number: {part: store.path(done[trial[part]]) for part in PARTS if part in trial}
        for number, trial in sorted(sweep.plan.trials.items())
        if number < sweep.latest.record["trials"]
        and all(trial.get(part, trial["last"]) in done for part in PARTS)
    }


def _inputs(sweep: Sweep, store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `jobs.stages.tables` gives to its functions; None for a shared part not finished."""
    done = {one.entry.key: one.entry for one in sweep.tasks if one.state == "done"}
    inputs: dict[str, Any] = {}
    for name, role in sweep.plan.roles.items():
        entry = done.get(role.get("key", ""))
        inputs[name] = Path(role["file"]) if "file" in role else entry and store.path(entry)
    trials = _finished(sweep, store)
    record = sweep.latest.record
    search = SearchSection.model_validate(record["config"]["search"])
    parts = [("trials", "last"), ("tuned", "tuned"), ("finetunes", "finetune")]
    if searches_reward(search.space):
        parts += [("starts", "start"), ("rewards", "reward")]
    for name, part in parts:
        inputs[name] = [paths[part] for paths in trials.values()]
    numbers = {number: read_summary(paths["last"]) for number, paths in trials.items()}
    front = pareto(numbers, search.space, search.limits())
    settings = {number: sweep.plan.trials[number]["params"] for number in trials}
    return inputs, tables_config(search, settings, front, record["fid_name"])


def _numbers(sweep: Sweep, store: Store) -> Iterator[str]:
    """The lines of a closing summary, as far as they can be said."""
    done = {one.entry.key: one.entry for one in sweep.tasks if one.state == "done"}
    reward = done.get(sweep.plan.roles.get("reward", {}).get("key", ""))
    if reward is not None:
        yield accuracy_line(store.path(reward))
    trials = _finished(sweep, store)
    values = {number: read_summary(paths["last"]) for number, paths in trials.items()}
    if values:
        record = sweep.latest.record
        limits = SearchSection.model_validate(record["config"]["search"]).limits()
        yield from trial_table(record["params"], record["fid_name"], values, limits)


def _analyses(sweep: Sweep, store: Store) -> Iterator[tuple[Analysis, Report]]:
    """Analyses of which some generators are finished, made of those."""
    found: dict[str, list[tuple[Path, dict[str, Any], str]]] = {}
    for one in sweep.tasks:
        name = one.entry.stage.name.removeprefix(ANALYSIS)
        if name in ANALYSES and name != one.entry.stage.name and one.state == "done":
            folder = store.path(one.entry)
            config = json.loads((folder / SPEC).read_bytes())["config"]
            said = one.entry.label.removeprefix(f"{name} of ")
            found.setdefault(name, []).append((folder, config, said))
    for name, parts in found.items():
        settings = parts[-1][1]["settings"]
        parts = [part for part in parts if part[1]["settings"] == settings]
        generators = [{"generator": said, "role": c["subject"]["role"]} for _, c, said in parts]
        folders = [folder for folder, *_ in parts]
        yield ANALYSES[name], joined_report(ANALYSES[name], settings, folders, generators)


def _make(
    inputs: Mapping[str, Any],
    config: Mapping[str, Any],
    missing: Mapping[int, str],
    runs: Path,
    name: str,
    analyses: Sequence[tuple[Analysis, Report]],
) -> None:
    """Write the tables and draw the figures, each file whole or not at all."""
    from jobs.output.pictures import draw_sweep
    from jobs.output.rows import write_frame
    from jobs.output.tables import escape as latex_escape
    from jobs.output.tables import latex, sweep_tables
    from sigmaflow.figures import save

    tables = sweep_tables(inputs, config)
    for kind in ("tables", "figures"):
        (runs / kind).mkdir(parents=True, exist_ok=True)
    drop_partial(runs, name)
    written: list[str] = []

    def place(kind: str, file: str) -> Path:
        """Where a file goes; it is listed first, so that a killed report's are removed too."""
        written.append(f"{kind}/{name}{PART}{file}")
        write_json(runs / "tables" / PARTIAL.format(name), {"files": written})
        return runs / written[-1]

    mark = f"Partial: trials {_said(missing)} are missing. "
    for table, frame in tables.items():
        path = place("tables", f"{table}.parquet")
        write_with(path, partial(_write_marked, frame=frame, missing=missing))
    texts = latex(tables, config)
    said = {METADATA.decode(): json.dumps(dict(missing))}
    for analysis, made in analyses:
        texts |= made.texts
        schema = REPORT_STAGES[analysis.name].schema
        for one in analysis.tables:
            frame = made.frames[one.name]
            write_with(
                place("tables", f"{one.name}.parquet"),
                partial(write_frame, table=one, frame=frame, version=schema, more=said),
            )
    for table, text in texts.items():
        text = text.replace("\\caption{", "\\caption{" + latex_escape(mark), 1)
        write_text(place("tables", f"{table}.tex"), text)
    folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=runs / "figures"))
    try:
        draw_sweep(inputs, tables, config, folder)
        for _, made in analyses:
            for figure, drawn in made.figures.items():
                save(drawn, folder / figure)
        for path in sorted(folder.iterdir()):
            write_bytes(place("figures", path.name), path.read_bytes())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_marked(path: Path, frame: Any, missing: Mapping[int, str]) -> None:
    from jobs.output.tables import write_table
    from jobs.stages.tables import TABLES

    write_table(path, frame, TABLES.schema, {METADATA.decode(): json.dumps(dict(missing))})

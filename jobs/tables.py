"""Tables of a sweep: deterministic Parquet (no clock, host or attempt), and LaTeX from the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.importances import importances
from jobs.outcomes import feasible, objective_columns, read_summary, shown
from jobs.stage import canonical

SCHEMA = "sigmaflow.schema"  # key in a table's metadata


def sweep_tables(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Every table by name.

    trials: one row a trial. rewards: seed by seed, before and after. ticks: reward of fixed seeds
    along each fine-tune. preferences: the simulated Table 3. fid: Table 2. accuracy: both rewards
    beside the noise ceiling and the trivial scorers. slices: each objective against each searched
    setting. importances: how much of an objective's variance each setting explains.
    """
    summaries = [_with_text(read_summary(p), config["params"]) for p in inputs["trials"]]
    numbers = list(config["numbers"])
    trials = pd.DataFrame([{"trial": n, **s} for n, s in zip(numbers, summaries)])
    unsaid = trials.columns[trials.isna().all()]  # such as the saturation of controls alone
    trials = trials.astype(dict.fromkeys(unsaid, float))
    trials["control"] = trials["lambda_r"] == 0 if "lambda_r" in trials else False
    trials["pareto"] = [n in config["pareto"] for n in numbers]
    trials["feasible"] = [feasible(s, config["constraints"]) for s in summaries]

    starts = inputs.get("starts") or [inputs["start"]] * len(numbers)
    rewards, ticks = [], []
    for n, start, tuned, finetune in zip(numbers, starts, inputs["tuned"], inputs["finetunes"]):
        before = pd.read_parquet(start / "rewards.parquet")
        after = pd.read_parquet(tuned / "rewards.parquet")
        merged = before.merge(after, on="seed", suffixes=("_before", "_after"))
        rewards.append(merged.assign(trial=n))
        ticks.append(pd.read_parquet(finetune / "ticks.parquet").assign(trial=n))

    shares = [c for c in trials.columns if c.startswith("preference_")]
    preferences = trials[["trial", *config["params"], *shares]].rename(
        columns={c: c.removeprefix("preference_") for c in shares}
    )
    name = config["fid_name"]
    untuned = {"configuration": "start", name: summaries[0]["fid_start"]} if summaries else {}
    fid = pd.DataFrame(
        [untuned]
        + [
            {"configuration": f"trial {n}", "trial": n, **_params(s, config), name: s["fid"]}
            for n, s in zip(numbers, summaries)
        ]
    )
    judges = {which: inputs[which] for which in ("reward", "heldout")}
    judges |= {f"trial {n}": path for n, path in zip(numbers, inputs.get("rewards", ()))}
    accuracy = pd.concat(
        [
            pd.read_parquet(path / "accuracy.parquet").assign(model=which)
            for which, path in judges.items()
        ],
        ignore_index=True,
    )
    tables = {
        "trials": trials,
        "rewards": _first(pd.concat(rewards, ignore_index=True), "trial"),
        "ticks": _first(pd.concat(ticks, ignore_index=True), "trial"),
        "preferences": preferences,
        "fid": fid,
        "accuracy": _first(accuracy, "model"),
        "slices": slices(trials, config),
        "importances": importances(trials, config),
    }
    rankings: Path = inputs["rankings"]
    if rankings.is_dir():
        tables["questions"] = pd.read_parquet(rankings / "questions.parquet")
    return tables


def slices(trials: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """Each objective against each searched setting, a row a trial, in the order of the space.

    ``value`` is the setting where it is a number of a range, ``label`` what else it is.
    """
    columns = objective_columns(config)
    rows = []
    for name, entry in config["space"].items():
        for objective, column in columns.items():
            for _, row in trials.iterrows():
                known = "choices" not in entry
                rows.append({
                    "parameter": name, "objective": objective, "trial": int(row["trial"]),
                    "value": float(row[name]) if known else None,
                    "label": None if known else shown(row[name]),
                    "outcome": float(row[column]), "feasible": bool(row["feasible"]),
                    "pareto": bool(row["pareto"]),
                })  # fmt: skip
    return pd.DataFrame(rows).astype({"value": float, "label": object})


def _with_text(summary: Mapping[str, Any], params: Sequence[str]) -> dict[str, Any]:
    """Lists among the settings as text, which tables can be grouped by."""
    return {k: canonical(v) if k in params and isinstance(v, (list, dict)) else v
            for k, v in summary.items()}


def _params(summary: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: summary[k] for k in config["params"]}


def _first(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame[[column, *[c for c in frame.columns if c != column]]]


def write_table(
    path: Path, frame: pd.DataFrame, schema: str, more: Mapping[str, str] | None = None
) -> None:
    """A table as Parquet. Its metadata say by which ``schema`` it is made ("tables 3": a stage and
    its version, which changes with the columns), and ``more``."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    said = {k.encode(): v.encode() for k, v in {SCHEMA: schema, **(more or {})}.items()}
    parquet.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), **said}), path
    )


def latex(tables: Mapping[str, pd.DataFrame], config: Mapping[str, Any]) -> dict[str, str]:
    """LaTeX of the tables that a paper prints: trials (short), fid, preferences, accuracy."""
    trials = tables["trials"]
    params = list(config["params"])
    short = trials[["trial", *params]].copy()
    short["gain"] = trials["reward_delta_mean"].map("{:+.2f}".format)
    short["held out"] = trials["heldout_delta_mean"].map("{:+.2f}".format)
    short["rising"] = (100 * trials["reward_share_positive"]).map("{:.0f}\\%".format)
    short["slope"] = trials["slope_slope"].map("{:.2f}".format)
    short["preferred"] = (100 * trials["preference_share_tuned"]).map("{:.0f}\\%".format)
    short["FID"] = trials["fid"].map("{:.3f}".format)
    accuracy = tables["accuracy"].copy()
    accuracy["accuracy"] = [
        f"{s:.2f} [{lo:.2f}, {hi:.2f}]"
        for s, lo, hi in accuracy[["share", "low", "high"]].itertuples(index=False)
    ]
    accuracy = accuracy[["model", "scorer", "pairs", "accuracy", "n"]]
    preferences = tables["preferences"][
        ["trial", *params, "share_tuned", "share_original", "share_none", "cohens_h"]
    ]
    captions = {
        "trials": "Trials of the sweep.",
        "fid": f"{config['fid_name']} of the start and of each trial (lower is better).",
        "preferences": "Simulated preference: a synthetic annotator, not people.",
        "accuracy": "Accuracy on held-out pairs with 95\\% Wilson intervals.",
    }
    frames = {
        "trials": short, "fid": tables["fid"], "preferences": preferences, "accuracy": accuracy,
    }
    return {name: _tabular(frame, captions[name]) for name, frame in frames.items()}


def _tabular(frame: pd.DataFrame, caption: str) -> str:
    """A plain table environment. Written out here since pandas needs jinja2 for its own."""
    head = " & ".join(_escape(c) for c in frame.columns)
    rows = [" & ".join(_cell(v) for v in row) for row in frame.itertuples(index=False)]
    body = " \\\\\n".join([head + " \\\\\n\\hline", *rows])
    columns = "l" + "r" * (len(frame.columns) - 1)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{columns}}}\n"
        f"{body} \\\\\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _escape(text: str) -> str:
    return str(text).replace("_", "\\_")


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "--"
    if isinstance(value, float):
        return f"{value:.4g}"
    return _escape(value)

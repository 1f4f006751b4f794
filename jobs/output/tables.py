"""Tables of a sweep: deterministic Parquet (no clock, host or attempt), and LaTeX from the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.output.judgement import calibration_latex, calibration_table, kind_of
from jobs.output.repeats import repeated, repeats, wide
from jobs.search.importances import importances
from jobs.search.outcomes import feasible, objective_columns, read_summary, shown
from jobs.sweep import judges

SCHEMA = "sigmaflow.schema"  # key in a table's metadata


def sweep_tables(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Every table by name.

    trials: one row a trial. rewards: seed by seed, before and after. ticks: reward of fixed seeds
    along each fine-tune. preferences: the simulated Table 3. fid: Table 2. accuracy: both rewards
    beside the noise ceiling and the trivial scorers. judges: every trial before every reward, where
    there are more than two. calibration: bins of every reward's confidence (not in partial tables).
    agreement: of several annotators. slices: each objective against each searched
    setting. importances: how much of an objective's variance each setting explains. Raises
    ProtocolError where the trials' FIDs were not all taken alike: they share a column.
    """
    if inputs["trials"]:
        one_protocol(dict(zip(config["numbers"], inputs["trials"])), config["fid_name"])
    worded = _worded(config["space"])
    summaries = [
        {k: shown(v) if k in worded else v for k, v in read_summary(p).items()}
        for p in inputs["trials"]
    ]
    numbers = list(config["numbers"])
    trials = pd.DataFrame([{"trial": n, **s} for n, s in zip(numbers, summaries)])
    unsaid = trials.columns[trials.isna().all()]  # such as the saturation of controls alone
    trials = trials.astype(dict.fromkeys(unsaid, float)).copy()  # or a block each
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
    fid = _fid_table(numbers, summaries, config)
    rewards_of = {which: inputs[which] for which in ("reward", "heldout")}
    rewards_of |= {f"trial {n}": path for n, path in zip(numbers, inputs.get("rewards", ()))}
    accuracy = pd.concat(
        [
            pd.read_parquet(path / "accuracy.parquet").assign(model=which, **kind_of(path))
            for which, path in rewards_of.items()
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
    if repeated(config):
        tables["repeats"] = repeats(trials, config)
    if judged := inputs.get("judged"):
        tables["judges"] = judges.table(inputs["judged_start"][0], dict(zip(numbers, judged)))
    if folders := inputs.get("calibrations"):
        tables["calibration"] = calibration_table(dict(zip(config["calibrated"], folders)))
    if (agreed := inputs["reward"] / "agreement.parquet").exists():
        tables["agreement"] = pd.read_parquet(agreed)
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


def _worded(space: Mapping[str, Any]) -> set[str]:
    """Settings that a table says in words: a column holds numbers or text, and never lists."""

    def kind(value: Any) -> type:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float if is_number else type(value)

    kinds = {name: {kind(v) for v in entry.get("choices", ())} for name, entry in space.items()}
    return {name for name, of in kinds.items() if len(of) > 1 or of & {list, dict}}


def one_protocol(trials: Mapping[int, Path], column: str) -> None:
    """Raises ProtocolError unless all trials' FIDs are of one protocol, the column's."""
    from sigmaflow.metrics.protocol import Protocol, ProtocolError, same

    protocol = same(
        {
            f"trial {n}": Protocol(**json.loads((p / "protocol.json").read_text()))
            for n, p in trials.items()
        }
    )
    if protocol.column != column:
        raise ProtocolError(
            f"the column is called {column}, but the trials' FIDs are "
            f"{protocol.column} ({protocol.hash[:12]})"
        )


def _fid_table(
    numbers: list[int], summaries: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> pd.DataFrame:
    """Table 2: the start and every trial, with intervals, KID and the paired change."""
    name = config["fid_name"]

    def row(s: Mapping[str, Any], which: str) -> dict[str, Any]:
        fid, kid = f"fid{which}", f"kid{which}"
        return {
            name: s[fid],
            "low": s[f"{fid}_low"],
            "high": s[f"{fid}_high"],
            "kid": s[kid],
            "kid_low": s[f"{kid}_low"],
            "kid_high": s[f"{kid}_high"],
        }

    rows = [{"configuration": "start", **row(summaries[0], "_start")}] if summaries else []
    for n, s in zip(numbers, summaries):
        rows.append(
            {
                "configuration": f"trial {n}",
                "trial": n,
                **_params(s, config),
                **row(s, ""),
                "change": s["fid_change"],
                "change_low": s["fid_change_low"],
                "change_high": s["fid_change_high"],
            }
        )
    fid = pd.DataFrame([{**r, "protocol": summaries[0]["fid_protocol"]} for r in rows])
    unsaid = fid.columns[fid.isna().all()]
    return fid.astype(dict.fromkeys(unsaid, float))


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
    short["rising"] = (100 * trials["reward_share_positive"]).map("{:.0f}%".format)
    short["slope"] = trials["slope_slope"].map("{:.2f}".format)
    short["preferred"] = (100 * trials["preference_share_tuned"]).map("{:.0f}%".format)
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
    table2, name = tables["fid"], config["fid_name"]
    protocol = table2["protocol"].iloc[0][:12] if len(table2) else "none"
    fid = table2[["configuration", *params]].copy()
    fid[name] = [between(*v) for v in table2[[name, "low", "high"]].itertuples(index=False)]
    kid = table2[["kid", "kid_low", "kid_high"]]
    fid["KID"] = [
        between(value, low, high, ".4g") for value, low, high in kid.itertuples(index=False)
    ]
    captions = {
        "trials": "Trials of the sweep.",
        "repeats": "Means over seeds of the fine-tune with 95% Student t intervals.",
        "fid": f"{name} of the start and of each trial (lower is better), with 95% bootstrap "
        f"intervals over the generated images; protocol {protocol}.",
        "preferences": "Simulated preference: a synthetic annotator, not people.",
        "accuracy": "Accuracy on held-out pairs with 95% Wilson intervals.",
    }
    frames = {
        "trials": short,
        "fid": fid,
        "preferences": preferences,
        "accuracy": accuracy,
    }
    if "repeats" in tables:
        frames["repeats"] = wide(tables["repeats"])
    texts = {name: tabular(frame, captions[name]) for name, frame in frames.items()}
    if "calibration" in tables:
        texts["calibration"] = calibration_latex(tables["calibration"])
    return texts


def between(value: float, low: float, high: float, form: str = ".3f") -> str:
    """A number with its interval, as LaTeX prints it; what is nan is left out."""
    if value != value:
        return "--"
    return f"{value:{form}}" + ("" if low != low else f" [{low:{form}}, {high:{form}}]")


def tabular(frame: pd.DataFrame, caption: str) -> str:
    """A plain table environment; columns, texts and ``caption`` are plain text, escaped here.
    Written out since pandas needs jinja2 for its own."""
    head = " & ".join(escape(c) for c in frame.columns)
    rows = [" & ".join(_cell(v) for v in row) for row in frame.itertuples(index=False)]
    body = f"{head} \\\\\n\\hline\n" + " \\\\\n".join(rows)
    columns = "l" + "r" * (len(frame.columns) - 1)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{escape(caption)}}}\n\\begin{{tabular}}{{{columns}}}\n"
        f"{body} \\\\\n\\end{{tabular}}\n\\end{{table}}\n"
    )


ESCAPES = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "<": "\\textless{}", ">": "\\textgreater{}", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands, on one line, also behind the end of a table's row."""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    found = "".join(ESCAPES.get(c, c) for c in plain)
    return f"{{{found[0]}}}{found[1:]}" if found[:1] in ("[", "*") else found


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "--"
    if isinstance(value, float):
        return f"{value:.4g}"
    return escape(value)

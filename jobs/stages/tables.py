"""From measured generators to numbers, tables and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.run.attempt import Context
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from sigmaflow.metrics.protocol import Protocol

TRIAL = Stage(
    name="trial",
    version=2,
    run="jobs.stages.tables:run_trial",
    sources=("sigmaflow/statistics", "sigmaflow/metrics/influence.py"),
    torch=False,
)
TABLES = Stage(
    name="tables",
    version=5,
    run="jobs.stages.tables:run_tables",
    sources=(
        "sigmaflow/figures",
        "jobs/output/tables.py",
        "jobs/output/pictures.py",
        "jobs/search/outcomes.py",
        "jobs/search/importances.py",
        "jobs/sweep/judges.py",
        "jobs/output/judgement.py",
        "jobs/output/repeats.py",
    ),
    torch=False,
)
SCORES = Stage(
    name="scores",
    version=3,
    run="jobs.stages.tables:run_scores",
    sources=(
        "sigmaflow/statistics",
        "sigmaflow/figures",
        "sigmaflow/rewards/model.py",
        "jobs/output/scores.py",
        "jobs/output/tables.py",
        "jobs/output/pictures.py",
    ),
)


def compare(start: Path, tuned: Path) -> dict[str, Any]:
    """Numbers of one tuned generator against the start; both are `evaluate` results.

    Names follow the paper: reward gain (Fig. 7), slope of final on initial (Fig. 9), simulated
    preference (Table 3), closeness to the own original (section 4.3.2).
    """
    import numpy as np
    import pandas as pd

    from sigmaflow.statistics.closeness import closeness_of
    from sigmaflow.statistics.diversity import diversity
    from sigmaflow.statistics.preferences import preference
    from sigmaflow.statistics.shift import reward_shift
    from sigmaflow.statistics.slope import final_on_initial

    before, after = (pd.read_parquet(p / "rewards.parquet") for p in (start, tuned))
    out: dict[str, Any] = {}
    for name in ("reward", "heldout"):
        shift = reward_shift(before[name], after[name])
        out |= {f"{name}_{k}": v for k, v in shift.as_dict().items()}
    slope = final_on_initial(before["reward"], after["reward"])
    out |= {f"slope_{k}": v for k, v in slope.as_dict().items()}
    a, b = (pd.read_parquet(p / "measures.parquet") for p in (start, tuned))
    delta = b["score"].to_numpy() - a["score"].to_numpy()
    table3 = preference(
        int((delta > 0).sum()), int((delta < 0).sum()), int((delta == 0).sum()), simulated=True
    )
    out |= {f"preference_{k}": v for k, v in table3.as_dict().items()}
    for defect in ("roughness", "floaters", "cavities", "asymmetry", "nose"):
        out[f"annotator_{defect}_change"] = float((b[defect] - a[defect]).mean())
    first, last = (np.load(p / "shapes.npy").astype(np.float32) for p in (start, tuned))
    near = closeness_of(first, last, np.load(start / "reference.npy").astype(np.float32))
    out |= {f"closeness_{k}": v for k, v in near.as_dict().items()}
    spread = diversity(first, last)
    out |= {f"diversity_{k}": v for k, v in spread.as_dict().items()}
    return {k: v for k, v in out.items() if not k.endswith("confidence")}


def compare_fid(start: Path, tuned: Path, seed: int) -> tuple[dict[str, Any], Protocol]:
    """FID and KID of two `fid` results (Table 2), the paired change, and their one protocol.

    Raises ProtocolError where they were not taken alike.
    """
    import numpy as np

    from sigmaflow.metrics.influence import change
    from sigmaflow.metrics.protocol import Protocol, same

    found = {
        name: json.loads((path / "fid.json").read_text())
        for name, path in (("start", start), ("tuned", tuned))
    }
    protocol = same({name: Protocol(**one["protocol"]) for name, one in found.items()})
    ends = [
        np.load(p) if (p := path / "influence.npy").exists() else None for path in (start, tuned)
    ]
    keys = ("fid", "fid_low", "fid_high", "kid", "kid_low", "kid_high")
    out = {k: found["tuned"][k] for k in keys} | {
        k.replace("id", "id_start", 1): found["start"][k] for k in keys
    }
    moved = change(found["start"]["fid"], ends[0], found["tuned"]["fid"], ends[1], seed)
    out |= {"fid_change": moved.value, "fid_change_low": moved.low, "fid_change_high": moved.high}
    return {**out, "fid_protocol": protocol.hash}, protocol


def run_trial(ctx: Context) -> None:
    """`summary.json`: parameters and all numbers of one trial; `protocol.json` of its FIDs."""
    numbers = compare(ctx.input("start"), ctx.input("tuned"))
    fids, protocol = compare_fid(ctx.input("fid_start"), ctx.input("fid"), ctx.config["seed"])
    numbers |= fids
    said = json.dumps(protocol.model_dump(mode="json"), indent=1) + "\n"
    (ctx.folder / "protocol.json").write_text(said)
    finetune = ctx.input("finetune")
    last = json.loads((finetune / "metrics.jsonl").read_text().splitlines()[-1])
    numbers["saturation"] = last.get("saturation")
    numbers |= json.loads((finetune / "clamp.json").read_text())
    summary = {**ctx.config["params"], **{k: _plain(v) for k, v in numbers.items()}}
    (ctx.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    return value


def run_tables(ctx: Context) -> None:
    """All tables of a sweep as Parquet and LaTeX, all figures as PNG and PDF."""
    from jobs.output.pictures import draw_sweep
    from jobs.output.tables import latex, sweep_tables, write_table
    from jobs.search.outcomes import searches_reward

    names: tuple[str, ...]
    names = ("start", "reward", "heldout", "calibrations", "trials", "finetunes", "tuned", "real",
             "rankings")  # fmt: skip
    if searches_reward(ctx.config["space"]):  # then each trial has its own
        names += ("starts", "rewards")
    if ctx.has("judged"):
        names += ("judged_start", "judged")
    inputs = {name: ctx.input(name) for name in names}
    tables = sweep_tables(inputs, ctx.config)
    folder = ctx.folder / "tables"
    folder.mkdir()
    for name, frame in tables.items():
        write_table(folder / f"{name}.parquet", frame, TABLES.schema)
    for name, text in latex(tables, ctx.config).items():
        (folder / f"{name}.tex").write_text(text)
    (ctx.folder / "figures").mkdir()
    draw_sweep(inputs, tables, ctx.config, ctx.folder / "figures")


def run_scores(ctx: Context) -> None:
    """Rewards of generators on the same seeds: tables as Parquet and LaTeX, figures, meshes."""
    import numpy as np

    from jobs.output import scores
    from jobs.output.pictures import draw_scores
    from jobs.output.tables import write_table
    from jobs.stages.evaluate import mesh_arrays
    from jobs.stages.reward import load_bank
    from jobs.stages.shapes import device, generator_of
    from jobs.stages.views import load_views
    from sigmaflow.fields.grid import Grid
    from sigmaflow.numbertable import read_numbers
    from sigmaflow.rewards.evaluate import score_seeds
    from sigmaflow.rewards.model import RewardModel

    c = ctx.config
    reward = RewardModel.load(ctx.input("reward")[0]).to(device())
    slabs = reward.config.representation == "sigma"
    if slabs:
        reward.check_grid(Grid.from_dict(c["grid"]))
    there = [name for name in ("before", "control", "after") if ctx.input(name)]
    found = {}
    for name in there:
        parts = ctx.input(name)
        bank = load_bank(parts) if slabs else load_views(parts, reward.config)
        found[name] = score_seeds(reward, bank, bank.seeds)
    rewards = scores.rewards_table(found)
    ticks = scores.ticks_table({
        name: read_numbers(path, ("images_seen", "seed", "reward"))
        for name in ("control", "after") for path in ctx.input(f"ticks_{name}")
    })  # fmt: skip
    runs, source = scores.initial_and_final(rewards, ticks)
    fids = {
        name: compare_fid(start, path, c["seed"])[0]
        for name in ("control", "after")
        for start in ctx.input("fid_before")
        for path in ctx.input(f"fid_{name}")
    }
    shift = scores.shift_table(rewards)
    tables = {
        "rewards": rewards,
        "ticks": ticks,
        "shift": shift,
        "slope": scores.slope_table(runs, source),
        "table2": scores.table2(rewards, shift, fids, c["fid_name"]),
    }
    folder = ctx.folder / "tables"
    folder.mkdir()
    for name, frame in tables.items():
        write_table(folder / f"{name}.parquet", frame, SCORES.schema)
    for name, text in scores.latex(tables).items():
        (folder / f"{name}.tex").write_text(text)

    ctx.note("meshes")
    columns = []
    for name in there:
        G = generator_of(ctx, f"generator_{name}")
        seeds = rewards["seed"].tolist()[: c["mesh_seeds"]]
        place = ctx.folder / name
        place.mkdir()
        arrays = mesh_arrays(G, seeds, c["psi"], c["mesh_resolution"], c["level"])
        np.savez_compressed(place / "meshes.npz", **arrays)
        columns.append((scores.CALLED[name], place))
    (ctx.folder / "figures").mkdir()
    draw_scores(rewards, ticks, runs, columns, ctx.folder / "figures")

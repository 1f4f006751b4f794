"""Figures of a sweep from its results (paper Fig. 7-10 and the Pareto front)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jobs.output.judgement import calibration_figure
from jobs.search.outcomes import directions, gain, strongest
from sigmaflow.fields.mesh import Mesh

PANELS = ("reward gain", "held-out gain", "annotator prefers tuned", "diversity", "FID change")


def draw_sweep(
    inputs: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    config: Mapping[str, Any],
    folder: Path,
) -> None:
    """Every figure of a sweep as PNG and PDF. The tuned run is the one of strongest reward."""
    from sigmaflow import figures

    trials = tables["trials"]
    rows: Any = trials.to_dict("records")
    best = strongest({int(row["trial"]): row for row in rows})
    control = next(iter(trials.loc[trials["control"], "trial"]), None)
    shown = {f"trial {best}": best}
    if control is not None and control != best:
        shown["control"] = control
    rewards, ticks = tables["rewards"], tables["ticks"]
    tuned = rewards[rewards["trial"] == best]

    def keep(name: str, figure: Any) -> None:
        figures.save(figure, folder / name)

    keep(
        "rewards",
        figures.reward_histograms(
            tuned["reward_before"], tuned["reward_after"], ("start", f"trial {best}")
        ),
    )
    keep(
        "trajectories",
        figures.trajectories(
            {
                title: ticks[ticks["trial"] == n].assign(kimg=lambda t: t["images_seen"] / 1000)
                for title, n in shown.items()
            }
        ),
    )
    both = rewards.rename(columns={"reward_before": "initial", "reward_after": "final"})
    keep(
        "final_against_initial",
        figures.final_against_initial(
            {title: both[both["trial"] == n] for title, n in shown.items()}
        ),
    )
    by = gain(config["space"])
    points = trials.rename(
        columns={
            f"{by}_delta_mean": "gain",
            f"{by}_delta_low": "gain_low",
            f"{by}_delta_high": "gain_high",
        }
    ).assign(role=[_role(row, config) for _, row in trials.iterrows()])
    keep(
        "pareto",
        figures.pareto_front(
            points,
            float(trials["fid_start"].iloc[0]),
            config["fid_name"],
            {"reward": "reward", "heldout": "held-out reward"}[by],
        ),  # fmt: skip
    )
    logs = [name for name, entry in config["space"].items() if entry.get("log")]
    ways = directions(config["space"], config["fid_name"])
    keep("slices", figures.slices(tables["slices"], ways, logs))
    if "repeats" in tables:
        keep("repeats", figures.repeats(tables["repeats"], PANELS))
    if "calibration" in tables:
        keep("calibration", calibration_figure(tables["calibration"]))
    if tables["importances"]["importance"].notna().any():
        keep("importances", figures.importances(tables["importances"]))
    place = list(config["numbers"]).index(best)
    draw_meshes(
        [("start", inputs["start"]), (f"trial {best}", inputs["tuned"][place])],
        folder,
        keep,
    )
    draw_pictures([("start", inputs["start"]), (f"trial {best}", inputs["tuned"][place])], keep)


def _role(row: pd.Series, config: Mapping[str, Any]) -> str:
    if row["control"]:
        return "control"
    paper = {"lambda_r": 10.0, "lambda_c": 0.01}
    return "paper" if all(row.get(k) == v for k, v in paper.items()) else ""


def read_meshes(path: Path) -> dict[int, Mesh]:
    """Meshes by seed of an evaluation's `meshes.npz`; an empty one where there was no surface."""
    with np.load(path) as arrays:
        seeds = sorted({int(name.split("/")[0]) for name in arrays.files})
        return {s: Mesh(arrays[f"{s}/vertices"], arrays[f"{s}/faces"]) for s in seeds}


def draw_meshes(columns: list[tuple[str, Path]], folder: Path, keep: Any) -> None:
    """Lit meshes of the same seeds side by side (Fig. 10), and each as PLY."""
    from sigmaflow import figures
    from sigmaflow.fields.mesh import write_ply

    sets = [(name, read_meshes(path / "meshes.npz")) for name, path in columns]
    seeds = sorted(set.intersection(*(set(meshes) for _, meshes in sets)))
    rows = [(f"seed {s}", [meshes[s] for _, meshes in sets]) for s in seeds]
    keep("meshes", figures.mesh_table(rows, [name for name, _ in sets]))
    for name, meshes in sets:
        for seed, mesh in meshes.items():
            write_ply(folder / f"mesh-{name.replace(' ', '')}-{seed}.ply", mesh)


def draw_pictures(columns: list[tuple[str, Path]], keep: Any) -> None:
    """The same seeds from the front and the sides, a row a generator and view."""
    from sigmaflow import figures

    rows = []
    for name, path in columns:
        with np.load(path / "pictures.npz") as arrays:
            pictures, yaws = arrays["pictures"], arrays["yaw"]
        for v, yaw in enumerate(yaws):
            rows.append((f"{name}\nyaw {np.degrees(yaw):+.0f}°", pictures[:, v]))
    keep("pictures", figures.sample_sheet(rows))


def draw_scores(
    rewards: pd.DataFrame,
    ticks: pd.DataFrame,
    runs: Mapping[str, pd.DataFrame],
    columns: list[tuple[str, Path]],
    folder: Path,
) -> None:
    """Figures 7 to 10 of scored generators; Figure 8 where fine-tunes were followed."""
    from sigmaflow import figures

    def keep(name: str, figure: Any) -> None:
        figures.save(figure, folder / name)

    names = ("original", "tuned")
    keep("rewards", figures.reward_histograms(rewards["before"], rewards["after"], names))
    followed = {
        name: ticks[ticks["configuration"] == name].assign(kimg=lambda t: t["images_seen"] / 1000)
        for name in ("tuned", "control")
        if (ticks["configuration"] == name).any()
    }
    if followed:
        keep("trajectories", figures.trajectories(followed))
    keep("final_against_initial", figures.final_against_initial(runs))
    draw_meshes(columns, folder, keep)

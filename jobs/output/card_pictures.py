"""Figures of a card from the results of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jobs.output.pictures import read_meshes
from jobs.sweep.outside import MOST_TEXT
from sigmaflow.fields.mesh import Mesh
from sigmaflow.jsontext import loads
from sigmaflow.numbertable import read_numbers

GROUP = 12  # pictures of a row of real or generated ones


def draw(
    inputs: Mapping[str, Any], ladders: Mapping[str, Any], config: Mapping[str, Any], folder: Path
) -> None:
    """Every figure as PNG and PDF: samples, views, real, meshes, shapes, ladder, curves."""
    from jobs.stages.card_pictures import SHEET_PSIS, SHEET_YAWS
    from sigmaflow import figures
    from sigmaflow.card import figures as own

    def keep(name: str, figure: Any) -> None:
        figures.save(figure, folder / name)

    with np.load(inputs["sheets"] / "sheets.npz") as arrays:
        by_psi, turned = arrays["psi"], arrays["yaw"]
    keep(
        "samples",
        figures.sample_sheet([(f"psi {psi:g}", row) for psi, row in zip(SHEET_PSIS, by_psi)]),
    )
    keep(
        "views",
        figures.sample_sheet(
            [("", row) for row in turned], [f"{yaw:+.0f}°" if yaw else "0°" for yaw in SHEET_YAWS]
        ),
    )
    real, made = (np.load(inputs[k][0] / "pictures.npy") for k in ("real", "samples"))
    size = min(GROUP, len(real), len(made))
    rows = [(name, x[i : i + size]) for name, x in (("real", real), ("generated", made))
            for i in range(0, len(x) - size + 1, size)]  # fmt: skip
    keep(
        "real",
        figures.sample_sheet([(n if i % 2 == 0 else "", r) for i, (n, r) in enumerate(rows)]),
    )
    lit: dict[int, Mesh] = {}
    for part in inputs["meshes"]:
        lit |= read_meshes(part / "meshes.npz")
    if any(len(mesh.faces) for mesh in lit.values()):
        keep("meshes", own.lit_meshes({seed: lit[seed] for seed in sorted(lit)}))
    _shapes(inputs["shapes"], keep, own)
    keep("ladder", own.ladder_figure(ladders))
    if inputs["curves"]:
        stages = {n: read_curve(p) for n, p in zip(config["curves"], inputs["curves"])}
        keep("curves", own.curves(stages, config["hours"]))


def _shapes(folder: Path, keep: Any, own: Any) -> None:
    chosen, meshes = pd.read_parquet(folder / "shapes.parquet"), read_meshes(folder / "meshes.npz")
    if not len(chosen):
        return
    size = int((chosen["row"] == "best").sum())
    worst = chosen.loc[chosen["row"] == "worst", "seed"].tolist()
    best = chosen.loc[chosen["row"] == "best", "seed"].tolist()
    lines = [("worst", worst[:size]), ("", worst[size:]), ("best", best)]
    keep("shapes", own.shape_rows([(n, [meshes[s] for s in of]) for n, of in lines
                                   if len(of) == size]))  # fmt: skip


def read_curve(path: Path) -> pd.DataFrame:
    """A training's metrics with the column `kimg`: `metrics.jsonl` of a stage, whose `step` is the
    images seen, or Parquet with `kimg`, `step` or `images_seen`. ValueError without any."""
    if Path(path).suffix == ".parquet":
        frame = read_numbers(path)
    else:
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_TEXT + 1)
        if len(text) > MOST_TEXT:
            raise ValueError(f"{path}: more than {MOST_TEXT} characters; give the metrics of a"
                             " training stage")  # fmt: skip
        frame = pd.DataFrame(
            [loads(line, constants=True) for line in text.splitlines() if line.strip()]
        )
    for name in ("step", "images_seen"):
        if "kimg" not in frame and name in frame:
            frame = frame.assign(kimg=frame[name] / 1000)
    if "kimg" not in frame:
        raise ValueError(f"{path}: no column kimg, step or images_seen; give the metrics of a "
                         "training stage")  # fmt: skip
    return frame

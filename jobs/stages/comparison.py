"""Table 1: the best reward of each row, by validation, on the test pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.run.attempt import METRICS, Context
from jobs.store.stage import Stage

if TYPE_CHECKING:
    import pandas as pd

COMPARISON = Stage(
    name="comparison",
    version=2,
    run="jobs.stages.comparison:run_comparison",
    sources=(
        "sigmaflow/statistics/representations.py",
        "sigmaflow/figures",
        "jobs/output/judgement.py",
        "jobs/output/tables.py",
    ),
    torch=False,
)
TRIVIAL = ("slab_mean", "total_variation", "fraction_above")


def run_comparison(ctx: Context) -> None:
    """`tables/candidates.parquet`: every reward that was trained; `tables/table1.parquet` and
    `.tex`: of each row the one of lowest validation loss; `tables/calibration.parquet` and `.tex`
    of these, and a figure; `summary.txt`: which are at chance.

    Where rewards learn from shares of the answers also `tables/pairs.parquet` and `.tex`, a figure
    and what is enough; of several annotators `tables/agreement.parquet`.
    """
    import pandas as pd

    from jobs.output import judgement
    from jobs.output.tables import write_table
    from sigmaflow import figures
    from sigmaflow.statistics.representations import statement

    every = list(zip(ctx.input("rewards"), ctx.input("calibrations"), strict=True))
    rows = [
        candidate(*folders, said)
        for folders, said in zip(every, ctx.config["candidates"], strict=True)
    ]
    candidates = chosen(pd.DataFrame(rows))
    table = candidates[candidates["chosen"]].drop(columns="chosen").reset_index(drop=True)
    best = {rows[i]["row"]: every[i][1] for i in candidates.index[candidates["chosen"]]}
    calibration = judgement.calibration_table(best)
    tables = {"candidates": candidates, "table1": table, "calibration": calibration}
    drawn = {"calibration": judgement.calibration_figure(calibration)}
    texts = {"table1": latex(table), "calibration": judgement.calibration_latex(calibration)}
    lines = statement(table.to_dict("records"))
    if (candidates["share"] < 1).any():
        tables["pairs"] = pairs = judgement.pairs_table(candidates)
        texts["pairs"] = judgement.pairs_latex(pairs)
        drawn["pairs"] = judgement.curves_figure(pairs, *_bounds(every[0][0]))
        lines += judgement.how_many(pairs)
    if (agreed := every[0][0] / "agreement.parquet").exists():
        tables["agreement"] = pd.read_parquet(agreed)
    for name in ("tables", "figures"):
        (ctx.folder / name).mkdir()
    for name, frame in tables.items():
        write_table(ctx.folder / "tables" / f"{name}.parquet", frame, COMPARISON.schema)
    for name, text in texts.items():
        (ctx.folder / "tables" / f"{name}.tex").write_text(text)
    for name, figure in drawn.items():
        figures.save(figure, ctx.folder / "figures" / name)
    (ctx.folder / "summary.txt").write_text("".join(line + "\n" for line in lines))


def _bounds(reward: Path) -> tuple[float | None, float | None]:
    """Accuracy that label noise allows, and of the best trivial scorer, where they are known."""
    import pandas as pd

    found = pd.read_parquet(reward / "accuracy.parquet")
    share = found[found["pairs"] == "regular"].set_index("scorer")["share"]
    trivial = [share[name] for name in TRIVIAL if name in share]
    ceiling = float(share["noise_ceiling"]) if "noise_ceiling" in share else None
    return ceiling, float(max(trivial)) if trivial else None


def candidate(folder: Path, calibration: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """One trained reward as a row: `said` has its row's name, and the searched settings."""
    import pandas as pd

    from sigmaflow.rewards.config import REPRESENTATIONS
    from sigmaflow.statistics.representations import printed, view_name

    network = json.loads((folder / "reward.json").read_text())["config"]
    last = json.loads((folder / METRICS).read_text().splitlines()[-1])
    backbone = network.get("backbone", "unet3d")
    view = view_name(network)
    learnt = json.loads((calibration / "answers.json").read_text())["train"]
    found = pd.read_parquet(folder / "accuracy.parquet").set_index(["scorer", "pairs"])
    judge = f"head {said['head']}" if len(network["heads"]) > 1 else "reward"
    row: dict[str, Any] = {
        "row": said["row"], "representation": REPRESENTATIONS[backbone], "backbone": backbone,
        "view": view, "latents": network.get("latents", "one"), "semantics": said["semantics"],
        "pretrained": said["pretrained"], "head": said["head"], "share": said["share"],
        "seed": said["seed"], **learnt, **said["params"],
        "val_loss": last["best_val_loss"], "best_epoch": int(last["best_epoch"]),
    }  # fmt: skip
    for pairs in ("all", "regular"):
        a = found.loc[(judge, pairs)]
        row |= {
            pairs: a["share"],
            f"{pairs}_low": a["low"],
            f"{pairs}_high": a["high"],
            f"n_{pairs}": int(a["n"]),
        }
    paper = printed(backbone, view)
    for pairs in ("all", "regular"):
        row[f"paper_{pairs}"] = math.nan if paper is None else getattr(paper, pairs)
    return row


def chosen(candidates: pd.DataFrame) -> pd.DataFrame:
    """With a column that marks the candidate of lowest validation loss of every row."""
    best = candidates.groupby("row", sort=False)["val_loss"].idxmin()
    return candidates.assign(chosen=candidates.index.isin(best))


def latex(table: pd.DataFrame) -> str:
    """Table 1 with the latents side by side, and the paper's column beside ours."""
    import pandas as pd

    from jobs.output.tables import tabular

    keys = ["representation", "backbone", "view", "semantics"]
    rows = []
    for of, group in table.groupby(keys, sort=False):
        by = {latents: one.iloc[0] for latents, one in group.groupby("latents", sort=False)}
        row = dict(zip(keys, of))
        for latents, name in (("one", "one latent"), ("each", "a latent a view")):
            for pairs in ("all", "regular"):
                row[f"{name}, {pairs}"] = _share(by.get(latents), pairs)
        for pairs in ("all", "regular"):
            value = group.iloc[0][f"paper_{pairs}"]
            row[f"paper, {pairs}"] = "--" if math.isnan(value) else f"{value:.2f}"
        rows.append(row)
    return tabular(pd.DataFrame(rows), caption(table))


def caption(table: pd.DataFrame) -> str:
    """What a reader must know of how the rows were made."""
    from sigmaflow.statistics.representations import STANDS_FOR

    bare = table.loc[~table["pretrained"], "backbone"].unique().tolist()
    budget = "Each row had the same number of trainings and shows the one of lowest validation loss"
    start = "all backbones start from pretrained weights"
    if bare:
        names = ", ".join(bare)
        start = f"without ImageNet or other pretrained weights, from random ones: {names}"
    small = [f"{one} stands beside its {STANDS_FOR[one]}" for one in table["backbone"].unique()
             if one in STANDS_FOR]  # fmt: skip
    return (
        "Test accuracy of rewards by representation, with 95% Wilson intervals. "
        f"{budget}; {start}. Sigma fields have one latent. The paper's column is Table 1 of "
        "arXiv 2606.27305: other shapes, people's answers, and depth maps and clouds by public "
        "code that draws a latent for each view"
        f"{''.join('; ' + one for one in small)}."
    )


def _share(row: pd.Series | None, pairs: str) -> str:
    if row is None:
        return "--"
    low, high = row[f"{pairs}_low"], row[f"{pairs}_high"]
    return f"{row[pairs]:.2f} [{low:.2f}, {high:.2f}] ({row[f'n_{pairs}']})"

"""The card itself: bars, tables and figures of one generator's measurements."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.fid import image_file
from jobs.store.stage import Stage

CARD = Stage(
    name="card", version=1, run="jobs.stages.card:run_card",
    sources=(
        "sigmaflow/card", "sigmaflow/figures", "sigmaflow/statistics/intervals.py",
        "sigmaflow/datasets/headlatent.py", "jobs/output/card.py", "jobs/output/card_pictures.py",
        "jobs/output/tables.py", "jobs/output/pictures.py",
    ),
)  # fmt: skip


def run_card(ctx: Context) -> None:
    """`summary.txt` with the bars, `tables/*.parquet` and `.tex`, `figures/`."""
    from jobs.output import card
    from jobs.output.card_pictures import draw
    from jobs.output.tables import write_table
    from sigmaflow.card import bars
    from sigmaflow.datasets.index import ImageIndex

    names = ("real", "samples", "views", "meshes", "truth", "measures", "shapes", "sheets",
             "curves")  # fmt: skip
    inputs = {name: ctx.input(name) for name in names}
    index = ImageIndex(image_file(ctx.input("images")))
    ctx.note("distances")
    ladders = card.ladders(inputs, ctx.config, index.seeds)
    ctx.note("traits")
    traits = card.traits_table(ctx.config["training"], index.seeds, ctx.progress)
    rows = card.rows(inputs, ctx.config, ladders, index.labels)
    tables = {
        "bars": card.bars_table(rows), "ladder": card.ladder_table(ladders),
        "retrieval": card.retrieval_table(inputs["views"], ctx.config["seed"]),
        "meshes": card.joined(inputs["meshes"], "meshes.parquet"),
        "defects": card.defects_table(inputs["measures"], ctx.config["annotator"]),
        "traits": traits,
    }  # fmt: skip
    if inputs["truth"]:
        tables["truth"] = card.joined(inputs["truth"], "truth.parquet")
    (ctx.folder / "tables").mkdir()
    for name, frame in tables.items():
        write_table(ctx.folder / "tables" / f"{name}.parquet", frame, CARD.schema)
    for name, text in card.latex(tables).items():
        (ctx.folder / "tables" / f"{name}.tex").write_text(text)
    ctx.note("figures")
    (ctx.folder / "figures").mkdir()
    draw(inputs, ladders, ctx.config, ctx.folder / "figures")
    said = [*bars.lines(rows), "", *card.ladder_lines(ladders), "",
            *card.defect_lines(tables["defects"])]  # fmt: skip
    (ctx.folder / "summary.txt").write_text("\n".join(said) + "\n")

"""Questions put to the synthetic annotator, and its answers in the released format."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.store.stage import Stage

RANKINGS = Stage(
    name="rankings",
    version=1,
    run="jobs.stages.rankings:run_rankings",
    sources=("sigmaflow/preferences",),
    torch=False,
)


def run_rankings(ctx: Context) -> None:
    """Best and worst of each question: `rankings.csv` with label noise, `clean.csv` without,
    and `anchors.json`: how often the annotator prefers psi-0.25 samples, and whether they are on.
    """
    import json

    import numpy as np
    import pandas as pd

    from sigmaflow.preferences.annotator import anchor_preference
    from sigmaflow.preferences.questions import anchors, assign_anchors, make_questions, rank
    from sigmaflow.preferences.rankings import write_rankings

    c = ctx.config
    table = pd.concat([pd.read_parquet(p / "measures.parquet") for p in ctx.input("measures")])
    scores = dict(zip(table["seed"].tolist(), table["score"].tolist()))
    questions = make_questions(c["seed"], c["questions"], c["sizes"])
    observed = rank(questions, scores, c["flip"], c["seed"])
    write_rankings(ctx.folder / "rankings.csv", observed)
    clean = rank(questions, scores, 0.0, c["seed"])
    write_rankings(ctx.folder / "clean.csv", clean)

    high = pd.concat([pd.read_parquet(p / "measures.parquet") for p in ctx.input("anchors")])
    anchor_scores = dict(zip(high["seed"].tolist(), high["score"].tolist()))
    chosen = assign_anchors(clean, anchors(c["anchors"]["count"]), c["seed"])
    share = anchor_preference(
        np.array([anchor_scores[int(s)] for s in chosen]),
        np.array([scores[int(s)] for s in clean.winners]),
        np.array([scores[int(s)] for s in clean.losers]),
    )
    use = c["anchors"]["use"]
    on = use == "always" or (use == "auto" and share >= c["anchors"]["least"])
    report = {"preferred": float(share), "least": c["anchors"]["least"], "use": use, "on": bool(on)}
    (ctx.folder / "anchors.json").write_text(json.dumps(report, indent=1) + "\n")
    frame = pd.DataFrame(
        {
            "question": np.arange(len(observed)),
            "rank1": observed.winners,
            "rank2": observed.losers,
            "flipped": observed.winners != clean.winners,
            "score1": [scores[int(s)] for s in observed.winners],
            "score2": [scores[int(s)] for s in observed.losers],
            "shapes": [len(q) for q in questions],
        }
    )
    frame.to_parquet(ctx.folder / "questions.parquet", index=False)

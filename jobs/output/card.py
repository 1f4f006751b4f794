"""Tables of a card: the bars, the ladder, retrieval, defects, traits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jobs.output.tables import tabular
from sigmaflow.card.bars import LARGEST, Row
from sigmaflow.card.ladder import (
    GENERATED,
    HALVES,
    HARMS,
    Distance,
    ladder,
    rank_agreement,
)
from sigmaflow.card.landmarks import found, off_frontal
from sigmaflow.card.retrieval import Retrieval, retrieve
from sigmaflow.card.traits import count_traits
from sigmaflow.preferences.annotator import ShapeMeasures, defects
from sigmaflow.preferences.config import DEFECTS, AnnotatorConfig
from sigmaflow.statistics.intervals import bootstrap_mean, wilson

#: What Frechet distance and KID of a provider are multiplied by to be readable.
READABLE = {"stlpips-alex": (1.0, 1e-3), "dlib-resnet": (1e3, 1e3)}
OWN, OTHER = READABLE
NEAR_FRONTAL = 15.0  # degrees off the frontal camera
MODEL = "MediaPipe face landmarks"
Ladders = Mapping[str, Mapping[str, Distance]]


def joined(folders: Sequence[Path], name: str) -> pd.DataFrame:
    """A table that stages left in parts."""
    return pd.concat([pd.read_parquet(p / name) for p in folders], ignore_index=True)


def ladders(
    inputs: Mapping[str, Any], config: Mapping[str, Any], seeds: np.ndarray | None
) -> dict[str, dict[str, Distance]]:
    """By provider, the ladder with the generated pictures on it.

    ``seeds``: identities of the real pictures; None: each picture is one of its own.
    """
    out = {}
    for provider in READABLE:
        if not (inputs["real"][0] / f"{provider}.npy").exists():
            continue
        sets = dict(zip(config["rungs"], (np.load(p / f"{provider}.npy") for p in inputs["real"])))
        real = sets.pop("real")
        generated = np.concatenate([np.load(p / f"{provider}.npy") for p in inputs["samples"]])
        seen = np.load(inputs["real"][0] / f"{provider}-rows.npy")
        identities = seen if seeds is None else seeds[seen]
        out[provider] = ladder({**sets, GENERATED: generated}, real, identities, config["seed"])
    return out


def rows(
    inputs: Mapping[str, Any], config: Mapping[str, Any], ladders: Ladders, labels: np.ndarray
) -> list[Row]:
    """The table of bars, in the order in which it is read."""
    why = config["skipped"]
    return [
        *_distance_rows(ladders, why.get("embedder", "")),
        *_face_rows(inputs, labels, why.get("landmarks", "")),
        *_retrieval_rows(inputs["views"], config["seed"], why.get("embedder", "")),
        *_mesh_rows(joined(inputs["meshes"], "meshes.parquet")),
        *_truth_rows(inputs["truth"], config["seed"], why.get("truth", "")),
    ]


def _distance_rows(ladders: Ladders, why: str) -> list[Row]:
    own = ladders[OWN][GENERATED]
    by = "AlexNet relu3 (stlpips), 64-d"
    f, k = own.frechet, own.kernel.times(1e-3)
    out = [
        Row("fid_mini, psi 1", by, f.value, f.low, f.high, own.n),
        Row("KID / 1000, psi 1", by, k.value, k.low, k.high, own.n),
    ]
    name = "Frechet distance x 1000, psi 1"
    if OTHER not in ladders:
        return [*out, Row(name, note=why)]
    f, n = ladders[OTHER][GENERATED].frechet.times(1e3), ladders[OTHER][GENERATED].n
    by = "dlib face embedding, 128-d"
    order = rank_agreement(ladders[OWN], ladders[OTHER])
    return [
        *out,
        Row(name, by, f.value, f.low, f.high, n),
        Row("rank correlation of both ladders", "Spearman", order, n=len(ladders[OWN])),
    ]


def _face_rows(inputs: Mapping[str, Any], labels: np.ndarray, why: str) -> list[Row]:
    name = "face found, psi 0.7"
    if why:
        return [Row(name, note=why)]
    seen = found(np.load(inputs["views"] / "presence.npy"))
    real = found(np.load(inputs["real"][0] / "presence.npy"))
    near = real[off_frontal(labels) <= NEAR_FRONTAL]
    out = [share_row(name, seen, MODEL)]
    if len(near):
        out.append(share_row(f"face found, real pictures within {NEAR_FRONTAL:.0f} degrees", near,
                             MODEL))  # fmt: skip
    return out


def share_row(name: str, hits: np.ndarray, provider: str = "") -> Row:
    """A share of bools ``[n]`` with Wilson's interval."""
    n, yes = len(hits), int(np.sum(hits))
    return Row(name, provider, yes / n, *wilson(yes, n), n, "%")


def retrievals(views: Path, seed: int) -> dict[tuple[str, str], Retrieval]:
    """By provider and psi (as text), psi 1 first."""
    out = {}
    for path in sorted(views.glob("*-psi*.npy"), reverse=True):
        provider, _, psi = path.stem.partition("-psi")
        front, *sides = np.load(path)
        out[provider, f"{float(psi):g}"] = retrieve(front, np.stack(sides), seed)
    return dict(sorted(out.items(), key=lambda one: (one[0][0], -float(one[0][1]))))


CALLED = {"alexnet-relu3": "AlexNet relu3 (stlpips), 384-d mean",
          "dlib-resnet": "dlib face embedding, 128-d"}  # fmt: skip


def _retrieval_rows(views: Path, seed: int, why: str) -> list[Row]:
    name = "front view found from both sides, psi "
    out = [
        Row(f"{name}{psi}", CALLED[provider], r.share, r.low, r.high, r.hits.shape[1], "%",
            bound=provider == "alexnet-relu3")
        for (provider, psi), r in retrievals(views, seed).items()
    ]  # fmt: skip
    return [*out, Row("front view found by dlib", note=why)] if why else out


def _mesh_rows(meshes: pd.DataFrame) -> list[Row]:
    whole = (meshes["largest"] >= LARGEST).to_numpy()
    by = f"largest component >= {100 * LARGEST:.0f} % of the area"
    return [
        share_row("seeds with one surface, psi 0.7", whole, by),
        share_row("seeds with something at the border, psi 0.7", meshes["border"].to_numpy(),
                  "within one cell of the box"),
    ]  # fmt: skip


def _truth_rows(folders: Sequence[Path], seed: int, why: str) -> list[Row]:
    name = "median distance"
    if why:
        return [Row(f"{name} from the true surface", note=why)]
    truth, out = joined(folders, "truth.parquet"), []
    for part in ("front", "whole"):
        of = truth[truth["part"] == part]
        for way, said in (("to", "true to generated"), ("back", "generated to true")):
            values = of[way].dropna().to_numpy(dtype=float)
            label = f"{name}, {part}, {said}"
            if not len(values):
                out.append(Row(label, note="no generated surface has such points"))
                continue
            ends = bootstrap_mean(values, seed=seed)
            out.append(Row(label, "% of the head's width, mean over seeds", float(values.mean()),
                           *ends, len(values)))  # fmt: skip
    return out


# ---------------------------------------------------------------------- tables


def bars_table(rows: Sequence[Row]) -> pd.DataFrame:
    """`Row.as_dict` of every row; numbers that are not there are nan."""
    numbers = ("value", "low", "high", "bar", "aim")
    return pd.DataFrame([row.as_dict() for row in rows]).astype(dict.fromkeys(numbers, float))


def ladder_table(ladders: Ladders) -> pd.DataFrame:
    """A row a provider and rung, the mildest first: distances times their factors."""
    out = []
    for provider, rungs in ladders.items():
        a, b = READABLE[provider]
        for place, (rung, one) in enumerate(rungs.items(), 1):
            f, k = one.frechet.times(a), one.kernel.times(b)
            ends = [np.nan if v is None else v for v in (f.low, f.high, k.low, k.high)]
            out.append({
                "provider": provider, "rung": rung, "said": HARMS.get(rung, rung), "place": place,
                "frechet": f.value, "frechet_low": ends[0], "frechet_high": ends[1],
                "frechet_factor": a, "kid": k.value, "kid_low": ends[2],
                "kid_high": ends[3], "kid_factor": b, "n": one.n,
            })  # fmt: skip
    return pd.DataFrame(out)


def retrieval_table(views: Path, seed: int) -> pd.DataFrame:
    """A row a provider and psi: share over both views, of each, and of identities found by both."""
    return pd.DataFrame([
        {"provider": provider, "psi": float(psi), "share": r.share, "low": r.low, "high": r.high,
         "left": float(r.hits[0].mean()), "right": float(r.hits[1].mean()), "both": r.both,
         "identities": r.hits.shape[1], "chance": 1 / r.hits.shape[1]}
        for (provider, psi), r in retrievals(views, seed).items()
    ])  # fmt: skip


def defects_table(folders: Sequence[Path], annotator: Mapping[str, Any]) -> pd.DataFrame:
    """Spread of each defect over the seeds that have a shape, and of the score."""
    config = AnnotatorConfig(**annotator)
    table = joined(folders, "measures.parquet")
    valid, names = table[table["valid"]], list(ShapeMeasures().as_dict())
    measured = [ShapeMeasures(**row) for row in valid[names].to_dict("records")]
    found = pd.DataFrame([defects(m, config) for m in measured], columns=list(DEFECTS))
    found["score"] = valid["score"].to_numpy()
    out = []
    for name in found:
        x = found[name].to_numpy(dtype=float)
        ends = np.quantile(x, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(x) else [np.nan] * 5
        out.append({
            "defect": name, "mean": float(x.mean()) if len(x) else np.nan,
            "sd": float(x.std(ddof=1)) if len(x) > 1 else np.nan,
            **dict(zip(("q05", "q25", "median", "q75", "q95"), map(float, ends))),
            "seeds": len(table), "shapes": len(x),
        })  # fmt: skip
    return pd.DataFrame(out)


def traits_table(
    training: Sequence[int], heldout: np.ndarray | None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """How often each trait occurs among training identities ([first seed, how many]) and, where the
    image set names its seeds, among its own; Wilson's intervals are of the share in general."""
    first, count = training
    sets = {"training": range(first, first + count)}
    if heldout is not None:
        sets["held-out"] = np.unique(heldout).tolist()
    out = []
    for name, seeds in sets.items():
        for trait, yes in count_traits(seeds, progress).items():
            low, high = wilson(yes, len(seeds))
            out.append({"set": name, "trait": trait, "count": yes, "identities": len(seeds),
                        "share": yes / len(seeds), "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(out)


def latex(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """`bars` and `ladder` as LaTeX."""
    bars = tables["bars"]
    keep = bars["value"].notna()
    short = bars.loc[keep, ["measurement", "value", "low", "high", "n", "rule", "bar", "passed"]]
    rungs = tables["ladder"][["provider", "rung", "frechet", "frechet_low", "frechet_high", "kid"]]
    return {
        "bars": tabular(short, "Measurements of the generator with 95\\% intervals, and bars."),
        "ladder": tabular(rungs, "Distances of harmed real pictures, and of generated ones, from "
                          "the real pictures."),
    }  # fmt: skip


def ladder_lines(ladders: Ladders) -> list[str]:
    """Both ladders as text, the mildest first."""
    out = []
    for provider, group in ladder_table(ladders).groupby("provider", sort=False):
        a, b = READABLE[str(provider)]
        out.append(f"ladder by {provider}: Frechet x {a:g}, KID x {b:g}, n {group['n'].max()}")
        out += [f"  {said:32}  {f:9.3g}  {k:9.3g}" for said, f, k in
                group[["said", "frechet", "kid"]].itertuples(index=False)]  # fmt: skip
    halves = "a half of the real pictures from the other half"
    return [*out, f"  ({HALVES}: {halves})"]


def defect_lines(table: pd.DataFrame) -> list[str]:
    """Mean and deviation of each defect as text."""
    shapes, seeds = table.loc[0, ["shapes", "seeds"]]
    said = [f"{d} {m:.3g} (sd {s:.2g})"
            for d, m, s in table[["defect", "mean", "sd"]].itertuples(index=False)]  # fmt: skip
    return [f"defects at psi 1, {shapes} shapes of {seeds} seeds: " + ", ".join(said)]

"""How far annotators agree: Fleiss' kappa and Krippendorff's alpha, of tables and of rankings."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from sigmaflow.preferences.orders import Orders


def fleiss_kappa(counts: np.ndarray) -> float:
    """Kappa (Fleiss 1971) of `[N, k]`: how many of the raters put subject i in category j.

    1 is perfect, 0 what chance would give; NaN where only one category was ever used. Raises
    ValueError unless every subject has the same number of raters, at least 2.
    """
    table = np.asarray(counts, dtype=float)
    raters = table.sum(1) if table.ndim == 2 and len(table) else np.zeros(1)
    if raters[0] < 2 or np.any(raters != raters[0]) or np.any(table < 0):
        raise ValueError(
            "Fleiss' kappa needs counts [N, k] of equally many raters a subject, at least 2, got"
            f" {table.shape} with {sorted(set(raters.tolist()))[:5]} raters; take Krippendorff's"
            " alpha, or the subjects that everybody rated"
        )
    n = raters[0]
    observed = ((table**2).sum(1) - n) / (n * (n - 1))
    expected = ((table.sum(0) / table.sum()) ** 2).sum()
    if expected == 1:
        return math.nan
    return float((observed.mean() - expected) / (1 - expected))


def krippendorff_alpha(
    ratings: np.ndarray, level: Literal["nominal", "ordinal", "interval"] = "nominal"
) -> float:
    """Alpha of `[raters, units]` values, NaN where a rater left a unit out.

    Krippendorff, Content Analysis (2004), ch. 11, from the matrix of coincidences. Units with fewer
    than two values do not count. NaN where all values are the same; ValueError where no unit has
    two.
    """
    table = np.asarray(ratings, dtype=float)
    table = table[:, np.isfinite(table).sum(0) >= 2] if table.ndim == 2 else table[:0]
    if not table.size:
        raise ValueError("no unit was rated twice; alpha needs units that two raters share")
    values = np.unique(table[np.isfinite(table)])
    counts = np.stack([(table == value).sum(0) for value in values], axis=1).astype(float)  # [U, V]
    each = counts.sum(1, keepdims=True)
    weighted = counts / (each - 1)
    coincidences = weighted.T @ counts - np.diag(weighted.sum(0))
    totals = coincidences.sum(0)
    distance = _distance(values, totals, level)
    expected = (np.outer(totals, totals) * distance).sum() / (totals.sum() - 1)
    if expected == 0:
        return math.nan
    return float(1 - (coincidences * distance).sum() / expected)


def _distance(values: np.ndarray, totals: np.ndarray, level: str) -> np.ndarray:
    """Squared difference of every two values, as the level of measurement has it."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return (values[:, None] - values) ** 2
    if level == "ordinal":
        middle = totals.cumsum() - totals / 2
        return (middle[:, None] - middle) ** 2
    raise ValueError(f"level is {level!r}; it is nominal, ordinal or interval")


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree which of two shapes is better.

    annotators: how many there are. pairs: of shapes that at least two have ordered. share: how
    often two annotators order such a pair alike, in [0, 1]. kappa: Fleiss', over pairs ordered by
    everybody (`everybody` of them); NaN without one. alpha: Krippendorff's (nominal), over `pairs`.
    """

    annotators: int
    pairs: int
    share: float
    kappa: float
    everybody: int
    alpha: float


def agreement(orders: Orders) -> Agreement:
    """Agreement on every pair within the questions that several annotators answered.

    Which shape of a pair is called the first is arbitrary, so each counts both ways round: either
    is as likely to win by chance. Raises ValueError where no two have answered the same question.
    """
    who, names = orders.numbered()
    votes: dict[tuple[int, int, int], dict[int, bool]] = defaultdict(dict)
    for question, annotator, order in zip(orders.questions.tolist(), who.tolist(), orders.orders):
        for i, better in enumerate(order):
            for worse in order[i + 1 :]:
                low, high = sorted((better, worse))
                votes[question, low, high][annotator] = better == low
    shared = [given for given in votes.values() if len(given) >= 2]
    if not shared:
        raise ValueError(
            f"no question was answered by two of the {len(names)} annotators; give the same"
            " questions to several, with their names in the column annotator"
        )
    table = np.full((len(names), len(shared)), np.nan)
    for unit, given in enumerate(shared):
        for annotator, first in given.items():
            table[annotator, unit] = float(first)
    wins, n = np.nansum(table, axis=0), np.isfinite(table).sum(0)
    losses = n - wins
    alike = (wins * (wins - 1) + losses * (losses - 1)) / (n * (n - 1))
    everybody = n == len(names)
    both = np.stack([wins[everybody], losses[everybody]], axis=1)
    kappa = fleiss_kappa(np.concatenate([both, both[:, ::-1]])) if len(both) else math.nan
    return Agreement(
        annotators=len(names),
        pairs=len(shared),
        share=float(alike.mean()),
        kappa=kappa,
        everybody=int(everybody.sum()),
        alpha=krippendorff_alpha(np.concatenate([table, 1 - table], axis=1)),
    )


def agreement_row(orders: Orders) -> dict[str, Any]:
    """`agreement` as a row of a table, after how many answers there are; 0 pairs and NaN where no
    two have answered the same question."""
    try:
        found = agreement(orders)
    except ValueError:
        people = len(set(orders.annotators))
        found = Agreement(people, 0, math.nan, math.nan, 0, math.nan)
    questions = len(set(orders.questions.tolist()))
    return {"questions": questions, "answers": len(orders), **asdict(found)}

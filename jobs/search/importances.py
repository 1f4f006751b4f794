"""How much of each objective's variance a searched setting explains, by Optuna's fANOVA."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jobs.search.outcomes import LEAST, directions, objective_columns

EVALUATOR = "fanova"  # Hutter et al. 2014, a random forest; the seed and the trees fix it
TREES, SEED = 64, 0


def importances(trials: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """One row an objective and setting; of an objective they add up to 1.

    ``trials`` is the table of that name, ``config`` the tables'. `importance` is null where fewer
    than LEAST trials have ended well, or where an objective is the same in all.
    """
    columns = objective_columns(config)
    fine = trials[np.isfinite(trials[list(columns.values())].astype(float)).all(axis=1)]
    found: dict[str, dict[str, float]] = {name: {} for name in columns}
    if len(fine) >= LEAST:
        study = _study(fine, config, list(columns.values()))
        for i, (name, column) in enumerate(columns.items()):
            if fine[column].nunique() > 1:
                found[name] = _fanova(study, i)
    rows = [
        {"objective": objective, "parameter": parameter,
         "importance": found[objective].get(parameter), "evaluator": EVALUATOR,
         "trials": len(fine)}
        for objective, parameter in itertools.product(columns, config["space"])
    ]  # fmt: skip
    table: pd.DataFrame = pd.DataFrame(rows).astype({"importance": float})
    return table


def _study(trials: pd.DataFrame, config: Mapping[str, Any], columns: list[str]) -> Any:
    """The trials as a study. What is tried beyond a range (nothing should be) is left to Optuna."""
    import optuna

    from jobs.search.samplers import Seen, distributions, frozen

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = distributions(config["space"])
    ways = list(directions(config["space"], config["fid_name"]).values())
    study = optuna.create_study(directions=ways)
    settings = dict(zip(config["numbers"], config["settings"]))
    for _, row in trials.iterrows():
        values = tuple(float(row[column]) for column in columns)
        study.add_trial(frozen(Seen(settings[int(row["trial"])], True, values), known))
    return study


def _fanova(study: Any, which: int) -> dict[str, float]:
    """Importances of one objective, normalised."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    return get_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(n_trees=TREES, seed=SEED),
        target=lambda trial: trial.values[which],
    )

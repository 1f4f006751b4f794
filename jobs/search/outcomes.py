"""What a search reads from a finished trial: objectives, constraints, and the front.

Trials that follow rewards of their own have gains in units of their own. They are compared by the
held-out reward, which is one for all and which none of them saw.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

Direction = Literal["minimize", "maximize"]
Numbers = Mapping[str, Any]
Limits = Mapping[str, Mapping[str, float]]
REWARD = "reward."  # begins the searched settings of the reward itself
LEAST = 10  # finished trials from which importances say something
DEFECTS = ("roughness", "floaters", "cavities", "asymmetry", "nose")


@functools.cache
def known_numbers() -> frozenset[str]:
    """Names of every number of a trial's summary."""
    from sigmaflow.statistics.closeness import Closeness
    from sigmaflow.statistics.diversity import Diversity
    from sigmaflow.statistics.preferences import Preference
    from sigmaflow.statistics.shift import Shift
    from sigmaflow.statistics.slope import Slope

    rows = {
        "reward": Shift,
        "heldout": Shift,
        "slope": Slope,
        "preference": Preference,
        "closeness": Closeness,
        "diversity": Diversity,
    }
    other = {"confidence", "metric", "simulated"}
    return frozenset({
        *(f"{k}_{f.name}" for k, row in rows.items() for f in fields(row) if f.name not in other),
        *(f"annotator_{defect}_change" for defect in DEFECTS),
        *(f"{name}{end}" for name in ("fid", "kid", "fid_start", "kid_start", "fid_change")
          for end in ("", "_low", "_high")),
        "saturation", "clamp_low", "clamp_high", "start_mean", "start_std",
    })  # fmt: skip


def read_summary(trial: Path) -> dict[str, Any]:
    """All that the folder of a finished `trial` says."""
    return dict(json.loads((trial / "summary.json").read_text()))


def searches_reward(space: Mapping[str, Any]) -> bool:
    """Whether trials follow rewards of their own."""
    return any(name.startswith(REWARD) for name in space)


def gain(space: Mapping[str, Any]) -> str:
    """By which reward trials are compared: "reward", or "heldout" where each has its own."""
    return "heldout" if searches_reward(space) else "reward"


def directions(space: Mapping[str, Any], fid_name: str) -> dict[str, Direction]:
    """The objectives in their order, by the names that a journal shows."""
    name = "gain" if gain(space) == "reward" else "heldout_gain"
    return {name: "maximize", fid_name: "minimize"}


def objectives(numbers: Numbers, space: Mapping[str, Any]) -> tuple[float, float]:
    """Mean gain and Frechet distance."""
    return numbers[f"{gain(space)}_delta_mean"], numbers["fid"]


def objective_columns(config: Mapping[str, Any]) -> dict[str, str]:
    """The column of `trials` behind each objective, by the objective's name."""
    first, second = directions(config["space"], config["fid_name"])
    return {first: f"{gain(config['space'])}_delta_mean", second: "fid"}


def violations(numbers: Numbers, limits: Limits) -> dict[str, float]:
    """How far each bound is overstepped, 0 or less where it holds, by ``<number> <bound>``.

    A number that the trial has not (the saturation of a control) keeps no bound.
    """
    found = {}
    for name, bounds in limits.items():
        value = numbers.get(name)
        for which, bound in bounds.items():
            if value is None or not math.isfinite(value):
                over = abs(bound) + 1.0
            else:
                over = value - bound if which == "max" else bound - value
            found[f"{name} {which}"] = float(over)
    return found


def feasible(numbers: Numbers, limits: Limits) -> bool:
    """Whether all bounds hold."""
    return all(over <= 0 for over in violations(numbers, limits).values())


def pareto(trials: Mapping[int, Numbers], space: Mapping[str, Any], limits: Limits) -> list[int]:
    """Numbers of the feasible trials that no feasible one beats in both objectives."""
    from jobs.search.search import front

    kept = {n: objectives(v, space) for n, v in trials.items() if feasible(v, limits)}
    return sorted(front(kept, directions(space, "fid")))


def strongest(trials: Mapping[int, Numbers]) -> int:
    """The number of the trial of largest lambda_r (then smallest lambda_c); of largest gain where
    that is not searched.
    """
    if all("lambda_r" in numbers for numbers in trials.values()):
        return min(
            sorted(trials),
            key=lambda n: (-trials[n]["lambda_r"], trials[n].get("lambda_c", 0.0)),
        )
    return max(sorted(trials), key=lambda n: trials[n]["reward_delta_mean"])


def shown(value: Any) -> str:
    """A searched setting, for people."""
    if isinstance(value, Mapping):
        return " ".join(f"{k}:{shown(v)}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)

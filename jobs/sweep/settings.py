"""Searched settings put into the sections of a sweep: what a trial is made with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from jobs.search.outcomes import REWARD
from jobs.sweep.sections import FinetuneSection, RewardSection
from jobs.sweep.space import CORNERS, FIELDS, Params, SearchSection
from jobs.sweep.typed import refuse


def apply(
    params: Mapping[str, Any], finetune: FinetuneSection, reward: RewardSection
) -> tuple[FinetuneSection, RewardSection]:
    """Both sections with a trial's settings put in.

    ``clamp`` is a bound c > 0, which stands for low -c and high c, or a whole clamp. Raises
    ValueError naming the setting that they do not take.
    """
    tuned = finetune.model_dump()
    net = reward.model_dump(exclude_unset=True)  # what is not given stays the semantics' to say
    for name, value in params.items():
        refuse(name, FIELDS[name], value)
        if name.startswith(REWARD):
            _put(net, name.removeprefix(REWARD), value)
        elif name == "clamp" and isinstance(value, Mapping):
            tuned["clamp"] = {"low": None, "high": None, **value}
        elif name == "clamp":
            if not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(f"clamp = {value} must be above 0: it stands for [-c, c]")
            tuned["clamp"] = {"low": -value, "high": value, "deviations": None}
        elif name == "clamp.deviations":
            tuned["clamp"] = {"low": None, "high": None, "deviations": value}
        else:
            _put(tuned, name, value)
            if name.startswith("clamp."):
                tuned["clamp"]["deviations"] = None
    try:
        return FinetuneSection.model_validate(tuned), RewardSection.model_validate(net)
    except ValidationError as error:
        one = error.errors()[0]
        where = ".".join(map(str, one["loc"])) or ", ".join(params)
        raise ValueError(f"{where}: {one['msg'].removeprefix('Value error, ')}") from error


def tables_config(
    search: SearchSection, settings: Mapping[int, Params], pareto: Iterable[int], fid_name: str
) -> dict[str, Any]:
    """What the tables of a sweep are told: ``settings`` are those of its good trials, by number."""
    base = search.base()
    return {
        **({} if base is None else {"base": base}),
        "params": list(search.space),
        "space": search.entries(),
        "constraints": search.limits(),
        "numbers": list(settings),
        "settings": [dict(params) for params in settings.values()],
        "pareto": sorted(pareto),
        "fid_name": fid_name,
        "first": [dict(params) for params in search.first],
    }


def check_values(
    search: SearchSection,
    finetune: FinetuneSection,
    reward: RewardSection,
    fits: Callable[[RewardSection], object],
) -> None:
    """Raises ValueError where some trial could not be built. ``fits`` says so of a reward.

    Tries `first`, and all combinations of ends and choices where there are few of them, else each
    alone.
    """
    ends = {
        name: list(one.choices)
        if one.choices is not None
        else [round(v) if search.integer(name) else v for v in one.ends]
        for name, one in search.space.items()
    }
    if math.prod(map(len, ends.values())) <= CORNERS:
        tried: Any = [dict(zip(ends, values)) for values in itertools.product(*ends.values())]
    else:
        base = {name: values[0] for name, values in ends.items()}
        tried = [{**base, name: v} for name, values in ends.items() for v in values]
    for params in (*search.first, *tried):
        try:
            fits(apply(params, finetune, reward)[1])
        except ValueError as error:
            said = ", ".join(f"{k} = {v}" for k, v in params.items())
            raise ValueError(f"search.space: no trial can have {said} ({error})") from error


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    for key in above:
        values = values.setdefault(key, {})
    values[last] = value

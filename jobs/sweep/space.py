"""What a search may vary and what bounds it: the `search` section, checked without Optuna.

A key of the space is a field of `finetune`, `clamp` for both its ends at once, a dotted field below
either, or a field of the reward as `reward.<field>`.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from jobs.search.outcomes import REWARD, known_numbers
from jobs.store.stage import canonical
from jobs.sweep.sections import Clamp, RewardSection, Section
from sigmaflow.finetune.config import FinetuneConfig

POPULATION = 16  # of nsga2: Optuna's 50 is more than most sweeps have trials
MOST = 10_000  # points of a grid
CORNERS = 256  # combinations of extremes that are built to see whether they can be
Params = dict[str, Any]


class Space(Section):
    """Range of one searched setting: ``low`` to ``high``, or ``choices``."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(None, gt=0)
    """between two values, from `low`"""
    steps: int | None = Field(None, ge=2)
    """grid only: so many values, both ends among them, evenly (by factors with `log`)"""
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> Space:
        if self.choices is not None:
            if (self.low, self.high, self.step, self.steps) != (None,) * 4 or self.log:
                raise ValueError("give choices, or low and high, not both")
            if not self.choices:
                raise ValueError("choices are empty; give at least one value")
            if len({canonical(one) for one in self.choices}) < len(self.choices):
                raise ValueError(f"choices {list(self.choices)} repeat a value; give each once")
            return self
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 on a log scale")
        if self.step is not None:
            if self.log or self.steps is not None:
                raise ValueError("step goes with neither log nor steps; give one of them")
            count = (self.high - self.low) / self.step
            if abs(count - round(count)) > 1e-9 * max(1.0, count):
                raise ValueError(
                    f"high {self.high} must be low {self.low} and whole steps of {self.step}"
                )
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high of a range."""
        assert self.low is not None and self.high is not None  # where there are no choices
        return self.low, self.high

    def points(self, integer: bool) -> list[Any] | None:
        """Every value in order; None for a range that has no end of them."""
        if self.choices is not None:
            return list(self.choices)
        low, high = self.ends
        step = 1.0 if integer and self.step is None and self.steps is None else self.step
        if step is not None:
            values = [low + i * step for i in range(round((high - low) / step) + 1)]
        elif self.steps is not None:
            shares = [i / (self.steps - 1) for i in range(self.steps)]
            ratio = high / low if self.log else 0.0
            values = [
                low * ratio**s if self.log else low + s * (high - low) for s in shares[:-1]
            ] + [high]
        else:
            return None
        if integer:
            return list(dict.fromkeys(round(v) for v in values))
        return [float(f"{v:.12g}") for v in values]  # 0.3, not 0.30000000000000004

    def middle(self, integer: bool) -> Any:
        """A value for an estimate."""
        if self.choices is not None:
            return self.choices[0]
        low, high = self.ends
        value = math.sqrt(low * high) if self.log else (low + high) / 2
        return round(value) if integer else value


class Limit(Section):
    """Bounds of a number of a trial's summary; a trial outside them is not feasible."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Limit:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} must not be above max {self.max}")
        return self


class SearchSection(Section):
    """Optuna over fields of `finetune` and `reward`: mean reward gain up, FID down."""

    trials: int | None = Field(None, ge=1)
    """needed by every sampler but grid and ablation, which have as many as points"""
    parallelism: int = Field(2, ge=1)
    sampler: Literal["tpe", "gp", "nsga2", "random", "grid", "ablation"] = "tpe"
    population: int | None = Field(None, ge=2)
    """of nsga2: trials of a generation"""
    space: dict[str, Space] = Field(min_length=1)
    crossed: tuple[str, ...] = ()
    """of ablation: searched settings whose every value meets every change, such as seed"""
    first: tuple[dict[str, Any], ...] = ()
    """settings that are tried first, as they are"""
    constraints: dict[str, Limit] = {}
    """by number of a trial's summary, such as fid"""

    @model_validator(mode="after")
    def _fields_exist(self) -> SearchSection:
        for name in self.space:
            if name not in FIELDS:
                raise ValueError(
                    f"space.{name} is no setting of the fine-tune or the reward"
                    f"{_mean(name, FIELDS)}"
                )
        ways = sorted(name for name in self.space if name.split(".")[0] == "clamp")
        if len(ways) > 1 and ways != ["clamp.high", "clamp.low"]:
            raise ValueError(
                f"space.{ways[0]} and space.{ways[1]} are two ways to say the clamp; "
                "search one of clamp, clamp.deviations, and clamp.low with clamp.high"
            )
        for name in self.constraints:
            if name not in known_numbers():
                raise ValueError(
                    f"constraints.{name} is no number of a trial's summary"
                    f"{_mean(name, known_numbers())}"
                )
        return self

    @model_validator(mode="after")
    def _values_fit_their_fields(self) -> SearchSection:
        space = {}
        for name, one in self.space.items():
            if one.choices is not None:
                choices = tuple(_typed(v, name) for v in one.choices)
                one = one.model_copy(update={"choices": choices})
            elif FIELDS[name] not in (int, float):
                raise ValueError(f"space.{name} is no number; give choices, not low and high")
            elif FIELDS[name] is int:
                ends = [v for v in (one.low, one.high, one.step) if v is not None]
                odd = [v for v in ends if v != round(v)]
                if odd:
                    raise ValueError(f"space.{name}: {odd[0]} must be a whole number")
            space[name] = one
        first = tuple(self._first(i, params, space) for i, params in enumerate(self.first))
        self.__dict__.update(space=space, first=first)  # frozen for everybody else
        return self

    @model_validator(mode="after")
    def _sampler_can_do_it(self) -> SearchSection:
        if self.population is not None and self.sampler != "nsga2":
            raise ValueError(
                f"population = {self.population} is of the sampler nsga2, and sampler "
                f"is {self.sampler}; leave it out"
            )
        if self.crossed and self.sampler != "ablation":
            raise ValueError(
                f"crossed is of the sampler ablation, and sampler is {self.sampler}; leave it out"
            )
        for name in self.crossed:
            if name not in self.space:
                raise ValueError(f"crossed: {name} is not searched{_mean(name, self.space)}")
        if not self.known_whole:
            counted = [name for name, one in self.space.items() if one.steps is not None]
            if counted:
                raise ValueError(
                    f"space.{counted[0]}.steps is of the samplers grid and ablation, "
                    f"and sampler is {self.sampler}; give step, or leave it out"
                )
            if self.trials is None:
                raise ValueError("trials is missing; only grid and ablation do without")
            return self
        endless = [n for n, one in self.space.items() if one.points(self.integer(n)) is None]
        if endless:
            raise ValueError(
                f"space.{endless[0]} has no end of values for {self.sampler}; give it "
                "steps, step or choices, or take another sampler"
            )
        if self.first and self.sampler == "ablation":
            raise ValueError("an ablation begins with the first value of each; leave first out")
        size = self._size()
        if size > MOST:
            raise ValueError(f"the {self.sampler} has {size} points, over {MOST}; give fewer")
        for i, params in enumerate(self.first):
            for name, value in params.items():
                if value not in self._values(name):
                    points = ", ".join(map(str, self._values(name)))
                    raise ValueError(
                        f"first[{i}].{name} = {value} is no point of the grid; points: {points}"
                    )
        if self.trials is not None and self.trials > size:
            raise ValueError(
                f"trials = {self.trials}, but the {self.sampler} has {size} points; "
                "leave trials out, or give fewer"
            )
        if self.trials is None:
            self.__dict__["trials"] = size
        return self

    @staticmethod
    def integer(name: str) -> bool:
        """Whether a searched setting is a whole number."""
        return FIELDS[name] is int

    def entries(self) -> dict[str, dict[str, Any]]:
        """The space as `jobs.search.search.Search` takes it."""
        return {
            name: {**one.model_dump(exclude_none=True), **({"int": True} if whole else {})}
            for name, one in self.space.items()
            for whole in [one.choices is None and self.integer(name)]
        }

    @property
    def count(self) -> int:
        """Trials of a checked section: `trials`, or as many as there are points."""
        assert self.trials is not None  # the validators give it or refuse
        return self.trials

    @property
    def known_whole(self) -> bool:
        """Whether all trials are known before the first has run."""
        return self.sampler in ("grid", "ablation")

    def known(self) -> list[Params]:
        """Trials whose settings do not depend on results: the first, of grid and ablation all."""
        first = [dict(params) for params in self.first]
        if not self.known_whole:
            return first
        return list({canonical(params): params for params in (*first, *self._points())}.values())

    def base(self) -> Params | None:
        """What an ablation changes one by one: the first value of each; None for other samplers."""
        if self.sampler != "ablation":
            return None
        return {n: self._values(n)[0] for n in self.space if n not in self.crossed}

    def _values(self, name: str) -> list[Any]:
        return self.space[name].points(self.integer(name)) or []

    def _size(self) -> int:
        base = self.base() or {}
        changes = 1 + sum(len(self._values(name)) - 1 for name in base)
        return changes * math.prod(len(self._values(n)) for n in self.space if n not in base)

    def _points(self) -> list[Params]:
        """Those of grid or ablation in the order of nested loops, the file's last key innermost.

        The changes of an ablation, which begin with none, are the outermost loop.
        """
        base = self.base() or {}
        changes = [{}, *({n: value} for n in base for value in self._values(n)[1:])]
        crossed = [name for name in self.space if name not in base]
        every = list(itertools.product(*map(self._values, crossed)))
        found = ({**base, **a, **dict(zip(crossed, b))} for a in changes for b in every)
        return [{name: params[name] for name in self.space} for params in found]

    def limits(self) -> dict[str, dict[str, float]]:
        """The constraints as plain values."""
        return {k: v.model_dump(exclude_none=True) for k, v in self.constraints.items()}

    def middle(self) -> Params:
        """One setting in the middle, for estimates."""
        return {name: one.middle(self.integer(name)) for name, one in self.space.items()}

    def _first(self, i: int, params: Params, space: Mapping[str, Space]) -> Params:
        if set(params) != set(space):
            raise ValueError(f"first[{i}] must give exactly {', '.join(space)}")
        found = {}
        for name, one in space.items():  # in the order of the space
            value = params[name]
            if one.choices is not None:
                value = _typed(value, name)
                if canonical(value) not in {canonical(c) for c in one.choices}:
                    listed = ", ".join(map(str, one.choices))
                    raise ValueError(f"first[{i}].{name} = {value} is none of {listed}")
            elif isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"first[{i}].{name} = {value!r} must be a number")
            elif not one.ends[0] <= value <= one.ends[1]:
                ends = f"[{one.low}, {one.high}]"
                raise ValueError(f"first[{i}].{name} = {value} lies outside {ends}")
            elif self.integer(name) and value != round(value):
                raise ValueError(f"first[{i}].{name} = {value} must be a whole number")
            else:
                value = round(value) if self.integer(name) else float(value)
            found[name] = value
        return found


# ---------------------------------------------------------------------- settings and their fields


def _leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{above}{name}.")
        else:
            kinds = {k for k in (float, int) if kind is k or kind == (k | None)}
            yield above + name, kinds.pop() if kinds else kind


def _fields() -> dict[str, Any]:
    """Every key that a space may have, with its type."""
    tuned = {k: v for k, v in _leaves(FinetuneConfig) if k not in ("clamp_low", "clamp_high")}
    clamp = dict(_leaves(Clamp, "clamp."))
    reward = {
        REWARD + k: v
        for k, v in _leaves(RewardSection)
        if k not in ("heldout_seed", "train.seed", "ensemble", "pretrained")
    }
    return {**tuned, "clamp": float, **clamp, **reward}


FIELDS = _fields()


def _typed(value: Any, name: str) -> Any:
    """1 as 1.0 where the field is a float, so that equal settings are equal."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if FIELDS[name] is float and whole else value


def _mean(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(known))}"

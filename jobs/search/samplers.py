"""Optuna's samplers by name, each as a function of what it is shown and of a seed alone.

A proposal comes from a study made for it and a sampler seeded for it; nothing is remembered from
one to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.search.outcomes import Direction
from jobs.store.stage import canonical

Params = dict[str, Any]
Values = tuple[float, ...]
NAMES = ("tpe", "gp", "nsga2", "random")


@dataclass(frozen=True)
class Seen:
    """A trial as a proposal sees it: under way, or told; ``values`` None says that it failed.

    ``violations``: how far each constraint is overstepped, by name.
    """

    params: Params
    told: bool = False
    values: Values | None = None
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposer:
    """Proposals of one search.

    ``space`` as in `jobs.search.search.Search`; ``directions``: "minimize" or "maximize" an
    objective; ``startup``: trials before tpe and gp stop drawing at random; ``population``: trials
    of a generation of nsga2.
    """

    name: str
    space: Mapping[str, Mapping[str, Any]]
    directions: Sequence[Direction]
    startup: int
    population: int

    def __call__(self, seed: int, trials: Sequence[Seen], visible: int) -> Params:
        """The next trial after ``trials``, from results of the first ``visible`` of them."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = distributions(self.space)
        study = optuna.create_study(
            sampler=self._sampler(seed, trials, visible),
            directions=list(self.directions),
            study_name="proposal",
        )
        if self.name != "random":
            for n, one in enumerate(trials):
                study.add_trial(frozen(one if n < visible else Seen(one.params), known))
        trial = study.ask(known)
        return decoded({name: trial.params[name] for name in self.space}, self.space)

    def _sampler(self, seed: int, trials: Sequence[Seen], visible: int) -> Any:
        from optuna import samplers

        if self.name == "tpe":
            return samplers.TPESampler(seed=seed, n_startup_trials=self.startup, constant_liar=True)
        if self.name == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=self.startup)
        if self.name == "nsga2":
            told = [one.told and one.values is not None for one in trials]
            return _nsga2(seed, self.population, told, visible)
        if self.name == "random":
            return samplers.RandomSampler(seed=seed)
        raise ValueError(f"sampler {self.name!r} must be one of {', '.join(NAMES)}")


def generations(good: Sequence[bool], parallelism: int, population: int) -> list[int]:
    """Generation of nsga2 to which each trial, and the next one, belongs.

    A generation is full once ``population`` of its trials ended well; a trial sees those that are
    ``parallelism`` and more before it. ``good``: which trials did.
    """
    found: list[int] = []
    for n in range(len(good) + 1):
        seen = [found[i] for i in range(max(0, n - parallelism + 1)) if good[i]]
        last = max(seen, default=0)
        found.append(last + (seen.count(last) >= population))
    return found


def _nsga2(seed: int, population: int, good: Sequence[bool], visible: int) -> Any:
    """NSGA-II whose generations follow from the trials: Optuna notes them in a lasting study."""
    from optuna.samplers import NSGAIISampler
    from optuna.trial import TrialState

    of = generations(good, len(good) - visible + 1, population)

    class Sampler(NSGAIISampler):
        def get_trial_generation(self, study: Any, trial: Any) -> int:
            return int(of[trial.number])

        def get_population(self, study: Any, generation: int) -> list[Any]:
            done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
            return [trial for trial in done if of[trial.number] == generation]

    return Sampler(seed=seed, population_size=population)


def distributions(space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The space in Optuna's terms."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    def one(entry: Mapping[str, Any]) -> Any:
        if "choices" in entry:
            return CategoricalDistribution(tuple(_code(value) for value in entry["choices"]))
        log, step = bool(entry.get("log", False)), entry.get("step")
        if entry.get("int"):
            ends = int(entry["low"]), int(entry["high"])
            return IntDistribution(*ends, log=log, step=int(step or 1))
        return FloatDistribution(entry["low"], entry["high"], log=log, step=step)

    return {name: one(entry) for name, entry in space.items()}


def frozen(one: Seen, known: Mapping[str, Any]) -> Any:
    """A trial in Optuna's terms, ``known`` being the `distributions` of its space.

    Constraints are in the form that Optuna's dashboard reads too.
    """
    import optuna
    from optuna.trial import TrialState

    state = TrialState.RUNNING
    if one.told:
        state = TrialState.FAIL if one.values is None else TrialState.COMPLETE
    over = list(one.violations.values())
    return optuna.trial.create_trial(
        state=state,
        params={name: _code(value) for name, value in one.params.items()},
        distributions=dict(known),
        values=None if one.values is None else list(one.values),
        system_attrs={CONSTRAINTS: over} if over and one.values is not None else {},
    )


CONSTRAINTS = "constraints"  # system attribute of a trial: how far each is overstepped


def decoded(params: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]]) -> Params:
    """Parameters from Optuna, as the space has them."""
    codes = {
        name: {canonical(_code(value)): value for value in entry.get("choices", ())}
        for name, entry in space.items()
    }
    return {name: codes[name].get(canonical(v), v) for name, v in params.items() if name in space}


def _code(value: Any) -> Any:
    """Lists and the like as text: a category of Optuna's is a scalar."""
    return canonical(value) if isinstance(value, (list, tuple, dict)) else value

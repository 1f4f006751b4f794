"""Which parameters to try next: Optuna's samplers behind ask and tell.

Trial n is proposed from the results of trials 0..n-P alone (P = parallelism), with a sampler
seeded by (seed, n). So the proposals do not depend on which trial happens to finish first, on
how often the driver was killed, or on the journal, which only keeps them for people and tools.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.search.journal import Journal
from jobs.search.outcomes import Direction
from jobs.search.samplers import NAMES, Params, Proposer, Seen, Values
from jobs.store.stage import canonical


@dataclass
class Search:
    """The trials of one sweep.

    ``space`` has ``{low, high, log, step, int}`` or ``{choices: [...]}`` for each parameter;
    ``objectives`` names with "minimize" or "maximize"; ``enqueue`` holds the first trials,
    taken exactly as given (of a grid: all); ``sampler`` is one of `jobs.search.samplers.NAMES`.
    ``limits`` says what violations are told of, if any: it is part of what a search is.
    Another process may hold the journal: then this one goes without, and proposes the same.
    """

    path: Path
    space: Mapping[str, Mapping[str, Any]]
    seed: int
    parallelism: int
    objectives: Mapping[str, Direction]
    enqueue: Sequence[Params] = ()
    startup: int = 10  #: trials before the sampler stops drawing at random
    sampler: str = "tpe"
    population: int = 16  #: trials of a generation of nsga2
    limits: Mapping[str, Any] = field(default_factory=dict)
    trials: list[Params] = field(default_factory=list, init=False)  #: asked, by number
    values: dict[int, Values | None] = field(default_factory=dict, init=False)  #: None: failed
    violations: dict[int, dict[str, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.parallelism < 1:
            raise ValueError(f"parallelism: {self.parallelism} must be at least 1")
        unset = set().union(*(set(self.space) ^ set(params) for params in self.enqueue))
        if unset:
            raise ValueError(f"enqueued trials must set every parameter: {sorted(unset)}")
        if self.sampler not in NAMES:
            raise ValueError(f"sampler {self.sampler!r} must be one of {', '.join(NAMES)}")
        self._journal = Journal.open(Path(self.path), self._name(), self.space, self.objectives)

    # ------------------------------------------------------------------ asking and telling

    def can_ask(self) -> bool:
        """Whether the next trial's number may be asked: 0..n-P have been told."""
        return all(n in self.values for n in range(self._seen_by(len(self.trials))))

    def ask(self, number: int) -> Params:
        """The parameters of trial ``number``: an old one again, or the next.

        Raises RuntimeError when a result that it must see has not been told.
        """
        if number < len(self.trials):
            return dict(self.trials[number])
        if number > len(self.trials):
            raise RuntimeError(f"trial {len(self.trials)} comes before trial {number}")
        if not self.can_ask():
            missing = [n for n in range(self._seen_by(number)) if n not in self.values]
            raise RuntimeError(f"trial {number} must see the results of trials {missing} first")
        params = self._journal.params(number)
        if params is not None and number < len(self.enqueue) and params != self._propose(number):
            self._journal.leave(f"it has {params} as trial {number}, and {self._propose(number)} "
                                "comes first")  # fmt: skip
            params = None
        if params is None:
            params = self._propose(number)
            self._journal.ask(params)
        self.trials.append(params)
        return dict(params)

    def tell(
        self,
        number: int,
        values: Sequence[float] | None,
        violations: Mapping[str, float] | None = None,
    ) -> None:
        """The objectives of a trial in their order, in any order of trials.

        None, or a value that is not finite, says that it failed. ``violations``: how far each
        constraint is overstepped, by name; a trial with one above 0 is not on the front.
        """
        if not 0 <= number < len(self.trials):
            raise RuntimeError(f"trial {number} has not been asked")
        if values is not None and len(values) != len(self.objectives):
            raise ValueError(f"trial {number}: {len(values)} values for {list(self.objectives)}")
        told = None if values is None else tuple(float(v) for v in values)
        if told is not None and not all(map(math.isfinite, told)):
            told = None
        if self.values.setdefault(number, told) != told:
            raise RuntimeError(f"trial {number} was told {self.values[number]} before, now {told}")
        self.violations.setdefault(number, dict(violations or {}))
        while (next_ := self._journal.told) in self.values:  # the journal is in trial order
            self._journal.tell(next_, self.values[next_], self.violations[next_])

    def pareto(self) -> list[int]:
        """Numbers of the feasible told trials that no other beats in every objective."""
        kept = {
            n: told
            for n, told in self.values.items()
            if all(over <= 0 for over in self.violations[n].values())
        }
        return front(kept, self.objectives)

    def close(self) -> None:
        """Let another process write the journal."""
        self._journal.close()

    # ------------------------------------------------------------------ inside

    def _seen_by(self, number: int) -> int:
        return max(0, number - self.parallelism + 1)

    def _propose(self, number: int) -> Params:
        """A pure function of the seed, the number, and the trials that it may see."""
        if number < len(self.enqueue):
            return {name: self._given(number, name) for name in self.space}
        proposer = Proposer(
            self.sampler, self.space, list(self.objectives.values()), self.startup, self.population
        )
        trials = [
            Seen(params, True, self.values[n], self.violations[n])
            if n in self.values
            else Seen(params)
            for n, params in enumerate(self.trials)
        ]
        return proposer((self.seed * 100_003 + number) % 2**32, trials, self._seen_by(number))

    def _given(self, number: int, name: str) -> Any:
        value, entry = self.enqueue[number][name], self.space[name]
        if "choices" in entry:
            return value
        return int(value) if entry.get("int") else float(value)

    def _name(self) -> str:
        """Another space, seed or parallelism is another study in the same journal."""
        said: list[object] = [dict(self.space), self.seed, self.parallelism, dict(self.objectives),
                list(self.enqueue), self.startup]  # fmt: skip
        if self.sampler != "tpe":
            said.append([self.sampler, self.population])
        if self.limits:
            said.append(self.limits)
        return f"sweep-{hashlib.sha256(canonical(said).encode()).hexdigest()[:12]}"


def front(values: Mapping[int, Values | None], objectives: Mapping[str, Direction]) -> list[int]:
    """Numbers of the trials with values that no other beats in every objective."""
    signs = [1 if way == "minimize" else -1 for way in objectives.values()]
    losses = {
        n: tuple(sign * value for sign, value in zip(signs, told))
        for n, told in sorted(values.items())
        if told is not None
    }
    return [
        n
        for n, mine in losses.items()
        if not any(
            other != mine and all(o <= m for o, m in zip(other, mine)) for other in losses.values()
        )
    ]

"""Which parameters to try next: Optuna's samplers behind ask and tell.

Trial n is proposed from the results of trials 0..n-P alone (P = parallelism), with a sampler
seeded by (seed, n). So the proposals do not depend on which trial happens to finish first, on
how often the driver was killed, or on the journal, which only keeps them for people and tools.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.stage import canonical

Params = dict[str, Any]
Values = tuple[float, ...]

log = logging.getLogger(__name__)


@dataclass
class Search:
    """The trials of one sweep.

    ``space`` has ``{low, high, log}`` or ``{choices: [...]}`` for each parameter;
    ``objectives`` names with "minimize" or "maximize"; ``enqueue`` holds the first trials,
    taken exactly as given. Another process may hold the journal: then this one goes without,
    and proposes the same.
    """

    path: Path
    space: Mapping[str, Mapping[str, Any]]
    seed: int
    parallelism: int
    objectives: Mapping[str, str]
    enqueue: Sequence[Params] = ()
    startup: int = 10  #: trials before the sampler stops drawing at random
    trials: list[Params] = field(default_factory=list, init=False)  #: asked, by number
    values: dict[int, Values | None] = field(default_factory=dict, init=False)  #: None: failed

    def __post_init__(self) -> None:
        if self.parallelism < 1:
            raise ValueError(f"parallelism: {self.parallelism} must be at least 1")
        unset = [set(self.space) ^ set(params) for params in self.enqueue]
        if any(unset):
            raise ValueError(f"enqueued trials must set every parameter: {sorted(*unset)}")
        self._journal = _Journal.open(Path(self.path), self._name(), self.objectives)

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
        if params is None:
            params = self._propose(number)
            self._journal.ask(params, self._distributions())
        self.trials.append(params)
        return dict(params)

    def tell(self, number: int, values: Sequence[float] | None) -> None:
        """The objectives of a trial in their order, in any order of trials.

        None, or a value that is not finite, says that it failed.
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
        while (next_ := self._journal.told) in self.values:  # the journal is in trial order
            self._journal.tell(next_, self.values[next_])

    def pareto(self) -> list[int]:
        """Numbers of the told trials that no other beats in every objective."""
        return front(self.values, self.objectives)

    def close(self) -> None:
        """Let another process write the journal."""
        self._journal.close()

    # ------------------------------------------------------------------ inside

    def _seen_by(self, number: int) -> int:
        return max(0, number - self.parallelism + 1)

    def _propose(self, number: int) -> Params:
        """A pure function of the seed, the number, and the trials that it may see."""
        if number < len(self.enqueue):
            given = self.enqueue[number]
            return {
                name: given[name] if "choices" in entry else float(given[name])
                for name, entry in self.space.items()
            }
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=self.seed * 100_003 + number, n_startup_trials=self.startup, constant_liar=True
        )
        study = optuna.create_study(
            sampler=sampler, directions=list(self.objectives.values()), study_name="proposal"
        )
        distributions = self._distributions()
        for n in range(number):
            told = n < self._seen_by(number)
            study.add_trial(
                _frozen(self.trials[n], distributions, self.values[n] if told else None, told)
            )
        trial = study.ask(distributions)
        return {name: trial.params[name] for name in self.space}

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            name: CategoricalDistribution(tuple(entry["choices"]))
            if "choices" in entry
            else FloatDistribution(entry["low"], entry["high"], log=bool(entry.get("log", False)))
            for name, entry in self.space.items()
        }

    def _name(self) -> str:
        """Another space, seed or parallelism is another study in the same journal."""
        said = canonical(
            [dict(self.space), self.seed, self.parallelism, dict(self.objectives),
             list(self.enqueue), self.startup]
        )  # fmt: skip
        return f"sweep-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def front(values: Mapping[int, Values | None], objectives: Mapping[str, str]) -> list[int]:
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


class _Journal:
    """The record of a search in Optuna's format; trials found in it are kept, never doubled."""

    def __init__(self, study: Any = None, lock: Any = None) -> None:
        self._study, self._lock = study, lock
        self.told = 0  # trials written with their result are 0..told-1

    @classmethod
    def open(cls, path: Path, name: str, objectives: Mapping[str, str]) -> _Journal:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(f".{path.name}.driver"), "ab")  # noqa: SIM115 - kept open
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            log.warning("%s is written by another process; going on without it", path)
            return cls()
        # A lock of Optuna's own outlives a killed writer; ours says that there is no other.
        for leftover in path.parent.glob(f"{path.name}.lock*"):
            leftover.unlink(missing_ok=True)
        if not _is_whole(path):
            aside = path.with_name(f"{path.name}.broken-{os.getpid()}")
            os.replace(path, aside)
            log.warning("%s was damaged; it is written anew, the old one is %s", path, aside.name)
        try:
            return cls(_study(path, name, objectives), lock)
        except Exception as error:
            aside = path.with_name(f"{path.name}.broken-{os.getpid()}")
            os.replace(path, aside)
            log.warning("%s cannot be read (%s); it is written anew", path, error)
            return cls(_study(path, name, objectives), lock)

    def params(self, number: int) -> Params | None:
        """Of a trial that was asked in an earlier life of the driver."""
        trials = self._study.get_trials(deepcopy=False) if self._study else []
        return dict(trials[number].params) if number < len(trials) else None

    def ask(self, params: Params, distributions: Mapping[str, Any]) -> None:
        if self._study is not None:
            self._study.add_trial(_frozen(params, distributions, None, told=False))

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def tell(self, number: int, values: Values | None) -> None:
        from optuna.trial import TrialState

        self.told = number + 1
        if self._study is None:
            return
        if self._study.get_trials(deepcopy=False)[number].state == TrialState.RUNNING:
            if values is None:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, list(values))


def _study(path: Path, name: str, objectives: Mapping[str, str]) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=name,
        directions=list(objectives.values()),
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "experimental" since 3.2
        study.set_metric_names(list(objectives))
    study.get_trials(deepcopy=False)
    return study


def _frozen(
    params: Params, distributions: Mapping[str, Any], values: Values | None, told: bool
) -> Any:
    import optuna
    from optuna.trial import TrialState

    state = TrialState.RUNNING
    if told:
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        params=dict(params),
        distributions=dict(distributions),
        values=None if values is None else list(values),
    )


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return True
    data = path.read_bytes()
    try:
        for line in data.splitlines():
            json.loads(line)
    except ValueError:
        return False
    return data == b"" or data.endswith(b"\n")

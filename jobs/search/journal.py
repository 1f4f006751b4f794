"""The record of a search in Optuna's format, for people and tools: `<runs>/optuna/<name>.journal`.

It is not what a search depends on. It spares a launch the samplers where trials were asked before.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.search.outcomes import Direction
from jobs.search.samplers import CONSTRAINTS, Params, Seen, Values, decoded, distributions, frozen
from jobs.store.stage import canonical

DIGEST = "sigmaflow.settings"  # user attribute of a trial: digest of its settings

log = logging.getLogger(__name__)


class Journal:
    """Trials found in it are kept, never doubled. One process writes, others may read along."""

    def __init__(self, space: Mapping[str, Any], study: Any = None, lock: Any = None) -> None:
        self._space, self._study, self._lock = space, study, lock
        self.told = 0  # trials written with their result are 0..told-1

    @classmethod
    def open(
        cls, path: Path, name: str, space: Mapping[str, Any], objectives: Mapping[str, Direction]
    ) -> Journal:
        """For writing; for reading where another process writes. ``name`` is the study's.

        Where it cannot be written the search goes on without it, with a word.
        """
        try:
            return cls._open(path, name, space, objectives)
        except OSError as error:
            log.warning("%s cannot be written (%s); the search goes on without it, with the same "
                        "trials", path, error)  # fmt: skip
            return cls(space)

    @classmethod
    def _open(
        cls, path: Path, name: str, space: Mapping[str, Any], objectives: Mapping[str, Direction]
    ) -> Journal:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(f".{path.name}.driver"), "ab")  # noqa: SIM115 - kept open
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            log.warning("%s is written by another process; going on without it", path)
            return cls(space, _readable(path, name))
        # A lock of Optuna's own outlives a killed writer; ours says that there is no other.
        for leftover in path.parent.glob(f"{path.name}.lock*"):
            leftover.unlink(missing_ok=True)
        if not path.is_dir():
            _drop_torn_line(path)
        if not _is_whole(path):
            aside = path.with_name(f"{path.name}.broken-{os.getpid()}")
            os.replace(path, aside)
            log.warning("%s was damaged; it is written anew, the old one is %s", path, aside.name)
        try:
            study = _study(path, name, objectives)
            _check(study, space)
            return cls(space, study, lock)
        except Exception as error:
            aside = path.with_name(f"{path.name}.broken-{os.getpid()}")
            os.replace(path, aside)
            log.warning("%s cannot be read (%s); it is written anew", path, error)
            return cls(space, _study(path, name, objectives), lock)

    def params(self, number: int) -> Params | None:
        """Of a trial that was asked in an earlier life of the driver, or by another one."""
        trials = self._study.get_trials(deepcopy=False) if self._study else []
        return decoded(trials[number].params, self._space) if number < len(trials) else None

    def ask(self, params: Params) -> None:
        """Add the next trial, under way."""
        if self._lock is None:
            return
        with self._writing():
            trial = frozen(Seen(params), distributions(self._space))
            trial.set_user_attr(DIGEST, _digest(params))
            self._study.add_trial(trial)

    def tell(self, number: int, values: Values | None, violations: Mapping[str, float]) -> None:
        """How a trial ended, as in `Search.tell`; what was told before stays."""
        self.told = number + 1
        if self._lock is not None:
            with self._writing():
                self._tell(number, values, violations)

    def _tell(self, number: int, values: Values | None, violations: Mapping[str, float]) -> None:
        from optuna.trial import TrialState

        trial = self._study.get_trials(deepcopy=False)[number]
        if trial.state != TrialState.RUNNING:
            if values is not None and trial.values not in (None, list(values)):
                log.warning("the journal has %s as results of trial %d, which are %s; its pages "
                            "show what is wrong, delete it to have it written again",
                            trial.values, number, list(values))  # fmt: skip
            return
        if values is None:
            self._study.tell(number, state=TrialState.FAIL)
            return
        if violations:
            over = list(violations.values())
            storage = self._study._storage
            storage.set_trial_system_attr(trial._trial_id, CONSTRAINTS, over)
        self._study.tell(number, list(values))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A disk may fill or go away during a search, which then does without the journal."""
        try:
            yield
        except OSError as error:
            log.warning("the journal of this search cannot be written any more (%s); the search "
                        "goes on without it, with the same trials", error)  # fmt: skip
            self.close()
            self._study = self._lock = None

    def leave(self, why: str) -> None:
        """Go on without what it says, which is wrong. Nothing more is written to it."""
        log.warning("the journal of this search is damaged: %s; the search goes on without it", why)
        self.close()
        self._study = self._lock = None

    def close(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            self._lock.close()


def _study(path: Path, name: str, objectives: Mapping[str, Direction]) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_storage(path),
        study_name=name,
        directions=list(objectives.values()),
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "experimental" since 3.2
        if study.metric_names != list(objectives):
            study.set_metric_names(list(objectives))
    study.get_trials(deepcopy=False)
    return study


def _storage(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    held: Any = _Held()  # by its methods one of Optuna's locks, whose base needs its import
    return JournalStorage(JournalFileBackend(str(path), lock_obj=held))


class _Held:
    """In place of Optuna's lock, which is a symbolic link: some disks have none, names may be too
    long for it, and it outlives a killed writer. `Journal` holds a lock for as long as it writes.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _digest(params: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(params)).encode()).hexdigest()[:16]


def _check(study: Any, space: Mapping[str, Any]) -> None:
    """Raises ValueError where a trial is not what was asked. Older journals have no digests."""
    for trial in study.get_trials(deepcopy=False):
        said = trial.user_attrs.get(DIGEST)
        if said is not None and said != _digest(decoded(trial.params, space)):
            raise ValueError(f"settings of trial {trial.number} are not those that were asked")


def _readable(path: Path, name: str) -> Any:
    """The study of a journal that another process writes; None where it has none yet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if path.exists():
            return optuna.load_study(storage=_storage(path), study_name=name)
    except Exception as error:  # half written, of another version
        log.info("%s cannot be read along (%s)", path, error)
    return None


def _drop_torn_line(path: Path) -> None:
    """What a killed writer left of its last line: it had not happened yet."""
    if path.exists():
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with open(path, "r+b") as file:
                file.truncate(whole)


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        for line in path.read_bytes().splitlines():
            json.loads(line)
    except (ValueError, IsADirectoryError):
        return False
    return True

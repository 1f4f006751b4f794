"""Which finished task of a store is most like a planned one, and how they differ, for people."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobs.store.stage import Stage, Task
from jobs.store.store import MARKER, SPEC, Store

ALL = 16  # finished tasks of a stage that are compared one by one; of more only some are
RARE, LOOKED = 4, 64  # rarest values of a task that are looked up, and finished tasks with each
BEST = 8  # of these, those that share most of them are compared

Spec = tuple[int, dict[str, Any], dict[str, Any]]  # version, flat config, inputs


@dataclass(frozen=True)
class Difference:
    """Of a task from a finished one: the first setting, all inputs."""

    config: str | None
    inputs: frozenset[str]  #: identities of ours that the other has not
    names: tuple[str, ...]  #: of the inputs that differ
    count: int  #: of settings and inputs that differ


class Cached:
    """Specs of finished tasks, by stage; those of the graph itself, whose keys are ``own``, left
    out. Each is read once, and each question takes as long however many there are.
    """

    def __init__(self, store: Store, own: set[str]) -> None:
        self._root, self._own = store.root, own
        self._stages: dict[str, _Specs] = {}

    def nearest(self, task: Task) -> Difference | None:
        """How the task differs from the finished one that differs least, as far as is looked: with
        more than `ALL` of its stage, among those that share its rarest values.
        """
        mine = task.spec()
        flat = dict(_flat(mine["config"]))
        best: Difference | None = None
        for version, config, inputs in self._of(task.stage).like(flat, mine["inputs"]):
            found = _differ(task.stage, flat, mine["inputs"], version, config, inputs)
            if best is None or found.count < best.count:
                best = found
        return best

    def _of(self, stage: Stage) -> _Specs:
        if stage.name not in self._stages:
            self._stages[stage.name] = _Specs(self._read(stage))
        return self._stages[stage.name]

    def _read(self, stage: Stage) -> list[Spec]:
        found = []
        for path in sorted(self._root.glob(f"{stage.name}/[!.]*/{SPEC}")):
            try:
                spec = json.loads(path.read_bytes())
                if spec["key"] not in self._own and (path.parent / MARKER).exists():
                    inputs = dict(spec["inputs"])
                    found.append((spec["version"], dict(_flat(spec["config"])), inputs))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
        return found


class _Specs:
    """Of one stage, found by their values."""

    def __init__(self, specs: list[Spec]) -> None:
        self._specs = specs
        self._with: defaultdict[str, list[int]] = defaultdict(list)
        if len(specs) > ALL:
            for number, (_, config, inputs) in enumerate(specs):
                for value in _values(config, inputs):
                    self._with[value].append(number)

    def like(self, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Spec]:
        """The few to compare, in their order."""
        if len(self._specs) <= ALL:
            return self._specs
        shared = [self._with[v] for v in _values(config, inputs) if v in self._with]
        shared.sort(key=len)
        votes = Counter(n for numbers in shared[:RARE] for n in islice(numbers, LOOKED))
        chosen = [number for number, _ in votes.most_common(BEST)] or range(BEST)
        return [self._specs[number] for number in sorted(chosen)]


def _values(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        yield f"{name}={value!r}"
    for name, value in inputs.items():
        for one in _listed(value):
            yield f"{name}<{one}"


def _differ(
    stage: Stage,
    mine: Mapping[str, Any],
    my_inputs: Mapping[str, Any],
    version: int,
    theirs: Mapping[str, Any],
    their_inputs: Mapping[str, Any],
) -> Difference:
    fields = [k for k in (*mine, *(k for k in theirs if k not in mine))
              if k not in mine or k not in theirs or mine[k] != theirs[k]]  # fmt: skip
    names = tuple(n for n in my_inputs if my_inputs[n] != their_inputs.get(n))
    text = None
    if version != stage.version:
        text = f"version {stage.version} of the stage, cached has {version}"
    elif fields:
        k = fields[0]
        text = f"{k} {_short(mine.get(k))}, cached has {_short(theirs.get(k))}"
    mine_only = {i for n in names for i in _listed(my_inputs[n])}
    mine_only -= {i for n in names for i in _listed(their_inputs.get(n))}
    count = len(fields) + len(names) + 1000 * (version != stage.version)
    return Difference(text, frozenset(mine_only), names, count)


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and len(value) > 6:
        return f"[{value[0]} ... {value[-1]}]"
    if isinstance(value, float) and len(str(value)) > 8:
        return f"{value:.6g}"
    return str(value)

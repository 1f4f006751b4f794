"""Tasks as JSON: what a worker that shares nothing but the disk is sent.

One list of every task of the graph, inputs first, so that shared ones stand in it once. Keys of
settings keep their order, which some outputs follow. Files travel as path and digest; a worker that
finds another content says so instead of computing with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jobs.store.stage import FileInput, Input, Stage, Task, walk

FORMAT = 1


class SpecError(ValueError):
    """The text is no task of this code: foreign format, other version, or damaged."""


def dump_task(task: Task) -> dict[str, Any]:
    """The task and all it needs as JSON values. `load_task` gives an equal task back."""
    return {
        "format": FORMAT,
        "task": task.key,
        "tasks": [
            {
                "key": one.key,
                "stage": {**asdict(one.stage), "sources": list(one.stage.sources)},
                "label": one.label,
                "config": one.config,
                "inputs": {
                    name: [_dump_input(v) for v in value]
                    if isinstance(value, tuple)
                    else _dump_input(value)
                    for name, value in one.inputs.items()
                },
            }
            for one in walk(task)
        ],
    }


def load_task(spec: Mapping[str, Any]) -> Task:
    """The task of `dump_task`. Stages of this code are taken from it, not from the text.

    Raises SpecError when the text is damaged, of another format, of another version of a stage,
    or does not give the keys that it says.
    """
    if not isinstance(spec, Mapping) or spec.get("format") != FORMAT:
        found = spec.get("format") if isinstance(spec, Mapping) else type(spec).__name__
        raise SpecError(f"format {found!r} of a task; this code reads format {FORMAT}")
    tasks: dict[str, Task] = {}
    try:
        for entry in spec["tasks"]:
            key = entry["key"]
            task = Task(
                _stage(entry["stage"]),
                entry["config"],
                {
                    name: tuple(_load_input(v, tasks) for v in value)
                    if isinstance(value, list)
                    else _load_input(value, tasks)
                    for name, value in entry["inputs"].items()
                },
                entry["label"],
            )
            if task.key != key:
                raise SpecError(f"{task.label}: its key is {task.key[:12]}, not {key[:12]}")
            tasks[key] = task
        return tasks[spec["task"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"damaged text of a task: {error!r}") from error


def read_task(text: str | bytes) -> Task:
    """`load_task` of a text. Raises SpecError."""
    try:
        return load_task(json.loads(text))
    except json.JSONDecodeError as error:
        raise SpecError(f"damaged text of a task: {error}") from error


def _stage(entry: Mapping[str, Any]) -> Stage:
    from jobs.stages import ALL

    said = Stage(**{**entry, "sources": tuple(entry["sources"])})
    known = next((stage for stage in ALL if stage.name == said.name), None)
    if known is None:
        return said
    if known.version != said.version:
        raise SpecError(
            f"stage {said.name} version {said.version} was asked for, this code has "
            f"{known.version}; run driver and workers from one checkout"
        )
    return known


def _dump_input(value: Input) -> dict[str, str]:
    if isinstance(value, Task):
        return {"task": value.key}
    return {"file": str(value.path), "digest": value.digest}


def _load_input(entry: Mapping[str, str], tasks: Mapping[str, Task]) -> Input:
    return tasks[entry["task"]] if "task" in entry else FileInput.known(**entry)

"""Tasks as JSON: what a worker that shares nothing but the disk is sent.

One list of every task of the graph, inputs first, so that shared ones stand in it once. Keys of
settings keep their order, which some outputs follow. Files travel as path and digest; a worker that
finds another content says so instead of computing with it. A text names stages of this code and
never functions or folders: what runs and where it is written is for this code to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs.store.stage import FileInput, Input, Stage, Task, walk

FORMAT = 1


_registered: dict[str, Stage] = {}  # of this process, by name


class SpecError(ValueError):
    """The text is no task of this code: foreign format, other version, or damaged."""


def register(*stages: Stage) -> None:
    """Let `load_task` take these in this process, besides those of `jobs.stages`."""
    _registered.update((stage.name, stage) for stage in stages)


def dump_task(task: Task) -> dict[str, Any]:
    """The task and all it needs as JSON values. `load_task` gives an equal task back."""
    return {
        "format": FORMAT,
        "task": task.key,
        "tasks": [
            {
                "key": one.key,
                "stage": {"name": one.stage.name, "version": one.stage.version},
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
    """The task of `dump_task`, with the stages of this code.

    Raises SpecError when the text is damaged, of another format, of another version of a stage,
    of a stage that this code does not have, or does not give the keys that it says.
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
                raise SpecError(f"{task.label}: its key is {task.key[:12]}, not {key!s:.12}")
            tasks[key] = task
        return tasks[spec["task"]]
    except SpecError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SpecError(f"damaged text of a task: {error!r}") from error


def read_task(text: str | bytes) -> Task:
    """`load_task` of a text. Raises SpecError."""
    try:
        return load_task(json.loads(text))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(f"damaged text of a task: {error}") from error


def _stage(entry: Mapping[str, Any]) -> Stage:
    from jobs.stages import ALL

    name, version = entry["name"], entry["version"]
    known = _registered.get(name) or next((stage for stage in ALL if stage.name == name), None)
    if known is None:
        raise SpecError(f"no stage of this code is called {name!r}; run driver and workers from "
                        "one checkout")  # fmt: skip
    if known.version != version:
        raise SpecError(
            f"stage {name} version {version} was asked for, this code has "
            f"{known.version}; run driver and workers from one checkout"
        )
    return known


def _dump_input(value: Input) -> dict[str, str]:
    if isinstance(value, Task):
        return {"task": value.key}
    return {"file": str(value.path), "digest": value.digest}


def _load_input(entry: Mapping[str, str], tasks: Mapping[str, Task]) -> Input:
    return tasks[entry["task"]] if "task" in entry else FileInput.known(**entry)

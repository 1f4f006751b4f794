"""Reading a sweep: file, scale, command line, all checked before anything runs."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jobs.sweep.given import COMMAND, FILE, Given
from jobs.sweep.lines import Keys, dotted, read, scalar
from jobs.sweep.typed import mistyped

Model = TypeVar("Model", bound=BaseModel)
MOST = 20  # problems shown of one file that a value names


class ConfigError(Exception):
    """Everything that is wrong with a configuration, one problem a line."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
        count = len(self.problems)
        super().__init__("\n".join([f"{count} problem{'s' * (count > 1)}:", *self.problems]))


@dataclass(frozen=True)
class Places:
    """Where each value came from, for problems found after the model was built."""

    known: Mapping[Keys, str]

    def of(self, *keys: str | int) -> str:
        """ "file:line" of a value, or of the nearest thing around it."""
        while keys and keys not in self.known:
            keys = keys[:-1]
        return self.known.get(keys, "command line")

    def problem(self, keys: Iterable[str | int], said: str) -> str:
        """A line for a ConfigError: "file:line: key: said"."""
        keys = tuple(keys)
        return f"{self.of(*keys)}: {dotted(keys)}: {said}"


def load(
    path: str | Path,
    model: type[Model],
    scale: str | None = None,
    overrides: Iterable[str] = (),
    scales: str | Path | None = None,
    context: Mapping[str, Any] | None = None,
) -> Model:
    """A checked configuration; see `load_with_places`. Raises ConfigError with all problems."""
    return load_with_places(path, model, scale, overrides, scales, context)[0]


def load_kind(
    path: str | Path,
    kinds: Mapping[str, type[BaseModel]],
    scale: str | None = None,
    overrides: Iterable[str] = (),
    scales: str | Path | None = None,
    context: Mapping[str, Any] | None = None,
) -> Any:
    """As `load`, with the model that the file's ``kind:`` names."""
    values, places, found = read(Path(path))
    if found and not values:
        raise ConfigError(found)  # nothing of it was read
    kind = values.get("kind") if isinstance(values, dict) else None
    if isinstance(kind, str) and kind in kinds:
        return load(path, kinds[kind], scale, overrides, scales, context)
    where = places.get(("kind",), f"{path}:1") if isinstance(values, dict) else f"{path}:1"
    said = f"kind: {kind!r} must be one of {', '.join(kinds)}{_mean(str(kind), kinds)}"
    raise ConfigError([*found, f"{where}: {said}"])


def load_with_places(
    path: str | Path,
    model: type[Model],
    scale: str | None = None,
    overrides: Iterable[str] = (),
    scales: str | Path | None = None,
    context: Mapping[str, Any] | None = None,
) -> tuple[Model, Places]:
    """Merge and check: scale file below, ``path`` above it, ``overrides`` ("a.b=c") on top.

    The scale is the argument or else the file's ``scale:``; its file is
    ``<folder of path>/scales/<scale>.yaml`` unless ``scales`` names another folder. ``context`` is
    handed to the model's validators, which may spare themselves what a caller does not need. Raises
    ConfigError with every problem of all of them, each with place, key, value and remedy.
    """
    path, overrides = Path(path), list(overrides)
    values, places, problems = read(path)
    if not isinstance(values, dict):
        raise ConfigError([f"{path}:1: must be a list of `key: value` lines"])
    layers = dict.fromkeys(places, FILE)
    chosen = [text.partition("=")[2] for text in overrides if text.startswith("scale=")]
    scale = chosen[-1] if chosen else scale
    if scale is not None:
        values["scale"], places["scale",] = scale, "--scale"
    named = values.get("scale")
    if isinstance(named, str):
        file = Path(scales or path.parent / "scales") / f"{named}.yaml"
        if file.exists():
            below, below_places, more = read(file)
            problems += more
            values = merge(below if isinstance(below, dict) else {}, values)
            places = {**below_places, **places}
        else:
            known = sorted(p.stem for p in file.parent.glob("*.yaml"))
            where = places["scale",]
            problems.append(
                f"{where}: scale: {named!r} is unknown{_mean(named, known)}; known: "
                f"{', '.join(known) or 'none'}"
            )
    for text in overrides:
        problems += _override(text, values, places, layers)
    told, asked = Places(places), dict(context or {})
    if wrong := [told.problem(*one) for one in mistyped(model, values)]:
        raise ConfigError(sorted([*problems, *wrong], key=_by_line))
    try:
        checked = model.model_validate(values, context=asked)
        if not problems and asked.get("files", True) and hasattr(checked, "misfits"):
            problems += [told.problem(*found) for found in checked.misfits()]
    except ValidationError as error:
        for one, keys in _relevant(error, values):
            problems += _inside(one) or [_describe(one, keys, model, told)]
    else:
        idle = getattr(checked, "idle", None)
        problems += [told.problem(*one) for one in (idle(Given(layers)) if idle else ())]
    if problems:
        raise ConfigError(sorted(problems, key=_by_line))
    return checked, told


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``, mappings key by key, everything else as a whole."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(under, value)
        else:
            merged[key] = value
    return merged


def _override(
    text: str, values: dict[str, Any], places: dict[Keys, str], layers: dict[Keys, int]
) -> list[str]:
    place = f"--set {text}"
    name, equals, given = text.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        return [f"{place}: must look like key=value or a.b=value"]
    try:
        value = scalar(given)
    except ValueError as error:
        return [f"{place}: {error}"]
    inner = values
    for i, key in enumerate(keys[:-1]):
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            return [f"{place}: {dotted(keys[: i + 1])} is a value, nothing can be set inside it"]
    inner[keys[-1]] = value
    for known in [k for k in layers if k[: len(keys)] == keys]:
        del layers[known]  # replaced as a whole
    layers.update(dict.fromkeys(_ways(value, keys), COMMAND))
    for i in range(len(keys)):
        places.setdefault(keys[: i + 1], place)
    for known in [k for k in places if k[: len(keys)] == keys]:
        places[known] = place
    return []


def _ways(value: Any, keys: Keys) -> list[Keys]:
    """The keys of a value and of all within it."""
    inside = value.items() if isinstance(value, Mapping) else ()
    return [keys, *(way for key, one in inside for way in _ways(one, (*keys, key)))]


def _relevant(error: ValidationError, values: Any) -> list[tuple[Any, Keys]]:
    """The errors with their ways into the file; of a union, those of its nearest branch only."""
    kept: list[tuple[Any, Keys]] = []
    unions: dict[Keys, dict[str | int, list[tuple[Any, Keys]]]] = {}
    for one in error.errors():
        keys, branch = _way(one, values)
        if branch is None:
            kept.append((one, keys))
        else:
            unions.setdefault(branch[0], {}).setdefault(branch[1], []).append((one, keys))
    return kept + [one for branches in unions.values() for one in min(branches.values(), key=len)]


def _way(error: Any, values: Any) -> tuple[Keys, tuple[Keys, str | int] | None]:
    """The keys of an error, and the first union branch that pydantic put among them."""
    keys: list[str | int] = []
    branch = None
    for i, key in enumerate(error["loc"]):
        last = i == len(error["loc"]) - 1
        if isinstance(values, dict) and key in values:
            keys.append(key)
            values = values[key]
        elif isinstance(values, list) and isinstance(key, int) and key < len(values):
            keys.append(key)
            values = values[key]
        elif last and error["type"] == "missing":
            keys.append(key)
        elif branch is None:
            branch = (tuple(keys), key)
    return tuple(keys), branch


def _inside(error: Any) -> list[str]:
    """What a validator found within the file that a value names, each with its own line."""
    found = [str(p) for p in getattr(error.get("ctx", {}).get("error"), "problems", ())]
    more = len(found) - MOST
    return found if more <= 0 else [*found[:MOST], f"... and {more} more problems of that file"]


def _describe(error: Any, keys: Keys, model: type[BaseModel], places: Places) -> str:
    value, kind, context = error["input"], error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(model, keys[:-1])
        remedy = _mean(str(keys[-1]), known) or f"; known: {', '.join(known)}" if known else ""
        return places.problem(keys, f"unknown key{remedy}")
    if kind == "missing":
        return places.problem(keys, "is missing; add it")
    said = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind in ("literal_error", "enum"):
        options = _words(context.get("expected", ""))
        said = f"must be one of {', '.join(options)}{_mean(str(value), options)}"
    said = said[:1].lower() + said[1:]
    text = repr(value) if len(repr(value)) < 100 else f"{repr(value)[:97]}..."
    shown = "" if isinstance(value, (dict, list, BaseModel)) else f"{text}: "
    return places.problem(keys, f"{shown}{said}")


def _fields_at(model: type[BaseModel], keys: Keys) -> list[str]:
    """Names of the fields of the model that sits at ``keys``, through containers and unions."""
    models = [model]
    for key in keys:
        inner: list[type[BaseModel]] = []
        for one in models:
            field = one.model_fields.get(str(key)) or next(
                (f for f in one.model_fields.values() if f.alias == key), None
            )
            if field is not None:
                inner += _models_in(field.annotation)
            elif isinstance(key, int) or one is not model:
                inner.append(one)  # an index or a free name inside a container
        models = inner or models
    return sorted({f.alias or name for m in models for name, f in m.model_fields.items()})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [m for part in typing.get_args(annotation) for m in _models_in(part)]


def _mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _by_line(problem: str) -> tuple[str, int]:
    match = re.match(r"(.*?):(\d+)(?: \[[^\]]*\])?: ", problem)
    return (match[1], int(match[2])) if match else ("~", 0)  # the command line comes last


def _words(expected: str) -> list[str]:
    return [w.strip().strip("'\"") for w in expected.replace(" or ", ", ").split(",") if w.strip()]

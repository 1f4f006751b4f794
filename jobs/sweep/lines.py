"""YAML that remembers where each value stands."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Keys = tuple[str | int, ...]  # the way to a value from the root: ("space", "lambda_r", "low")


def parse(text: str, name: str) -> tuple[Any, dict[Keys, str], list[str]]:
    """Values, the place of each as "file:line", and all problems of the text as lines."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else 1
        said = getattr(error, "problem", None) or str(error)
        return {}, {}, [f"{name}:{line}: not YAML: {said}; check indentation, colons and quotes"]
    places: dict[Keys, str] = {(): f"{name}:1"}
    problems: list[str] = []
    value = {} if node is None else _value(node, (), name, places, problems)
    return value, places, problems


def read(path: Path) -> tuple[Any, dict[Keys, str], list[str]]:
    """As `parse`, of a file; one that cannot be read is a problem, not an exception."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        near = _near_files(path)
        return {}, {(): str(path)}, [f"{path}: no such file{near}"]
    except (OSError, UnicodeDecodeError) as error:
        return {}, {(): str(path)}, [f"{path}: cannot be read: {error}"]


class _Loader(yaml.SafeLoader):
    """Safe, and with 1e-5 a number: YAML 1.1 asks for a dot before the exponent."""


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)  # fmt: skip


def _value(
    node: yaml.Node, keys: Keys, name: str, places: dict[Keys, str], problems: list[str]
) -> Any:
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            places[(*keys, i)] = f"{name}:{item.start_mark.line + 1}"
        return [_value(v, (*keys, i), name, places, problems) for i, v in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                problems.append(f"{name}:{line}: a key must be a plain word")
                continue
            if key in result:
                problems.append(
                    f"{name}:{line}: {dotted((*keys, key))}: given twice, first in line "
                    f"{first[key]}; remove one"
                )
                continue
            first[key] = line
            places[(*keys, key)] = f"{name}:{line}"
            result[key] = _value(value_node, (*keys, key), name, places, problems)
        return result
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        problems.append(
            f"{name}:{node.start_mark.line + 1}: {dotted(keys)}: {node.value!r} cannot be "
            "understood; quote it if it is text"
        )
        return None
    finally:
        loader.dispose()


def scalar(text: str) -> Any:
    """The value of a text from the command line, read as YAML. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader


def dotted(keys: Keys) -> str:
    """("space", "lambda_r", 0) as "space.lambda_r[0]"."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "(the whole file)"


def _near_files(path: Path) -> str:
    import difflib

    folder = path.parent
    names = [p.name for p in folder.glob("*.yaml")] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.4)
    if close:
        return f'; did you mean "{folder / close[0]}"?'
    return f"; there are: {', '.join(sorted(names))}" if names else ""


def spread(argv: Sequence[str]) -> list[str]:
    """``--set A=1 B=2`` as ``--set A=1 --set B=2``; the sweep's file may stand behind them."""
    found: list[str] = []
    after = False  # a value of --set
    for i, word in enumerate(argv):
        if after and re.match(r"[A-Za-z_][\w.-]*=", word) and not os.path.isfile(word):
            found.append("--set")
        elif word == "--set":
            after = False
        else:
            after = i > 0 and argv[i - 1] == "--set" or word.startswith("--set=")
        found.append(word)
    return found

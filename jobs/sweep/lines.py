"""YAML that remembers where each value stands."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Keys = tuple[str | int, ...]  # the way to a value from the root: ("space", "lambda_r", "low")


MOST_BYTES = 2**18  # of a file
MOST_VALUES = 100_000  # in a file, with what its aliases repeat
DEEPEST = 50  # levels of nesting


def parse(text: str, name: str) -> tuple[Any, dict[Keys, str], list[str]]:
    """Values, the place of each as "file:line", and all problems of the text as lines."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else 1
        said = getattr(error, "problem", None) or str(error)
        return {}, {}, [f"{name}:{line}: not YAML: {said}; check indentation, colons and quotes"]
    except RecursionError:
        return {}, {}, [f"{name}:1: nested deeper than {DEEPEST} levels; write it flatter"]
    reader = _Reader(name)
    try:
        value = {} if node is None else reader.value(node, ())
    except _TooMuch as error:
        return {}, {}, [str(error)]
    return value, reader.places, reader.problems


def read(path: Path) -> tuple[Any, dict[Keys, str], list[str]]:
    """As `parse`, of a file; one that cannot be read is a problem, not an exception."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            said = f"{path}: more than {MOST_BYTES} bytes; give a file of settings"
            return {}, {(): str(path)}, [said]
        return parse(data.decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        near = _near_files(path)
        return {}, {(): str(path)}, [f"{path}: no such file{near}"]
    except (OSError, UnicodeDecodeError) as error:
        return {}, {(): str(path)}, [f"{path}: cannot be read: {error}"]


class _Loader(yaml.SafeLoader):
    """Safe, with the scalars of YAML 1.2: 1e-5 is a number; yes, off, 010, 4:00:00 and 2026-12-01
    are texts."""


_KINDS = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)",
    "float": r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
             r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
}  # fmt: skip
_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0].removeprefix(_TAG) not in {*_KINDS, "timestamp"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in _KINDS.items():
    _Loader.add_implicit_resolver(
        _TAG + _name, re.compile(f"^(?:{_pattern})$"), list("-+.0123456789tTfF")
    )


class _TooMuch(Exception):
    """The text holds more than any file of settings."""


class _Reader:
    """Values of nodes, with their places and problems. Aliases are repeated, within bounds."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0
        self.places: dict[Keys, str] = {(): f"{name}:1"}
        self.problems: list[str] = []

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        self.count += 1
        if len(keys) > DEEPEST or self.count > MOST_VALUES:
            raise _TooMuch(
                f"{self._at(node)}: {dotted(keys[:4])}: more than {MOST_VALUES} values or deeper"
                f" than {DEEPEST} levels, aliases counted; write it flatter and without them"
            )
        if isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                place: Keys = (*keys, i)
                self.places[place] = self._at(item)
            return [self.value(item, (*keys, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        return self._scalar(node, keys)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.problems.append(f"{self.name}:{line}: a key must be a plain word")
                continue
            if key in result:
                self.problems.append(
                    f"{self.name}:{line}: {dotted((*keys, key))}: given twice, first in line "
                    f"{first[key]}; remove one"
                )
                continue
            first[key] = line
            place: Keys = (*keys, key)
            self.places[place] = f"{self.name}:{line}"
            result[key] = self.value(value_node, (*keys, key))
        return result

    def _scalar(self, node: yaml.Node, keys: Keys) -> Any:
        loader, shown = _Loader(""), repr(node.value)[:80]
        try:
            value = loader.construct_object(node)
        except (yaml.YAMLError, ValueError, ArithmeticError, TypeError, AttributeError):
            self.problems.append(f"{self._at(node)}: {dotted(keys)}: {shown} cannot be understood;"
                                 " quote it if it is text")  # fmt: skip
            return None
        finally:
            loader.dispose()
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(f"{self._at(node)}: {dotted(keys)}: {shown} is no finite number;"
                                 " give one, or leave the key out")  # fmt: skip
            return None
        return value

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"


def scalar(text: str) -> Any:
    """The value of a text from the command line, read as YAML. Raises ValueError saying why not."""
    value, _, problems = parse(text, "value") if text.strip() else (None, {}, [])
    if problems:
        said = [one.split(": ", 1)[1].removeprefix(f"{dotted(())}: ") for one in problems]
        raise ValueError("; ".join(said))
    return value


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

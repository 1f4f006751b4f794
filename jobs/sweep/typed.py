"""Values of another type than their field, which pydantic would turn into it: a yes as 1, '010' as
ten. Nobody who writes these means that, so each is an error with the remedy."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, BeforeValidator

from jobs.sweep.lines import Keys


def mistyped(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """Such values within those of a model: their keys, and a sentence."""
    for name, field in model.model_fields.items():
        if name in values and not _reads_itself(field.metadata):
            for keys, said in _within(field.annotation, values[name]):
                yield (name, *keys), said


def refuse(name: str, annotation: Any, value: Any) -> None:
    """Raises ValueError for such a value of a searched setting or one of a row, which are recorded
    as they were written; for 'yes' in place of true, too."""
    said = next((said for _, said in _within(annotation, value)), None)
    if said is None and isinstance(value, str) and bool in _branches(annotation):
        said = f"{value!r} is a text; write true or false, without quotes"
    if said is not None:
        raise ValueError(f"{name}: {said}")


def _within(annotation: Any, value: Any) -> Iterator[tuple[Keys, str]]:
    kinds = list(_branches(annotation))
    if Any in kinds:
        return
    if isinstance(value, dict):
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from mistyped(kind, value)
            elif typing.get_origin(kind) in (dict, Mapping):
                inner = typing.get_args(kind)[1]
                for key, one in value.items():
                    yield from (((key, *keys), said) for keys, said in _within(inner, one))
    elif isinstance(value, (list, tuple)):
        for kind in kinds:
            parts = typing.get_args(kind)
            if typing.get_origin(kind) not in (tuple, list) or not parts:
                continue
            for i, one in enumerate(value):
                inner = parts[0] if len(parts) == 1 or parts[-1] is Ellipsis else (
                    parts[min(i, len(parts) - 1)])  # fmt: skip
                yield from (((i, *keys), said) for keys, said in _within(inner, one))
    elif (said := _scalar(kinds, value)) is not None:
        yield (), said


def _scalar(kinds: list[Any], value: Any) -> str | None:
    number, text = bool({int, float} & set(kinds)), str in kinds
    words = [word for kind in kinds if typing.get_origin(kind) is typing.Literal
             for word in typing.get_args(kind)]  # fmt: skip
    if isinstance(value, bool):
        if number and bool not in kinds:
            return f"{str(value).lower()} is a yes or no, and a number is wanted; write the number"
        if text:
            return f"{str(value).lower()} is a yes or no, and a text is wanted; put it in quotes"
    elif isinstance(value, (int, float)):
        if text and not number and bool not in kinds:
            return f"{value} is a number, and a text is wanted; put it in quotes"
    elif isinstance(value, str) and number and not text and value not in words:
        value = value.strip()
        shown = repr(value) if len(value) < 100 else f"{repr(value)[:97]}..."
        if _numeric(value):
            return (f"{shown} is a text, and a number is wanted; write it without quotes and"
                    " without leading zeros")  # fmt: skip
        if value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return f"{shown} is a yes or no, and a number is wanted; write the number"
        for mark, what in ((":", "time"), ("-", "date")):
            if mark in value and value.replace(mark, "").isdecimal():
                return f"{shown} is a {what}, and a number is wanted; write the number"
    return None


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _branches(annotation: Any) -> Iterator[Any]:
    """The kinds of a union, without their metadata; `Any` for what reads its values itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *metadata = typing.get_args(annotation)
        yield from [Any] if _reads_itself(metadata) else _branches(annotation)
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for one in typing.get_args(annotation):
            yield from _branches(one)
    else:
        yield annotation


def _reads_itself(metadata: Any) -> bool:
    return any(isinstance(one, BeforeValidator) for one in metadata)

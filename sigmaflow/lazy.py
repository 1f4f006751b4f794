"""Packages whose names are imported when they are first asked for (PEP 562).

Reading a sweep needs the settings that live beside the networks, not torch.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package, read from its own ``__init__.py``.

    What that file imports with ``from .module import name`` below ``if TYPE_CHECKING:`` is what
    the package offers: one list for type checkers, for the hash of a stage's sources, and here.
    Raises ValueError where a submodule has the name of what it defines, since importing it would
    put the module where the name belongs.
    """
    home: dict[str, str] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for one in node.body:
                if isinstance(one, ast.ImportFrom) and one.level == 1 and one.module:
                    home |= {alias.asname or alias.name: one.module for alias in one.names}
    clash = sorted(set(home) & set(home.values()))
    if clash:
        raise ValueError(f"{package}: {', '.join(clash)} would be a module and a name in it")

    def lookup(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return lookup, lambda: sorted(home)

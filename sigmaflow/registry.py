"""Objects that stand one in a file, found by listing the files of a package."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any


@cache
def listed(package: str, attribute: str) -> dict[str, Any]:
    """The objects called ``attribute`` in the modules of a package, by their own ``name``.

    A module whose name begins with ``_`` holds what several share, and is passed over.

    Args:
        package: Dotted name, such as ``sigmaflow.quantities``.
        attribute: Name of the module's variable, such as ``QUANTITY``.

    Raises:
        ValueError: A module has no such variable, or its object is not called as the file is.
    """
    found: dict[str, Any] = {}
    names = (m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__))
    for name in sorted(n for n in names if not n.startswith("_")):
        one = getattr(importlib.import_module(f"{package}.{name}"), attribute, None)
        if one is None:
            raise ValueError(f"{package}.{name} has no {attribute}; give it one, or begin the "
                             "file's name with _ if it holds what several share")  # fmt: skip
        if one.name != name:
            raise ValueError(f"{package}.{name}: its {attribute} is called {one.name!r}; call it "
                             "as the file is called")  # fmt: skip
        found[name] = one
    return found

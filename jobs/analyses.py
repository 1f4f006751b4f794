"""``python -m jobs.analyses``: which analyses a sweep file may ask for, with settings and columns.

`docs/analyses.md` is its output: `python -m jobs.analyses --write docs/analyses.md`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.stages.analysis import ANALYSES
from jobs.stages.quantity import QUANTITIES
from sigmaflow.analysing import Analysis, Table
from sigmaflow.measuring import Quantity

HEAD = """\
# Analyses

A sweep file asks for them by name, in `kind: sweep`, `rehearsal` and `score`:

```yaml
analyses:
  truncation: {psis: [0.0, 0.7, 1.0]}
```

Each is made of every generator that the sweep compares: the original, what was tuned with a reward,
and controls, tuned without one. The tables of all generators are joined to
`runs/tables/<sweep>-<table>.parquet` and `.tex`, with `generator` and `role` in front; units and
meanings stand in the metadata of the Parquet file. An analysis that fails takes no other result
with it.

What analyses read are *quantities*: numbers of one shape after another. They are measured in blocks
of seeds and kept, so analyses of the same shapes share them, and more seeds add to those that are
there. `device: cuda` measures them on a GPU; numbers of the two devices differ in the last bits.

This page is written by `python -m jobs.analyses`. A new one is a file in `sigmaflow/analyses/`
([contributing.md](contributing.md#a-new-analysis)).
"""


def page() -> str:
    """All analyses and quantities as Markdown."""
    parts = [HEAD]
    parts += ["\n".join(_analysis(one)) for one in ANALYSES.values()]
    parts += ["## Quantities\n", *("\n".join(_quantity(one)) for one in QUANTITIES.values())]
    return "\n".join(parts).rstrip() + "\n"


def _analysis(one: Analysis) -> Iterator[str]:
    yield f"## {one.name}\n"
    yield _said(one.asks) + (f" Paper: {one.paper}.\n" if one.paper else "\n")
    yield from _settings(f"analyses.{one.name}", one.settings)
    for table in one.tables:
        yield from _table(table)


def _quantity(one: Quantity) -> Iterator[str]:
    yield f"### {one.name}\n"
    yield f"{_said(one.prepare)} Reads: {', '.join(one.files) or 'the generator alone'}.\n"
    yield "| column | unit | meaning |\n|---|---|---|"
    for column in one.columns:
        yield f"| `{column.name}` | {column.unit} | {column.meaning} |"
    yield ""


def _said(function: Any) -> str:
    """The first paragraph of the module that a function is of."""
    text = inspect.getdoc(sys.modules[function.__module__]) or ""
    head, _, rest = text.partition("\n\n")
    return " ".join((head + " " + rest.partition("\n\n")[0]).split())


def _settings(above: str, model: Any) -> Iterator[str]:
    if not model.model_fields:
        return
    yield "| key | default | meaning |\n|---|---|---|"
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = default if isinstance(default, str) else json.dumps(default)
        yield f"| `{above}.{name}` | {shown} | {' '.join((field.description or '').split())} |"
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"Table `{table.name}`: {table.caption}\n"
    yield "| column | unit | meaning |\n|---|---|---|"
    for name, one in table.columns.items():
        yield f"| `{name}` | {one['unit']} | {one['meaning']} |"
    yield ""


def main(argv: Sequence[str] | None = None) -> int:
    """0; 2 where the page cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m jobs.analyses", description=__doc__)
    parser.add_argument("--write", metavar="FILE", help="write the page there")
    args = parser.parse_args(argv)
    if args.write is None:
        print(page(), end="")
        return 0
    try:
        Path(args.write).write_text(page(), encoding="utf-8")
    except OSError as error:
        print(f"--write {args.write}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main))

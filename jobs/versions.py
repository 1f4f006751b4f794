"""Whether a stage's version still vouches for its sources: ``python -m jobs.versions``.

A stage's result is found by its version, not by its code. So the code is hashed, a test compares
the hashes with a record, and whoever changes a source must say what it means: raise the stage's
version (other bytes may come out, old results are not used) or waive it (the same bytes).
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jobs.store.stage import Stage
from sigmaflow.atomic import write_json

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "jobs" / "stage_sources.json"
FILES = ROOT / "jobs" / "stage_files.json"  # by file the stages whose source it is
FOLLOWED = ("sigmaflow", "jobs.stages")  # the machinery around a stage gives it no bytes
REGISTER = "jobs.stages"  # the package's own file only lists the stages

Record = dict[str, dict[str, Any]]


def sources(stage: Stage, root: Path = ROOT) -> list[Path]:
    """Every file that a stage imports from FOLLOWED, directly or not, and what it declares.

    Imports are read, not run, those inside functions too. Raises FileNotFoundError for a
    declared source that is not there.
    """
    found: set[Path] = set()
    for name in stage.sources:
        path = root / name
        path = path if path.exists() else path.with_suffix(".py")
        if not path.exists():
            raise FileNotFoundError(f"stage {stage.name}: source {name} does not exist")
        found.update(path.rglob("*.py") if path.is_dir() else [path])
    todo = [stage.run.partition(":")[0], *stage.imports]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module in seen or module == REGISTER or _is_in(module, stage.without):
            continue
        seen.add(module)
        file = _file(module, root)
        if file is not None:
            found.add(file)
            todo += [m for m in _imports(file, module) if m.startswith(FOLLOWED)]
    return sorted(found)


def _is_in(module: str, packages: Iterable[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def digest(stage: Stage, root: Path = ROOT) -> str:
    """One sha256 of names and texts of all its sources."""
    return digest_of(sources(stage, root), root)


def files_of(stages: Iterable[Stage], root: Path = ROOT) -> dict[str, str]:
    """By source file the names of its stages: so a launch can hash without reading imports."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        for path in sources(stage, root):
            found.setdefault(path.relative_to(root).as_posix(), []).append(stage.name)
    return {name: " ".join(found[name]) for name in sorted(found)}


def digest_of(paths: Iterable[Path], root: Path = ROOT) -> str:
    """One sha256 of names and texts. Raises OSError."""
    total = hashlib.sha256()
    for path in paths:
        text = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{path.relative_to(root).as_posix()}\0{len(text)}\0".encode() + text)
    return total.hexdigest()


def problems(stages: Iterable[Stage], record: Record, root: Path = ROOT) -> list[str]:
    """What the record does not vouch for, one line a stage, with the remedy."""
    found = []
    for stage in stages:
        known = record.get(stage.name)
        if known is None or known["version"] < stage.version:
            new = f"version {stage.version} is new"
            found.append(f"{stage.name}: {new}; run python -m jobs.versions")
        elif known["version"] > stage.version:
            found.append(f"{stage.name}: version {stage.version} was {known['version']} before")
        elif known["sha256"] != digest(stage, root):
            found.append(
                f"{stage.name}: its sources changed and its version did not. If results may "
                "change, raise the version and run python -m jobs.versions; if not, run "
                'python -m jobs.versions --waive "why the bytes stay the same"'
            )
    return found


def update(
    stages: Iterable[Stage], record: Record, waive: str = "", root: Path = ROOT
) -> tuple[Record, list[str]]:
    """The record after new and raised versions, and waived changes; and what was refused."""
    new: Record = {}
    refused = []
    for stage in stages:
        known, now = record.get(stage.name), digest(stage, root)
        if known is None or known["version"] < stage.version:
            new[stage.name] = {"version": stage.version, "sha256": now, "waivers": []}
        elif known["version"] == stage.version and (known["sha256"] == now or waive):
            waivers = list(known["waivers"])
            if known["sha256"] != now:
                waivers.append({"from": known["sha256"], "to": now, "reason": waive})
            new[stage.name] = {**known, "sha256": now, "waivers": waivers}
        else:
            new[stage.name] = known
            refused += problems([stage], record, root)
    return new, refused


def load_record(path: Path = RECORD) -> Record:
    """The record, empty where there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the record; 1 when something was refused."""
    from jobs.stages import ALL

    parser = argparse.ArgumentParser(prog="python -m jobs.versions", description=__doc__)
    parser.add_argument("--waive", default="", metavar="REASON", help="why the bytes stay the same")
    given = parser.parse_args(arguments)
    record, refused = update(ALL, load_record(), given.waive)
    write_json(RECORD, record)
    write_json(FILES, files_of(ALL))
    print("\n".join(refused) or f"{len(record)} stages recorded")
    return 1 if refused else 0


def _file(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.exists():
            return file
    return None


def _imports(file: Path, module: str) -> Iterator[str]:
    """Modules that a file names in its imports, with the packages above them."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    yield from _imported(file.read_text(encoding="utf-8"), package)


@cache
def _imported(text: str, package: str) -> tuple[str, ...]:
    """As `_imports`, of a text; most files are sources of several stages."""
    return tuple(_named(text, package))


def _named(text: str, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            base = base if node.level else node.module or ""
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:i]) for i in range(1, len(parts) + 1))


if __name__ == "__main__":
    sys.exit(main())

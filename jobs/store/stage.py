"""What a stage is, what one task of it is, and the key by which its result is found."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Union

from sigmaflow.files import sha256_file

ANALYSIS = "analysis_"  # begins the names of stages that analyse one generator
REPORT = "report_"  # begins the names of those that join them: what they leave is published


@dataclass(frozen=True)
class Stage:
    """A kind of work: a function, an integer version, and what it would like to run on."""

    name: str  #: also its folder in the store
    version: int  #: raised whenever the same config and inputs would give other bytes
    run: str  #: "package.module:function"; imported only where it runs, called with a Context
    sources: tuple[str, ...] = ()  #: files and folders, from the root, that the version vouches for
    imports: tuple[str, ...] = ()  #: modules that it vouches for with all that they import
    without: tuple[str, ...] = ()  #: packages that it does not vouch for, though they are imported
    gpu: float = 0.0  #: GPUs, or a share of one, that it takes where the profile has any
    actor: bool = False  #: a training: on a GPU in a process of its own, gone when it is done
    torch: bool = True  #: False for stages without torch, which spares them its import

    @property
    def schema(self) -> str:
        """Names the columns of its tables: they change with the version only."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class FileInput:
    """A file or folder that no stage made; it counts by content, not by name or date."""

    path: str | Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", os.path.abspath(self.path))

    @cached_property
    def digest(self) -> str:
        """sha256 of the content. Raises FileNotFoundError."""
        return file_digest(self.path)

    @classmethod
    def known(cls, file: str | Path, digest: str) -> FileInput:
        """A file whose digest somebody else took; whoever opens it checks (`Context.input`)."""
        made = cls(file)
        made.__dict__["digest"] = digest
        return made


Input = Union["Task", FileInput]


@dataclass(frozen=True, eq=False)
class Task:
    """One node of the graph: a stage, its config and its inputs. Equal when the keys are.

    ``config`` holds JSON values only and must have an integer ``threads``, because float sums
    depend on it. Raises TypeError or ValueError naming the field that cannot be keyed.
    """

    stage: Stage
    config: Mapping[str, Any]
    inputs: Mapping[str, Input | tuple[Input, ...]] = field(default_factory=dict)
    label: str = ""  #: for people; no part of the key

    def __post_init__(self) -> None:
        config = plain(self.config, self.stage.name)
        threads = config.get("threads")
        if type(threads) is not int or threads < 1:
            raise ValueError(f"{self.stage.name}.threads: {threads!r} must be an integer >= 1")
        inputs = {
            name: tuple(value) if isinstance(value, (tuple, list)) else value
            for name, value in self.inputs.items()
        }
        object.__setattr__(self, "config", config)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "label", self.label or self.stage.name)

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON of stage, version, config and input keys."""
        return hashlib.sha256(canonical(self.spec()).encode()).hexdigest()

    def spec(self) -> dict[str, Any]:
        """All that the key depends on; `Store` keeps it in ``task.json`` for people."""
        return {
            "stage": self.stage.name,
            "version": self.stage.version,
            "config": self.config,
            "inputs": {
                name: [_identity(v) for v in value]
                if isinstance(value, tuple)
                else _identity(value)
                for name, value in self.inputs.items()
            },
        }

    def needs(self) -> Iterator[Task]:
        """The tasks whose results it reads, in order."""
        for value in self.inputs.values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Task):
                    yield one

    def files(self) -> Iterator[FileInput]:
        """The outside files that it reads, in order."""
        for value in self.inputs.values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, FileInput):
                    yield one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def walk(tasks: Task | list[Task] | tuple[Task, ...], known: Container[str] = ()) -> list[Task]:
    """Every task of the graph once, inputs before those who need them.

    Tasks whose keys are ``known`` are left out, and so is what they need.
    """
    seen: dict[str, Task] = {}
    stack = [tasks] if isinstance(tasks, Task) else list(tasks)[::-1]
    while stack:
        task = stack[-1]
        if task.key in seen or task.key in known:
            stack.pop()
            continue
        missing = [n for n in task.needs() if n.key not in seen and n.key not in known]
        if missing:
            stack.extend(missing[::-1])
        else:
            seen[task.key] = task
            stack.pop()
    return list(seen.values())


def canonical(value: object) -> str:
    """One text for equal values: sorted keys, no spaces, floats by repr, tuples as lists.

    1 and 1.0 differ. Raises TypeError for what is not JSON and ValueError for NaN or infinity.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain(value: Any, where: str = "value") -> Any:
    """A deep copy in JSON's own types; errors as in `canonical`, naming the field."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} has no JSON form; use null or a finite number")
        return value
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"{where}: key {key!r} must be a string")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"{where}: {value!r} ({type(value).__name__}) is not a JSON value")


LONG = 4 * 2**30  # bytes of a file whose reading is worth a word
log = logging.getLogger(__name__)
known_digests: dict[tuple[str, int, int], str] = {}  # by path, size, time of change (ns)


def file_digest(path: str | Path) -> str:
    """sha256 of a file, remembered by path, size and time of change (`jobs.store.digests`).

    A folder's is that of the names and digests of all files below it.
    """
    path = os.path.abspath(path)
    size, changed = extent(path)
    known = (path, size, changed)
    if known not in known_digests:
        if size >= LONG:
            log.warning("reading %s (%.0f GB) for its digest, once", path, size / 1e9)
        folder = os.path.isdir(path)
        known_digests[known] = _folder_digest(Path(path)) if folder else sha256_file(path)
    return known_digests[known]


def extent(path: str | Path) -> tuple[int, int]:
    """Bytes and the latest time of change (ns) of a file, or of a folder with all below it."""
    status = os.stat(path)
    if not os.path.isdir(path):
        return status.st_size, status.st_mtime_ns
    size, changed = 0, status.st_mtime_ns
    for one in Path(path).rglob("*"):  # a folder's own time tells of names that came and went
        if one.is_symlink() and not one.exists():
            continue  # a link to nothing, such as an editor's lock, holds no bytes
        status = one.stat()
        size += 0 if one.is_dir() else status.st_size
        changed = max(changed, status.st_mtime_ns)
    return size, changed


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for name, path in sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*")):
        if path.is_file():
            total.update(f"{name}\0{sha256_file(path)}\n".encode())
    return total.hexdigest()


def _identity(value: Input) -> str:
    if isinstance(value, Task):
        return value.key
    if isinstance(value, FileInput):
        return f"file:{value.digest}"
    raise TypeError(f"an input must be a Task or a FileInput, not {value!r}")

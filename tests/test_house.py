"""The rules of the house, read from the syntax tree of every file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "sigmaflow": {"ray", "mlflow", "optuna", "submitit", "jobs", "cluster"},
    "cluster": {"jobs", "sigmaflow", "mlflow", "optuna"},
    "jobs": {"tests"},
}
LONGEST = 400  # lines of a module


def files():
    return [p for room in FORBIDDEN for p in sorted((ROOT / room).rglob("*.py"))]


def imports(tree):
    """(line, top-level package) of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Call) and dotted(node.func, {}).endswith("import_module"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value).split(".")[0]


LATER = {
    "typing": {"Self", "Never", "LiteralString", "Required", "NotRequired", "Unpack",
               "TypeVarTuple", "assert_never", "assert_type", "reveal_type", "override",
               "dataclass_transform", "TypeAliasType", "ReadOnly", "TypeIs"},
    "enum": {"StrEnum"}, "datetime": {"UTC"}, "itertools": {"batched"},
    "tomllib": {"load", "loads"}, "hashlib": {"file_digest"}, "contextlib": {"chdir"},
}  # fmt: skip
"""What Python 3.11 and later have and 3.10, the oldest that is promised, has not."""


def later_names(tree):
    """(line, name) of every import that fails under Python 3.10."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            missing = LATER.get(node.module, set())
            yield from ((node.lineno, a.name) for a in node.names if a.name in missing)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name == "tomllib")


def dotted(node, names):
    """`a.b.c` as text, with the first name replaced by what it was imported as.

    What stands on no name, as in `f().eval`, keeps its dot: it is a method of some value.
    """
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ".".join(["", *reversed(parts)])
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
READERS = {"load", "loads", "Unpickler", "_Unpickler", "_load", "_loads", "open"}
ALWAYS = {
    "torch.jit.load", "pandas.read_pickle", "pd.read_pickle", "pandas.io.pickle.read_pickle",
    "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all",
    "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.Loader", "eval", "exec", "builtins.eval",
    "builtins.exec", "marshal.loads", "marshal.load", "torch.serialization._legacy_load",
    "torch.storage._load_from_bytes", "torch.package.PackageImporter",
}  # fmt: skip
TORCH_LOADS = {"torch.load", "torch.serialization.load"}
NUMPY_LOADS = {"numpy.load", "np.load"}


def aliases(tree):
    """What every name stands for: imports, and plain assignments of what was imported."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute):
            stands = dotted(node.value, names)
            if is_reader(stands) or stands in TORCH_LOADS | NUMPY_LOADS | PICKLERS:
                names |= {t.id: stands for t in node.targets if isinstance(t, ast.Name)}
    return names


def is_reader(name):
    room, _, what = name.rpartition(".")
    return name in ALWAYS or (room in PICKLERS and what in READERS)


def unsafe_loads(tree):
    """What runs code out of a file: named, whether it is called there or handed on."""
    names = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            if not isinstance(getattr(node, "ctx", None), ast.Load):
                continue
            name = dotted(node, names)
            if is_reader(name):
                yield node.lineno, name
        elif isinstance(node, ast.ClassDef):
            continue  # its bases are names
        elif isinstance(node, ast.Call):
            yield from unsafe_calls(node, names)


def unsafe_calls(node, names):
    name = dotted(node.func, names)
    given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
    if name in TORCH_LOADS and given.get("weights_only") is not True:
        yield node.lineno, "torch.load without weights_only=True"
    elif name in NUMPY_LOADS and (
        given.get("allow_pickle", False) is not False or len(node.args) > 2 or None in given
    ):
        yield node.lineno, "numpy.load with allow_pickle"
    elif name in {"getattr", "operator.attrgetter", "importlib.import_module", "__import__"}:
        room = dotted(node.args[0], names) if node.args else ""
        said = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if any(is_reader(f"{room}.{s}") or s in PICKLERS for s in said):
            yield node.lineno, f"{name} of a reader"
        if any(f"{room}.{s}" in TORCH_LOADS | NUMPY_LOADS for s in said):
            yield node.lineno, f"{name} of a reader"


def everything():
    """All Python of the repository: files, and the blocks of its documents."""
    skip = {".git", ".venv", "venv", "build", "runs", "node_modules", "__pycache__"}
    for path in sorted(ROOT.rglob("*.py")):
        if not skip & set(path.relative_to(ROOT).parts[:-1]):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]):
        for i, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S)):
            yield f"{path.relative_to(ROOT).as_posix()} block {i}", block


# The documents' blocks, which are read here too, and the recipe of the golden rewards.
DOES_RUN_CODE = {"tests/test_docs.py": {"exec"}, "tests/sigmaflow/test_rewards.py": {"exec"}}


@pytest.mark.parametrize("name, text", everything(), ids=lambda v: v if len(v) < 60 else "")
def test_nothing_anywhere_runs_code_out_of_a_file(name, text):
    let = DOES_RUN_CODE.get(name, set())
    wrong = [f"{name}:{n}: {what}" for n, what in unsafe_loads(ast.parse(text)) if what not in let]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_exist_under_the_oldest_python(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"{path.name}:{n}: {name}" for n, name in later_names(tree)] == []


@pytest.mark.parametrize(
    "code",
    ["from typing import Any, Self", "import tomllib", "def f():\n    from enum import StrEnum"],
)
def test_imports_of_later_pythons_are_seen(code):
    assert list(later_names(ast.parse(code)))


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_ignored_types_have_a_code_and_a_reason(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = [f"{path.name}:{n}: {line.strip()}" for n, line in enumerate(lines, 1)
            if re.search(r"#\s*type:\s*ignore(?!\[[\w, -]+\]  # \w)", line)]  # fmt: skip
    assert bare == []


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rooms_and_sizes(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(ROOT)
    banned = FORBIDDEN[where.parts[0]]
    wrong = [f"{where}:{n}: imports {m}" for n, m in imports(tree) if m in banned]
    assert not wrong, "\n".join(wrong)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, f"{where} is too long"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads as l\nl(b)",
        "import pickle as p\np.Unpickler(f)",
        "import torch\ntorch.load(f)",
        "import torch as t\nt.load(f, weights_only=False)",
        "import torch\ntorch.load(f, weights_only=flag)",
        "from torch import load\nload(f)",
        "import torch\ntorch.jit.load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "eval('1')",
        "import torch\ntorch.serialization.load(f)",
        "from torch.serialization import load as get\nget(f)",
        "import pandas as pd\npd.read_pickle(f)",
        "from pandas import read_pickle as r\nr(f)",
        "import pickle\nclass U(pickle.Unpickler):\n    pass",
        "import pickle\nread = pickle.load\nread(f)",
        "import pickle\nmap(pickle.loads, blobs)",
        "import pickle as p\nq = p\nq.loads(b)",
        "import pickle\ngetattr(pickle, 'load')(f)",
        "import torch\ngetattr(torch, 'load')(f)",
        "import importlib\nimportlib.import_module('pickle').load(f)",
        "__import__('pickle').load(f)",
        "import yaml\nyaml.load(f, Loader=yaml.Loader)",
        "import numpy as np\nnp.load(f, None, True)",
        "import numpy as np\nnp.load(f, **options)",
        "import shelve\nshelve.open(f)",
        "import torch\nread = torch.load\nread(f)",
    ],
)
def test_unsafe_loads_are_seen(code):
    assert list(unsafe_loads(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load(f, weights_only=True)",
        "import json\njson.load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=False)",
        "model.eval()",
        "build(x).eval()",
        "models[0].eval().requires_grad_(False)",
        "(a or b).exec('x')",
        "from safetensors.torch import load_file\nload_file(f)",
        "import pickle\npickle.dumps(x)",
        "import pickle\nclass P(pickle.Pickler):\n    pass",
        "import yaml\nyaml.safe_load(f)",
        "open(f)",
        "getattr(module, name)(x)",
    ],
)
def test_safe_loads_are_let_through(code):
    assert not list(unsafe_loads(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import ray",
        "def f():\n    from ray.util import x",
        "import os, ray.data",
        "import importlib\nimportlib.import_module('ray')",
    ],
)
def test_imports_are_seen(code):
    assert "ray" in {m for _, m in imports(ast.parse(code))}


def test_a_wheel_holds_every_file_that_the_code_reads_beside_itself():
    """Sweeps and scales, profiles and records: an installed package has no tree around it."""
    tomllib = pytest.importorskip("tomllib")
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in told["packages"]["find"]["include"]}
    held = {path for name, patterns in told["package-data"].items() for pattern in patterns
            for path in (ROOT / name).glob(pattern)}  # fmt: skip
    wanted = [path for folder in ("sweeps", "cluster", "jobs", "sigmaflow")
              for path in (ROOT / folder).rglob("*") if path.is_file()
              and path.suffix != ".py" and path.parent.name != "__pycache__"]  # fmt: skip
    assert {path.relative_to(ROOT).parts[0] for path in wanted} <= packages
    assert [path for path in wanted if path not in held] == []

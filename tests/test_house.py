"""The rules of the house, read from the syntax tree of every file."""

import ast
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


def unsafe_loads(tree):
    """Calls that run code out of a file."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    picklers = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, names)
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        room, _, what = name.rpartition(".")
        if room in picklers and what in {"load", "loads", "Unpickler"}:
            yield node.lineno, name
        elif name == "torch.load" and given.get("weights_only") is not True:
            yield node.lineno, "torch.load without weights_only=True"
        elif name in {"torch.jit.load", "pandas.read_pickle", "pd.read_pickle"}:
            yield node.lineno, name
        elif name in {"numpy.load", "np.load"} and given.get("allow_pickle", False) is not False:
            yield node.lineno, "numpy.load with allow_pickle"
        elif name in {"yaml.unsafe_load", "yaml.full_load", "eval", "exec"}:
            yield node.lineno, name


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rooms_and_loads(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(ROOT)
    banned = FORBIDDEN[where.parts[0]]
    wrong = [f"{where}:{n}: imports {m}" for n, m in imports(tree) if m in banned]
    wrong += [f"{where}:{n}: {what} runs code out of a file" for n, what in unsafe_loads(tree)]
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

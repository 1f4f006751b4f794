"""The documents say what is there: links, commands, keys, defaults, columns."""

from __future__ import annotations

import json
import re
import subprocess
import typing
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cluster import profile as profiles
from jobs.analyses import page
from jobs.stages.analysis import ANALYSES
from jobs.sweep.kinds import KINDS
from sigmaflow.rewards.evaluate import Accuracy
from sigmaflow.statistics.closeness import Closeness
from sigmaflow.statistics.diversity import Diversity
from sigmaflow.statistics.preferences import Preference
from sigmaflow.statistics.shift import Shift
from sigmaflow.statistics.slope import Slope

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {path: path.read_text(encoding="utf-8") for path in DOCS}
OPTIONS = {
    option
    for room in ("jobs", "benchmarks", "tests")
    for path in (ROOT / room).rglob("*.py")
    for option in re.findall(r'"(--[a-z][a-z-]*)"', path.read_text(encoding="utf-8"))
}
OPTIONS |= {"--no-deps"}  # pip's own
IN_CODE = "in code"  # a default too long for a table


def links():
    for path, text in TEXT.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
            if not re.match(r"[a-z]+:", target):
                yield path, target


@pytest.mark.parametrize("path, target", links(), ids=lambda v: getattr(v, "name", v))
def test_links_lead_somewhere(path, target):
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path
    assert there.exists(), f"{path.name}: {target} does not exist"
    if anchor:
        heads = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), flags=re.M)
        assert anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads]


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_commands_and_files_exist(path):
    text = TEXT[path]
    for module in re.findall(r"python -m (jobs[\w.]*)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
    named = re.findall(r"(?<![\w./])((?:sweeps|cluster|jobs|sigmaflow|tests|docs)/[\w./-]+)", text)
    for name in named:
        name = name.rstrip(".")
        known = name == "sweeps/mine.yaml" or name.endswith(".png")  # an example; a link
        assert known or (ROOT / name).exists(), f"{path.name} names {name}"
    for option in re.findall(r"(?<=[ `\[])--[a-z][a-z-]*", text):
        assert option in OPTIONS, f"{path.name}: {option}"


def test_readme_has_the_two_commands():
    lines = TEXT[ROOT / "README.md"].splitlines()
    assert "pip install -e . && python -m jobs.launch sweeps/lambda.yaml" in lines
    assert "pip install -e '.[test]' && pytest" in lines


def test_every_shipped_sweep_and_profile_is_described():
    users, operators = TEXT[ROOT / "docs/users.md"], TEXT[ROOT / "docs/operators.md"]
    for path in (ROOT / "sweeps").glob("*.yaml"):
        assert f"`sweeps/{path.name}`" in users, path.name
    for path in (ROOT / "cluster").glob("*.yaml"):
        assert f"| `{path.stem}`" in operators, path.name


# ---------------------------------------------------------------------- keys of sweep files


def models(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in models(part)]


def leaves(model, above="", section=None):
    """(dotted key, default) of every setting below a model; the section's default rules."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if section is not None:
            default = getattr(section, name)
        inner = models(field.annotation)
        if not inner:
            yield above + name, default
            continue
        named = "<name>." if typing.get_origin(field.annotation) is dict else ""
        own = default if isinstance(default, BaseModel) else None
        yield from leaves(inner[0], f"{above}{name}.{named}", own)


def shown(default):
    if default is PydanticUndefined:
        return "required"
    return default if isinstance(default, str) else json.dumps(default).replace('"', "")


def described(path):
    """(key, default) of every row of the tables `| key | default | meaning |`."""
    for table in re.findall(r"\| key \| default \| meaning \|\n.*?\n((?:\|.*\n)+)", TEXT[path]):
        for row in table.splitlines():
            key, default, meaning = (cell.strip() for cell in row.strip("|").split(" | ", 2))
            assert meaning.strip("| "), f"{key} has no meaning"
            yield key.strip("`"), default


def compare(path, settings):
    rows = list(described(path))
    said = dict(rows)
    assert len(rows) == len(said), "a key is described twice"
    assert set(said) - set(settings) == set(), "described, but no setting"
    assert set(settings) - set(said) == set(), "a setting that is not described"
    wrong = {k: (said[k], shown(d)) for k, d in settings.items()
             if said[k] not in (shown(d), IN_CODE)}  # fmt: skip
    assert not wrong, "defaults (described, in code)"


def test_every_key_of_a_sweep_file_is_described():
    keys = {k: d for m in KINDS.values() for k, d in leaves(m)}
    there = {k: d for k, d in keys.items() if k.startswith("analyses.")}
    compare(ROOT / "docs/users.md", {k: d for k, d in keys.items() if k not in there})
    compare(ROOT / "docs/analyses.md", there)


def test_the_page_of_analyses_is_what_its_command_writes():
    assert TEXT[ROOT / "docs/analyses.md"] == page()
    assert all(f"## {name}\n" in page() for name in ANALYSES)


def test_every_key_of_a_profile_is_described():
    kinds = profiles.KINDS.values()
    compare(ROOT / "docs/operators.md", {k: d for m in kinds for k, d in leaves(m)})


@pytest.mark.parametrize("row", [Shift, Slope, Preference, Closeness, Diversity, Accuracy])
def test_columns_are_described(row):
    text = TEXT[ROOT / "docs/users.md"]
    missing = [f.name for f in fields(row) if f.name != "confidence" and f"`{f.name}`" not in text]
    assert not missing


# ---------------------------------------------------------------------- the rest


def blocks():
    text = TEXT[ROOT / "docs/users.md"]
    return re.findall(r"```python\n(.*?)```", text, flags=re.S)


def test_the_notebook_example_works(tmp_path, monkeypatch, capsys):
    """As it stands; the one that follows scores with a reward that stands in for a trained one."""
    from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
    from sigmaflow.rewards.model import RewardModel, mini_config

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "models").mkdir(parents=True)
    reward = RewardModel(mini_config(Grid(resolution=32, pads=SLAB_ENTIRE)))
    reward.save(tmp_path / "runs" / "models" / "lambda-reward.safetensors")
    _, first, second = blocks()
    names = {}
    exec(compile(first, "users.md", "exec"), names)
    exec(compile(second, "users.md", "exec"), names)
    assert (tmp_path / "face-1.ply").stat().st_size > 1000
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert len(first.strip().splitlines()) <= 16


def test_the_example_of_whole_orders_works(tmp_path):
    from sigmaflow.preferences.orders import Orders, write_orders

    write_orders(tmp_path / "orders.csv", Orders.of([(3 * i, 3 * i + 1) for i in range(20)], "ann"))
    names = {}
    exec(compile(blocks()[0], "users.md", "exec"), names)
    assert [len(items) for items in names["items_of"](tmp_path / "orders.csv")] == [14, 3, 3]
    assert names["config"].likelihood == "plackett_luce"


def tracked():
    try:
        out = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
            text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in out.splitlines()]


def test_no_paths_of_a_machine():
    """Absolute paths of somebody's machine do not belong into the tree."""
    homes = re.compile(r"(?<![\w.~/])/(?:home|root|work|Users|tmp|mnt|scratch)/\w+")
    wrong = []
    for path in tracked():
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [f"{path.relative_to(ROOT)}: {m[0]}" for m in homes.finditer(text)]
    assert not wrong

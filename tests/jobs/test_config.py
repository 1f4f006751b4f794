from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from jobs.sweep.config import ConfigError, load, load_with_places


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Range(Strict):
    low: float
    high: float
    log: bool = False


class Choices(Strict):
    choices: list[float]


class Reward(Strict):
    batch: int = Field(8, ge=1)
    lr: float = Field(1e-3, gt=0)
    kind: Literal["sigma", "depth"] = "sigma"
    seeds: list[int] = []

    @field_validator("seeds")
    @classmethod
    def twice(cls, seeds):
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice; remove one")
        return seeds


class Sweep(Strict):
    scale: str
    name: str
    reward: Reward = Reward()
    space: dict[str, Range | Choices] = {}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "mini.yaml").write_text("name: mini\nreward:\n  batch: 4\n  lr: 1e-5\n")
    return tmp_path


def problems(folder, text, **options):
    (folder / "s.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(folder / "s.yaml", Sweep, **options)
    return [p.replace(f"{folder}/", "") for p in caught.value.problems]


def test_scale_below_file_below_command_line(folder):
    path = folder / "s.yaml"
    path.write_text("scale: mini\nreward: {batch: 6}\n")
    sweep, places = load_with_places(path, Sweep, overrides=["name=mine", "reward.kind=depth"])
    assert (sweep.name, sweep.reward.batch, sweep.reward.lr) == ("mine", 6, 1e-5)
    assert places.of("reward", "batch") == f"{path}:2"
    assert places.of("reward", "lr") == f"{folder}/scales/mini.yaml:4"
    assert places.of("reward", "kind") == "--set reward.kind=depth"


def test_all_problems_at_once_with_place_key_value_and_remedy(folder):
    found = problems(
        folder,
        """scale: mini
nam: x
reward:
  batch: 0
  lr: fast
  kind: sigms
  seeds: [1, 1]
  batchsize: 3
space:
  lambda_r: {low: 0, high: 20, lg: true}
  lambda_c: {choices: [a]}
name: a
name: b
""",
        overrides=["reward.lr", "reward.batch.x=1", "spce=3"],
    )
    text = "\n".join(found)
    for expected in [
        's.yaml:2: nam: unknown key; did you mean "name"?',
        "s.yaml:4: reward.batch: 0: input should be greater than or equal to 1",
        "s.yaml:5: reward.lr: 'fast': input should be a valid number",
        "s.yaml:6: reward.kind: 'sigms': must be one of sigma, depth; did you mean \"sigma\"?",
        "s.yaml:7: reward.seeds: a seed is given twice; remove one",
        's.yaml:8: reward.batchsize: unknown key; did you mean "batch"?',
        's.yaml:10: space.lambda_r.lg: unknown key; did you mean "log"?',
        "s.yaml:11: space.lambda_c.choices[0]: 'a': input should be a valid number",
        "s.yaml:13: name: given twice, first in line 12; remove one",
        "--set reward.lr: must look like key=value",
        "--set reward.batch.x=1: reward.batch is a value",
        '--set spce=3: spce: unknown key; did you mean "space"?',
    ]:
        assert expected in text, f"{expected}\nnot in\n{text}"


def test_unknown_scale_missing_file_and_broken_yaml(folder):
    assert problems(folder, "scale: mni\nname: a\n") == [
        "s.yaml:1: scale: 'mni' is unknown; did you mean \"mini\"?; known: mini"
    ]
    assert problems(folder, "scale: mini\n", scale="huge")[-1].startswith("--scale: scale: 'huge'")
    (found,) = [p for p in problems(folder, "scale: mini\nreward: {batch: 1\n") if "YAML" in p]
    assert found.startswith("s.yaml:")
    with pytest.raises(ConfigError, match='no such file; did you mean ".*s.yaml"'):
        load(folder / "ss.yaml", Sweep)
    assert "must be a list" in problems(folder, "- 1\n")[0]
    assert "missing" in problems(folder, "scale: mini\nspace: {a: {low: 1}}\n")[0]

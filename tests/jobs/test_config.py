from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from jobs.sweep.config import ConfigError, load, load_kind, load_with_places
from jobs.sweep.kinds import KINDS
from jobs.sweep.lines import scalar
from jobs.sweep.outside import NO_NETWORKS

SMOKE = Path(__file__).resolve().parents[2] / "sweeps" / "smoke.yaml"


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


@pytest.mark.parametrize(("given", "said"), [
    ("finetune.r1_gamma=yes", "'yes' is a yes or no, and a number is wanted; write the number"),
    ("finetune.r1_gamma=off", "'off' is a yes or no"),
    ("finetune.r1_gamma=true", "true is a yes or no, and a number is wanted"),
    ("search.trials=true", "true is a yes or no"),
    ("finetune.seed=true", "true is a yes or no"),
    ("finetune.micro_batch=true", "true is a yes or no"),
    ("finetune.reward_psi=false", "false is a yes or no"),
    ("reward.trunk=[8, true]", "true is a yes or no"),
    ("rankings.sizes=[2, on]", "'on' is a yes or no"),
    ("annotator.config.weights={roughness: true, floaters: 1, asymmetry: 1, sunken_nose: 1}",
     "true is a yes or no"),
    ("evaluation.seeds=1:30", "'1:30' is a time, and a number is wanted"),
    ("finetune.kimg=1:30:00", "'1:30:00' is a time"),
    ("evaluation.seeds=010", "'010' is a text, and a number is wanted; write it without quotes"),
    ('evaluation.seeds="9"', "'9' is a text"),
    ("evaluation.seeds=2026-12-01", "'2026-12-01' is a date, and a number is wanted"),
    ("name=5", "5 is a number, and a text is wanted; put it in quotes"),
    ("name=true", "true is a yes or no, and a text is wanted; put it in quotes"),
    ("search={trials: 1, space: {lambda_r: {choices: [true, 2]}}}", "lambda_r: true is a yes"),
    ("search={trials: 1, space: {standardise: {choices: [yes, true]}}}", "write true or false"),
])  # fmt: skip
def test_a_value_of_another_type_is_refused_with_one_sentence(given, said):
    """yes is no 1, 010 no ten and 1:30 no ninety."""
    with pytest.raises(ConfigError) as refused:
        load_kind(SMOKE, KINDS, None, [given], SMOKE.parent / "scales", NO_NETWORKS)
    (line,) = refused.value.problems
    assert said in line


def test_of_a_row_too():
    path = SMOKE.parent / "backbone.yaml"
    with pytest.raises(ConfigError, match="rows.sigma_unet3d: reward.train.patience: true is a"):
        load_kind(path, KINDS, None, ["rows.sigma_unet3d={train.patience: true}"],
                  SMOKE.parent / "scales", NO_NETWORKS)  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [
    ("true", True), ("False", False), ("yes", "yes"), ("off", "off"), ("On", "On"), ("010", "010"),
    ("1:30", "1:30"), ("2026-12-01", "2026-12-01"), ("2026-12-01 10:00:00", "2026-12-01 10:00:00"),
    ("0x10", 16), ("1_000", 1000), ("1e-5", 1e-5), ("null", None),
])  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert scalar(text) == value and type(scalar(text)) is type(value)


@pytest.mark.parametrize("given", [
    "finetune.watch.heldout=off", "name=2026-12-01", "finetune.standardise=yes",
    "finetune.lazy_gain=true", "evaluation.seeds=1e1", "finetune.micro_batch=auto",
])  # fmt: skip
def test_what_is_plain_is_taken(given):
    load_kind(SMOKE, KINDS, None, [given], SMOKE.parent / "scales", NO_NETWORKS)

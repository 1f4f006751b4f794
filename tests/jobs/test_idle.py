"""Settings that cannot take effect are errors that say why; defaults and scales never are."""

import pytest
import yaml

from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.kinds import KINDS
from jobs.sweep.outside import NO_FILES, NO_NETWORKS
from sweeps import SCALES, TINY_SWEEP

SWEEPS = SCALES.parent
CONTEXT = {**NO_FILES, **NO_NETWORKS}


def refused(path, *overrides):
    try:
        load_kind(path, KINDS, None, overrides, SCALES, CONTEXT)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_shipped_sweep_has_a_setting_without_effect(path):
    assert refused(path) == []


@pytest.mark.parametrize(("sweep", "given", "key", "why"), [
    ("lambda", ["finetune.lambda_r=3"], "finetune.lambda_r", "search.space.lambda_r"),
    ("lambda", ["finetune.lambda_c=1"], "finetune.lambda_c", "search.space.lambda_c"),
    ("clamp", ["finetune.clamp.low=-3"], "finetune.clamp.low", "search.space.clamp gives it"),
    ("joint", ["finetune.clamp.deviations=1"], "finetune.clamp.deviations", "clamp.deviations"),
    ("joint", ["finetune.clamp.high=3"], "finetune.clamp.high", "clamp.deviations"),
    ("clamp", ["finetune.bound=softplus"], "search.space.clamp", "has no ends"),
    ("lambda", ["search.trials=1", "search.first=[{lambda_r: 1, lambda_c: 0.1},"
                " {lambda_r: 2, lambda_c: 0.1}]"], "search.first", "only the first 1 of 2"),
    ("lambda", ["rankings.file=x.csv", "rankings.flip=0.2"], "rankings.flip", "rankings.file"),
    ("lambda", ["rankings.file=x.csv", "rankings.sizes=[2]"], "rankings.sizes", "rankings.file"),
    ("lambda", ["rankings.anchors.use=always", "rankings.anchors.least=0.5"],
     "rankings.anchors.least", "rankings.anchors.use is always"),
    ("lambda", ["reward.train.seed=3"], "reward.train.seed", "reward.split_seed"),
    ("lambda", ["reward.train.recon_weight=0", "reward.train.recon_conv=before"],
     "reward.train.recon_conv", "nothing is reconstructed"),
    ("lambda", ["reward.points=300"], "reward.points", "only rewards that see points"),
    ("lambda", ["finetune.ada_target=0.5"], "finetune.ada_target", "finetune.aug is not ada"),
    ("lambda", ["finetune.reward_lr=0.1"], "finetune.reward_lr", "not separate"),
    ("lambda", ["finetune.watch.ticks=2"], "finetune.watch.ticks", "finetune.watch.heldout is off"),
    ("backbone", ["finetune.kimg=3"], "finetune.kimg", "nothing is fine-tuned"),
    ("backbone", ["search.parallelism=3"], "search.parallelism", "--on says how many"),
    ("backbone", ["reward.train.lr=3"], "reward.train.lr", "search.space.reward.train.lr"),
    ("pairs", ["rows.sigma={backbone: unet3d, points: 192}"], "rows.sigma.points", "see points"),
    ("score", ["evaluation.seeds=30"], "evaluation.seeds", "set seeds"),
    ("score", ["evaluation.fid_images=300"], "evaluation.fid_images", "set fid to true"),
    ("pretrain_mini", ["reward.backbone=voxnet"], "reward.backbone", "has no reward"),
    ("rehearsal", ["images=mini"], "images", "enlarged pictures"),
])  # fmt: skip
def test_a_setting_without_effect_is_named_with_the_reason(sweep, given, key, why):
    (line,) = refused(SWEEPS / f"{sweep}.yaml", *given)
    place, _, said = line.partition(f": {key}: has no effect: ")
    assert why in said
    assert place.startswith("--set ") or ".yaml:" in place


@pytest.mark.parametrize(("sweep", "given"), [
    ("lambda", ["search.trials=3"]),  # over the file's four that are tried first
    ("lambda", ["finetune.clamp={low: -3, high: 3}"]),  # over the scale's deviations
    ("smoke", ["rankings.file=x.csv"]),  # over the file's questions
    ("lambda", ["reward.backbone=pointnet", "reward.view_resolution=64", "reward.points=300"]),
    ("lambda", ["finetune.aug=ada", "finetune.ada_target=0.5"]),
    ("semantics", ["finetune.reward_beta2=0.9"]),  # of those trials that are `released`
    ("joint", ["reward.split_seed=3", "reward.backbone=voxnet"]),  # judges the start
])  # fmt: skip
def test_what_a_higher_layer_displaces_is_as_good_as_overridden(sweep, given):
    assert refused(SWEEPS / f"{sweep}.yaml", *given) == []


def test_in_the_file_it_is_named_with_its_line(tmp_path):
    values = {**TINY_SWEEP, "finetune": {**TINY_SWEEP["finetune"], "lambda_c": 0.5}}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    line = 1 + path.read_text().splitlines().index("  lambda_c: 0.5")
    (said,) = refused(path)
    assert said.startswith(f"{path}:{line}: finetune.lambda_c: has no effect: ")


def test_a_log_scale_that_a_grid_over_whole_numbers_ignores(tmp_path):
    space = {"batch": {"low": 4, "high": 8, "log": True}}
    path = tmp_path / "tiny.yaml"
    search = {"sampler": "grid", "space": space}
    tuned = {k: v for k, v in TINY_SWEEP["finetune"].items() if k != "batch"}
    path.write_text(yaml.safe_dump({**TINY_SWEEP, "search": search, "finetune": tuned}))
    (said,) = refused(path)
    assert "search.space.batch.log: has no effect: grid takes every whole number" in said

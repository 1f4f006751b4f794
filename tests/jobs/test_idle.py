"""Settings that cannot take effect are errors that say why; defaults and scales never are."""

import json

import pytest
import yaml
from pydantic import BaseModel

from jobs.store.stage import Task
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.graphs import first_tasks
from jobs.sweep.kinds import KINDS
from jobs.sweep.outside import NO_FILES, NO_NETWORKS
from sweeps import SCALES, TINY_SWEEP

SWEEPS = SCALES.parent
CONTEXT = {**NO_FILES, **NO_NETWORKS}


@pytest.fixture
def reward_file(tmp_path):
    """A reward that nobody loads."""
    path = tmp_path / "reward.safetensors"
    path.write_bytes(b"")
    record = {"config": {"grid": {"resolution": 32}, "f_maps": [8, 16]}}
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


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
    ("lambda", ["reward.feature_size=32"], "reward.feature_size", "pooling is slices"),
    ("lambda", ["reward={backbone: voxnet, f_maps: [8, 16]}"], "reward.f_maps",
     "only unet3d, resnet3d, projections heed it, and the backbone is voxnet"),
    ("lambda", ["reward={backbone: resnet3d, pooling: slices}"], "reward.pooling", "only unet3d"),
    ("lambda", ["reward.norm=running"], "reward.norm", "the backbone is unet3d"),
    ("lambda", ["reward.latents=one"], "reward.latents", "depth or points"),
    ("lambda", ["reward.answers=best_and_worst"], "reward.answers", "annotator gives pairs"),
    ("lambda", ["reward.train.likelihood=plackett_luce"], "reward.train.likelihood", "pairs"),
    ("lambda", ["reward.train.pair_order=one"], "reward.train.pair_order", "pairs_weight is 0"),
    ("lambda", ["rankings.anchors.use=never", "reward.anchors=true"], "reward.anchors",
     "rankings.anchors.use is never"),
    ("lambda", ["rankings.file=x.csv", "reward.anchors=true"], "reward.anchors", "beside a file"),
    ("lambda", ["rankings.file=x.csv", "rankings.seed=1"], "rankings.seed", "rankings.file"),
    ("lambda", ["rankings.file=x.csv", "rankings.anchors.count=9"], "rankings.anchors.count",
     "unless rankings.anchors.use is always"),
    ("lambda", ["rankings={file: x.csv, anchors: {count: 9, use: never}}"],
     "rankings.anchors.count", "unless rankings.anchors.use is always"),
    ("lambda", ["finetune.clamp.low=-3"], "finetune.clamp.low", "clamp.deviations is 1.5"),
    ("lambda", ["finetune.consistency_cutoff=7"], "finetune.consistency_cutoff", "is reward"),
    ("lambda", ["finetune={r1_gamma: 0, density_reg: 0, lazy_gain: true}"], "finetune.lazy_gain",
     "density_reg is 0"),
    ("lambda", ["finetune={gpc_reg_prob: 1, gpc_reg_fade_kimg: 3}"], "finetune.gpc_reg_fade_kimg",
     "gpc_reg_prob is 1"),
    ("lambda", ["search.space={lambda_r: {low: 1, high: 2}}", "search.first=[]",
                "finetune.control_consistency=true"], "finetune.control_consistency", "never 0"),
    ("lambda", ["search.space={lambda_c: {low: 1, high: 2}}", "search.first=[]",
                "finetune={lambda_r: 0, bound: tanh}"], "finetune.bound", "lambda_r is 0"),
    ("backbone", ["seed=1"], "seed", "grid draws nothing"),
    ("backbone", ["images=mini"], "images", "no picture"),
    ("backbone", ["reward.views=triple"], "reward.views", "of rows without their own"),
    ("backbone", ["rankings.file=x.csv", "annotator.resolution=32"], "annotator.resolution",
     "nobody asks the annotator"),
    ("score", ["checkpoint=mini"], "checkpoint", "before, after and control"),
    ("score", ["images=mini"], "images", "set fid to true"),
    ("score", ["reward.backbone=voxnet"], "reward.backbone", "reward_model names one"),
    ("score", ["annotator.resolution=32"], "annotator.resolution", "no annotator"),
    ("score", ["annotator.config.cheek=0.1"], "annotator.config.cheek", "level alone"),
    ("score", ["evaluation.annotator_seeds=9"], "evaluation.annotator_seeds", "no annotator"),
    ("mini_card", ["rankings.questions=9"], "rankings.questions", "nothing is ranked"),
    ("mini_card", ["evaluation.fid_images=90"], "evaluation.fid_images", "of its own; set card"),
    ("mini_card", ["slab.resolution=48"], "slab.resolution", "annotator.resolution"),
    ("pretrain_mini", ["seed=3"], "seed", "warmstart.seed"),
    ("pretrain_mini", ["slab.length=0.5"], "slab.length", "has no reward"),
    ("pretrain_mini", ["warmstart.image_views=2"], "warmstart.image_views", "no whole picture"),
    ("pretrain_mini", ["warmstart.perceptual_stages=2"], "warmstart.perceptual_stages", "is 0"),
    ("pretrain_mini", ["refine.rays=9"], "refine.rays", "no ray is drawn alone"),
    ("pretrain_mini", ["adversarial.ada_target=0.5"], "adversarial.ada_target", "not ada"),
    ("pretrain_mini", ["images=x.zip", "heldout.views=3"], "heldout.views", "nothing is rendered"),
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
    ("lambda", ["reward.pooling=stretch", "reward.feature_size=32"]),
    ("lambda", ["reward.semantics=released", "reward.feature_size=32",
                "reward.train.pair_order=both"]),
    ("lambda", ["rankings={file: x.csv, anchors: {count: 9, use: always}}"]),
    ("lambda", ["finetune.clamp={low: -3, high: 3, deviations: null}"]),
    ("backbone", ["reward.view_resolution=64"]),  # rows of depth and points have none of their own
    ("backbone", ["search.sampler=random", "search.trials=1", "seed=3"]),
    ("lambda", ["rankings.anchors={count: 9, use: never}"]),  # the annotator's share is still told
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


NUMBERS = {
    "score": ("before=mini", "after=mini"),
    "mini_card": (),
    "backbone": (),
    "pretrain_mini": ("training.identities=1000", "block=1000", "heldout.identities=880"),
}


def leaves(model, above=""):
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{above}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{above}{name}", value


def keys_of(config):
    """The keys of all tasks."""
    found = {}

    def walk(one):
        if isinstance(one, tuple):
            for inner in one:
                walk(inner)
        elif isinstance(one, Task) and one.key not in found:
            found[one.key] = one
            walk(tuple(one.inputs.values()))

    walk(first_tasks(config)[1])
    return set(found)


@pytest.mark.parametrize("sweep", NUMBERS)
def test_every_number_that_changes_no_task_is_refused(sweep, reward_file):
    """Of the kinds whose tasks are all known: nothing that was said is left out in silence."""
    path, given = SWEEPS / f"{sweep}.yaml", list(NUMBERS[sweep])
    if sweep == "score":
        given.append(f"reward_model={reward_file}")

    def load(*more):
        return load_kind(path, KINDS, None, [*given, *more], SCALES, CONTEXT)

    plain = load()
    before, silent, refusals = keys_of(plain), [], 0
    for name, value in leaves(plain):
        if name in WITHOUT_A_KEY:
            continue
        for other in (not value,) if isinstance(value, bool) else (value + 1, value / 2 + 0.01):
            said = refused(path, *given, f"{name}={json.dumps(other)}")
            if any("has no effect" in one for one in said):
                refusals += 1
                break
            if not said:
                if keys_of(load(f"{name}={json.dumps(other)}")) == before:
                    silent.append(name)
                break
    assert silent == [] and refusals > 20


# What a card leaves out where its provider is not installed, and counts of tasks in one.
WITHOUT_A_KEY = {"card.truth_seeds", "card.embedded", "card.shard", "block", "evaluation.fid_shard"}

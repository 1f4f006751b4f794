"""Counts that are larger than what they are taken from are refused, not cut in silence."""

import json
import zipfile

import pytest

from jobs.launch import main
from jobs.prefetch import main as prefetch
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.counts import SHIPPED_PICTURES
from jobs.sweep.kinds import KINDS
from jobs.sweep.outside import NO_NETWORKS
from sigmaflow.datasets.index import LABELS
from sweeps import SCALES, write_sweep

SHIPPED = SCALES.parent


def problems(sweep, *settings):
    try:
        load_kind(sweep, KINDS, None, settings, SCALES, NO_NETWORKS)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(("name", "settings", "line"), [
    ("lambda", ["evaluation.annotator_seeds=129"], "--set evaluation.annotator_seeds=129:"
     " evaluation.annotator_seeds: is 129, but evaluation.seeds is 128, and it counts some of these"
     " seeds; set it to at most 128, or raise evaluation.seeds"),
    ("lambda", ["evaluation.mesh_seeds=129"], "evaluation.seeds is 128"),
    ("lambda", ["evaluation.seeds=127"], "evaluation.annotator_seeds: is 128, but evaluation.seeds"
     " is 127"),  # named at the scale's line
    ("lambda", ["finetune.watch={heldout: stop, ticks: 9}"], "there are 8 ticks"),
    ("rehearsal", ["evaluation.mesh_seeds=9"], "evaluation.seeds is 8"),
    ("rehearsal", [f"pictures={SHIPPED_PICTURES + 1}"], "there are 1280 shipped pictures"),
    ("mini_card", ["card.lit_seeds=101"], "card.mesh_seeds is 100"),
    ("mini_card", ["card.truth_seeds=20001"], "card.training_identities is 20000"),
    ("mini_card", ["card.embedded=1281", "card.samples=1281"], "there are 1280 pictures in mini"),
    ("mini_card", ["card.samples=600"], "card.embedded: is 640, but card.samples is 600"),
    ("pretrain_mini", ["warmstart.heldout=881"], "heldout.identities is 880"),
    ("pretrain_mini", ["projected.heldout=881"], "heldout.identities is 880"),
    ("pretrain_mini", ["refine.volume_kimg=61"], "refine.kimg is 60"),
])  # fmt: skip
def test_a_count_is_named_with_its_value_its_limit_and_the_remedy(name, settings, line):
    (said,) = problems(SHIPPED / f"{name}.yaml", *settings)
    assert line in said and "set it to at most" in said


def test_a_count_may_be_all_that_there_is():
    assert problems(SHIPPED / "lambda.yaml", "evaluation.mesh_seeds=128") == []
    assert problems(SHIPPED / "lambda.yaml", "finetune.watch={heldout: stop, ticks: 8}") == []
    assert problems(SHIPPED / "mini_card.yaml", "card.embedded=1280") == []


def test_the_shipped_set_holds_as_many_pictures_as_are_counted():
    with zipfile.ZipFile(SHIPPED.parent / "sigmaflow" / "datasets" / "faces64.zip") as archive:
        assert len(json.loads(archive.read(LABELS))["labels"]) == SHIPPED_PICTURES


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_nothing_is_launched(tmp_path, capsys, tiny_checkpoint, tiny_images, more):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    runs = tmp_path / "runs"
    given = ["--set", "evaluation.mesh_seeds=9", "--runs", str(runs), *more]
    assert main([str(sweep), "--on", "inline", "--track", "later", *given]) == 2
    said = capsys.readouterr()
    assert "evaluation.mesh_seeds: is 9, but evaluation.seeds is 8" in said.out + said.err
    assert not (runs / "store").exists()


def test_a_prefetch_says_it_too(tmp_path, capsys, tiny_checkpoint, tiny_images):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    assert prefetch([str(sweep), "--set", "evaluation.annotator_seeds=9"]) == 1
    assert "evaluation.annotator_seeds" in capsys.readouterr().out


def test_the_pictures_of_a_set_are_counted(tmp_path, tiny_checkpoint, tiny_images):
    path = tmp_path / "card.yaml"
    path.write_text(f"kind: card\nname: c\nscale: mini\ncheckpoint: {tiny_checkpoint}\n"
                    f"images: {tiny_images}\ncard: {{samples: 100, embedded: 99}}\n")  # fmt: skip
    (said,) = problems(path)
    assert "card.embedded: is 99, but there are" in said and f"pictures in {tiny_images}" in said

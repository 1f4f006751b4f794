"""Seeds that numpy does not take are refused with their key before any work."""

import json
import zipfile

import pytest
import yaml

from jobs.search.search import Search
from jobs.shapes import check, parser
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.kinds import KINDS, RenderedSet
from jobs.sweep.outside import NO_FILES, NO_NETWORKS
from sigmaflow.metrics.protocol import named
from sigmaflow.preferences.questions import make_questions
from sweeps import SCALES, TINY_SWEEP

TOP = 2**32


def problems(tmp_path, *settings, sweep=TINY_SWEEP):
    """What is wrong with a sweep under these settings; files are not looked at."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(sweep))
    try:
        load_kind(path, KINDS, None, settings, SCALES, {**NO_FILES, **NO_NETWORKS})
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize("key", [
    "seed", "rankings.seed", "reward.split_seed", "reward.heldout_seed", "reward.seed",
    "reward.train.seed", "finetune.seed", "evaluation.first_seed",
])  # fmt: skip
def test_every_seed_has_a_largest_value(tmp_path, key):
    for value in (TOP, 2**64, -1, 10**400):
        (said,) = problems(tmp_path, f"{key}={value}")
        assert said.startswith(f"--set {key}=") and f": {key}: " in said
        assert "4294967295" in said or "greater than or equal to 0" in said or "parse" in said


@pytest.mark.parametrize("key,last", [
    ("seed", TOP - 1), ("reward.seed", TOP - 1), ("reward.heldout_seed", TOP - 1),
    ("evaluation.first_seed", TOP - 8), ("rankings.seed", TOP - 1),
])  # fmt: skip
def test_the_last_seed_is_one(tmp_path, key, last):
    assert problems(tmp_path, f"{key}={last}") == []


@pytest.mark.parametrize("settings,said", [
    (["evaluation.first_seed=4294967290"], "first_seed 4294967290 and seeds 8 end at seed"),
    (["reward.heldout_seed=4294967295", "reward.ensemble=1"], "heldout_seed 4294967295 and ens"),
    (["evaluation.fid_images=4294567297"], "less than or equal to 4294567296"),
    (["rankings.questions=50000"], "run into the anchors at 100000; ask fewer"),
    (["rankings.questions=1000000000000"], "less than or equal to 1000000"),
    (["rankings.anchors.count=10000000000"], "less than or equal to 1000000"),
    (["finetune.tick_seeds=10000000000"], "less than or equal to 1000000"),
    (["search.space.seed={choices: [1, 4294967296]}", "search.first=[]"], "equal to 4294967295"),
])  # fmt: skip
def test_ranges_of_seeds_end_in_time(tmp_path, settings, said):
    assert any(said in one for one in problems(tmp_path, *settings))


def test_rendered_sets_protocols_and_questions_end_in_time():
    with pytest.raises(ValueError, match="first_seed 4294967290 and identities 8"):
        RenderedSet(identities=8, first_seed=TOP - 6, views=1)
    with pytest.raises(ValueError, match="first_seed 4294967290 and images 8"):
        named("mini", weights="", real="", cameras="", images=8, first_seed=TOP - 6)
    with pytest.raises(ValueError, match="first seed 4294967290 and shapes 8"):
        make_questions(0, 4, (2,), TOP - 6)


@pytest.mark.parametrize("given", ["4294967296", "0-4294967296", "9" * 400])
def test_commands_refuse_them(given, tmp_path):
    args = parser().parse_args(["mini", "--seeds", given, "--out", str(tmp_path)])
    with pytest.raises(ConfigError, match="--seeds .*give numbers from 0 to 4294967295"):
        check(args)


def test_a_search_of_any_seed_can_draw(tmp_path):
    """Its samplers are seeded by seed and trial number together."""
    search = Search(tmp_path / "journal", {"x": {"low": 0.0, "high": 1.0}}, TOP - 1, 2,
                    {"loss": "minimize"}, sampler="random")  # fmt: skip
    first, second = search.ask(0), search.ask(1)
    search.close()
    assert 0 <= first["x"] <= 1 and first != second


@pytest.mark.parametrize("seed", [TOP, -1, 10**30])
def test_files_of_seeds_are_looked_through(tmp_path, seed):
    from sigmaflow.datasets.index import ImageIndex
    from sigmaflow.generators.cameras import frontal_label

    labels = [["a.png", frontal_label()[0].double().tolist()]]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.png", b"unread")
        archive.writestr("dataset.json", json.dumps({"labels": labels, "seeds": [["a.png", seed]]}))
    with pytest.raises(ValueError, match='set.zip: dataset.json: "seeds" does not fit'):
        ImageIndex(tmp_path / "set.zip")

"""Settings of the reward: presets by name, what overrides them, and what is refused."""

import json

import pytest
import yaml
from pydantic import ValidationError

from jobs.sweep.sections import FinetuneSection, RewardSection, Slab
from jobs.sweep.settings import apply
from sigmaflow.fields.depth import SINGLE, TRIPLE
from sigmaflow.rewards.config import VIEWS, RewardConfig, TrainConfig
from sigmaflow.rewards.semantics import semantics
from sweeps import SCALES

GRID = Slab(resolution=128).grid()


def network(**settings):
    return RewardSection(**settings).network(GRID, "", 1.0)


def test_the_paper_is_the_default():
    section = RewardSection(train={"lr": 1e-3})
    said = semantics("paper", "unet3d")
    assert section.semantics == "paper"
    assert section.training() == TrainConfig(lr=1e-3, **said.train_settings())
    assert network() == RewardConfig(grid=GRID, pooling="slices", doubled=False)
    assert section.training().recon_weight == 1e-2 and section.has_anchors
    assert section.training().recon_conv == "after"
    assert set(section.model_dump()) == {
        "f_maps", "feature_size", "trunk", "trunk_out", "head", "train", "split_seed",
        "heldout_seed",
    }  # fmt: skip
    assert section.model_dump()["train"] == {"lr": 1e-3}  # the rest is the preset's to say


@pytest.mark.parametrize("scale, batches", [("paper", (1, 8, 2)), ("mini", (4, 4, 4))])
def test_the_papers_batches_are_of_the_representation(scale, batches):
    settings = yaml.safe_load((SCALES / f"{scale}.yaml").read_text())["reward"]
    found = (RewardSection(**settings, backbone=one) for one in ("unet3d", "resnet50", "pointnet"))
    assert tuple(one.training().batch for one in found) == batches


@pytest.mark.parametrize("name", ["paper", "released"])
@pytest.mark.parametrize("backbone", ["unet3d", "resnet50", "pointnet2"])
def test_semantics_are_what_the_reward_package_says(name, backbone):
    said = semantics(name, backbone)
    section = RewardSection(semantics=name, backbone=backbone)
    made, training = section.network(GRID, "", 1.0), section.training()
    for key, value in said.model_settings().items():
        expected = "one" if key == "latents" and backbone == "unet3d" else value
        assert getattr(made, key) == expected, key
    for key, value in said.train_settings().items():
        assert getattr(training, key) == value, key
    assert section.has_anchors == said.anchors


def test_what_is_given_overrides_the_preset_also_where_it_is_the_usual_default():
    section = RewardSection(
        semantics="released", backbone="resnet50", views="triple", latents="one", frozen=False,
        train={"pairs_weight": 0.0, "monitor": "scalar", "lr": 1e-5},
    )  # fmt: skip
    made, training = section.network(GRID, "", 1.0), section.training()
    assert (made.latents, made.frozen, made.yaws) == ("one", False, TRIPLE)
    assert training.recon_conv == "before"
    assert made.heads == ("scalar", "bt") and made.doubled and made.pooling == "stretch"
    assert (training.pairs_weight, training.monitor, training.bt_weight) == (0.0, "scalar", 1e-3)


@pytest.mark.parametrize("settings", [
    {"semantics": "released", "train": {"lr": 1e-3}},
    {"semantics": "paper", "backbone": "curvenet", "latents": "each"},
    {"train": {"lr": 1e-3}},
])  # fmt: skip
def test_a_written_section_read_again_is_the_same_reward(settings):
    section = RewardSection(**settings)
    again = RewardSection.model_validate(json.loads(json.dumps(section.model_dump(mode="json"))))
    assert again.training() == section.training()
    assert again.network(GRID, "", 1.0) == section.network(GRID, "", 1.0)


def test_a_trial_may_search_semantics_and_backbone():
    base = RewardSection(train={"lr": 1e-3})
    params = {"reward.backbone": "pointnet2", "reward.semantics": "released"}
    section = apply(params, FinetuneSection(), base)[1]
    said = semantics("released", "pointnet2")
    assert section.training() == TrainConfig(lr=1e-3, **said.train_settings())
    assert not section.has_anchors


def test_memory_is_saved_where_the_backbone_can():
    made = network(checkpoint=True, precision="bfloat16")
    assert made.checkpoint and made.precision == "bfloat16"
    lighter = network(checkpoint=True, precision="bfloat16", backbone="resnet3d")
    assert not lighter.checkpoint and lighter.precision == "bfloat16"
    with pytest.raises(ValueError, match="^pointnet finds neighbours [^\n]* use float32$"):
        network(backbone="pointnet", precision="bfloat16")


def test_views_are_those_of_the_fields_package():
    assert VIEWS == {"single": SINGLE, "triple": TRIPLE}


@pytest.mark.parametrize("settings, said", [
    ({"backbone": "resnet9"}, "backbone"),
    ({"backbone": "resnet18", "train": {"recon_weight": 0.1}}, "reconstructs nothing"),
    ({"backbone": "pointnet", "view_resolution": 16, "points": 512}, "256 of them"),
    ({"pretrained": {"resnet50": "no/such/file.pth"}}, "is no file"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        RewardSection(**settings)

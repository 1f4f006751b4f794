"""Backbones of the reward: sizes, what they do and do not see, and that they learn."""

import math

import pytest
import torch
from torch import nn
from torchvision import models

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.rewards.backbones import BACKBONES
from sigmaflow.rewards.backbones.curvenet import straight_through
from sigmaflow.rewards.backbones.depth import VGGViews
from sigmaflow.rewards.backbones.neighbours import (
    ball,
    farthest_points,
    first,
    nearest,
    rows,
    within,
)
from sigmaflow.rewards.config import REPRESENTATIONS, RewardConfig
from sigmaflow.rewards.model import RewardModel

GRID = Grid(resolution=32, pads=SLAB_ENTIRE)
SMALL = dict(feature_size=16, trunk=(16, 16), trunk_out=16, head=(8, 8), f_maps=(8, 16),
             image_size=32, points=64, grid=GRID)  # fmt: skip
LIGHT = [name for name in BACKBONES if not name.startswith("vgg")]


def small(backbone, **changes):
    torch.manual_seed(0)
    return RewardModel(RewardConfig(**{**SMALL, "backbone": backbone, **changes}))


def shapes(backbone, n=3, seed=0, views=1):
    """Raw representations of n shapes as the backbone sees them."""
    g = torch.Generator().manual_seed(seed)
    kind = REPRESENTATIONS[backbone]
    if kind == "sigma":
        return 20 * torch.randn(n, *GRID.shape, generator=g)
    if kind == "depth":
        return 2.7 + 0.2 * torch.randn(n, views, 16, 16, generator=g)
    return torch.randn(n, 100, 3, generator=g)


def test_every_backbone_has_a_representation():
    assert BACKBONES.keys() == REPRESENTATIONS.keys()


@pytest.mark.parametrize(
    "backbone, changes, parameters, tensors",
    [
        ("unet3d", {}, 12_686_699, 179),
        ("resnet50", {}, 27_755_692, 344),
        ("pointnet", {}, 1_817_476, 45),
        ("pointnet2", {}, 2_482_118, 89),
        ("curvenet", {}, 4_319_325, 360),
    ],
)
def test_released_networks_have_their_sizes(backbone, changes, parameters, tensors):
    with torch.device("meta"):
        model = RewardModel(RewardConfig(backbone=backbone, heads=("scalar", "bt", "pairs")))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors


@pytest.mark.parametrize("yaws, trainable", [((0.0,), 2_198_660), ((1, 0, -1), 4_295_812)])
def test_frozen_depth_networks_train_trunk_and_heads(yaws, trainable):
    config = RewardConfig(
        backbone="resnet50", yaws=yaws, frozen=True, heads=("scalar", "bt", "pairs")
    )
    with torch.device("meta"):
        model = RewardModel(config)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable


@pytest.mark.parametrize("backbone, layers", [("vggface", 134_260_544), ("vgg4096", 139_570_240)])
def test_vgg_ends_at_its_second_fully_connected_layer(backbone, layers):
    with torch.device("meta"):
        model = RewardModel(RewardConfig(backbone=backbone, yaws=(1, 0, -1)))
    assert sum(p.numel() for p in model.backbone.parameters()) == layers
    assert model.MLP.input_layer.in_features == 3 * 4096
    assert not any(isinstance(m, nn.Dropout) for m in model.modules())


def test_vgg_gives_fc7():
    net = models.VGG(nn.Sequential(nn.Conv2d(3, 512, 3)), num_classes=2, init_weights=False)
    net.classifier = nn.Sequential(
        nn.Linear(25088, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(),
        nn.Dropout(), nn.Linear(8, 2),
    )  # fmt: skip
    net = net.eval()
    x = torch.randn(2, 1, 3, 9, 9)
    flat = net.avgpool(net.features(x[:, 0])).flatten(1)
    fc7 = net.classifier[:4](flat)
    last = net.classifier[6]
    for activated, wanted in ((False, fc7), (True, fc7.relu())):
        net.classifier = nn.Sequential(*net.classifier[:4], nn.ReLU(), nn.Dropout(), last)
        views = VGGViews("vgg", net, activated).train()
        torch.testing.assert_close(views(x), wanted)


@pytest.mark.parametrize("backbone", LIGHT)
def test_scores_and_gradients(backbone):
    model = small(backbone).eval()
    x = shapes(backbone).requires_grad_()
    score = model(x)
    assert score.shape == (3,) and torch.isfinite(score).all()
    score.sum().backward()
    moved = x.grad.flatten(1).norm(dim=1)
    assert (moved > 0).all() and torch.isfinite(moved).all()
    out = model.backbone(model.network_input(x.detach()))
    feature = BACKBONES[backbone].pool(out, model.config)
    assert feature.shape == (3, BACKBONES[backbone].size(model.config))


@pytest.mark.parametrize("backbone", LIGHT)
def test_items_do_not_see_each_other_and_scoring_repeats(backbone):
    model = small(backbone).eval()
    x = shapes(backbone)
    with torch.no_grad():
        together = model(x)
        assert torch.equal(together, model(x))
        alone = torch.cat([model(item[None]) for item in x])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert together.std() > 0


@pytest.mark.parametrize("backbone", ["resnet3d", "projections", "voxnet"])
def test_light_networks_see_every_axis_and_no_scale(backbone):
    model = small(backbone).eval()
    x = shapes(backbone, 1)
    with torch.no_grad():
        score = model(x)
        torch.testing.assert_close(model(3 * x - 7), score, rtol=1e-3, atol=1e-4)
        for axis in (1, 2, 3):
            assert abs(model(x.roll(3, axis)) - score) > 1e-7


@pytest.mark.parametrize("backbone", ["pointnet", "pointnet2", "curvenet"])
def test_clouds_may_be_moved_and_scaled(backbone):
    model = small(backbone).eval()
    x = shapes(backbone)
    with torch.no_grad():
        torch.testing.assert_close(model(2 * x + 1), model(x), rtol=1e-3, atol=1e-4)


def test_pointnet_takes_points_in_any_order():
    net = small("pointnet").eval().backbone
    x = torch.randn(2, 3, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(net(x[:, :, order]), net(x))


def test_pointnet2_depends_on_the_order_by_where_it_starts_alone():
    """With neighbourhoods below the cut, points may be given in any order but for the first."""
    net = small("pointnet2").eval().backbone
    x = torch.rand(1, 3, 60, generator=torch.Generator().manual_seed(1)) * 2 - 1
    order = torch.arange(60)
    order[1:] = order[1:].flip(0)
    with torch.no_grad():
        torch.testing.assert_close(net(x[:, :, order]), net(x), rtol=1e-4, atol=1e-5)


def test_views_are_seen_one_by_one_in_their_order():
    three = small("resnet18", yaws=(1, 0, -1)).eval()
    x = shapes("resnet18", 2, views=3)
    with torch.no_grad():
        out = three.backbone(three.network_input(x)).view(2, 3, 512)
        for view in range(3):
            one = three.backbone(three.network_input(x)[:, view : view + 1])
            torch.testing.assert_close(out[:, view], one)


def test_running_norm_keeps_the_statistics_in_training():
    for norm, moves in (("batch", True), ("running", False)):
        model = small("resnet18", norm=norm, frozen=True).train()
        before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
        with torch.no_grad():
            shown, again = model(shapes("resnet18")), model.eval()(shapes("resnet18"))
        state = model.state_dict()
        assert any(not torch.equal(state[k], v) for k, v in before.items()) == moves
        assert torch.equal(shown, again) != moves
        assert not any(p.requires_grad for p in model.backbone.parameters())


def test_slices_hold_what_stretching_repeats():
    stretched, plain = (small("unet3d", pooling=p) for p in ("stretch", "slices"))
    assert stretched.MLP.input_layer.in_features == 16
    assert plain.MLP.input_layer.in_features == GRID.shape[2]
    assert plain(shapes("unet3d")).shape == (3,)


def test_cosine_trunk():
    model = small("pointnet", activation="cos", doubled=False)
    x = torch.randn(4, 1024)
    mlp = model.MLP
    hidden = mlp.hidden_layers[0](mlp.input_layer(x))
    assert torch.equal(mlp(x), mlp.output_layer(hidden.cos()))


@pytest.mark.parametrize("backbone", [name for name in LIGHT if name != "resnet50"])
def test_every_reward_survives_its_file(backbone, tmp_path):
    model = small(backbone)
    model(shapes(backbone)).sum().backward()  # moves the statistics of BatchNorm
    model.eval().save(tmp_path / "reward.safetensors")
    again = RewardModel.load(tmp_path / "reward.safetensors")
    assert again.config == model.config
    with torch.no_grad():
        assert torch.equal(model(shapes(backbone)), again(shapes(backbone)))


def test_weights_of_image_networks_are_taken_under_their_own_names():
    model = small("resnet18")
    torch.manual_seed(7)
    source = models.resnet18(weights=None).state_dict()
    model.load_backbone(source)
    assert torch.equal(model.state_dict()["external.resnet18.conv1.weight"], source["conv1.weight"])
    with pytest.raises(ValueError, match="not the weights of resnet18.*conv1"):
        model.load_backbone({k: v for k, v in source.items() if k != "conv1.weight"})


@pytest.mark.parametrize(
    "backbone, shape, message",
    [
        ("resnet18", (2, 3, 16, 16), "reward of 1 views"),
        ("pointnet", (2, 63, 3), "N at least 64"),
        ("pointnet", (2, 100, 4), r"\[N, 3\]"),
        ("voxnet", (2, 3, 3, 3), "of its grid"),
    ],
)
def test_other_shapes_are_refused(backbone, shape, message):
    with pytest.raises(ValueError, match=message):
        small(backbone)(torch.zeros(shape))


@pytest.mark.parametrize("backbone", ["resnet18", "pointnet2", "voxnet"])
def test_nan_is_refused(backbone):
    x = shapes(backbone)
    x[1].view(-1)[5] = math.nan
    with pytest.raises(ValueError, match=r"items \[1\] of 3|item 1 spans"):
        small(backbone)(x)


def test_a_cloud_of_one_place_is_refused():
    x = shapes("pointnet")
    x[2] = x[2, :1]
    with pytest.raises(ValueError, match=r"items \[2\] of 3 are clouds whose points all coincide"):
        small("pointnet")(x)


# ---------------------------------------------------------------------- neighbours


@pytest.fixture
def cloud():
    return torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(3))


def test_farthest_points_are_greedy(cloud):
    chosen = farthest_points(cloud, 12)
    for points, picked in zip(cloud, chosen.tolist()):
        assert picked[0] == 0 and len(set(picked)) == 12
        for i in range(1, 12):
            gaps = torch.cdist(points, points[picked[:i]]).amin(1)
            assert gaps[picked[i]] == pytest.approx(gaps.max().item(), rel=1e-5)
    with pytest.raises(ValueError, match="1 to the 50 points"):
        farthest_points(cloud, 51)


def test_first_neighbours_are_cut_in_the_order_of_the_cloud(cloud):
    centres = cloud[:, :7]
    near = within(cloud, centres, 0.5)
    centre, point = first(near, 4)
    edges = list(zip(centre.tolist(), point.tolist()))
    wanted = []
    for b in range(2):
        for s in range(7):
            gaps = (cloud[b] - centres[b, s]).square().sum(1)
            inside = [i for i in range(50) if gaps[i] < 0.25]
            wanted += [(7 * b + s, 50 * b + i) for i in inside[:4]]
    assert edges == wanted
    assert near.sum(2).max() > 4


def test_balls_repeat_their_first_point(cloud):
    centres = cloud[:, :7]
    index = ball(cloud, centres, 0.3, 9)
    for b in range(2):
        for s in range(7):
            gaps = (cloud[b] - centres[b, s]).square().sum(1)
            inside = [i for i in range(50) if gaps[i] <= 0.09][:9]
            assert index[b, s].tolist() == inside + inside[:1] * (9 - len(inside))


def test_nearest_points_come_with_the_point_itself(cloud):
    index = nearest(cloud, 5)
    gaps = torch.cdist(cloud, cloud)
    assert torch.equal(index[:, :, 0], torch.arange(50).expand(2, -1))
    assert torch.equal(index, gaps.topk(5, largest=False).indices)
    assert torch.equal(rows(cloud, index)[1, 3, 2], cloud[1, index[1, 3, 2]])


def test_choices_are_hard_and_their_gradients_soft():
    logits = torch.randn(2, 3, 5, requires_grad=True)
    choice = straight_through(logits)
    torch.testing.assert_close(choice.max(-1).values, torch.ones(2, 3))
    assert torch.equal(choice.argmax(-1), logits.argmax(-1))
    weights = torch.randn(2, 3, 5)
    (grad,) = torch.autograd.grad((choice * weights).sum(), logits)
    (soft,) = torch.autograd.grad((logits.softmax(-1) * weights).sum(), logits)
    torch.testing.assert_close(grad, soft)

"""The auxiliary reconstruction loss: finite everywhere, and it never comes to be inverted."""

import numpy as np
import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.rewards.config import RewardConfig, TrainConfig
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.model import RewardModel, reconstruction_l1, to_range
from sigmaflow.rewards.train import train_reward

GRID = Grid(resolution=16, pads=SLAB_ENTIRE)
SMALL = RewardConfig(grid=GRID, f_maps=(8, 16), feature_size=8, trunk=(8, 8), trunk_out=8,
                     head=(8, 8))  # fmt: skip
WEIGHT = "Conv3DModule.conv3d_for_recon.weight"
LR, EPOCHS = 3e-2, 60


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def slabs(count, seed=0):
    """Hills of growing height in noise."""
    rs = np.random.RandomState(seed)
    x, y, z = (np.linspace(-1, 1, n) for n in GRID.shape)
    hill = np.exp(-4 * (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2))
    high = np.linspace(5, 20, count)[:, None, None, None]
    return (high * hill + rs.randn(count, *GRID.shape)).astype(np.float32)


def training(where, epochs=EPOCHS, seed=0):
    bank = SlabBank(slabs(8), range(8))
    config = TrainConfig(lr=LR, epochs=epochs, patience=epochs, batch=3, recon_weight=1e-2,
                         recon_conv=where, seed=seed)  # fmt: skip
    items = Items(np.array([[5, 0], [6, 1], [7, 2]])), Items(np.array([[4, 3]]))
    return train_reward(bank, *items, config, SMALL)


def decayed(steps):
    """A weight of 1 that weight decay alone moves."""
    weight = torch.nn.Parameter(torch.ones(1))
    adam = torch.optim.Adam([weight], lr=LR, weight_decay=1e-4)
    lowest = 1.0
    for _ in range(steps):
        weight.grad = torch.zeros(1)
        adam.step()
        lowest = min(lowest, weight.item())
    return lowest


@pytest.mark.parametrize("where", ["after", "before"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_long_training_does_not_invert_the_reconstruction(where, seed):
    """It goes on for longer than weight decay takes from 1 to the other sign."""
    assert decayed(EPOCHS) < 0
    found = []
    for tick in training(where, seed=seed):
        weight = tick.state.tensors[f"model/{WEIGHT}"].item()
        found.append((tick.metrics["train_recon"], weight))
    losses, weights = np.array(found).T
    assert len(losses) == EPOCHS and np.isfinite(losses).all()
    assert losses[-5:].max() < 0.7 * losses[0]
    if where == "before":
        assert (weights == 1).all()
    else:
        assert 0.3 < weights.min() and weights.max() < 1.3 and len(set(weights)) > 1


@pytest.mark.parametrize("start", [-0.5, 0.0])
def test_the_papers_form_leads_an_inverted_convolution_back(start):
    torch.manual_seed(0)
    model = RewardModel(SMALL)
    with torch.no_grad():
        model.get_parameter(WEIGHT).fill_(start)
    adam = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(60):
        adam.zero_grad()
        model.features_and_reconstruct(torch.from_numpy(slabs(2)), "after")[1].mean().backward()
        adam.step()
    assert 0.5 < model.get_parameter(WEIGHT).item() < 1.3


def test_the_papers_form_sees_scale_and_sign_of_the_convolution():
    """The loss falls all the way to a weight near 1; the released form is blind to it."""
    torch.manual_seed(0)
    model, slab = RewardModel(SMALL), torch.from_numpy(slabs(2))
    losses = {"after": [], "before": []}
    with torch.no_grad():
        for weight in (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75):
            model.get_parameter(WEIGHT).fill_(weight)
            for where, found in losses.items():
                found.append(model.features_and_reconstruct(slab, where)[1].mean().item())
    assert losses["after"] == sorted(losses["after"], reverse=True)
    assert losses["before"][3:] == pytest.approx([losses["before"][3]] * 3, rel=1e-3)


def test_both_forms_are_the_same_for_a_weight_of_one():
    torch.manual_seed(0)
    model, slab = RewardModel(SMALL), torch.from_numpy(slabs(2))
    with torch.no_grad():
        model.Conv3DModule.conv3d_for_recon.bias.zero_()
        after, before = (model.score_and_reconstruct(slab, w)[1] for w in ("after", "before"))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e4])
def test_a_constant_reconstruction_has_a_finite_loss_and_gradient(value):
    target = torch.rand(2, 3, 4, 5) * 100
    recon = torch.full_like(target, value).requires_grad_()
    loss = reconstruction_l1(recon, target)
    loss.sum().backward()
    floor = target.flatten(1).amin(1)
    torch.testing.assert_close(loss, (target.flatten(1) - floor[:, None]).mean(1))
    assert torch.isfinite(recon.grad).all()


@pytest.mark.parametrize("where", ["after", "before"])
@pytest.mark.parametrize("dead", ["final_conv", "conv3d_for_recon"])
def test_a_network_that_gives_a_constant_has_finite_gradients(where, dead):
    model = RewardModel(SMALL)
    with torch.no_grad():
        for parameter in model.Conv3DModule.get_submodule(dead).parameters():
            parameter.zero_()
    model.features_and_reconstruct(torch.from_numpy(slabs(2)), where)[1].sum().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads and all(torch.isfinite(grad).all() for grad in grads)


def test_small_ranges_grow_instead_of_being_stretched():
    target = torch.rand(1, 2, 3, 4) * 100
    unit = (target - target.min()) / (target.max() - target.min())
    for size, share in ((1e-2, 1.0), (1e-3, 1.0), (5e-4, 0.5), (0.0, 0.0)):
        wanted = target.min() + share * (target - target.min())
        torch.testing.assert_close(to_range(size * unit, target), wanted, rtol=1e-4, atol=1e-2)

"""Gradients in bfloat16 on a CPU: of every 3D backbone, numbers and the same numbers each time."""

import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.rewards.config import mini_config
from sigmaflow.rewards.convolution import Conv3d
from sigmaflow.rewards.model import RewardModel

GRID = Grid(resolution=32, pads=SLAB_ENTIRE)  # four levels end in 2 x 2 x 2 cells


def spoil() -> None:
    """Leave NaN in memory that is free again, for whoever reads before writing."""
    junk = [torch.full((size,), float("nan")) for size in (432, 1728, 6912, 27648, 110592) * 4]
    del junk


@pytest.mark.parametrize("backbone", ["unet3d", "resnet3d", "projections", "voxnet"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_gradients_in_bfloat16_hold_no_memory_of_others(backbone, layout):
    if backbone == "projections" and layout is torch.channels_last_3d:
        pytest.skip("its convolutions are of pictures")
    torch.manual_seed(0)
    config = mini_config(GRID, backbone=backbone, precision="bfloat16")
    model = RewardModel(config).to(memory_format=layout)
    slab = 50 * torch.rand(8, *GRID.shape)
    for _ in range(15):
        model.zero_grad()
        spoil()
        model(slab).square().mean().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_without_autocast_it_is_torchs_own():
    torch.manual_seed(0)
    ours, theirs = Conv3d(4, 4, 3, padding=1), torch.nn.Conv3d(4, 4, 3, padding=1)
    theirs.load_state_dict(ours.state_dict())
    for side in (2, 5):
        x = torch.randn(2, 4, side, side, side)
        assert torch.equal(ours(x), theirs(x))
    with torch.autocast("cpu", torch.bfloat16):
        small, large = ours(torch.randn(1, 4, 2, 9, 9)), ours(torch.randn(1, 4, 3, 9, 9))
    assert small.dtype == torch.float32 and large.dtype == torch.bfloat16

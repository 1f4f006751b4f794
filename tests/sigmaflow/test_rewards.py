import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.rewards.model import RewardConfig, RewardModel, mini_config
from sigmaflow.rewards.unet3d import stretch

REFERENCE = os.environ.get("SIGMAFLOW_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="SIGMAFLOW_REFERENCE is not set")
HEADS = ("scalar", "bt", "pairs")
GRID = Grid(resolution=32, pads=SLAB_ENTIRE)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def released(resolution):
    grid = Grid(resolution=resolution, kind="released", pads=SLAB_ENTIRE)
    return RewardModel(RewardConfig(grid=grid, heads=HEADS)).eval()


@pytest.fixture(scope="module")
def recipe():
    """Weights and inputs of the golden cases, as the reference's own README makes them."""
    text = (Path(REFERENCE) / "golden" / "rewards" / "README.md").read_text()
    names = {}
    exec(re.search(r"```python recipe\n(.*?)```", text, re.S)[1], names)
    return names


@pytest.fixture(scope="module")
def cases():
    return np.load(Path(REFERENCE) / "golden" / "rewards" / "cases.npz")


def fill(model, recipe):
    state = {k: torch.from_numpy(recipe["fill"](k, v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(state)


def test_released_network_has_its_size():
    model = released(256)
    assert len(model.state_dict()) == 179
    assert sum(p.numel() for p in model.parameters()) == 12_686_699


@needs_reference
def test_released_network_has_its_keys():
    text = (Path(REFERENCE) / "reference" / "sigma_reward_state_dict_keys.tsv").read_text()
    expected = dict(line.split("\t") for line in text.splitlines() if line.strip())
    mine = {key: str(tuple(value.shape)) for key, value in released(256).state_dict().items()}
    assert mine == expected


def parity(name, resolution, seeds, recipe, cases):
    model = released(resolution)
    fill(model, recipe)
    slabs = [torch.from_numpy(recipe["slab"](seed, *model.config.grid.shape)) for seed in seeds]
    maxima, fbar, scores, recon = [], [], [], []
    for slab in slabs:
        with torch.no_grad():
            x = model.network_input(slab[None])
            volume = model.Conv3DModule.volume(x)
            maxima.append(model.Conv3DModule.slice_maxima(volume))
            fbar.append(model.embed(maxima[-1]))
            scores.append(model.score(maxima[-1]))
            recon.append(model.score_and_reconstruct(slab[None])[1])
    maxima, fbar = torch.cat(maxima), torch.cat(fbar)

    def close(key, value, atol):
        np.testing.assert_allclose(value.detach().numpy(), cases[f"{name}/{key}"], 0, atol)

    close("slice_max", maxima, 2e-4)
    close("feature", stretch(maxima, 8192), 2e-4)
    close("fbar", fbar, 1e-4)
    close("scalar", torch.cat(scores), 1e-4)
    with torch.no_grad():
        close("bt_raw", model.scalar_rwd_head_BT(fbar)[:, 0], 1e-4)
        better, worse = fbar[[0, 0, 1]], fbar[[1, 2, 2]]
        head = model.scalar_rwd_head_pairs
        close("pair_logits_ab", head(torch.cat([better, worse], 1)), 1e-4)
        close("pair_logits_ba", head(torch.cat([worse, better], 1)), 1e-4)
    golden = [float(np.ravel(cases[f"{name}/recon{i}/l1_normalised"])[0]) for i in range(3)]
    np.testing.assert_allclose(torch.cat(recon).numpy(), golden, rtol=1e-4)

    slab = slabs[1].clone().requires_grad_()
    model(slab[None]).sum().backward()
    grad = slab.grad.flatten()
    at = torch.from_numpy(cases[f"{name}/grad_idx"].astype(np.int64))
    want = cases[f"{name}/grad_val"]
    np.testing.assert_allclose(grad[at].numpy(), want, 0, 2e-3 * np.abs(want).max())
    assert float(grad.norm()) == pytest.approx(float(cases[f"{name}/grad_norm"]), rel=1e-3)


@needs_reference
def test_released_network_on_the_small_slab(recipe, cases):
    parity("sigma_small", 64, recipe["SET"]["slabs_small"], recipe, cases)


@pytest.mark.slow
@needs_reference
def test_released_network_on_the_full_slab(recipe, cases):
    parity("sigma_full", 256, recipe["SET"]["slabs_full"], recipe, cases)


def test_stretching_is_adaptive_pooling():
    maxima = torch.randn(2, 17)
    for size in (5, 17, 64):
        out = stretch(maxima, size)
        for i in range(size):
            first, last = 17 * i // size, -(-17 * (i + 1) // size)
            assert torch.equal(out[:, i], maxima[:, first:last].amax(1))


def test_items_do_not_see_each_other():
    model = RewardModel(mini_config(GRID))
    slab = torch.randn(3, *GRID.shape)
    with torch.no_grad():
        together = model(slab)
        apart = torch.cat([model(item[None]) for item in slab])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_scale_of_sigma_does_not_matter_but_depth_order_does():
    model = RewardModel(mini_config(GRID))
    slab = torch.randn(1, *GRID.shape)
    with torch.no_grad():
        torch.testing.assert_close(model(slab), model(3 * slab - 7), rtol=1e-3, atol=1e-3)
        assert (model(slab) - model(slab.flip(3))).abs() > 1e-6


def test_wrong_shapes_and_grids_are_refused():
    model = RewardModel(mini_config(GRID))
    with pytest.raises(ValueError, match=r"16, 18, 17"):
        model(torch.randn(1, 17, 18, 16))
    model.check_grid(Grid(resolution=32, pads=SLAB_ENTIRE))
    with pytest.raises(ValueError, match="resolution is 64, trained on 32.*kind is 'regular'"):
        model.check_grid(Grid(resolution=64, kind="regular", pads=SLAB_ENTIRE))


@pytest.mark.parametrize(
    "change",
    [
        {"f_maps": (8, 20)},
        {"f_maps": (8, 16, 32, 64, 128, 256)},
        {"heads": ("bt",)},
        {"head": (0, 1)},
        {"fmaps": (8, 16)},
    ],
)
def test_impossible_configs_are_refused(change):
    with pytest.raises(ValidationError):
        mini_config(GRID, **change)


def test_reward_survives_the_file(tmp_path):
    model = RewardModel(mini_config(GRID, psi=0.7, generator="abc"))
    path = tmp_path / "reward.safetensors"
    model.save(path)
    again = RewardModel.load(path)
    assert again.config == model.config and not again.training
    slab = torch.randn(1, *GRID.shape)
    assert torch.equal(model(slab), again(slab))
    first = path.read_bytes()
    model.save(path)
    assert path.read_bytes() == first


def test_damaged_rewards_are_refused(tmp_path):
    path = tmp_path / "reward.safetensors"
    with pytest.raises(FileNotFoundError):
        RewardModel.load(path)
    RewardModel(mini_config(GRID)).save(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="not a reward"):
        RewardModel.load(path)

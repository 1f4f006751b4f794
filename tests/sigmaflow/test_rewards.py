import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.preferences.annotator import AnnotatorConfig, annotate
from sigmaflow.preferences.phantoms import Phantom, random_phantom
from sigmaflow.preferences.questions import make_questions, rank
from sigmaflow.preferences.rankings import Rankings, split
from sigmaflow.rewards.baselines import trivial_accuracies
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.evaluate import (
    accuracy,
    mean_ranking_loss,
    noise_ceiling,
    ranking_loss,
    score_seeds,
    wilson,
)
from sigmaflow.rewards.model import RewardConfig, RewardModel, mini_config
from sigmaflow.rewards.state import RewardState
from sigmaflow.rewards.train import mini_training, train_reward
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


# Learning: slabs that differ by how rough they are, ranked by it.
SMALL = Grid(resolution=20, pads=SLAB_ENTIRE)
TINY = mini_config(SMALL, f_maps=(8, 16), feature_size=16, trunk=(16, 16), trunk_out=16)


@pytest.fixture(scope="module")
def data():
    rough = {seed: 0.04 * np.random.RandomState(seed).rand() for seed in range(120)}
    slabs = [Phantom(rough=r, seed=seed).sigma(SMALL) for seed, r in rough.items()]
    bank = SlabBank(np.stack(slabs).astype(np.float16), list(rough))
    questions = [(i, i + 1) for i in range(0, 120, 2)]
    rankings = rank(questions, {seed: -r for seed, r in rough.items()}, flip=0)
    parts = split(rankings)
    train, val, test = (Items.of(part) for part in parts.of(rankings))
    return bank, train, val, test, rankings


def run(data, config, resume=None, model=TINY):
    bank, train, val, *_ = data
    yield from train_reward(bank, train, val, config, model, resume=resume)


def test_training_learns_and_keeps_the_best(data):
    bank, train, _, test, _ = data
    config = mini_training(epochs=5, batch=2)
    ticks = [(t.metrics, t.done, t.epoch, t.state) for t in run(data, config)]
    metrics = [m for m, *_ in ticks]
    assert [epoch for _, _, epoch, _ in ticks] == list(range(len(ticks)))
    assert [done for _, done, *_ in ticks] == [False] * (len(ticks) - 1) + [True]
    assert min(m["val_loss"] for m in metrics) < 0.8 * np.log(2)
    state = ticks[-1][3]
    best = min(range(len(ticks)), key=lambda i: metrics[i]["val_loss"])
    assert state.progress["best_epoch"] == best
    scores = score_seeds(state.model(), bank, [*train.shapes, *test.shapes])
    assert accuracy(scores, train)["regular"].share > 0.75
    val = score_seeds(state.model(), bank, data[2].shapes)
    assert mean_ranking_loss(val, data[2]) == pytest.approx(metrics[best]["val_loss"], rel=1e-5)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_resumed_training_gives_the_same_bytes(data, tmp_path, stop):
    config = mini_training(epochs=2, batch=3, questions_per_tick=15, recon_weight=1e-2)
    whole = [(t.step, t.epoch, t.metrics) for t in run(data, config)]
    *_, last = run(data, config)
    last.state.write(tmp_path / "whole")

    for i, tick in enumerate(run(data, config), start=1):
        if i == stop:
            tick.state.write(tmp_path / "half")
            break
    rest = []
    for tick in run(data, config, resume=tmp_path / "half"):
        rest.append((tick.step, tick.epoch, tick.metrics))
    tick.state.write(tmp_path / "half")
    assert rest == (whole[stop:] or whole[-1:])
    assert (tmp_path / "half").read_bytes() == (tmp_path / "whole").read_bytes()


def test_training_twice_is_the_same_and_leaves_the_global_generator_alone(data):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = next(run(data, mini_training(batch=8)))
    assert torch.equal(torch.get_rng_state(), before)
    assert next(run(data, mini_training(batch=8))).metrics == first.metrics
    assert next(run(data, mini_training(batch=8, seed=1))).metrics != first.metrics


def test_early_stopping(data):
    bank, train, val, *_ = data
    upside_down = Items(val.seeds[:, ::-1].copy())
    config = mini_training(epochs=30, patience=2, batch=2)
    *_, last = train_reward(bank, train, upside_down, config, TINY)
    assert last.done and last.epoch < 29
    assert last.epoch == last.metrics["best_epoch"] + 2


def test_a_kill_while_saving_leaves_a_whole_checkpoint(data, tmp_path, monkeypatch):
    ticks = run(data, mini_training(epochs=2, batch=8))
    path = tmp_path / "state"
    next(ticks).state.write(path)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        next(ticks).state.write(path)
    monkeypatch.undo()
    assert RewardState.read(path).progress["epoch"] == 1


def test_damaged_or_foreign_states_are_refused(data, tmp_path):
    config = mini_training(batch=8)
    path = tmp_path / "state"
    next(run(data, config)).state.write(path)
    with pytest.raises(ValueError, match="another training"):
        next(run(data, mini_training(batch=8, lr=1e-4), resume=path))
    with pytest.raises(FileNotFoundError):
        RewardState.read(tmp_path / "none")
    for length in (100, -1):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(ValueError, match="not a readable checkpoint"):
            RewardState.read(path)


def test_bad_data_is_refused_before_any_work(data):
    bank, train, val, *_ = data
    config = mini_training()
    with pytest.raises(ValueError, match="have no slab: \\[999"):
        train_reward(bank, Items(np.array([[999, 1]])), val, config, TINY)
    with pytest.raises(ValueError, match="in training and validation"):
        train_reward(bank, train, train, config, TINY)
    with pytest.raises(ValueError, match="no validation"):
        train_reward(bank, train, Items(val.seeds[:0]), config, TINY)
    with pytest.raises(ValueError, match="grid's"):
        train_reward(bank, train, val, config, mini_config(GRID))
    with pytest.raises(ValueError, match="more than once"):
        SlabBank(bank.slabs[:2], [1, 1])
    flat = SlabBank(np.zeros_like(bank.slabs), bank.seeds)
    with pytest.raises(ValueError, match="constant"):
        next(train_reward(flat, train, val, config, TINY))


def test_loss_is_equation_4():
    scores = torch.tensor([[2.0, 1.0, -1.0], [0.0, 0.5, 0.5]])
    s = torch.sigmoid
    first = -(s(torch.tensor(1.0)).log() + s(torch.tensor(3.0)).log() + s(torch.tensor(2.0)).log())
    torch.testing.assert_close(ranking_loss(scores)[0], first / 3)
    assert torch.isfinite(ranking_loss(torch.tensor([[-1e4, 1e4]]))).all()


def test_accuracy_counts_all_and_regular_pairs():
    items = Items.of(Rankings.of([(1, 2), (3, 4)]), np.array([9, 9]))
    found = accuracy({1: 1, 2: 0, 3: 1, 4: 1, 9: 2}, items)
    assert (found["regular"].share, found["regular"].n) == (0.5, 2)
    assert (found["all"].share, found["all"].n) == (5 / 6, 6)
    interval = wilson(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0).n == 0


def test_noise_sets_the_ceiling():
    clean, noisy = Rankings.of([(1, 2), (3, 4)]), Rankings.of([(1, 2), (4, 3)])
    assert noise_ceiling(noisy, clean).share == 0.5
    with pytest.raises(ValueError, match="same questions"):
        noise_ceiling(Rankings.of([(1, 2), (5, 6)]), clean)


def test_trivial_scorers_are_oriented_on_training(data):
    bank, train, _, test, _ = data
    found = trivial_accuracies(bank, train, test)
    assert set(found) == {"slab_mean", "total_variation", "fraction_above"}
    assert found["total_variation"]["regular"].share > 0.6


@pytest.mark.slow
def test_reward_beats_the_trivial_scorers_on_annotated_heads():
    """Heads with mixed defects, ranked by the annotator with its 10 % of flips; clean held out."""
    cube = Grid(resolution=48, kind="regular")
    questions = make_questions(1, 450)
    heads = {seed: random_phantom(seed) for question in questions for seed in question}
    scores = {s: annotate(head.sigma(cube), AnnotatorConfig()) for s, head in heads.items()}
    noisy, clean = rank(questions, scores, flip=0.1, seed=7), rank(questions, scores, flip=0)
    seeds = clean.seeds.tolist()
    bank = SlabBank(np.stack([heads[seed].sigma(GRID) for seed in seeds]), seeds)
    rows = np.arange(450)
    train, val = Items.of(noisy.take(rows[:300])), Items.of(noisy.take(rows[300:350]))
    held = Items.of(clean.take(rows[350:]))
    *_, last = train_reward(bank, train, val, mini_training(epochs=6), mini_config(GRID))
    found = accuracy(score_seeds(last.state.model(), bank, held.shapes), held)["regular"]
    trivial = trivial_accuracies(bank, train, held)
    best = max(each["regular"].share for each in trivial.values())
    assert found.low > 0.5 and found.share > best + 0.05, (found, best)


def test_checkpointing_gives_the_same_numbers():
    grid = Grid(resolution=17)
    slab = torch.randn(2, *grid.shape, generator=torch.Generator().manual_seed(0))
    plain, economic = (RewardModel(mini_config(grid, checkpoint=c)) for c in (False, True))
    assert plain.state_dict().keys() == economic.state_dict().keys()
    economic.load_state_dict(plain.state_dict())
    gradients = []
    for model in (plain, economic):
        x = slab.clone().requires_grad_(True)
        gradients.append(torch.autograd.grad(model(x).sum(), [x, *model.MLP.parameters()]))
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_bfloat16_is_near_and_its_score_is_float32():
    grid = Grid(resolution=17)
    slab = torch.randn(2, *grid.shape, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    full, half = (RewardModel(mini_config(grid, precision=p)) for p in ("float32", "bfloat16"))
    half.load_state_dict(full.state_dict())
    maxima = []
    for model in (full, half):
        model.Conv3DModule.register_forward_hook(lambda m, i, out: maxima.append(out.float()))
        score = model(slab)
        assert score.dtype == torch.float32
    assert 0 < (maxima[0] - maxima[1]).norm() / maxima[0].norm() < 0.05

"""Presets of the fine-tune: each difference does what it says, alone and together."""

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_finetune import GRID, Noise, mean_sigma, run, settings, weights

from sigmaflow.fields.grid import Grid
from sigmaflow.finetune import (
    PAPER,
    RELEASED,
    AdversarialConfig,
    FinetuneConfig,
    Pause,
    RewardTerm,
    finetune,
    start_state,
)
from sigmaflow.finetune import config as presets
from sigmaflow.finetune.geometry import Truncation, semantics_of
from sigmaflow.finetune.loop import Step
from sigmaflow.finetune.losses import generator_loss
from sigmaflow.finetune.micro import fitting_micro_batch, image_bytes, pieces_of
from sigmaflow.finetune.state import Means

TERM = RewardTerm(mean_sigma, GRID)


def one_step(gan, **changes):
    """State and metrics after a step; lazy regularisers are due in it."""
    config = settings(batch=4, **changes)
    state, means = start_state(gan, config), Means()
    Step(state, Noise(), config.resolved(), means, TERM, copy.deepcopy(gan.G_ema)).run()
    return state, means.read()


def same(a, b, *names):
    a, b = weights(a), weights(b)
    return all(torch.equal(a[k], b[k]) for k in a if k.split("/")[0] in (names or ("G", "D")))


# ---------------------------------------------------------------------- presets and fields


def test_presets_are_those_of_the_golden_values():
    assert semantics_of(FinetuneConfig()) == PAPER
    assert semantics_of(FinetuneConfig(semantics="released")) == RELEASED


@pytest.mark.parametrize("name", presets.PRESETS)
def test_presets_are_resolved_once_and_given_fields_win(name):
    config = FinetuneConfig(semantics=name).resolved()
    wanted = dict(presets.PRESETS[name])
    assert {k: getattr(config, k) for k in wanted} == wanted
    assert config.resolved() == config == FinetuneConfig(**config.model_dump())
    other = presets.PRESETS["paper" if name == "released" else "released"]
    crossed = FinetuneConfig(semantics=name, consistency_psi=0.3, lazy_gain=other["lazy_gain"])
    assert crossed.resolved().consistency_psi == 0.3
    assert crossed.resolved().lazy_gain == other["lazy_gain"]
    assert crossed.resolved().neighbours == presets.PRESETS[name]["neighbours"]


def test_every_field_of_a_preset_is_a_field_without_a_default_of_its_own():
    assert set(presets.PAPER) == set(presets.RELEASED)
    defaults = {k: FinetuneConfig.model_fields[k].default for k in presets.PAPER}
    assert set(defaults.values()) == {None}
    plain = AdversarialConfig().resolved()
    assert (plain.lazy_gain, plain.neighbours, plain.micro_batch) == (True, "batch", "auto")


def test_truncations_of_one_term_can_be_given():
    found = semantics_of(FinetuneConfig(reward_cutoff=2), trained_psi=0.8)
    assert found.reward == Truncation(0.8, 2) and found.consistency is None
    found = semantics_of(FinetuneConfig(consistency_psi=0.5))
    assert found.reward is None and found.consistency == Truncation(0.5, None)


def test_a_micro_batch_must_divide_the_batch():
    with pytest.raises(ValidationError, match="micro_batch 3 does not divide batch 16"):
        FinetuneConfig(micro_batch=3)


# ---------------------------------------------------------------------- one difference at a time


def test_released_control_has_no_consistency(tiny_gan):
    paper, with_it = one_step(tiny_gan, lambda_r=0.0)
    _, without = one_step(tiny_gan, lambda_r=0.0, control_consistency=False)
    assert "consistency" in with_it and "consistency" not in without
    state, released = one_step(tiny_gan, lambda_r=0.0, semantics="released")
    assert "consistency" not in released and "reward" not in state.optimizers
    assert "consistency" in one_step(tiny_gan, lambda_r=1.0, semantics="released")[1]
    again, metrics = one_step(
        tiny_gan, lambda_r=0.0, semantics="released", control_consistency=True
    )
    assert "consistency" in metrics and "reward" in again.optimizers


def test_the_separate_phase_has_its_own_adam_and_latents(tiny_gan):
    summed, a = one_step(tiny_gan, lambda_r=1.0)
    apart, b = one_step(tiny_gan, lambda_r=1.0, reward_phase="separate")
    assert set(apart.optimizers) - set(summed.optimizers) == {"reward"}
    adam = apart.optimizers["reward"]
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (0.0025, (0.0, 0.99))
    assert a["reward"] != b["reward"] and a["loss_g"] == b["loss_g"]
    _, ours = one_step(tiny_gan, lambda_r=0.0, control_consistency=False)
    assert ours["loss_d"] == b["loss_d"] != a["loss_d"]  # it comes after both players
    second = [s.optimizers["G"].state_dict()["state"] for s in (summed, apart)]
    moments = [[v["exp_avg_sq"] for v in part.values()] for part in second]
    assert any(not torch.equal(x, y) for x, y in zip(*moments))
    decoder = apart.G.decoder.net[0].weight
    assert adam.state[decoder]["step"] == 1
    assert not torch.equal(
        adam.state[decoder]["exp_avg_sq"], apart.optimizers["G"].state[decoder]["exp_avg_sq"]
    )


SHARED = dict(reward_phase="shared", noise_mode="const", lambda_r=1.0)


def test_shared_planes_pass_the_backbone_once_and_have_the_gradients_of_one_sum(
    tiny_gan, monkeypatch
):
    """Against autograd through one graph of all three losses, with the same cameras and rays."""
    from sigmaflow.generators import TriPlaneGenerator
    from sigmaflow.generators.volume import RaySampling

    render, planes = TriPlaneGenerator.render, TriPlaneGenerator.planes
    monkeypatch.setattr(TriPlaneGenerator, "render", lambda G, planes, c, **_: render(
        G, planes, c, sampling=RaySampling(deterministic=True)))  # fmt: skip
    passes = []
    monkeypatch.setattr(TriPlaneGenerator, "planes", lambda *a: passes.append(
        torch.is_grad_enabled()) or planes(*a))  # fmt: skip
    G_old = copy.deepcopy(tiny_gan.G_ema)
    with torch.no_grad():
        G_old.decoder.net[2].bias[0] += 1  # else the consistency has no gradient

    def step(**changes):
        config = settings(batch=4, **{**SHARED, **changes}).resolved()
        state, means = start_state(tiny_gan, config), Means()
        torch.manual_seed(5)
        one = Step(state, Noise(), config, means, TERM, G_old)
        state.samples.begin(0, config.batch)
        torch.manual_seed(6)
        return one, config, means

    one, config, means = step()
    z = one.generator_main()
    assert passes.count(True) == 1 and len(passes) == 2  # the start's is without gradients
    got = {name: p.grad for name, p in one.G.named_parameters()}
    passes.clear()
    step(reward_phase="summed")[0].generator_main()
    assert passes.count(True) == 2

    two, *_ = step()
    torch.manual_seed(6)
    assert torch.equal(two.latents(), z)
    c = two.conditions()
    ws = two.G.mapping(z, c)
    made = two.G.planes(ws, "const")
    out = two.G.render(made, two.c_fake)
    image, raw = two.G.superresolution(out["image_volume"], out["features"], ws, "none")
    grid = Grid(resolution=config.consistency_resolution, length=1.0)
    old = G_old.planes(G_old.mapping(z, c), "const")
    loss = generator_loss(two.logits((image, raw), two.c_fake)).mean()
    score = mean_sigma(two.G.sigma_grid(made, GRID))
    loss = loss - score.clamp(config.clamp_low, config.clamp_high).mean()
    distance = (two.G.sigma_grid(made, grid) - G_old.sigma_grid(old, grid)).abs().mean()
    loss = loss + config.lambda_c * distance
    loss.backward()
    told = means.read()
    assert told["reward"] == pytest.approx(float(score.mean().detach()), rel=1e-5)
    assert told["consistency"] == pytest.approx(float(distance.detach()), rel=1e-4) and distance > 0
    for name, p in two.G.named_parameters():
        assert (got[name] is None) == (p.grad is None), name
        if p.grad is not None:
            assert (got[name] - p.grad).norm() <= 1e-4 * p.grad.norm() + 1e-9, name


@pytest.mark.parametrize("changes, said", [
    ({"noise_mode": "random"}, "noise_mode must be const or none"),
    ({"reward_psi": 0.7}, "reward_psi must be trained or 1, and is 0.7"),
    ({"semantics": "released"}, "consistency_psi must be reward or 1, and is 0.7"),
    ({"update_w_avg": True}, "update_w_avg must be False"),
])  # fmt: skip
def test_what_is_rendered_cannot_be_scored_otherwise(changes, said):
    with pytest.raises(ValidationError, match=said):
        FinetuneConfig(**{**SHARED, **changes})


def test_a_reward_of_truncated_latents_cannot_score_what_is_rendered(tiny_gan):
    config = settings(**SHARED)
    term = RewardTerm(mean_sigma, GRID, truncation_psi=0.7)
    state = start_state(tiny_gan, config)
    with pytest.raises(ValueError, match="not truncated.*psi=0.7"):
        next(finetune(state, Noise(), config, term, copy.deepcopy(tiny_gan.G_ema)))


def test_a_common_factor_of_the_separate_phase_changes_next_to_nothing(tiny_gan):
    """Adam is free of scale (method of the released code), where Eq. 6's sum is not."""

    def field(lambda_r, lambda_c, phase):
        state, _ = one_step(
            tiny_gan, lambda_r=lambda_r, lambda_c=lambda_c, reward_phase=phase, r1_gamma=0.0,
            density_reg=0.0,
        )  # fmt: skip
        return state.G.decoder.net[0].weight.detach()

    for phase, moved in (("separate", False), ("summed", True)):
        less, more = field(0.1, 1e-3, phase), field(10.0, 0.1, phase)
        assert ((less - more).abs().mean() > 1e-5) == moved


@pytest.mark.parametrize("name, due, network", [
    ("density_reg", "density_variation", "G"), ("r1_gamma", "r1_penalty", "D")])  # fmt: skip
def test_lazy_gains_can_be_dropped(tiny_gan, name, due, network):
    """As if the weight were divided by the interval."""
    interval = {"density_reg": "density_reg_interval", "r1_gamma": "r1_interval"}[name]
    only = {"lambda_r": 0.0, "density_reg": 0.0, "r1_gamma": 0.0, interval: 4}
    kept, metrics = one_step(tiny_gan, **{**only, name: 8.0})
    dropped, _ = one_step(tiny_gan, **{**only, name: 8.0}, lazy_gain=False)
    divided, _ = one_step(tiny_gan, **{**only, name: 2.0})
    assert due in metrics
    assert same(dropped, divided) and not same(dropped, kept, network)


def test_scoring_moves_w_avg_only_where_asked(tiny_gan):
    still, _ = one_step(tiny_gan, lambda_r=1.0)
    control, _ = one_step(tiny_gan, lambda_r=0.0)
    moved, _ = one_step(tiny_gan, lambda_r=1.0, update_w_avg=True)
    w_avg = [s.G.backbone.mapping.w_avg for s in (still, control, moved)]
    start = tiny_gan.G.backbone.mapping.w_avg
    # The discriminator's phase moves it in all three.
    assert not torch.equal(w_avg[0], start)
    assert (w_avg[2] - w_avg[0]).norm() > 10 * (w_avg[1] - w_avg[0]).norm()


def test_neighbours_are_those_of_the_micro_batch(tiny_gan, monkeypatch):
    """Of one image: no pose is swapped, and w_avg moves image by image."""
    asked = []
    mapping = tiny_gan.G.mapping

    def listen(z, c, *args, update_emas=False, **kwargs):
        asked.append((c.clone(), update_emas))
        return mapping(z, c, *args, update_emas=update_emas, **kwargs)

    def conditions(**changes):
        config = settings(batch=4, lambda_r=0.0, gpc_reg_prob=1.0, density_reg=0.0, **changes)
        state = start_state(tiny_gan, config)
        monkeypatch.setattr(state.G, "mapping", listen)
        asked.clear()
        seen = []
        monkeypatch.setattr(
            "sigmaflow.finetune.loop.picture",
            lambda G, ws, c, *_: (
                seen.append(c)
                or tuple(ws.mean() + torch.zeros(len(c), 3, size, size) for size in (16, 8))
            ),
        )
        config = config.model_copy(update={"control_consistency": False})
        Step(state, Noise(), config.resolved(), Means()).run()
        return torch.cat([c for c, _ in asked]), torch.cat(seen), [e for _, e in asked].count(True)

    given, shown, moves = conditions(micro_batch=1, neighbours="micro_batch")
    assert torch.equal(given, shown) and moves == 4
    given, shown, moves = conditions(micro_batch=1, neighbours="batch")
    assert not torch.equal(given, shown) and moves == 1


# ---------------------------------------------------------------------- micro-batches


def test_pieces_keep_the_groups_of_the_discriminator():
    assert pieces_of(8, 8, 4) == [slice(None)]
    assert [p.tolist() for p in pieces_of(8, 4, 4)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert [p.tolist() for p in pieces_of(16, 8, 4)][0] == [0, 1, 4, 5, 8, 9, 12, 13]
    assert pieces_of(4, 2, 4) == [slice(0, 2), slice(2, 4)]
    with pytest.raises(ValueError, match="does not divide"):
        pieces_of(8, 3)


def test_logits_of_pieces_are_those_of_the_batch(tiny_gan):
    D, c = tiny_gan.D, torch.randn(16, 25)
    image, raw = torch.randn(16, 3, 16, 16), torch.randn(16, 3, 8, 8)
    whole, split = D(image, raw, c), torch.empty(16, 1)
    for size, equal in ((8, True), (4, True), (2, False)):
        for piece in pieces_of(16, size, 4):
            split[piece] = D(image[piece], raw[piece], c[piece])
        assert torch.allclose(whole, split, atol=1e-5) == equal


@pytest.mark.parametrize("phase", ["summed", "shared", "separate"])
def test_micro_batches_give_the_gradients_of_the_whole(tiny_gan, monkeypatch, phase):
    """Where nothing random differs: the rays' jitter is drawn piece by piece."""
    from sigmaflow.generators import TriPlaneGenerator
    from sigmaflow.generators.volume import RaySampling

    render = TriPlaneGenerator.render
    monkeypatch.setattr(TriPlaneGenerator, "render", lambda G, planes, c, **_: render(
        G, planes, c, sampling=RaySampling(deterministic=True)))  # fmt: skip
    # Plain gradient descent, since Adam makes much of little differences.
    moved = {}
    for size in (8, 4):
        config = settings(batch=8, lambda_r=1.0, noise_mode="const", density_reg=0.0,
                          r1_interval=1, micro_batch=size, reward_phase=phase)  # fmt: skip
        state, means = start_state(tiny_gan, config), Means()
        state.optimizers = {
            n: torch.optim.SGD((state.D if n == "D" else state.G).parameters(), lr=1e-3)
            for n in state.optimizers
        }
        Step(state, Noise(), config.resolved(), means, TERM, copy.deepcopy(tiny_gan.G_ema)).run()
        moved[size] = weights(state), means.read(), state.samples.table()
    (a, told, rows), (b, told_too, rows_too) = moved.values()
    assert all(torch.allclose(a[k], b[k], rtol=1e-4, atol=1e-6) for k in a)
    assert any(not torch.equal(a[k], v) for k, v in weights(start_state(tiny_gan, config)).items())
    assert told == {k: pytest.approx(v, rel=1e-4, abs=1e-6) for k, v in told_too.items()}
    assert torch.allclose(rows, rows_too, rtol=1e-4, atol=1e-6)  # every image in its row


def test_auto_takes_what_the_memory_holds(tiny_gan, tmp_path):
    config = settings(batch=8, micro_batch="auto", lambda_r=1.0)
    state = start_state(tiny_gan, config)
    before = weights(state)
    each = max(image_bytes(state, config.resolved(), TERM, tiny_gan.G_ema).values())
    numbers = [p.numel() for n in (state.G, state.D) for p in n.parameters()]

    def fits(images):
        fixed = 4 * (4 * sum(numbers) + 2 * sum(p.numel() for p in state.G.parameters()))
        small = settings(batch=8, micro_batch="auto", memory_gb=(fixed + images * each) / 1e9)
        return fitting_micro_batch(state, small.resolved(), TERM, tiny_gan.G_ema)

    assert [fits(n) for n in (0.5, 1.5, 2.5, 4.5, 7.5, 8.5)] == [1, 1, 2, 4, 4, 8]
    with pytest.raises(ValueError, match="memory_gb"):
        fits(-1000)
    after = weights(state)
    assert all(torch.equal(before[k], after[k]) for k in before)
    ticks = list(finetune(state, Noise(), config, TERM, copy.deepcopy(tiny_gan.G_ema)))
    assert state.micro_batch == 8 and ticks
    state.save(tmp_path / "state")
    resumed = start_state(tiny_gan, config)
    resumed.restore(tmp_path / "state")
    assert resumed.micro_batch == 8


# ---------------------------------------------------------------------- pauses


def rest_of(state, gan, config, stop=None):
    """Everything that a run yields until it pauses or ends."""
    found = []
    for tick in finetune(state, Noise(), config, TERM, copy.deepcopy(gan.G_ema), stop):
        if isinstance(tick, Pause):
            return found, True
        found.append((tick.images_seen, tick.metrics, {k: v.tolist() for k, v in
                                                       tick.samples.items()}))  # fmt: skip
    return found, False


@pytest.mark.parametrize("changes", [
    {}, {"semantics": "released"}, {"aug": "ada", "ada_interval": 2, "aug_p": 0.2},
    {"precision": "bfloat16"}, {"micro_batch": "auto"}, SHARED])  # fmt: skip
def test_stopped_after_any_step_it_ends_in_the_same_bytes(tiny_gan, tmp_path, changes):
    config = settings(**{"lambda_r": 1.0, "tick_kimg": 0.006, "kimg": 0.014, **changes})
    whole = start_state(tiny_gan, config)
    want, _ = rest_of(whole, tiny_gan, config)
    whole.save(tmp_path / "whole")
    assert [seen for seen, *_ in want] == [6, 12, 14]
    assert len(want[0][2]["reward"]) == 6 and np.isfinite(want[0][2]["logit"]).all()
    got, paused, path = [], True, None
    times = 0
    while paused:  # one step at a time
        state = start_state(tiny_gan, config)
        if path is not None:
            state.restore(path)
        torch.manual_seed(times)
        part, paused = rest_of(state, tiny_gan, config, stop=lambda: True)
        got += part
        times, path = times + 1, tmp_path / f"state{times}"
        state.save(path)
    assert times == 5  # pauses at 2, 4, 8, 10 and the end; no pause beside a tick
    assert repr(got) == repr(want)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


def test_numbers_that_are_not_finite_end_the_run_before_a_save(tiny_gan):
    def nan_after_two(slab, seen=[]):  # noqa: B006
        seen.append(1)
        return mean_sigma(slab) * (float("nan") if len(seen) > 2 else 1.0)

    config = settings(lambda_r=1.0, micro_batch=2)
    term = RewardTerm(nan_after_two, GRID)
    state = start_state(tiny_gan, config)
    ticks = finetune(state, Noise(), config, term, copy.deepcopy(tiny_gan.G_ema))
    assert next(ticks).images_seen == 4
    with pytest.raises(FloatingPointError, match="reward.* not finite after 6 images"):
        next(ticks)


def test_another_set_of_optimisers_is_refused_by_name(tiny_gan, tmp_path):
    start_state(tiny_gan, settings(lambda_r=1.0)).save(tmp_path / "empty")
    state, _ = run(tiny_gan, settings(lambda_r=1.0, semantics="released"), reward=True)
    state.save(tmp_path / "state")
    with pytest.raises(ValueError, match="optimiser 'reward'"):
        start_state(tiny_gan, settings(lambda_r=1.0)).restore(tmp_path / "state")


# ---------------------------------------------------------------------- precision


def test_half_precision_is_near_and_only_where_it_may_be(tiny_gan):
    full, a = one_step(tiny_gan, lambda_r=1.0)
    half, b = one_step(tiny_gan, lambda_r=1.0, precision="bfloat16")
    assert a["loss_g"] != b["loss_g"]
    assert b["loss_g"] == pytest.approx(a["loss_g"], rel=0.05)
    assert b["r1_penalty"] == pytest.approx(a["r1_penalty"], rel=0.1)
    assert (a["reward"], a["consistency"]) == (b["reward"], b["consistency"])
    assert all(p.dtype == torch.float32 for p in half.G.parameters())

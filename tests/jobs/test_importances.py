"""Importances and slices of made-up trials whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from jobs.output.tables import slices
from jobs.search.importances import importances
from jobs.search.outcomes import LEAST, feasible, pareto, violations

SPACE = {
    "lambda_r": {"low": 0.0, "high": 10.0, "log": False},
    "lambda_c": {"low": 1e-3, "high": 1.0, "log": True},
    "batch": {"low": 4.0, "high": 16.0, "int": True},
    "noise_mode": {"choices": ["random", "const"]},
    "reward.f_maps": {"choices": [[8, 16], [8, 8]]},
}


def made(n, space=SPACE):
    """The table `trials` and the tables' config: gain hangs on lambda_r, FID on noise_mode."""
    rng = np.random.RandomState(0)
    settings = [
        {"lambda_r": rng.rand() * 10, "lambda_c": 10 ** (-3 * rng.rand()),
         "batch": int(rng.randint(4, 17)), "noise_mode": ["random", "const"][rng.randint(2)],
         "reward.f_maps": [[8, 16], [8, 8]][rng.randint(2)]}
        for _ in range(n)
    ]  # fmt: skip
    settings = [{k: one[k] for k in space} for one in settings]
    trials = pd.DataFrame([{"trial": 2 * i, **one} for i, one in enumerate(settings)])
    trials["reward_delta_mean"] = trials["heldout_delta_mean"] = trials["lambda_r"] ** 2
    trials["fid"] = 650.0 + 20 * (trials.get("noise_mode", "") == "const")
    trials["feasible"], trials["pareto"] = True, False
    config = {
        "space": space,
        "params": list(space),
        "fid_name": "fid_mini",
        "numbers": trials["trial"].tolist(),
        "settings": settings,
        "constraints": {},
    }
    return trials, config


def test_the_setting_that_matters_is_found_and_always_the_same():
    trials, config = made(24)
    table = importances(trials, config)
    share = table.pivot(index="parameter", columns="objective", values="importance")
    assert share["heldout_gain"].idxmax() == "lambda_r" and share["heldout_gain"].max() > 0.8
    assert share["fid_mini"].idxmax() == "noise_mode" and share["fid_mini"].max() > 0.8
    np.testing.assert_allclose(share.sum(), 1.0)
    assert set(table["trials"]) == {24} and set(table["evaluator"]) == {"fanova"}
    pd.testing.assert_frame_equal(importances(trials, config), table, check_exact=True)


def test_few_trials_say_nothing():
    table = importances(*made(LEAST - 1))
    assert table["importance"].isna().all() and set(table["trials"]) == {LEAST - 1}
    assert importances(*made(LEAST))["importance"].notna().all()


def test_equal_objectives_and_single_settings():
    space = {"lambda_r": SPACE["lambda_r"], "noise_mode": {"choices": ["random"]}}
    trials, config = made(16)
    trials, config = (
        trials.assign(noise_mode="random"),
        {
            **config,
            "space": space,
            "settings": [
                {"lambda_r": s["lambda_r"], "noise_mode": "random"} for s in config["settings"]
            ],
        },
    )
    table = importances(trials.assign(fid=650.0), config).set_index(["objective", "parameter"])
    assert table["importance"]["gain", "lambda_r"] == 1.0
    assert table["importance"]["gain", "noise_mode"] == 0.0
    assert table["importance"]["fid_mini"].isna().all()


def test_slices_are_long_and_typed():
    trials, config = made(3)
    table = slices(trials.assign(**{"reward.f_maps": "[8,16]"}), config)
    assert len(table) == 3 * 5 * 2 and table["trial"].tolist()[:3] == [0, 2, 4]
    words = table["parameter"].isin(["noise_mode", "reward.f_maps"])
    assert table["label"].notna().tolist() == words.tolist() == table["value"].isna().tolist()


@pytest.mark.parametrize(
    "numbers, limits, over",
    [
        ({"fid": 7.0}, {"fid": {"max": 6.0}}, {"fid max": 1.0}),
        ({"fid": 7.0}, {"fid": {"min": 5.0, "max": 7.0}}, {"fid min": -2.0, "fid max": 0.0}),
        ({"saturation": None}, {"saturation": {"max": 0.5}}, {"saturation max": 1.5}),
        ({"fid": float("inf")}, {"fid": {"min": -3.0}}, {"fid min": 4.0}),
        ({"fid": 7.0}, {}, {}),
    ],
)
def test_violations_by_hand(numbers, limits, over):
    assert violations(numbers, limits) == over
    assert feasible(numbers, limits) == all(v <= 0 for v in over.values())


def test_the_front_is_of_feasible_trials_by_the_reward_that_is_common():
    numbers = {
        0: {"reward_delta_mean": 1.0, "heldout_delta_mean": 3.0, "fid": 5.0},
        1: {"reward_delta_mean": 2.0, "heldout_delta_mean": 1.0, "fid": 5.0},
        2: {"reward_delta_mean": 9.0, "heldout_delta_mean": 9.0, "fid": 6.0},
    }
    assert pareto(numbers, {"lambda_r": {}}, {}) == [1, 2]
    assert pareto(numbers, {"reward.train.lr": {}}, {}) == [0, 2]
    assert pareto(numbers, {"lambda_r": {}}, {"fid": {"max": 5.5}}) == [1]
    assert pareto(numbers, {"lambda_r": {}}, {"fid": {"max": 1.0}}) == []

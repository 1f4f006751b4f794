"""Means over seeds of a sweep that searches them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jobs.output.repeats import MEASURES, repeated, repeats, wide
from sigmaflow import figures

CONFIG = {
    "params": ["lambda_r", "semantics", "seed"],
    "space": {"lambda_r": {"choices": [10, 0]}, "semantics": {"choices": ["paper", "released"]},
              "seed": {"choices": [0, 1, 2]}},
}  # fmt: skip


def trials(missing=()):
    rng, rows = np.random.default_rng(0), []
    for lambda_r in (10.0, 0.0):
        for semantics in ("paper", "released"):
            for seed in range(3):
                numbers = {c: rng.normal(lambda_r / 10, 0.1) for c in MEASURES.values()}
                rows.append({"trial": len(rows), "lambda_r": lambda_r, "semantics": semantics,
                             "seed": seed, **numbers})  # fmt: skip
    return pd.DataFrame([row for row in rows if row["trial"] not in missing])


def test_means_and_intervals_are_those_of_the_seeds():
    table, told = trials(), repeats(trials(), CONFIG)
    assert len(told) == 4 * len(MEASURES) and set(told["n"]) == {3}
    one = told[(told["lambda_r"] == 10) & (told["semantics"] == "released")]
    one = one.set_index("measure").loc["held-out gain"]
    values = table["heldout_delta_mean"][3:6].to_numpy()
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (one["mean"], one["sd"]) == (values.mean(), values.std(ddof=1))
    assert (one["low"], one["high"]) == (pytest.approx(low), pytest.approx(high))
    text = wide(told)
    assert text["lambda_r"].tolist() == [10, 10, 0, 0] and list(text["n"]) == [3] * 4
    assert text["held-out gain"][1] == f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def test_a_setting_of_one_seed_has_no_interval(tmp_path):
    told = repeats(trials(missing=(1, 2)), CONFIG)
    first = told[told["n"] == 1]
    assert len(first) == len(MEASURES) and first[["sd", "low", "high"]].isna().all(axis=None)
    assert "[" not in wide(told)["reward gain"][0] and "[" in wide(told)["reward gain"][1]
    figure = figures.repeats(told, ("reward gain", "FID change"))
    left = figure.axes[0]
    assert [t.get_text() for t in left.get_xticklabels()] == ["0", "10"]
    assert left.get_legend_handles_labels()[1] == ["paper", "released"]
    figures.save(figure, tmp_path / "repeats")
    assert (tmp_path / "repeats.png").stat().st_size > 10_000


def test_an_ablation_has_a_row_a_change():
    settings = [
        {"lambda_r": 10.0, "micro_batch": size, "lazy_gain": gain, "seed": seed}
        for size, gain in ((1, False), ("auto", False), (1, True))
        for seed in (0, 1)
    ]
    rows = [
        {"trial": n, **s, **dict.fromkeys(MEASURES.values(), float(n))}
        for n, s in enumerate(settings)
    ]
    config = {"params": list(settings[0]), "base": {"micro_batch": 1, "lazy_gain": False},
              "numbers": list(range(6)), "settings": settings}  # fmt: skip
    panel = figures.repeats(repeats(pd.DataFrame(rows), config), ("reward gain",)).axes[0]
    shown = [label.get_text() for label in panel.get_xticklabels()]
    assert shown == ["none", "micro_batch auto", "lazy_gain True"]
    assert panel.get_legend_handles_labels()[1] == ["lambda_r 10"]
    told = wide(repeats(pd.DataFrame(rows), config))
    assert list(told.columns[:3]) == ["lambda_r", "change", "n"]
    assert told["change"].tolist() == ["none", "micro_batch auto", "lazy_gain True"]
    assert told["reward gain"].str.split(" ").str[0].tolist() == ["0.50", "2.50", "4.50"]


def test_only_a_sweep_over_seeds_has_them():
    assert repeated(CONFIG)
    assert not repeated({"space": {"lambda_r": {"low": 0, "high": 1}}})
    assert not repeated({"space": {"seed": {"choices": [4]}}})

"""Results under names that a person, or another sweep file, can say."""

import pytest

from jobs.report import accuracy_line, publish, publish_models


@pytest.fixture
def gan(tmp_path):
    folder = tmp_path / "store" / "gan"
    folder.mkdir(parents=True)
    for name in ("config.json", "D.safetensors", "G.safetensors", "G_ema.safetensors"):
        (folder / name).write_text(f"of {name}")
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_sweep_leaves_its_reward_and_its_strongest_generator(tmp_path, gan):
    for end in ("safetensors", "json"):
        (gan.parent / f"reward.{end}").write_text(end)
    runs = tmp_path / "runs"
    publish_models(gan.parent, gan.parent, runs, "lambda")
    assert names(runs / "models") == [
        "lambda-reward.json",
        "lambda-reward.safetensors",
        "lambda-strongest/D.safetensors",
        "lambda-strongest/G.safetensors",
        "lambda-strongest/G_ema.safetensors",
        "lambda-strongest/config.json",
    ]
    before = {p: p.stat().st_mtime_ns for p in (runs / "models").rglob("*")}
    publish_models(gan.parent, gan.parent, runs, "lambda")
    assert before == {p: p.stat().st_mtime_ns for p in (runs / "models").rglob("*")}


def test_a_trained_generator_gets_the_name_of_its_sweep(tmp_path, gan):
    publish(gan.parent, tmp_path / "runs", "pretrain_mini")
    assert len(names(tmp_path / "runs" / "models" / "pretrain_mini")) == 4


def test_config_comes_last_and_a_changed_file_is_replaced(tmp_path, gan, monkeypatch):
    from jobs import report

    written = []
    write = report.atomic.write_bytes
    monkeypatch.setattr(
        report.atomic, "write_bytes", lambda p, d: (written.append(p.name), write(p, d))
    )
    publish(gan.parent, tmp_path / "runs", "mine")
    assert written[-1] == "config.json"
    (gan / "G.safetensors").write_text("another")
    publish(gan.parent, tmp_path / "runs", "mine")
    assert (tmp_path / "runs" / "models" / "mine" / "G.safetensors").read_text() == "another"
    assert len(written) == 5


def accuracies(folder, **shares):
    import pandas as pd

    rows = [{"scorer": name, "pairs": "regular", "share": share, "low": share - 0.1,
             "high": share + 0.1, "n": 20} for name, share in shares.items()]  # fmt: skip
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / "accuracy.parquet", index=False)
    return folder


def test_the_line_of_a_reward_of_slabs_names_the_best_trivial_scorer(tmp_path):
    line = accuracy_line(accuracies(tmp_path, reward=0.8, slab_mean=0.5, total_variation=0.6))
    assert "right on 80 % of 20 held-out pairs" in line
    assert line.endswith("best trivial scorer (total_variation) 60 %")


@pytest.mark.parametrize("more", [{}, {"noise_ceiling": 0.9}])
def test_rewards_of_depth_and_points_have_no_trivial_scorers_beside_them(tmp_path, more):
    line = accuracy_line(accuracies(tmp_path, reward=0.8, **more))
    assert "trivial" not in line
    assert ("noise ceiling 90 %" in line) == bool(more)

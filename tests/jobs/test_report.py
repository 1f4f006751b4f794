"""Results under names that a person, or another sweep file, can say."""

import pytest

from jobs.report import publish, publish_models


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

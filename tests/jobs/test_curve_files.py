"""Curves of a card are looked at before the hours that end in drawing them."""

import pandas as pd
import pytest

from jobs.output import card_pictures
from jobs.output.card_pictures import read_curve
from jobs.sweep import outside
from jobs.sweep.config import ConfigError, load
from jobs.sweep.kinds import CardConfig
from sweeps import SCALES


def card(tmp_path, curve):
    path = tmp_path / "card.yaml"
    path.write_text(f"kind: card\nname: c\nscale: mini\ncard: {{curves: {{warm: '{curve}'}}}}\n")
    return load(path, CardConfig, scales=SCALES)


@pytest.mark.parametrize(("name", "text", "said"), [
    ("m.jsonl", '{"loss": 1}\n', "has no kimg or step or images_seen"),
    ("m.jsonl", "", "has no kimg"),
    ("m.jsonl", "no json\n", "holds no metrics"),
    ("m.jsonl", "3\n", "holds no metrics"),
    ("m.parquet", "PAR1", "is no Parquet file"),
])  # fmt: skip
def test_a_file_without_steps_is_refused(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="give the metrics of a training stage") as refused:
        card(tmp_path, tmp_path / name)
    assert said in str(refused.value) and "card.curves.warm" in str(refused.value)


def test_a_file_that_is_too_long_is_refused_there_and_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(outside, "MOST_TEXT", 20)
    monkeypatch.setattr(card_pictures, "MOST_TEXT", 20)
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    with pytest.raises(ConfigError, match="more than 20 bytes"):
        card(tmp_path, path)
    with pytest.raises(ValueError, match="more than 20 characters"):
        read_curve(path)


def test_both_forms_are_taken_and_read(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"step": 1000, "l1": NaN}\n')
    table = pd.DataFrame({"images_seen": [1000], "l1": [0.5], "note": ["x"]})
    table.to_parquet(tmp_path / "m.parquet")
    for name in ("m.jsonl", "m.parquet"):
        card(tmp_path, tmp_path / name)
        assert read_curve(tmp_path / name)["kimg"].tolist() == [1.0]

"""Generators without numbers and folders with dead links: no traceback."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.questions import main as questions
from jobs.shapes import main as shapes
from jobs.store.stage import file_digest


def spoiled(tiny_checkpoint, folder, change):
    shutil.copytree(tiny_checkpoint, folder)
    file = folder / "G_ema.safetensors"
    state = load_file(file)
    change(state)
    save_file(state, file)
    return folder


def with_nan(state):
    name = next(n for n in state if n.endswith("weight"))
    state[name].view(-1)[0] = float("nan")


def overflowing(state):
    for name, value in state.items():
        if "mapping" not in name and name.endswith("weight") and value.is_floating_point():
            state[name] = torch.full_like(value, 1e38)


@pytest.mark.parametrize("change,said", [
    (with_nan, "G_ema.safetensors: "), (overflowing, "seed 0: the generator's planes hold NaN"),
])  # fmt: skip
def test_a_generator_without_numbers_is_named(tmp_path, tiny_checkpoint, capsys, change, said):
    gan = spoiled(tiny_checkpoint, tmp_path / "gan", change)
    assert shapes([str(gan), "--seeds", "0", "--resolution", "16", "--format", "ply",
                   "--out", str(tmp_path / "s")]) == 2  # fmt: skip
    err = capsys.readouterr().err
    assert f"{gan}" in err and said in err and "before its training diverged" in err
    assert "Traceback" not in err
    assert questions([str(gan), "--count", "1", "--resolution", "16", "--first-seed", "0",
                      "--out", str(tmp_path / "q")]) == 2  # fmt: skip
    err = capsys.readouterr().err
    assert str(gan) in err and "NaN or infinity" in err


def overflowing_decoder(state):
    """Planes are numbers; what the decoder makes of them is not."""
    name = "decoder.net.0.weight"
    state[name] = torch.full_like(state[name], 1e38)


@pytest.mark.parametrize("kind", ["ply", "mrc", "png", "depth", "points"])
def test_densities_without_numbers_are_named_in_every_format(
    tmp_path, tiny_checkpoint, capsys, kind
):
    gan = spoiled(tiny_checkpoint, tmp_path / "gan", overflowing_decoder)
    out = tmp_path / "s"
    assert shapes([str(gan), "--seeds", "0", "--resolution", "16", "--format", kind,
                   "--out", str(out)]) == 2  # fmt: skip
    err = capsys.readouterr().err
    assert f"{gan}: seed 0: the generator's de" in err and "NaN or infinity" in err
    assert not [p for p in out.glob("seed*")]


def test_densities_without_numbers_end_pages_of_questions(tmp_path, tiny_checkpoint, capsys):
    gan = spoiled(tiny_checkpoint, tmp_path / "gan", overflowing_decoder)
    assert questions([str(gan), "--count", "1", "--resolution", "16", "--first-seed", "0",
                      "--out", str(tmp_path / "q")]) == 2  # fmt: skip
    err = capsys.readouterr().err
    assert f"{gan}: seed " in err and "the generator's densities hold NaN or infinity" in err


def test_a_link_to_nothing_does_not_count(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    before = file_digest(folder)
    (folder / ".#lock").symlink_to(tmp_path / "nowhere")
    assert file_digest(folder) == before
    (folder / "loop").symlink_to(folder / "loop")
    assert file_digest(folder) == before

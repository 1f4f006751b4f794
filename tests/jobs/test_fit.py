"""Files and settings that do not fit each other are refused before any work, without torch."""

import io
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from jobs.prefetch import main as prefetch
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.kinds import KINDS
from jobs.sweep.outside import NO_NETWORKS
from sigmaflow.generators.cameras import frontal_label
from sigmaflow.preferences.orders import COLUMNS
from sigmaflow.preferences.rankings import split
from sweeps import SCALES, write_sweep

SIDE = 16  # of the tiny generator


def problems(sweep, *settings):
    try:
        load_kind(sweep, KINDS, None, settings, SCALES, NO_NETWORKS)
    except ConfigError as error:
        return error.problems
    return []


def pictures(path, sides, kind="PNG", mode="RGB"):
    label = frontal_label()[0].double().tolist()
    with zipfile.ZipFile(path, "w") as archive:
        for i, side in enumerate(sides):
            stream = io.BytesIO()
            Image.new(mode, (side, side)).save(stream, kind)
            archive.writestr(f"{i}.png", stream.getvalue())
        labels = [[f"{i}.png", label] for i in range(len(sides))]
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


@pytest.fixture
def sweep(tmp_path, tiny_checkpoint, tiny_images):
    return write_sweep(tmp_path, tiny_checkpoint, tiny_images)


def test_what_fits_is_let_through(sweep):
    assert problems(sweep) == []


@pytest.mark.parametrize("sides,kind,mode,said", [
    ([64, 64], "PNG", "RGB", "holds pictures of 64 pixels a side, and the generator"),
    ([64, 64], "JPEG", "RGB", "holds pictures of 64 pixels a side, and the generator"),
    ([SIDE, SIDE, 8], "PNG", "RGB", "2.png: is 8x8 pixels, not 16x16"),
    ([SIDE, SIDE], "PNG", "RGBA", "0.png: has an alpha channel; save it as RGB"),
    ([SIDE, SIDE], "PNG", "I;16", "0.png: has 16 bits a channel; save it as 8-bit"),
])  # fmt: skip
def test_pictures_are_those_of_the_generator(tmp_path, sweep, sides, kind, mode, said):
    path = pictures(tmp_path / "set.zip", sides, kind, mode)
    (found,) = problems(sweep, f"images={path}")
    assert found.startswith("--set images=") and str(path) in found and said in found


def test_a_card_compares_pictures_of_one_size(tmp_path):
    path = pictures(tmp_path / "set.zip", [32, 32])
    card = SCALES.parent / "mini_card.yaml"
    assert problems(card) == []
    found = next(one for one in problems(card, f"images={path}") if "a side" in one)
    assert "holds pictures of 32 pixels a side, and the generator" in found and "makes 64" in found


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def longer(path):
    path.write_bytes(path.read_bytes() + b"0")


def no_header(path):
    path.write_bytes(b"\xff" * 100)


@pytest.mark.parametrize("name", ["G", "D", "G_ema"])
@pytest.mark.parametrize("spoil", [cut, longer, no_header])
def test_every_file_of_a_checkpoint_is_whole(tmp_path, tiny_checkpoint, sweep, name, spoil):
    gan = tmp_path / "gan"
    shutil.copytree(tiny_checkpoint, gan)
    spoil(gan / f"{name}.safetensors")
    (found,) = problems(sweep, f"checkpoint={gan}")
    assert f"{gan / name}.safetensors: " in found and "copy it again" in found


def settings(**changes):
    def spoil(config):
        for name, value in changes.items():
            network, _, key = name.partition("_")
            if key:
                config[network][key] = value
            else:
                config.update({name: value})

    return spoil


@pytest.mark.parametrize("spoil,said", [
    (lambda c: c.pop("G"), "holds no arguments of G"),
    (settings(D=None), "holds no arguments of D"),
    (settings(G_img_resolution="64"), "G.img_resolution is '64'"),
    (settings(D_img_resolution=32), "makes pictures of 16 pixels and D judges those of 32"),
    (settings(format=7), "format is not 1"),
])  # fmt: skip
def test_the_settings_of_a_checkpoint_are_looked_at(tmp_path, tiny_checkpoint, sweep, spoil, said):
    gan = tmp_path / "gan"
    shutil.copytree(tiny_checkpoint, gan)
    config = json.loads((gan / "config.json").read_text())
    spoil(config)
    (gan / "config.json").write_text(json.dumps(config))
    (found,) = problems(sweep, f"checkpoint={gan}")
    assert f"{gan / 'config.json'}: " in found and said in found and "jobs.convert" in found


def pairs(path, seeds):
    rows = [f"{i},{a},{b}" for i, (a, b) in enumerate(seeds)]
    path.write_text("\n".join([",rank1,rank2", *rows]) + "\n")
    return path


def fresh(first, count=8):
    return [(first + 2 * i, first + 2 * i + 1) for i in range(count)]


def test_no_split_tears_the_questions_of_a_shape_apart(tmp_path, sweep):
    robin = [(a, b) for a in range(6) for b in range(a)]
    found = problems(sweep, f"rankings.file={pairs(tmp_path / 'r.csv', robin)}")
    assert len(found) > 10 and all("rankings.file: under reward." in one for one in found)
    for name in ("split_seed 42", "heldout_seed 43"):
        assert any(name in one and "the seed is in two parts" in one for one in found)
    orders = [f"{i},ann,{i},{i + 1},,,," for i in range(8)]
    path = tmp_path / "o.csv"
    path.write_text("\n".join([",".join(COLUMNS), *orders]) + "\n")
    assert any("in two parts" in one for one in problems(sweep, f"rankings.file={path}"))
    path.write_text("\n".join([",".join(COLUMNS), *orders[::2]]) + "\n")
    assert problems(sweep, f"rankings.file={path}") == []
    assert problems(sweep, f"rankings.file={pairs(tmp_path / 'r.csv', fresh(20000))}") == []


@pytest.mark.parametrize("first,more,said", [
    (210000, [], "8 seeds (210000, 210001, 210002, ...) are in rankings (rankings.file) and in ev"),
    (100000, ["rankings.anchors.use=always"], "and in anchors, which must not share any"),
    (300000, [], "and in the seeds that a fine-tune follows"),
    (400000, [], "and in FID"),
    (None, ["evaluation.first_seed=20000"], "are in rankings (rankings.questions) and in evalu"),
    (None, ["evaluation.first_seed=100000"], "are in anchors (rankings.anchors.count) and in ev"),
    (None, ["evaluation.first_seed=300002"], "2 seeds (300002, 300003) are in the seeds that"),
    (None, ["finetune.tick_seeds=100001"], "1 seeds (400000) are in the seeds that"),
])  # fmt: skip
def test_no_seed_is_learnt_from_and_measured(tmp_path, sweep, first, more, said):
    file = [f"rankings.file={pairs(tmp_path / 'r.csv', fresh(first))}"] if first else []
    (found,) = problems(sweep, *file, *more)
    assert said in found and "take others in one of them" in found


def test_prefetch_says_the_same(tmp_path, sweep, capsys):
    path = pictures(tmp_path / "set.zip", [64, 64])
    assert prefetch([str(sweep), "--offline", "--set", f"images={path}"]) == 1
    assert "MISSING  images: " in (said := capsys.readouterr().out)
    assert "holds pictures of 64 pixels a side" in said and "lacks 1" in said
    file = pairs(tmp_path / "r.csv", fresh(210000))
    assert prefetch([str(sweep), "--offline", "--set", f"rankings.file={file}"]) == 1
    assert "evaluation.first_seed: 8 seeds" in capsys.readouterr().out


def test_looking_loads_nothing_heavy(sweep):
    code = (
        "import sys; from jobs.sweep.config import load_kind; from jobs.sweep.kinds import KINDS;"
        "from jobs.sweep.outside import NO_NETWORKS;"
        f"load_kind({str(sweep)!r}, KINDS, None, [], {str(SCALES)!r}, NO_NETWORKS);"
        "print([m for m in ('torch', 'scipy', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", [0, 42, 43])
def test_the_split_is_that_of_scikit_learn(seed):
    for n in (*range(4, 60), 3042, 4346):
        train, rest = train_test_split(np.arange(n), test_size=0.3, train_size=0.7,
                                       random_state=seed)  # fmt: skip
        val, test = train_test_split(rest, test_size=0.5, random_state=seed)
        mine = split(np.arange(n), seed)
        for a, b in ((mine.train, train), (mine.val, val), (mine.test, test)):
            assert np.array_equal(a, b) and a.dtype == b.dtype

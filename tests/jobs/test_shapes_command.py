"""`python -m jobs.shapes`: files, manifest, going on, and what it says to bad input."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from jobs import shapes
from jobs.output.shapefiles import MANIFEST, Settings, Shape
from sigmaflow.fields.depth import sample_depth
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.mesh import extract_mesh, write_ply
from sigmaflow.fields.mrc import map_mrc
from sigmaflow.fields.points import sample_points
from sigmaflow.fields.released import released_axes, released_cube
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.generators import load_generator

ROOT = Path(__file__).resolve().parents[2]
N = 24


@pytest.fixture(autouse=True)
def quick_turn(monkeypatch):
    from sigmaflow.figures import turntable

    short = functools.partial(turntable.turntable, frames=3, resolution=32, supersample=1)
    monkeypatch.setattr(turntable, "turntable", short)


@pytest.fixture
def run(tiny_checkpoint, tmp_path, capsys):
    """Call the command; returns (exit code, what it printed, its errors)."""

    def go(*more, formats="ply", seeds="3", checkpoint=tiny_checkpoint, out=tmp_path / "out"):
        code = shapes.main([
            str(checkpoint), "--seeds", seeds, "--format", formats, "--resolution", str(N),
            "--out", str(out), "--border", "thin", *more,
        ])  # fmt: skip
        said = capsys.readouterr()
        return code, said.out, said.err

    go.out = tmp_path / "out"
    return go


def manifest(run):
    return pd.read_parquet(run.out / MANIFEST)


def times(run):
    return {p.name: p.stat().st_mtime_ns for p in run.out.iterdir() if p.name != MANIFEST}


@functools.lru_cache
def whole(checkpoint, seed, psi=0.7, kind="regular"):
    G = load_generator(checkpoint)
    grid = Grid(resolution=N, kind=kind)
    with torch.no_grad():
        return sample_slab(G, latents([seed], G.z_dim), grid, truncation_psi=psi)[0].numpy()


def test_every_format_holds_the_seeds_shape(run, tiny_checkpoint, tmp_path):
    code, said, err = run(seeds="3-4,9", formats="ply,glb,mrc,png,webp,depth,points")
    assert (code, err) == (0, "") and "21 new, 21 in all" in said
    table = manifest(run)
    assert len(table) == 21 and sorted(table["seed"].unique()) == [3, 4, 9]
    for row in table.itertuples():
        data = (run.out / row.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row.sha256 and len(data) == row.bytes
        assert (row.psi, row.level, row.resolution, row.note) == (0.7, 10.0, N, "")
    assert np.isnan(table["reward"]).all()
    assert {p.name for p in run.out.iterdir()} == {*table["file"], MANIFEST}

    cube, G = whole(tiny_checkpoint, 4), load_generator(tiny_checkpoint)
    mesh = extract_mesh(cube)
    write_ply(tmp_path / "expected.ply", mesh)
    assert (run.out / "seed0004.ply").read_bytes() == (tmp_path / "expected.ply").read_bytes()
    row = table[(table["seed"] == 4) & (table["format"] == "glb")].iloc[0]
    assert (row["faces"], row["vertices"]) == (len(mesh.faces), len(mesh.vertices))
    assert np.array_equal(map_mrc(run.out / "seed0004.mrc"), cube)
    with torch.no_grad():
        z = latents([4], G.z_dim)
        depth = sample_depth(G, z, truncation_psi=0.7)[0].numpy()
        points = sample_points(G, z, truncation_psi=0.7)[0].numpy()
    np.testing.assert_allclose(np.load(run.out / "seed0004-depth.npy"), depth, atol=1e-6)
    head, body = (run.out / "seed0004-points.ply").read_bytes().split(b"end_header\n", 1)
    assert b"element vertex 16384" in head
    np.testing.assert_allclose(np.frombuffer(body, "<f4").reshape(-1, 3), points, atol=1e-5)


def test_mp4(run):
    av = pytest.importorskip("av")
    assert run(formats="mp4")[0] == 0
    with av.open(str(run.out / "seed0003.mp4")) as film:
        assert len(list(film.decode(video=0))) == 3


def test_a_second_call_does_nothing_and_a_changed_one_only_what_it_must(run):
    run(seeds="3,4", formats="ply,mrc")
    before = times(run)
    code, said, _ = run(seeds="3,4", formats="ply,mrc")
    assert code == 0 and "4 of 4 files are there already" in said and "0 new" in said
    assert times(run) == before
    (run.out / "seed0003.ply").unlink()
    (run.out / "seed0004.mrc").write_bytes(b"cut")
    assert "2 new, 4 in all" in run(seeds="3,4", formats="ply,mrc")[1]
    after = times(run)
    assert {k for k in after if after[k] == before.get(k)} == {"seed0003.mrc", "seed0004.ply"}
    assert "2 new" in run("--psi", "0.5", seeds="3", formats="ply,mrc")[1]
    table = manifest(run).set_index(["seed", "format"])["psi"]
    assert table[3, "ply"] == 0.5 and table[4, "ply"] == 0.7 and len(table) == 4
    assert "1 new" in run(seeds="4-5", formats="ply")[1]


def test_what_was_done_before_a_stop_is_kept(run, monkeypatch):
    write = Shape.write

    def stop_at(self, kind):
        if self.seed == 4:
            raise KeyboardInterrupt
        return write(self, kind)

    monkeypatch.setattr(Shape, "write", stop_at)
    code, _, err = run(seeds="3-5")
    assert code == 130 and "goes on from here" in err
    monkeypatch.undo()
    assert list(manifest(run)["seed"]) == [3]
    assert "1 of 3 files are there already" in run(seeds="3-5")[1]


def test_a_level_that_nothing_reaches(run):
    for _ in range(2):  # the second time from the manifest
        code, said, _ = run("--level", "1e6", formats="ply,mrc,png")
        assert code == 1 and "seed 3: no surface at level 1e+06" in said
    assert {p.name for p in run.out.iterdir()} == {"seed0003.mrc", MANIFEST}
    table = manifest(run).set_index("format")
    assert table.loc["ply", "note"].startswith("no surface") and table.loc["mrc", "note"] == ""
    assert "1 new" in run(formats="ply")[1]


def test_released_orientation_and_grid(run, tiny_checkpoint, tmp_path):
    run("--released-orientation", "--border", "released", "--grid", "released", formats="ply,mrc")
    cube = whole(tiny_checkpoint, 3, kind="released")
    assert np.abs(cube - whole(tiny_checkpoint, 3)).max() > 0.1
    mesh = released_axes(extract_mesh(cube, border="released"), N)
    write_ply(tmp_path / "expected.ply", mesh)
    assert (run.out / "seed0003.ply").read_bytes() == (tmp_path / "expected.ply").read_bytes()
    assert np.array_equal(map_mrc(run.out / "seed0003.mrc"), released_cube(cube))
    assert {p.name for p in run.out.iterdir()} == {"seed0003.ply", "seed0003.mrc", MANIFEST}


def test_a_reward_that_sees_no_slabs_is_refused(run, tmp_path):
    from sigmaflow.rewards.model import RewardConfig, RewardModel

    small = dict(points=64, trunk=(8, 8), trunk_out=8, head=(8, 8))
    RewardModel(RewardConfig(backbone="pointnet", **small)).save(tmp_path / "r.safetensors")
    code, _, said = run("--reward", str(tmp_path / "r.safetensors"))
    assert code == 2 and "it sees points, and here slabs" in " ".join(said.split())


def test_reward_is_the_models_and_can_be_asked_for_later(run, tiny_checkpoint, tmp_path):
    from sigmaflow.rewards.model import RewardModel, mini_config

    torch.manual_seed(0)
    reward = RewardModel(mini_config(Grid(resolution=32, pads=SLAB_ENTIRE))).eval()
    reward.save(tmp_path / "r.safetensors")
    run(seeds="3,4")
    before = times(run)
    code, said, _ = run("--reward", str(tmp_path / "r.safetensors"), seeds="3,4")
    assert code == 0 and "seed 3: reward" in said and times(run) == before
    G = load_generator(tiny_checkpoint)
    with torch.no_grad():
        slab = sample_slab(G, latents([3, 4], G.z_dim), reward.config.grid, truncation_psi=0.7)
        expected = reward(slab).numpy()
    np.testing.assert_allclose(manifest(run)["reward"], expected, rtol=1e-4)
    again = ("--reward", str(tmp_path / "r.safetensors"))
    assert "seed" not in run(*again, seeds="3,4")[1]
    run(*again, "--psi", "0.2", seeds="3")  # another shape, another score
    scores = manifest(run).set_index("seed")["reward"]
    assert scores[4] == pytest.approx(expected[1], rel=1e-4)
    assert abs(scores[3] - expected[0]) > 1e-6


def test_a_generators_own_blocks_are_used(tiny_checkpoint, tmp_path):
    G = load_generator(tiny_checkpoint)
    asked = []

    def sigma_blocks(planes, grid):
        asked.append(grid)
        cube = G.sigma_grid(planes, grid)[0]
        for start in range(0, N, 5):
            yield start, cube[start : start + 5]

    settings = Settings("x", 0.7, N, "regular", 10.0, "thin", "world")
    plain = Shape(G, 3, settings, tmp_path).mesh()
    G.sigma_blocks = sigma_blocks
    ours = Shape(G, 3, settings, tmp_path).mesh()
    assert len(asked) == 1 and np.array_equal(ours.vertices, plain.vertices)


# Bad input

BAD = [
    "nowhere",
    "--seeds",
    "3-1,x",
    "--format",
    "plz,mpeg",
    "--psi",
    "much",
    "--resolution",
    "9",
    "--grid",
    "square",
    "--border",
    "wide",
    "--level",
    "-2000",
    "--reward",
    "no.safetensors",
]


def test_all_that_is_wrong_is_said_at_once_and_before_torch_is_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    code = (
        "import sys; from jobs.shapes import main; code = main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules and 'skimage' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *BAD, "--out", str(tmp_path / "file" / "x")],
                          cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2, done.stderr
    for expected in (
        "13 problems:", "nowhere: no such checkpoint folder; give one, or mini",
        "3-1: give numbers", "x: give numbers", "plz is unknown; did you mean ply?",
        "mpeg is unknown", "--psi much",
        "--resolution 9: give a whole number from 16", "--grid square: must be one of regular",
        "--border wide: must be one of", "--level -2000: must be above", "no.json is missing",
        "file is no folder",
    ):  # fmt: skip
        assert expected in done.stderr, expected


def test_help_names_every_format():
    done = subprocess.run([sys.executable, "-m", "jobs.shapes", "--help"], cwd=ROOT,
                          capture_output=True, text=True, check=True)  # fmt: skip
    for name in shapes.FORMATS:
        assert f"\n  {name} " in done.stdout


def test_a_folder_that_is_no_checkpoint(run, tmp_path):
    code, _, err = run(checkpoint=tmp_path)
    assert code == 2 and "config.json is missing" in err and "G_ema.safetensors is missing" in err
    assert not run.out.exists()


def test_a_damaged_checkpoint_and_a_foreign_manifest(run, tiny_checkpoint, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text((tiny_checkpoint / "config.json").read_text())
    (bad / "G_ema.safetensors").write_bytes(b"no")
    code, _, err = run(checkpoint=bad)
    assert code == 2 and "than" in err and "G_ema.safetensors can hold" in err
    pd.DataFrame({"a": [1]}).to_parquet(run.out / MANIFEST)
    code, _, err = run()
    assert code == 2 and "not a manifest of this command" in err


def test_a_manifest_is_bounded_by_its_footer(run, monkeypatch):
    run.out.mkdir(exist_ok=True)
    pd.DataFrame({"seed": range(9)}).to_parquet(run.out / MANIFEST)
    monkeypatch.setattr("sigmaflow.numbertable.MOST_ROWS", 8)
    code, _, err = run()
    assert code == 2 and "not a manifest of this command" in err and "9 rows" in err


def test_mp4_without_its_library_names_the_remedy(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run(formats="mp4,ply")
    assert code == 2 and "pip install 'sigmaflow[video]'" in err and "webp" in err


def test_mini_is_found_without_torch():
    order = shapes.check(shapes.parser().parse_args(["mini", "--seeds", "5,0-2,1"]))
    assert order.seeds == (5, 0, 1, 2) and order.formats == ("ply", "png")
    assert json.loads((order.folder / "config.json").read_text())["format"] == 1

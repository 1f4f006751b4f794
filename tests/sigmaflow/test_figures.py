"""Meshes and figures by what they hold, not by their pixels."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from sigmaflow import figures
from sigmaflow.fields.mesh import BORDERS, EmptySurface, Mesh, extract_mesh, write_ply
from sigmaflow.figures.clay import GROUND, Model, common_centre, framing, orbit
from sigmaflow.figures.pareto import front_of
from sigmaflow.figures.style import new_figure


def ball(n=48, radius=0.3, centre=(0.0, 0.0, 0.0), length=1.0, steep=200.0):
    """Sigma that is 10 on a sphere."""
    axis = np.linspace(-length / 2, length / 2, n)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return (10 + steep * (radius - np.linalg.norm(grid - centre, axis=-1))).astype(np.float32)


@pytest.fixture(scope="module")
def sphere():
    return extract_mesh(ball())


# Meshes


def test_sphere_has_its_area_volume_and_faces_outward(sphere):
    assert sphere.area == pytest.approx(4 * math.pi * 0.3**2, rel=0.01)
    assert sphere.volume == pytest.approx(4 / 3 * math.pi * 0.3**3, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(sphere.vertices, axis=1), 0.3, atol=2e-3)
    edges = np.sort(sphere.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # closed


def test_axes_and_length_are_the_worlds():
    mesh = extract_mesh(ball(centre=(0.2, -0.3, 0.4), radius=0.2, length=2.0), length=2.0)
    np.testing.assert_allclose(mesh.vertices.mean(0), [0.2, -0.3, 0.4], atol=0.01)


def test_border_closes_what_leaves_the_cube():
    mesh = extract_mesh(ball(radius=0.6))
    cap = 0.6 - (0.5 - 1 / 47)  # the ball less six caps
    expected = 4 / 3 * math.pi * 0.6**3 - 6 * math.pi * cap**2 * (1.8 - cap) / 3
    assert mesh.volume == pytest.approx(expected, rel=0.01)
    paper = extract_mesh(np.full((64, 64, 64), 50.0), border="paper")
    low, high = paper.vertices.min(0), paper.vertices.max(0)
    n, step = 64, 1 / 63
    for axis, (a, b) in enumerate(BORDERS["paper"]):
        assert low[axis] == pytest.approx(int(a * n) * step - 0.5, abs=step)
        assert high[axis] == pytest.approx((n - 1 - int(b * n)) * step - 0.5, abs=step)
    assert low[2] > -0.2 and high[2] > 0.37  # the back is cut more than the front


def test_largest_part_drops_floaters():
    two = np.maximum(ball(), ball(radius=0.08, centre=(0.4, 0.4, 0.4)))
    everything, kept = extract_mesh(two), extract_mesh(two, largest=True)
    assert len(kept.faces) < len(everything.faces)
    assert kept.volume == pytest.approx(extract_mesh(ball()).volume, rel=1e-5)
    assert kept.faces.max() == len(kept.vertices) - 1


def test_mesh_errors_name_what_is_wrong():
    with pytest.raises(EmptySurface, match=r"level 500: .*spans .* to 6"):
        extract_mesh(ball(), level=500)
    with pytest.raises(ValueError, match=r"\[N, N, N\]"):
        extract_mesh(np.zeros((8, 9, 8)))
    with pytest.raises(ValueError, match="NaN"):
        extract_mesh(np.full((8, 8, 8), np.nan))
    with pytest.raises(ValueError, match="known: thin, released, paper"):
        extract_mesh(ball(8), border="thick")
    with pytest.raises(EmptySurface, match="nothing"):
        extract_mesh(ball(8), border=((0.6, 0.6), (0, 0), (0, 0)))


def test_ply_reads_back(tmp_path, sphere):
    write_ply(tmp_path / "a.ply", sphere)
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    v, f = len(sphere.vertices), len(sphere.faces)
    assert f"element vertex {v}\n".encode() in head and f"element face {f}\n".encode() in head
    assert np.array_equal(np.frombuffer(body, "<f4", 3 * v).reshape(-1, 3), sphere.vertices)
    faces = np.frombuffer(body[12 * v :], [("n", "u1"), ("i", "<i4", 3)])
    assert np.array_equal(faces["i"], sphere.faces) and (faces["n"] == 3).all()


# Views of meshes


def test_orbit_is_eg3ds():
    cameras = pytest.importorskip("sigmaflow.generators.cameras")
    for yaw, pitch in ((0, 0), (-40, 0), (25, 0)):
        ours = orbit(yaw, pitch)
        theirs = cameras.look_at(math.pi / 2 + math.radians(yaw), math.pi / 2).numpy()[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    up = orbit(0, 20)
    assert up[1, 3] > 0 and up[0, 3] == 0  # pitch lifts the camera


def test_view_shows_the_mesh_where_it_is(sphere):
    moved = Mesh(sphere.vertices * 0.3 + np.float32([0.1, 0.15, 0]), sphere.faces)
    picture = Model(moved).view(0, resolution=96)
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8
    mask = (np.abs(picture.astype(int) - np.round(np.array(GROUND) * 255)) > 8).any(-1)
    rows, columns = np.nonzero(mask)
    assert rows.mean() < 35 and columns.mean() > 55  # +y is up, +x is right
    assert np.array_equal(picture, Model(moved).view(0, resolution=96))


def test_framing_fits_and_ignores_far_specks(sphere):
    focal, width = framing([sphere], (-40, 0, 40), pivot=common_centre([sphere]))
    picture = Model(sphere).view(0, focal=focal, resolution=64, pivot=common_centre([sphere]))
    mask = (np.abs(picture.astype(int) - np.round(np.array(GROUND) * 255)) > 8).any(-1)
    rows = np.nonzero(mask.any(1))[0]
    assert rows.min() >= 2 and rows.max() <= 61 and len(rows) > 50
    assert 0.9 < width <= 1
    speck = Mesh(np.concatenate([sphere.vertices, [[9, 9, 0]]]).astype(np.float32), sphere.faces)
    assert framing([speck], (0,))[0] > 0.8 * framing([sphere], (0,))[0]


# Figures


def reward_tables(n=40, ticks=5, seed=0):
    random = np.random.RandomState(seed)
    start = random.randn(n) * 2

    def run(b, gain):
        final = start * b + gain + random.randn(n) * 0.3
        rows = [
            (t * 0.5, s, start[s] + (final[s] - start[s]) * t / (ticks - 1))
            for t in range(ticks)
            for s in range(n)
        ]
        return pd.DataFrame(rows, columns=["kimg", "seed", "reward"])

    return {"tuned": run(0.4, 8), "control": run(0.9, 0)}


def ends(table):
    wide = table.pivot(index="kimg", columns="seed", values="reward")
    return pd.DataFrame({"initial": wide.iloc[0], "final": wide.iloc[-1]})


def trials(n=8, seed=0):
    random = np.random.RandomState(seed)
    return pd.DataFrame(
        {
            "trial": range(n),
            "lambda_r": random.rand(n),
            "lambda_c": random.rand(n),
            "gain": random.rand(n) * 5,
            "fid": random.rand(n) * 4 + 9,
            "role": ["paper", "control"] + [""] * (n - 2),
        }
    )


def searched(n=14, seed=1):
    """Tables `slices` and `importances` of a search over a number and a word."""
    random = np.random.RandomState(seed)
    rows = []
    for parameter in ("lambda_c", "noise_mode"):
        for objective in ("gain", "fid_mini"):
            for trial in range(n):
                number = parameter == "lambda_c"
                rows.append({
                    "parameter": parameter, "objective": objective, "trial": trial,
                    "value": 10 ** (-3 * random.rand()) if number else None,
                    "label": None if number else ["const", "none", "random"][trial % 3],
                    "outcome": random.rand(), "feasible": trial != 3, "pareto": trial in (1, 5),
                })  # fmt: skip
    shares = pd.DataFrame({
        "objective": ["gain", "gain", "fid_mini", "fid_mini"],
        "parameter": ["lambda_c", "noise_mode"] * 2,
        "importance": [0.1, 0.9, 0.4, 0.6], "trials": n,
    })  # fmt: skip
    return pd.DataFrame(rows), shares


def all_figures(mesh):
    tables = reward_tables()
    first = ends(tables["tuned"])
    pictures = np.random.RandomState(0).randint(0, 255, (6, 16, 16, 3)).astype(np.uint8)
    return {
        "histograms": figures.reward_histograms(first["initial"], first["final"]),
        "trajectories": figures.trajectories(tables),
        "final": figures.final_against_initial({k: ends(t) for k, t in tables.items()}),
        "pareto": figures.pareto_front(trials(), start_fid=8.5, fid_label="fid_mini"),
        "slices": figures.slices(
            searched()[0], {"gain": "maximize", "fid_mini": "minimize"}, ["lambda_c"]
        ),
        "importances": figures.importances(searched()[1]),
        "meshes": figures.mesh_table([("seed 0", [mesh, mesh])], resolution=48, supersample=1),
        "grid": figures.image_grid(pictures, columns=3),
        "sheet": figures.sample_sheet(
            [("a", pictures[:3]), ("b", pictures[3:])], columns=["x", "y", "z"], title="t"
        ),
    }


@pytest.fixture(scope="module")
def made(sphere):
    return all_figures(sphere)


def texts(figure):
    return [t.get_text() for a in figure.axes for t in a.texts]


def test_figures_hold_what_they_should(made):
    histogram, tracks, final = made["histograms"], made["trajectories"], made["final"]
    assert len(histogram.axes) == 2
    assert any("40 of 40 seeds gain" in t for t in texts(histogram))
    assert [len(a.collections[0].get_segments()) for a in tracks.axes[:2]] == [40, 40]
    assert tracks.axes[2].get_ylabel() == "initial reward"
    assert len(final.axes[0].collections[0].get_offsets()) == 40
    assert "b = 0.3" in texts(final)[0] or "b = 0.4" in texts(final)[0]
    assert final.axes[1].get_title(loc="left") == "control"
    labels = [t for t in texts(made["pareto"]) if "lambda" in t]
    assert len(labels) == 8
    names = [t.get_text() for t in made["pareto"].axes[0].get_legend().get_texts()]
    assert "paper's setting" in names and any("control" in n for n in names)
    assert set(texts(made["meshes"])) == {"before", "after", "seed 0"}
    assert set(texts(made["sheet"])) == {"a", "b", "x", "y", "z"}


def test_figures_of_a_search_hold_every_trial_and_setting(made):
    grid = np.array(made["slices"].axes).reshape(2, 2)
    for row in grid:
        for axes in row:
            feasible, not_feasible, ringed = (len(c.get_offsets()) for c in axes.collections)
            assert (feasible, not_feasible, ringed) == (13, 1, 2)
    assert [a.get_xlabel() for a in grid[1]] == ["lambda_c", "noise_mode"]
    assert [a.get_xscale() for a in grid[1]] == ["log", "linear"]
    assert [t.get_text() for t in grid[1][1].get_xticklabels()] == ["const", "none", "random"]
    assert "lower is better" in grid[1][0].get_ylabel()
    bars = made["importances"].axes[0]
    assert sorted(p.get_width() for p in bars.patches) == [0.1, 0.4, 0.6, 0.9]
    assert [t.get_text() for t in bars.get_yticklabels()] == ["lambda_c", "noise_mode"]
    with pytest.raises(ValueError, match="too few trials"):
        figures.importances(searched()[1].assign(importance=np.nan))


def test_trials_that_are_not_feasible_are_hollow_and_off_the_front():
    table = trials(14).assign(feasible=[True] * 2 + [False] * 12)
    axes = figures.pareto_front(table, start_fid=8.5, reward_label="held-out reward").axes[0]
    assert axes.get_ylabel().startswith("mean held-out reward gain")
    names = [t.get_text() for t in axes.get_legend().get_texts()]
    assert "not feasible" in names and "Pareto front" in names
    settings = [t.get_text() for t in axes.texts if "lambda" in t.get_text()]
    assert {s.split(":")[0] for s in settings} == {"0", "1"}  # of many, the front's only
    none = figures.pareto_front(table.assign(feasible=False)).axes[0]
    assert "Pareto front" not in [t.get_text() for t in none.get_legend().get_texts()]
    assert front_of([1.0, 2.0], [2.0, 1.0], [True, False]).tolist() == [True, False]


def test_files_are_the_same_bytes_every_time(tmp_path, sphere, made):
    digests = []
    for folder, drawn in (("one", made), ("two", all_figures(sphere))):
        (tmp_path / folder).mkdir()
        for name, figure in drawn.items():
            figures.save(figure, tmp_path / folder / f"{name}.png")
        files = sorted((tmp_path / folder).iterdir())
        digests.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
        time.sleep(1.1)  # a date in a file would show
    assert len(digests[0]) == 18 and digests[0] == digests[1]
    assert (tmp_path / "one" / "final.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"CreationDate" not in (tmp_path / "one" / "final.pdf").read_bytes()


def test_labels_of_a_crowded_front_do_not_cover_each_other():
    from matplotlib.text import Text

    figure = figures.pareto_front(trials(12, seed=3), start_fid=8.5)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    labels = [t for t in figure.axes[0].texts if "lambda" in t.get_text()]
    boxes = [Text.get_window_extent(t, renderer) for t in labels]
    clashes = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert len(boxes) == 12 and clashes == 0


def test_matplotlibs_settings_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.reward_histograms([1.0, 2, 3], [2.0, 3, 5])
    assert dict(matplotlib.rcParams) == before
    matplotlib.rcParams["font.size"] = 30
    try:
        figure = figures.reward_histograms([1.0, 2, 3], [2.0, 3, 5])
        assert figure.axes[0].xaxis.label.get_size() == 8.5
    finally:
        matplotlib.rcParams["font.size"] = before["font.size"]


def test_without_display_pyplot_or_gl():
    code = (
        "import sys; from sigmaflow import figures; "
        "f = figures.reward_histograms([1., 2, 3], [2., 3, 5]); f.canvas.draw(); "
        "bad = {'matplotlib.pyplot', 'OpenGL', 'vtk', 'torch'} & set(sys.modules); "
        "assert not bad, bad"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean, timeout=120)


def test_front_by_hand():
    gain, fid = [0, 2, 1, 3, 3, np.nan], [5, 6, 7, 9, 9, 1]
    assert front_of(np.array(gain), np.array(fid)).tolist() == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_degenerate_and_wrong_data():
    figures.reward_histograms([1.0, 1.0], [1.0, 1.0])
    one = trials().head(1).assign(fid=9.0)
    figures.pareto_front(one.drop(columns=["role", "lambda_r"]))
    left_out = trials()
    left_out.loc[3, "fid"] = np.nan
    assert "1 without numbers" in figures.pareto_front(left_out).axes[0].get_title(loc="left")
    with pytest.raises(ValueError, match="missing: fid"):
        figures.pareto_front(trials().drop(columns="fid"))
    with pytest.raises(ValueError, match="missing: seed"):
        figures.trajectories({"a": reward_tables()["tuned"].drop(columns="seed")})
    with pytest.raises(ValueError, match="every row needs 2 meshes"):
        figures.mesh_table([("a", [])])
    with pytest.raises(ValueError, match="uint8"):
        figures.image_grid(np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="2 column labels for 1"):
        figures.sample_sheet([("a", np.zeros((1, 8, 8, 3), np.uint8))], columns=["x", "y"])
    assert new_figure(2, 2).axes == []

"""Measurements of a card on things whose answers are known."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch

from sigmaflow.card import bars
from sigmaflow.card import figures as card_figures
from sigmaflow.card.coding import Coding, coding_of
from sigmaflow.card.ladder import (
    GENERATED,
    HALVES,
    HARMS,
    distance,
    harmed,
    ladder,
    rank_agreement,
    split_halves,
)
from sigmaflow.card.landmarks import found, off_frontal
from sigmaflow.card.providers import find_embedder, find_heads, find_landmarks
from sigmaflow.card.retrieval import retrieve
from sigmaflow.card.surfaces import at_border, parts_of
from sigmaflow.card.traits import count_traits
from sigmaflow.card.truth import (
    distances,
    gaps,
    head_width,
    to_triangles,
    visible_samples,
)
from sigmaflow.card.views import view_label, view_pictures
from sigmaflow.datasets.faces import encode
from sigmaflow.datasets.headlatent import latent, traits
from sigmaflow.fields.mesh import Mesh, extract_mesh
from sigmaflow.generators.cameras import frontal_label


def ball(radius, n=64, centre=(0.0, 0.0, 0.0)):
    """A cube of n^3 whose level 0 is a sphere about ``centre``: radius - distance."""
    axis = np.linspace(-0.5, 0.5, n)
    x = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return (radius - np.linalg.norm(x - np.asarray(centre), axis=-1)).astype(np.float32)


def pictures(n=120, size=32, seed=0):
    """Smooth coloured pictures with a sharp disc each: uint8 [n, 3, size, size]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    out = np.zeros((n, 3, size, size))
    for i in range(n):
        a, b, r = random.uniform(0.3, 0.7, 3)
        disc = np.hypot(x - a, y - b) < 0.15 + 0.3 * r / 2
        stripes = (np.floor((x + 2 * y * a) * 9) % 2).astype(bool)
        out[i] = random.uniform(120, 255, (3, 1, 1)) * (1 - 0.5 * y)
        out[i][:, disc & stripes] = random.uniform(0, 120, (3, 1))
    return torch.from_numpy(out.astype(np.uint8))


# ---------------------------------------------------------------------- encoders


@pytest.mark.parametrize("quality, subsampling", [(92, 0), (75, 2)])
def test_a_jpeg_passes_on_its_own_encoder(quality, subsampling):
    from PIL import Image

    picture, stream = pictures(1)[0].permute(1, 2, 0).numpy(), io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, subsampling=subsampling)
    coding = coding_of(stream.getvalue())
    assert coding.kind == "jpeg" and coding.subsampling == subsampling
    with Image.open(stream) as back:
        expected = np.asarray(back).transpose(2, 0, 1)
    assert (coding(pictures(1))[0].numpy() == expected).all()


def test_the_houses_own_encoders_are_known():
    picture = pictures(1)[0].permute(1, 2, 0).numpy()
    assert coding_of(encode(picture, "png")) == Coding()
    assert coding_of(encode(picture, "jpeg")).subsampling == 0
    assert (Coding()(pictures(3)) == pictures(3)).all()
    with pytest.raises(ValueError, match="uint8"):
        Coding()(pictures(1).float())


# ---------------------------------------------------------------------- the ladder


def test_harm_does_what_its_name_says():
    real = pictures(20, 64)
    change = {name: (harmed(real, name).float() - real.float()).abs().mean() for name in HARMS}
    assert 0 < change["blur1"] < change["blur2"]
    assert change["noise"] == pytest.approx(5 * np.sqrt(2 / np.pi), rel=0.1)
    assert change["half"] < change["blur2"]
    repeated = harmed(real, "one")
    assert repeated.shape == real.shape and (repeated == real[:1]).all()
    assert (harmed(real[3:5], "noise") == harmed(real[3:5], "noise")).all()
    with pytest.raises(ValueError, match="unknown harm 'fog'"):
        harmed(real, "fog")


def test_halves_share_no_identity():
    identities = np.repeat([7, 3, 9, 1], [5, 5, 2, 4])
    a, b = split_halves(identities)
    assert sorted([*a, *b]) == list(range(16))
    assert not set(identities[a]) & set(identities[b])
    with pytest.raises(ValueError, match="two identities"):
        split_halves(np.zeros(5, int))


def test_the_distance_of_shifted_gaussians_is_known():
    random = np.random.default_rng(0)
    real = random.normal(size=(4000, 4))
    found = distance(real, real + [3, 0, 0, 4])
    assert found.frechet.value == pytest.approx(25, abs=1e-6) and found.kernel.value > 0
    # Not within the interval by construction: h is the sampling of the second set alone.
    assert found.frechet.low < 25 < found.frechet.high
    with pytest.raises(ValueError, match="do not fit"):
        distance(real, real[:, :2])


def test_the_ladder_is_in_order_on_pictures():
    """More blur is farther, and farther than the halves; features are raw pixels on a grid."""
    real = pictures(120)

    def features(images):
        return torch.nn.functional.avg_pool2d(images.float(), 8).flatten(1)[:, ::3].numpy()

    def edges(images):
        x = images.float()
        return np.concatenate([features(images), (x[..., 1:] - x[..., :-1]).abs().mean((2, 3)),
                               (x[..., 1:, :] - x[..., :-1, :]).abs().mean((2, 3))], 1)  # fmt: skip

    found = {name: edges(harmed(real, name)) for name in HARMS}
    rungs = ladder({**found, GENERATED: edges(255 - real)}, edges(real), np.arange(120))
    names = list(rungs)
    assert set(names) == {HALVES, GENERATED, *HARMS}
    values = [rungs[n].frechet.value for n in names]
    assert values == sorted(values)
    assert names.index("blur1") < names.index("blur2") < names.index("one")
    assert rank_agreement(rungs, rungs) == 1
    with pytest.raises(ValueError, match="three rungs"):
        rank_agreement({HALVES: rungs[HALVES]}, rungs)


def test_opposite_ladders_disagree():
    random = np.random.default_rng(1)
    real = random.normal(size=(50, 2))

    def rungs(*shifts):
        return {str(i): distance(real, real + s) for i, s in enumerate(shifts)}

    assert rank_agreement(rungs(1, 2, 3), rungs(3, 2, 1)) == pytest.approx(-1)


# ---------------------------------------------------------------------- retrieval


def test_retrieval_by_hand():
    front = np.eye(4)
    right = front.copy()
    wrong = front[[1, 0, 2, 3]]
    r = retrieve(front, np.stack([right, wrong]))
    assert r.hits.tolist() == [[True] * 4, [False, False, True, True]]
    assert r.share == 0.75 and r.both == 0.5 and r.low <= 0.75 <= r.high


def test_a_shift_that_a_view_does_to_all_does_not_matter():
    random = np.random.default_rng(0)
    front = random.normal(size=(30, 8))
    sides = np.stack([front + 50, 3 * front - 20])
    r = retrieve(front, sides)
    assert r.share == 1 and r.high == pytest.approx(1) and 0.85 < r.low < 0.95  # Wilson's of 30


def test_equal_features_find_nobody():
    assert retrieve(np.ones((5, 3)), np.ones((2, 5, 3))).share == 0
    chance = np.random.default_rng(0).normal(size=(3, 200, 6))
    assert retrieve(chance[0], chance[1:]).share < 0.05
    for front, sides in ((np.eye(3), np.eye(3)), (np.eye(1), np.ones((2, 1, 1)))):
        with pytest.raises(ValueError, match="identities"):
            retrieve(front, sides)
    with pytest.raises(ValueError, match="NaN"):
        retrieve(np.full((3, 3), np.nan), np.ones((2, 3, 3)))


# ---------------------------------------------------------------------- surfaces


def test_two_spheres_of_known_area():
    cube = np.maximum(ball(0.2, 96, (-0.2, 0, 0)), ball(0.1, 96, (0.25, 0, 0)))
    parts = parts_of(extract_mesh(cube, level=0.0))
    assert parts.count == 2 and parts.cavities == 0
    assert parts.share == pytest.approx(0.8, abs=0.01)  # 4 of 4 + 1


def test_a_hollow_is_a_component_that_faces_inward():
    cube = np.minimum(ball(0.4, 96), -ball(0.2, 96))
    parts = parts_of(extract_mesh(cube, level=0.0))
    assert parts.count == 2
    assert parts.share == pytest.approx(0.8, abs=0.01)
    assert parts.cavities == pytest.approx(0.2, abs=0.01)
    assert parts_of(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))).count == 0


def test_the_border_is_one_cell_wide():
    cube = np.zeros((10, 10, 10))
    assert not at_border(cube, 0.5)
    cube[2:8, 2:8, 2:8] = 1
    assert not at_border(cube, 0.5)
    cube[5, 8, 5] = 1  # one cell from the side y = 9
    assert at_border(cube, 0.5) and not at_border(cube, 0.5, cells=0)
    cube[5, 9, 5] = 1
    assert at_border(cube, 0.5, cells=0)
    with pytest.raises(ValueError, match="cube"):
        at_border(cube[:3], 0.5)


# ---------------------------------------------------------------------- the true surface


def test_distances_to_one_triangle_by_hand():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    points = np.array([[0.2, 0.2, 0.5], [0.5, -2, 0], [-3, -4, 0], [1, 1, 0], [0.2, 0.2, 0]])
    expected = [0.5, 2, 5, np.sqrt(0.5), 0]
    assert to_triangles(points, np.tile(corners, (5, 1, 1))) == pytest.approx(expected, abs=1e-12)
    flat = np.zeros((1, 3, 3))
    assert to_triangles([[0, 3, 4]], flat) == pytest.approx([5])


def test_spheres_of_known_distance():
    """Radii 0.30 and 0.33: 0.03 apart everywhere, 5 % of a width of 0.6."""
    small, large = (extract_mesh(ball(r, 80), level=0.0) for r in (0.30, 0.33))
    found = gaps(small, large, width=0.6, samples=20000, asked=2000)
    for part in ("front", "whole"):
        gap = found[part]
        assert [gap.to, gap.to_p90, gap.back, gap.back_p90] == pytest.approx([5] * 4, abs=0.1)
    same = gaps(small, small, width=0.6, samples=20000, asked=2000)["whole"]
    assert same.to_p90 < 0.02  # of the width, in %: the triangles are met exactly


def test_only_the_front_may_be_wrong():
    """A sphere that is flattened behind z = 0 differs there alone."""
    true = extract_mesh(ball(0.3, 80), level=0.0)
    bent = Mesh(true.vertices * np.where(true.vertices[:, 2:] < 0, [1, 1, 0.5], 1).astype("f4"),
                true.faces)  # fmt: skip
    found = gaps(true, bent, width=0.6, samples=20000, asked=2000)
    assert found["front"].to_p90 < 0.3 < 2 < found["whole"].to_p90


def test_what_is_hidden_does_not_count():
    """A sphere within a sphere is not seen, and its surface is nobody's nearest."""
    outer, inner = extract_mesh(ball(0.4, 64), level=0.0), extract_mesh(ball(0.2, 64), level=0.0)
    both = Mesh(np.concatenate([outer.vertices, inner.vertices]),
                np.concatenate([outer.faces, inner.faces + len(outer.vertices)]))  # fmt: skip
    samples = visible_samples(both, 5000)
    assert 3000 < len(samples.points) < 5000
    assert np.linalg.norm(samples.points, axis=1).min() > 0.38
    assert distances(np.zeros((1, 3)), samples) == pytest.approx([0.4], abs=0.01)
    empty = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    with pytest.raises(ValueError, match="no faces"):
        visible_samples(empty, 10)


def test_a_heads_width_is_that_of_its_skin():
    vertices = np.array([[-1, 0, 0], [1, 0, 0], [0, 1, 0], [-5, 0, 0], [5, 0, 0]], float)
    faces, part = np.array([[0, 1, 2], [2, 3, 4]]), np.array([0, 3])
    assert head_width(vertices, faces, part, skin=0) == 2
    assert head_width(vertices, faces, part, skin=3) == 10
    with pytest.raises(ValueError, match="skin"):
        head_width(vertices, faces, part, skin=1)


def test_a_true_head_lies_on_itself():
    pytest.importorskip("anny")
    from sigmaflow.datasets.headpaint import SKIN
    from sigmaflow.datasets.heads import build_head

    head = build_head(latent(1000000))
    width = head_width(head.vertices, head.faces, head.part, SKIN)
    assert 0.25 < width < 0.5
    mesh = Mesh(head.vertices, head.faces)
    moved = Mesh(head.vertices + np.float32([0, 0, 0.05 * width]), head.faces)
    found = gaps(mesh, moved, width, samples=20000, asked=2000)
    assert 1 < found["front"].to < 5.1 and 0.5 < found["whole"].to < 5.1


# ---------------------------------------------------------------------- providers and views


def test_cameras_off_the_front():
    labels = np.concatenate([frontal_label(yaw=np.radians(a)).numpy() for a in (0, 20, -50)])
    assert off_frontal(labels) == pytest.approx([0, 20, 50], abs=0.1)
    behind = view_label(180.0).numpy()
    assert off_frontal(behind) == pytest.approx([180], abs=0.1)
    assert found(np.array([-0.1, 0.0, 0.1])).tolist() == [False, False, True]


def test_what_is_not_installed_is_said_in_a_sentence(monkeypatch, tmp_path):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for one, remedy in ((find_landmarks(), "pip install"), (find_embedder(), "pip install"),
                        (find_heads(), "pip install")):  # fmt: skip
        assert one.path is None and "the package" in one.why and remedy in one.why


def test_a_model_that_is_given_by_path(tmp_path):
    pytest.importorskip("ai_edge_litert")
    assert find_landmarks(tmp_path / "none.tflite").why.endswith("is no file")
    (tmp_path / "face.tflite").write_bytes(b"x")
    assert find_landmarks(tmp_path / "face.tflite").path == tmp_path / "face.tflite"


def real_faces(n):
    from pathlib import Path

    from sigmaflow.datasets.images import ImageZip

    path = Path(__file__).parents[2] / "sigmaflow" / "datasets" / "faces64.zip"
    with ImageZip(path) as images:
        near = np.flatnonzero(off_frontal(images.labels) < 10)[:n]
        return torch.stack([images[i][0] for i in near]), images.labels[near]


def test_the_landmark_model_sees_faces_and_not_noise():
    if (model := find_landmarks()).why:
        pytest.skip(model.why)
    from sigmaflow.card.landmarks import FaceLandmarks

    see = FaceLandmarks(model.path)
    faces, _ = real_faces(12)
    logits, points = see(faces)
    assert found(logits).mean() >= 0.9 and points.shape == (12, 468, 3)
    tip = points[:, 1, :2]  # MediaPipe's point 1 is the tip of the nose
    assert np.abs(tip - [0.5, 0.5]).max() < 0.2
    noise = np.random.default_rng(0).integers(0, 255, faces.shape, dtype=np.uint8)
    assert not found(see(torch.from_numpy(noise))[0]).any()


def test_the_embedder_is_an_extractor():
    if (model := find_embedder()).why:
        pytest.skip(model.why)
    from sigmaflow.card.embedder import DlibEmbedder
    from sigmaflow.metrics.features import Extractor

    embed = DlibEmbedder(model.path)
    assert isinstance(embed, Extractor) and embed.describe()["dim"] == 128
    faces, _ = real_faces(3)
    a, b = embed(faces), embed(faces[1:])
    assert a.shape == (3, 128) and (a[1:] == b).all() and torch.pdist(a).min() > 0.05


def test_views_are_of_one_head(tiny_checkpoint):
    from sigmaflow.generators import load_generator

    G = load_generator(tiny_checkpoint)
    views = view_pictures(G, [1, 2, 3], 1.0, (0.0, 30.0))
    assert views.shape[:3] == (3, 2, 3) and views.dtype == torch.uint8
    again = view_pictures(G, [2], 1.0, (30.0,))
    assert (views[1, 1].int() - again[0, 0].int()).abs().max() <= 1
    still = view_pictures(G, [1, 2], 0.0, (0.0,))
    assert (still[0].int() - still[1].int()).abs().max() <= 1


def test_traits_are_counted():
    seeds = range(1000000, 1000040)
    counts = count_traits(seeds)
    assert counts["glasses"] == sum(traits(latent(s))["glasses"] for s in seeds)
    assert 0 < counts["beard"] < 40 and all(0 <= v <= 40 for v in counts.values())
    with pytest.raises(ValueError, match="no identities"):
        count_traits([])


# ---------------------------------------------------------------------- bars and figures


def test_bars_hold_at_their_limits():
    most, least = bars.Bar(bars.AT_MOST, 60.0, 30.0), bars.Bar(bars.AT_LEAST, 0.9)
    assert most.passed(60.0) and not most.passed(60.1) and not most.passed(float("nan"))
    assert least.passed(0.9) and not least.passed(0.899)


def test_the_table_says_bar_and_answer():
    rows = [
        bars.Row("fid_mini, psi 1", "alex", 654.0, 600.0, 700.0, 2000),
        bars.Row("face found, psi 0.7", "m", 0.95, 0.9, 0.98, 200, "%"),
        bars.Row("median distance, front", "", 3.21, n=20),
        bars.Row("face found by nobody", note="not installed"),
    ]
    assert [row.passed for row in rows] == [False, True, None, None]
    text = bars.lines(rows)
    assert "654" in text[1] and "at most 60 (aim 30)" in text[1] and "NO" in text[1]
    assert "95.0 %" in text[2] and "yes" in text[2]
    assert text[-1] == "face found by nobody: skipped; not installed"
    assert [row.as_dict()["passed"] for row in rows] == ["no", "yes", "", ""]
    free = bars.Row("front view found from both sides, psi 1", "dlib", 0.1, bound=False)
    assert free.passed is None and free.as_dict()["bar"] is None


def test_curves_and_ladders_are_drawn(tmp_path):
    from jobs.output.card_pictures import read_curve

    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": 1000 * i, "heldout_l1": 1 / (1 + i)}) + "\n"
                            for i in range(4)))  # fmt: skip
    frame = read_curve(path)
    assert frame["kimg"].tolist() == [0, 1, 2, 3]
    figure = card_figures.curves({"warm start": frame}, {"warm start": 2.0})
    assert len(figure.axes) == 1 and "2.0 h" in figure.axes[0].get_legend().texts[0].get_text()
    with pytest.raises(ValueError, match="heldout_l1"):
        card_figures.curves({"x": pd.DataFrame({"kimg": [1.0]})})
    random = np.random.default_rng(0)
    real = random.normal(size=(60, 3))
    rungs = ladder({"blur1": real + 1, GENERATED: real + 3}, real, np.arange(60))
    assert len(card_figures.ladder_figure({"a": rungs, "b": rungs}).axes) == 2

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from sigmaflow.fields.grid import Grid
from sigmaflow.preferences.annotator import (
    DEFECTS,
    AnnotatorConfig,
    Reference,
    anchor_preference,
    annotate,
    calibrate,
    defects,
    measure,
    preference,
    score,
)
from sigmaflow.preferences.phantoms import Phantom, random_phantom
from sigmaflow.preferences.questions import anchors, assign_anchors, make_questions, rank
from sigmaflow.preferences.rankings import (
    Rankings,
    RankingsError,
    read_rankings,
    split,
    write_rankings,
)

REFERENCE = os.environ.get("SIGMAFLOW_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="SIGMAFLOW_REFERENCE is not set")


@needs_reference
def test_released_rankings_and_their_split():
    path = Path(REFERENCE) / "data" / "authors" / "rankedseedsall.csv"
    rankings = read_rankings(path)
    assert len(rankings) == 4346 and len(rankings.seeds) == 8692
    parts = split(rankings)
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [3042, 652, 652]
    train, val, test = parts.of(rankings)
    assert train.index[:3].tolist() == [3946, 1503, 1964]
    assert val.index[:3].tolist() == [3971, 263, 1938]
    assert test.index[:5].tolist() == [173, 3281, 680, 3824, 25]

    hq = anchors(1000)
    hq_parts = split(hq)
    assert hq[hq_parts.train[:3]].tolist() == [100541, 100440, 100482]
    assert hq[hq_parts.val[:3]].tolist() == [100381, 100959, 100049]
    assert hq[hq_parts.test[:3]].tolist() == [100557, 100798, 100977]


@needs_reference
def test_released_split_by_digest():
    root = Path(REFERENCE)
    rankings = read_rankings(root / "data" / "authors" / "rankedseedsall.csv")
    cases = np.load(root / "golden" / "rewards" / "cases.npz")
    hq, hq_parts = anchors(1000), split(anchors(1000))
    for name, part in zip(("train", "val", "test"), split(rankings).of(rankings)):
        arrays = {
            "index": part.index,
            "index_sorted": np.sort(part.index),
            "winner": part.winners,
            "loser": part.losers,
            "hq": hq[getattr(hq_parts, name)],
        }
        for what, array in arrays.items():
            digest = hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()
            assert digest == str(cases[f"dataset/{name}/{what}_sha256"]), (name, what)


@needs_reference
def test_released_file_is_written_back_byte_for_byte(tmp_path):
    path = Path(REFERENCE) / "data" / "authors" / "rankedseedsall.csv"
    write_rankings(tmp_path / "again.csv", read_rankings(path))
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_rankings_survive_the_file(tmp_path):
    rankings = Rankings.of([(5, 6), (9, 7)])
    write_rankings(tmp_path / "r.csv", rankings)
    assert (tmp_path / "r.csv").read_text() == ",rank1,rank2\n0,5,6\n1,9,7\n"
    assert list(read_rankings(tmp_path / "r.csv")) == [(5, 6), (9, 7)]
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def problems(tmp_path, text):
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RankingsError) as error:
        read_rankings(path)
    assert str(path) in str(error.value)
    return error.value.problems


def test_all_problems_are_told_at_once(tmp_path):
    text = ",rank1,rank2\n0,5,6\n1,7,7\n2,5,6\n3,6,5\n4,x,8\n5,9,-1\n6,1.5,2\nq,20,21\n7,30,3"
    found = {(p.line, p.column): p for p in problems(tmp_path, text)}
    assert {line for line, _ in found} == {3, 4, 5, 6, 7, 8, 9, 10}
    assert "itself" in found[3, "rank1,rank2"].message
    assert "line 2 again" in found[4, "rank1,rank2"].message
    assert "contradicts line 2" in found[5, "rank1,rank2"].message
    assert found[6, "rank1"].value == "x" and found[7, "rank2"].value == "-1"
    assert found[8, "rank1"].value == "1.5" and found[9, "index"].value == "q"
    assert "no end" in found[10, ""].message
    assert all(p.remedy for p in found.values())


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (",rank1,rank2\n", "no pairs"),
        (",rank1,rank2\n0,1,2\n1,3", "cut off"),
        (",rank1,rank2\n0,1,2\n1,3,4,5\n", "4 fields instead of 3"),
        (",rank1,rank_2\n0,1,2\n", "column is missing"),
        ("rank1,rank2\n1,2\n", "unnamed index"),
        (",rank1,rank2\n0,4294967296,2\n", "above"),
        (",rank1,rank2\n0," + "9" * 5000 + ",2\n", "above"),
        (',rank1,rank2\n0,"1,2\n1,3,3\n', "itself"),
        ("\n0,1,2\n", "column is missing"),
        (",rank1,rank2\n0,1,2\n\n1,3,4\n", "1 fields instead of 3"),
        (b"\xff\xfe,rank1", "UTF-8"),
    ],
)
def test_broken_files(tmp_path, text, message):
    assert any(message in p.message for p in problems(tmp_path, text))


def test_a_near_column_name_is_suggested(tmp_path):
    found = problems(tmp_path, ",rank1,rank_2\n0,1,2\n")
    assert any("rename 'rank_2' to 'rank2'" in p.remedy for p in found)


def test_a_missing_file_is_a_problem_too(tmp_path):
    with pytest.raises(RankingsError, match="cannot be read"):
        read_rankings(tmp_path / "none.csv")


def test_windows_line_ends_are_read(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"\xef\xbb\xbf,rank1,rank2\r\n0,5,6\r\n")
    assert list(read_rankings(tmp_path / "r.csv")) == [(5, 6)]


def test_questions_never_share_a_shape():
    questions = make_questions(1, 300)
    seeds = [seed for question in questions for seed in question]
    assert len(seeds) == len(set(seeds)) and min(seeds) == 20000
    assert {len(question) for question in questions} == {2, 3, 4, 5, 6}
    assert questions == make_questions(1, 300) != make_questions(2, 300)
    with pytest.raises(ValueError, match="anchors"):
        make_questions(1, 50_000)
    with pytest.raises(ValueError, match="two shapes"):
        make_questions(1, 5, sizes=(1,))


def test_ranking_keeps_best_and_worst_with_fixed_noise():
    questions = make_questions(0, 2000)
    scores = {s: float(np.random.RandomState(s).randn()) for q in questions for s in q}
    clean = rank(questions, scores, flip=0)
    assert all(scores[w] == max(scores[s] for s in q) for (w, _), q in zip(clean, questions))
    assert all(scores[l] == min(scores[s] for s in q) for (_, l), q in zip(clean, questions))
    noisy = rank(questions, scores, flip=0.1, seed=3)
    flipped = noisy.winners != clean.winners
    assert 0.08 < flipped.mean() < 0.12
    assert np.array_equal(noisy.winners[flipped], clean.losers[flipped])
    backwards = rank(questions[::-1], scores, flip=0.1, seed=3)
    assert np.array_equal(backwards.winners[::-1], noisy.winners)
    assert np.array_equal(rank(questions, scores, flip=1).winners, clean.losers)


def test_ranking_refuses_missing_scores():
    with pytest.raises(ValueError, match=r"1 shapes.*\[2\]"):
        rank([(1, 2)], {1: 0.0, 2: float("nan")})
    assert list(rank([(1, 2)], {1: 0.0, 2: 0.0}, flip=0)) == [(1, 2)]


def test_a_question_keeps_its_anchor():
    rankings = Rankings.of([(i, i + 1) for i in range(0, 400, 2)])
    pool = anchors(20)
    given = assign_anchors(rankings, pool)
    assert set(given) <= set(pool) and len(set(given)) == 20
    rows = np.array([7, 3, 100])
    assert np.array_equal(assign_anchors(rankings.take(rows), pool), given[rows])


def test_too_few_pairs_to_split():
    with pytest.raises(ValueError, match="at least 4"):
        split(Rankings.of([(1, 2)]))


CUBE = Grid(resolution=48, kind="regular")
CONFIG = AnnotatorConfig()
DEFECTIVE = {
    "roughness": Phantom(rough=0.006),
    "floaters": Phantom(floaters=2),
    "asymmetry": Phantom(skew=0.03),
    "sunken_nose": Phantom(nose=-0.04),
}


@pytest.mark.parametrize("defect", DEFECTIVE)
def test_annotator_prefers_the_faultless_head(defect):
    good, bad = Phantom().sigma(CUBE), DEFECTIVE[defect].sigma(CUBE)
    assert annotate(good, CONFIG) > annotate(bad, CONFIG) + 1.0


@pytest.mark.parametrize("defect", DEFECTIVE)
def test_each_measure_answers_its_own_defect(defect):
    def standard(phantom):
        found = defects(measure(phantom.sigma(CUBE), CONFIG), CONFIG)
        return np.array([found[name] / CONFIG.references[name].scale for name in DEFECTS])

    rise = dict(zip(DEFECTS, standard(DEFECTIVE[defect]) - standard(Phantom())))
    own = rise.pop(defect)
    assert own > 1.0 and all(abs(other) < own / 2 for other in rise.values()), rise


def test_more_of_a_defect_is_minded_more():
    roughness = [measure(Phantom(rough=r).sigma(CUBE), CONFIG).roughness for r in (0, 0.004, 0.008)]
    skew = [measure(Phantom(skew=s).sigma(CUBE), CONFIG).asymmetry for s in (0, 0.01, 0.03)]
    nose = [measure(Phantom(nose=h).sigma(CUBE), CONFIG).nose for h in (0.06, 0.03, 0, -0.04)]
    assert roughness == sorted(roughness) and skew == sorted(skew)
    assert nose == sorted(nose, reverse=True)


def test_a_good_nose_is_not_rewarded_beyond_the_reference():
    config = CONFIG.model_copy(update={"nose_reference": 0.03})
    found = [defects(measure(Phantom(nose=h).sigma(CUBE), config), config) for h in (0.05, 0.07)]
    assert [d["sunken_nose"] for d in found] == [0, 0]


def test_a_hidden_cavity_is_told_from_a_floater():
    sigma = Phantom().sigma(CUBE)
    whole = measure(sigma, CONFIG)
    hollow = sigma.copy()
    hollow[20:28, 20:28, 20:28] = -50
    found = measure(hollow, CONFIG)
    assert found.cavities == pytest.approx(512 / (whole.volume * 48**3), rel=1e-6)
    assert found.floaters == 0 and found.roughness == pytest.approx(whole.roughness, rel=1e-3)


def test_a_head_a_little_off_the_middle_is_still_symmetric():
    sigma = np.roll(Phantom().sigma(CUBE), 1, axis=0)
    assert measure(sigma, CONFIG).asymmetry < 0.002


def test_nothing_to_see_scores_lowest_and_finite():
    dust = np.full((48, 48, 48), -50.0)
    dust[24, 24, 24] = 50
    worst = max(CONFIG.limit * sum(CONFIG.weights.values()), 0)
    for cube in (np.full((48, 48, 48), -50.0), dust, np.full((48, 48, 48), np.nan)):
        found = measure(cube, CONFIG)
        assert not found.valid and np.isfinite(score(found, CONFIG))
        assert score(found, CONFIG) < -worst
    assert np.isfinite(annotate(np.full((48, 48, 48), 50.0), CONFIG))
    noise = np.random.default_rng(0).normal(0, 50, (48, 48, 48))
    assert -worst <= annotate(noise, CONFIG) < annotate(Phantom().sigma(CUBE), CONFIG)
    with pytest.raises(ValueError, match="cube"):
        measure(np.zeros((4, 5, 6)), CONFIG)


def test_calibration_standardises_the_defects():
    shapes = [measure(random_phantom(i).sigma(CUBE), CONFIG) for i in range(40)]
    config = calibrate(shapes)
    table = np.array([[defects(m, config)[name] for name in DEFECTS] for m in shapes])
    means = [config.references[name].mean for name in DEFECTS]
    np.testing.assert_allclose(table.mean(0), means, rtol=1e-6, atol=1e-12)
    scores = np.array([score(m, config) for m in shapes])
    assert abs(scores.mean()) < 0.5 and scores.std() > 1
    assert AnnotatorConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValueError, match="at least 8"):
        calibrate(shapes[:5])


def test_annotator_config_names_all_defects():
    with pytest.raises(ValueError, match="give exactly"):
        AnnotatorConfig(weights={"roughness": 1.0})
    with pytest.raises(ValueError):
        AnnotatorConfig(references={name: Reference(mean=0, scale=0) for name in DEFECTS})


def test_preferences_are_shares():
    assert preference([1, 2, 3], [2, 2, 2]).tolist() == [0, 0.5, 1]
    assert anchor_preference([3, 3, 1], [2, 4, 0], [1, 1, 2]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError):
        anchor_preference([], [], [])

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

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

"""`python -m jobs.questions`: pages, what is written into them, and answers read back."""

import json

import numpy as np
import pytest
from PIL import Image

from jobs import questions
from sigmaflow.figures import pages
from sigmaflow.preferences.asking import Asked, ask, consensus, read_answers
from sigmaflow.preferences.orders import Orders, read_orders
from sigmaflow.preferences.rankings import RankingsError, read_rankings, split


@pytest.fixture
def run(tiny_checkpoint, tmp_path, capsys):
    """Call the command; returns (exit code, what it printed, its errors)."""
    out = tmp_path / "pages"

    def go(*more, read=None):
        first = ["--read", str(read)] if read else [
            str(tiny_checkpoint), "--out", str(out), "--resolution", "24", "--border", "thin",
        ]  # fmt: skip
        code = questions.main([*first, *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    go.out = out
    return go


@pytest.fixture(autouse=True)
def quick_views(monkeypatch):
    from sigmaflow.figures.clay import Model

    real = Model.view
    monkeypatch.setattr(
        Model, "view", lambda self, yaw, pitch, focal, size, supersample, pivot:
        real(self, yaw, pitch, focal, size, 1, pivot))  # fmt: skip


def cards(out):
    return [json.loads(f.read_text()) for f in sorted(out.glob("page-*.json"))]


def test_pages_hold_their_questions(run):
    code, said, err = run("--count", "6", "--sizes", "2,3", "--catch", "2", "--lines", "1")
    assert (code, err) == (0, "") and "pages with 8 questions" in said
    found = cards(run.out)
    asked = [q for card in found for q in card["questions"]]
    assert [q["number"] for q in asked] == list(range(1, 9))
    seeds = [s for q in asked for s in q["seeds"]]
    assert len(set(seeds)) == len(seeds)
    caught = [q for q in asked if q["catch"] is not None]
    assert len(caught) == 2 and all(q["catch"] in q["seeds"] for q in caught)
    assert min(s for s in seeds if s < 100_000) == 20_000
    for card in found:
        with Image.open(run.out / f"page-{card['page']:04d}.png") as picture:
            assert json.loads(picture.text[questions.ENTRY]) == card
            assert np.asarray(picture).std() > 5
    sheet = (run.out / "answers.csv").read_text().splitlines()
    assert sheet[0] == "question,annotator,order" and len(sheet) == 9


def test_it_goes_on_and_keeps_what_people_have_filled_in(run):
    options = ("--count", "3", "--sizes", "2", "--lines", "1")
    run(*options)
    page = run.out / "page-0001.png"
    before = page.read_bytes()
    (run.out / "answers.csv").write_text("question,annotator,order\n1,ann,AB\n")
    page.unlink()
    code, said, _ = run(*options)
    assert code == 0 and page.read_bytes() == before
    assert "ann" in (run.out / "answers.csv").read_text()
    code, _, err = run(*options[:-1], "1", "--seed", "1")
    assert code == 2 and "is of other questions" in err


def fill(run, choose, who="ann"):
    """Answers that order the seeds of every question by `choose`."""
    lines = []
    for card in cards(run.out):
        for q in card["questions"]:
            order = sorted(range(len(q["seeds"])), key=lambda i: choose(q["seeds"][i]))
            lines.append(f"{q['number']},{who},{''.join('ABCDEF'[i] for i in order)}")
    return lines


def write(path, *lines):
    path.write_text("\n".join(["question,annotator,order", *lines]) + "\n")
    return path


def test_answers_become_rankings(run, tmp_path):
    run("--count", "6", "--sizes", "2-4", "--catch", "1")
    answers = write(tmp_path / "a.csv", *fill(run, lambda seed: -seed))  # later seeds are better
    target, orders = tmp_path / "r.csv", tmp_path / "o.csv"
    options = ("--questions", str(run.out), "--rankings", str(target), "--orders", str(orders))
    code, said, err = run(*options, read=answers)
    assert (code, err) == (0, "") and "1 of 1 anchors" in said
    rankings = read_rankings(target)
    assert len(rankings) == 6 and all(winner > loser for winner, loser in rankings)
    assert [len(p.index) for p in split(rankings).of(rankings)] == [4, 1, 1]
    assert all(list(o) == sorted(o, reverse=True) for o in read_orders(orders).orders)
    for file in run.out.glob("*.json"):
        file.unlink()  # the pages alone say it too
    again = tmp_path / "again.csv"
    assert run("--questions", str(run.out), "--rankings", str(again), read=answers)[0] == 0
    assert again.read_bytes() == target.read_bytes()


def test_several_annotators(run, tmp_path):
    run("--count", "4", "--sizes", "3")
    agree, other = fill(run, lambda s: s), fill(run, lambda s: s, "bo")
    target = tmp_path / "r.csv"
    options = ("--questions", str(run.out), "--rankings", str(target))
    code, said, _ = run(*options, read=write(tmp_path / "a.csv", *agree, *other))
    assert code == 0 and "alike in 100.0%" in said and "kappa 1.000" in said
    opposite = fill(run, lambda s: -s, "bo")
    code, said, _ = run(*options, read=write(tmp_path / "a.csv", *agree, *opposite[:2]))
    assert code == 0 and "2 questions are left out" in said and len(read_rankings(target)) == 2
    code, _, err = run(*options, read=write(tmp_path / "a.csv", *agree, *opposite))
    assert code == 2 and "is a tie" in err


ASKED = [Asked(1, (5, 3, 9)), Asked(2, (7, 8)), Asked(3, (11, 100000), 100000)]


def test_ways_to_write_an_order(tmp_path):
    lines = ["1,ann,c>a>b", '2,ann,"B, A"', "3,ann,ab", "1,bo,C B", "2,bo,"]
    found = read_answers(write(tmp_path / "a.csv", *lines), ASKED)
    assert found.orders.orders == ((9, 5, 3), (8, 7), (9, 3))
    assert found.orders.annotators == ("ann", "ann", "bo")
    assert found.blank == 1 and found.caught == {"ann": (0, 1)}
    both = tmp_path / "b.csv"
    both.write_bytes(b"question;annotator;order\r\n1;ann;CAB\r\n")
    assert read_answers(both, ASKED).orders.orders == ((9, 5, 3),)


def test_all_wrong_answers_are_told_at_once(tmp_path):
    lines = ["4,ann,AB", "1,ann,AAB", "1,bo,ABD", "2,ann,A", "2,bo,AB", "2,bo,BA", "1,cy,C,A,B"]
    with pytest.raises(RankingsError) as error:
        read_answers(write(tmp_path / "a.csv", *lines), ASKED)
    assert sorted(p.line for p in error.value.problems) == [2, 3, 4, 5, 7, 8]
    with pytest.raises(RankingsError, match="no question is answered"):
        read_answers(write(tmp_path / "a.csv", "1,,", "2,,"), ASKED)
    (tmp_path / "c.csv").write_text("rank1,rank2\n1,2\n")
    with pytest.raises(RankingsError, match="other columns"):
        read_answers(tmp_path / "c.csv", ASKED)


def test_consensus_is_the_mean_rank():
    asked = [Asked(1, (5, 3, 9))]

    def said(*orders):
        n = len(orders)
        return Orders(orders, np.ones(n, dtype=np.int64), tuple(map(str, range(n))))

    rankings, left = consensus(said((5, 3, 9), (5, 9, 3), (3, 5, 9)), asked)
    assert list(rankings) == [(5, 9)] and not left and rankings.index.tolist() == [1]
    assert consensus(said((5, 3, 9), (9, 3, 5)), asked)[1] == [1]
    assert list(consensus(said((3, 9)), asked)[0]) == [(3, 9)]  # best and worst alone


def test_questions_are_shuffled_and_fixed():
    asked = ask(50, seed=3, catches=5)
    assert asked == ask(50, seed=3, catches=5) != ask(50, seed=4, catches=5)
    assert [a.seeds for a in asked] != sorted(a.seeds for a in asked)
    first = [a.seeds.index(a.catch) for a in asked if a.catch is not None]
    assert len(first) == 5
    rising = [a.seeds == tuple(sorted(a.seeds)) for a in asked]
    assert not all(rising)
    with pytest.raises(ValueError, match="anchors"):
        ask(50_000)


def test_lines_are_filled():
    sizes = np.random.RandomState(0).randint(2, 7, 200).tolist()
    packed = pages.in_lines(sizes, 2)
    lines = [line for page in packed for line in page]
    assert sorted(at for line in lines for at in line) == list(range(200))
    assert all(sum(sizes[at] for at in line) <= pages.LINE for line in lines)
    assert sum(sizes) > 0.9 * pages.LINE * len(lines)
    assert all(len(page) == 2 for page in packed[:-1])
    with pytest.raises(ValueError, match="2 to 6"):
        pages.in_lines([7], 1)


def test_a_shape_without_a_surface_has_its_place():
    picture = pages.page([[pages.Card(1, [None, None])]], "Question 1")
    assert picture.width == pages.NARROWEST + 2 * pages.MARGIN


@pytest.mark.parametrize("options, message", [
    (("--count", "0"), "--count 0"),
    (("--sizes", "1-6"), "--sizes 1-6"),
    (("--lines", "9"), "--lines 9"),
    (("--psi", "x"), "--psi x"),
    (("--border", "no"), "--border no"),
    (("--count", "60000"), "anchors"),
])  # fmt: skip
def test_bad_arguments(run, options, message):
    code, _, err = run(*options)
    assert code == 2 and message in err and not run.out.exists()


def test_nothing_to_read(run, tmp_path):
    code, _, err = run(read=tmp_path / "none.csv")
    assert code == 2 and "no pages there" in err
    (tmp_path / "page-0001.json").write_text("{")
    code, _, err = run(read=tmp_path / "none.csv")
    assert code == 2 and "not a page of questions" in err
    assert questions.main([]) == 2

import json

import pytest

from jobs.track.curves import BOUND, Curves, Point, thin, thinned, write_parquet


def points(n, name="a"):
    return [Point(name, i, float(i), i) for i in range(n)]


@pytest.mark.parametrize("n", [0, 1, 2, 999, 1000, 1001, 1998, 1999, 2000, 2001, 5000, 100003])
def test_a_curve_is_bounded_even_and_keeps_its_ends(n):
    chosen = thin(points(n), whole=True)
    assert len(chosen) <= BOUND and len(chosen) >= min(n, BOUND // 2)
    if n:
        assert chosen[0].step == 0 and chosen[-1].step == n - 1
    gaps = {b.step - a.step for a, b in zip(chosen[:-1], chosen[1:-1])}
    assert len(gaps) <= 1


def test_a_growing_curve_takes_points_away_only_where_it_doubles():
    taken, lost = set(), []
    for n in range(1, 200):
        now = set(thin(points(n), whole=False, bound=20))
        if not taken <= now:
            lost.append(n)
        taken = now
    assert lost == [21, 39, 77, 153]


def test_metrics_are_thinned_each_by_itself(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with open(path, "w") as file:
        for step in range(3000):
            file.write(
                json.dumps(
                    {"step": step, "loss": 1.0, **({"rare": 2.0} if step % 1000 == 7 else {})}
                )
                + "\n"
            )
    found = Curves.read(path).points(100)
    assert [p.step for p in found["rare"]] == [7, 1007, 2007]
    names = [p.name for p in thinned(found, True)]
    assert names.count("rare") == 3 and 500 <= names.count("loss") <= BOUND


def test_half_a_line_waits_and_a_rewritten_file_is_known(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "a": 1}\n{"step": 1, "a"')
    early = Curves.read(path)
    assert len(early.points(0)["a"]) == 1
    path.write_text('{"step": 0, "a": 1}\n{"step": 1, "a": 2}\n')
    later = Curves.read(path)
    assert later.before(early.mark()) == early
    path.write_text('{"step": 0, "a": 3}\n{"step": 1, "a": 2}\n')
    assert Curves.read(path).before(early.mark()) is None
    assert Curves.read(tmp_path / "none") is None


def test_samples_with_a_clock_are_dated_by_it(tmp_path):
    path = tmp_path / "system.jsonl"
    path.write_text('{"time": 1000.0, "rss_mb": 5}\n{"time": 1015.5, "rss_mb": 6}\n')
    assert Curves.read(path).points(0)["rss_mb"] == [
        Point("rss_mb", 0, 5.0, 1000000), Point("rss_mb", 15, 6.0, 1015500),
    ]  # fmt: skip


def test_all_points_go_to_parquet(tmp_path):
    import pandas as pd

    write_parquet(points(5) + points(2, "b"), tmp_path / "c.parquet")
    frame = pd.read_parquet(tmp_path / "c.parquet")
    assert frame["metric"].tolist() == ["a"] * 5 + ["b"] * 2
    assert frame["value"].tolist() == [0, 1, 2, 3, 4, 0, 1]

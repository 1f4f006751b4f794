"""One reader for all CSV files of people: what is cut off or out of place is told with its line."""

import os
from pathlib import Path

import numpy as np
import pytest

from sigmaflow.preferences import asking, orders, rankings
from sigmaflow.preferences.asking import Asked, read_answers
from sigmaflow.preferences.orders import Orders, read_orders, read_preferences, write_orders
from sigmaflow.preferences.rankings import RankingsError, read_rankings

ASKED = [Asked(n, tuple(range(10 * n, 10 * n + 4))) for n in range(1, 8)]
KINDS = {  # header, then three good lines
    "rankings": (rankings.COLUMNS, ["0,1,2", "1,3,4", "2,5,6"], read_rankings),
    "orders": (orders.COLUMNS, [f"{i},ann,{6 * i},{6 * i + 1},,,," for i in range(3)], read_orders),
    "answers": (asking.COLUMNS, ["1,ann,ABCD", "2,ann,CABD", "3,ann,CA"],
                lambda path: read_answers(path, ASKED)),
}  # fmt: skip


def told(path, text, read):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RankingsError) as caught:
        read(path)
    assert all(p.remedy and p.file == str(path) for p in caught.value.problems)
    return {(p.line, p.message) for p in caught.value.problems}


@pytest.fixture(params=KINDS)
def kind(request):
    header, lines, read = KINDS[request.param]
    return ",".join(header), lines, read


def test_line_ends_and_marks_of_every_system_are_read(tmp_path, kind):
    header, lines, read = kind
    path = tmp_path / "t.csv"
    found = []
    for end, mark in (("\n", ""), ("\r\n", "\ufeff"), ("\r", "\ufeff\ufeff")):
        path.write_bytes((mark + end.join([header, *lines]) + end).encode())
        found.append(read(path))
    seeds = [f.seeds if hasattr(f, "seeds") else f.orders.seeds for f in found]
    assert np.array_equal(seeds[0], seeds[1]) and np.array_equal(seeds[0], seeds[2])
    path.write_text("\n".join([header, *lines]).replace(",", ";") + "\n")
    again = read(path)
    assert np.array_equal(again.seeds if hasattr(again, "seeds") else again.orders.seeds, seeds[0])


@pytest.mark.parametrize("line,spoil,said", [
    (4, lambda rows: "\n".join(rows)[:-1], "the last line has no end"),
    (4, lambda rows: "\n".join(rows), "the last line has no end"),
    (3, lambda rows: "\n".join([*rows[:2], rows[2].replace(",", ',"', 1), rows[3]]) + "\n",
     "a quote or a NUL"),
    (2, lambda rows: "\n".join([rows[0], rows[1].replace(",", '",', 1), *rows[2:]]) + "\n",
     "a quote or a NUL"),
    (2, lambda rows: "\n".join([rows[0], '"' + rows[1], rows[2] + '"', rows[3]]) + "\n",
     "a quote or a NUL"),
    (2, lambda rows: "\n".join([rows[0], rows[1] + "\0", *rows[2:]]) + "\n", "a quote or a NUL"),
    (3, lambda rows: "\n".join([*rows[:2], rows[2] + "1" * 200000, rows[3]]) + "\n",
     "of 10000 at most"),
    (1, lambda rows: "\n".join([rows[0] + ",x" * 10**6, *rows[1:]]) + "\n", "of 10000 at most"),
    (0, lambda rows: ("\n".join(rows) + "\n").encode("utf-16"), "is not UTF-8"),
    (0, lambda rows: "\n" * 2_100_000, "1000000 lines"),
    (1, lambda rows: "\ufeff\n", "the file is empty"),
], ids=range(11))  # fmt: skip
def test_a_fault_is_told_with_its_line(tmp_path, kind, line, spoil, said):
    header, lines, read = kind
    found = told(tmp_path / "t.csv", spoil([header, *lines]), read)
    assert [at for at, message in found if said in message] == [line] or (
        line == 2 and {at for at, message in found if said in message} == {2, 3}
    )


def test_quotes_around_whole_fields_are_read(tmp_path):
    path = tmp_path / "o.csv"
    said = Orders(((1, 2), (3, 4)), np.array([0, 1]), ('Ann "A", B', "semi;colon"))
    write_orders(path, said)
    assert read_orders(path).annotators == said.annotators
    path.write_text('"","rank1", "rank2"\n"0","1","2"\n')
    assert list(read_rankings(path)) == [(1, 2)]
    for name in ("two\nlines", " spaced"):
        with pytest.raises(ValueError, match="annotator .* must be one line"):
            write_orders(path, Orders(((1, 2),), np.array([0]), (name,)))


def test_numbers_are_compared_as_numbers(tmp_path):
    header = ",".join(orders.COLUMNS) + "\n"
    path = tmp_path / "o.csv"
    assert told(path, header + "0,a,7,07,,,,\n", read_orders) == {(2, "a shape is there twice")}
    assert told(path, header + "1,a,2,3,,,,\n01,a,4,5,,,,\n", read_orders) == {
        (3, "a answered this question in line 2")}  # fmt: skip
    answers = "question,annotator,order\n1,a,CA\n01,a,CB\n" + "9" * 5000 + ",a,CA\n"
    found = told(path, answers, lambda p: read_answers(p, ASKED))
    assert found == {(3, "a answered it in line 2"), (4, "there is no such question")}
    assert told(path, ",rank1,rank2\n0,1,01\n1,2,3\n2,02,3\n", read_rankings) == {
        (2, "a seed is ranked against itself"), (4, "the pair of line 3 again")}  # fmt: skip


def test_copies_with_marks_may_lie_below_each_other(tmp_path):
    path = tmp_path / "a.csv"
    copies = [f"\ufeffquestion,annotator,order\r\n1,{who},ABCD\r\n" for who in ("ann", "ben")]
    path.write_bytes("".join(copies).encode())
    assert read_answers(path, ASKED).orders.annotators == ("ann", "ben")


@pytest.mark.parametrize("name,read", [
    ("orders-cut-off/cut.csv", read_preferences),
    ("orders-cut-off/answers-cut.csv", lambda path: read_answers(path, ASKED)),
    ("stray-quote/orders.csv", read_preferences),
    ("stray-quote/long.csv", read_preferences),
    ("hostile-files/orders_field.csv", read_preferences),
])  # fmt: skip
def test_cases(name, read):
    root = os.environ.get("SIGMAFLOW_REFERENCE")
    path = Path(root or "") / "cases" / name
    if not root or not path.is_file():
        pytest.skip("SIGMAFLOW_REFERENCE holds no such case")
    with pytest.raises(RankingsError):
        read(path)

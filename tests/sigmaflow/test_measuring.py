"""Quantities and analyses: how their files are found, blocks of seeds, typed rows."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from sigmaflow.analyses import truncation
from sigmaflow.analysing import Analysis, Subject, Table, column
from sigmaflow.measuring import Column, Measured, Quantity, Settings, measure
from sigmaflow.registry import listed


def seen(samples):
    """Columns that say which batch a seed was measured in."""
    return {"first": np.full(len(samples.seeds), samples.seeds[0]),
            "size": np.full(len(samples.seeds), len(samples.seeds))}  # fmt: skip


def of(columns=("first", "size"), run=seen, **changes):
    return Quantity("toy", 1, tuple(Column(c, c) for c in columns),
                    lambda G, files, settings: run, batch=4, task=8, **changes)  # fmt: skip


def test_a_seed_is_measured_in_the_same_batch_whoever_asks():
    few, many = (measure(of(), None, seeds, 1.0) for seeds in (range(5, 7), range(0, 30)))
    assert few.seeds == (5, 6) and many.seeds == tuple(range(30))
    assert few["first"].tolist() == [4, 4] == many.of(few.seeds)["first"].tolist()
    assert set(many["size"]) == {4}


@pytest.mark.parametrize("seeds,tasks", [
    (range(0, 16), [range(0, 8), range(8, 16)]),
    (range(5, 7), [range(4, 8)]),
    (range(7, 18), [range(4, 8), range(8, 16), range(16, 20)]),
    (range(3, 3), []),
])  # fmt: skip
def test_tasks_begin_at_multiples_and_cover_whole_batches(seeds, tasks):
    assert list(of().tasks(seeds)) == tasks


def test_requests_of_other_lengths_share_all_but_the_last_task():
    first, second = set(of().tasks(range(100, 150))), set(of().tasks(range(100, 200)))
    assert len(first - second) <= 1 and len(first & second) >= 6


@pytest.mark.parametrize("run,said", [
    (lambda samples: {"first": np.zeros(4)}, r"must return first \[4\], size \[4\]"),
    (lambda samples: {"first": np.zeros(4), "size": np.zeros(3)}, r"size \[3\]"),
])  # fmt: skip
def test_a_quantity_returns_its_columns_of_every_shape(run, said):
    with pytest.raises(ValueError, match=said):
        measure(of(run=run), None, range(4), 1.0)


def test_arrays_have_the_axes_and_the_type_of_their_column():
    toy = Quantity("toy", 1, (Column("cube", "c", axes=("x", "y"), dtype="float16"),),
                   lambda G, files, settings: lambda s: {"cube": np.zeros((4, 3, 2)) + s.psi},
                   batch=4, task=8)  # fmt: skip
    found = measure(toy, None, range(1, 6), 0.5)["cube"]
    assert found.shape == (5, 3, 2) and found.dtype == np.float16 and (found == 0.5).all()
    flat = Quantity("toy", 1, toy.columns, lambda *_: lambda s: {"cube": np.zeros(4)}, batch=4,
                    task=8)  # fmt: skip
    with pytest.raises(ValueError, match=r"must return cube \[4, x, y\]; it returned cube \[4\]"):
        measure(flat, None, range(4), 0.5)


def test_files_and_sizes_are_checked():
    with pytest.raises(ValueError, match="reads files: reward; given: none"):
        measure(of(files=("reward",)), None, range(4), 1.0)
    with pytest.raises(ValueError, match="task 6 must be a multiple of batch 4"):
        Quantity("toy", 1, (), lambda *_: seen, batch=4, task=6)
    with pytest.raises(KeyError):
        Measured((1, 2), {"a": np.zeros(2)}).of([3])


def package(folder, **files):
    place = folder / "things"
    place.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (place / f"{name}.py").write_text(text)


THING = "class _T:\n    name = '{}'\nTHING = _T()\n"


@pytest.mark.parametrize("files,said", [
    ({"a": "X = 1"}, "things.a has no THING"),
    ({"a": THING.format("b")}, "its THING is called 'b'"),
])  # fmt: skip
def test_a_file_holds_what_it_is_called(tmp_path, monkeypatch, files, said):
    package(tmp_path, _shared="raise RuntimeError", **files)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "things"]:
        monkeypatch.delitem(sys.modules, name)
    listed.cache_clear()
    with pytest.raises(ValueError, match=said):
        listed("things", "THING")
    listed.cache_clear()


def test_all_files_are_found_without_the_heavy_packages():
    """As a plan imports them."""
    heavy = ("torch", "pandas", "scipy", "matplotlib", "captum", "umap", "ray", "mlflow")
    code = f"""
import sys
class Block:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in {heavy!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
from sigmaflow.registry import listed
print(*listed("sigmaflow.quantities", "QUANTITY"), *listed("sigmaflow.analyses", "ANALYSIS"))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert {"reward", "truncation"} <= set(found.stdout.split())


@dataclass(frozen=True)
class Row:
    share: float = column("a share", form=".2f", interval=("low", "high"))
    low: float = column("its interval")
    high: float | None = column("its interval")
    n: int = column("how many")


def test_a_table_knows_the_types_of_its_columns():
    table = Table("t", Row, "A table.")
    assert {k: v["type"] for k, v in table.columns.items()} == {
        "share": "double", "low": "double", "high": "double", "n": "int64"}  # fmt: skip
    assert table.values([Row(0.5, 0.4, None, 3)]) == {
        "share": [0.5], "low": [0.4], "high": [None], "n": [3]}  # fmt: skip
    with pytest.raises(TypeError, match="is no Row"):
        table.values([{"share": 0.5}])


def test_a_table_of_other_columns_is_refused():
    @dataclass
    class Listed:
        x: list = column("several")

    @dataclass
    class Bare:
        x: float

    @dataclass
    class Lost:
        x: float = column("a number", interval=("low", "high"))

    for row, said in ((Listed, "int, float, str or bool"), (Bare, "column"), (Lost, "no column")):
        with pytest.raises(TypeError, match=said):
            Table("t", row, "A table.")


def test_an_analysis_makes_all_its_tables():
    one = Analysis("a", 1, Settings, lambda s, subject: {}, lambda m, s, subject: {"other": []},
                   (Table("t", Row, "A table."),))  # fmt: skip
    with pytest.raises(ValueError, match="must make t; it made other"):
        one.rows({}, Settings(), Subject("tuned", range(3), 1.0))


def test_table_5_by_hand():
    subject = Subject("original", range(10, 14), 0.7)
    settings = truncation.TruncationSettings(psis=(1.0, 0.0), seeds=3)
    asked = truncation.asks(settings, subject)
    assert [(a.psi, a.seeds) for a in asked.values()] == [(0.0, range(10, 13)),
                                                         (1.0, range(10, 13))]  # fmt: skip
    measured = {"psi 0": Measured((10, 11, 12), {"score": np.full(3, 4.0)}),
                "psi 1": Measured((10, 11, 12), {"score": np.array([1.0, 2.0, 6.0])})}  # fmt: skip
    mean_face, full = truncation.analyse(measured, settings, subject)["truncation"]
    assert (mean_face.mean, mean_face.median, mean_face.sd) == (4.0, 4.0, 0.0)
    assert (full.n, full.mean, full.median) == (3, 3.0, 2.0)
    assert full.sd == pytest.approx(7**0.5)
    # Student t with two degrees of freedom: 4.302653 * sd / sqrt(3)
    assert full.mean_high - full.mean == pytest.approx(4.302653 * (7 / 3) ** 0.5, rel=1e-6)
    assert (mean_face.paper_mean, mean_face.paper_sd, full.paper_median) == (17.93, None, 2.89)
    control = truncation.analyse(
        {"psi 0.7": Measured((10, 11, 12), {"score": np.array([1.0, 2.0, 6.0])})},
        settings, Subject("control", range(10, 14), 0.7),
    )["truncation"]  # fmt: skip
    assert [row.paper_mean for row in control] == [None]

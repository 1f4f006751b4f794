"""`pytest tests/golden [--golden DIR]`: every array of every folder, or a failure that names it."""

import numpy as np
import pytest

from .folders import Compared, Folder, Kind, NotCovered, Report, check
from .kinds import KINDS, kind_of


def test_folder(golden_folder, golden_report):
    folder = Folder(golden_folder)
    kind = kind_of(folder)
    names = ", ".join(k.name for k in KINDS)
    assert kind is not None, f"{folder.path}: none of the known kinds ({names})"
    report = Report(folder.name, kind.name)
    golden_report.append(report)
    if kind.compare is None:
        report.not_covered[kind.elsewhere] = sorted(folder.arrays) or ["the whole folder"]
        return
    check(folder, kind, report)
    assert report.rows, f"{folder.path}: nothing was compared"
    assert not report.problems, "\n".join([f"{folder.path}:", *report.problems])


@pytest.fixture
def made(tmp_path):
    """A folder of its own, and a run of it over given comparisons."""
    values = dict(z=np.ones(3), good=np.arange(3.0), other=np.ones(2), left=np.ones(1))
    np.savez(tmp_path / "cases.npz", **values)

    def run(*items):
        def compare(folder):
            folder["z"]
            yield from items

        report = Report("made", "made")
        check(Folder(tmp_path), Kind("made", lambda folder: True, compare), report)
        return report

    return run


def test_what_is_not_compared_is_a_problem(made):
    report = made(Compared("good", np.arange(3.0), 1e-5), Compared("other", np.ones(2), 1e-5))
    assert report.problems == ["left: in cases.npz, but not compared"]
    assert report.inputs == ["z"]


def test_what_is_above_its_bar_is_a_problem(made):
    wrong = [Compared("good", np.arange(3.0) * 1.01, 1e-5), Compared("other", [1, np.nan], 1)]
    report = made(*wrong, Compared("left", np.ones(1), 0))
    assert [p.split(":")[0] for p in report.problems] == ["good", "other"]


def test_what_is_not_covered_is_listed_with_its_reason(made):
    report = made(
        Compared("good", np.arange(3.0), 0), NotCovered("o", "why"), NotCovered("le", "because")
    )
    assert report.not_covered == {"why": ["other"], "because": ["left"]} and not report.problems


def test_another_shape_is_an_error(made):
    with pytest.raises(AssertionError, match="good"):
        made(Compared("good", np.zeros((1, 3)), 1))

"""Where the golden folders are, and the tables at the end of a run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from .folders import Report

REPORTS = pytest.StashKey[list]()
VARIABLE = "SIGMAFLOW_REFERENCE"


def golden_root(config: pytest.Config) -> Path | None:
    given = config.getoption("--golden")
    if given is None and VARIABLE in os.environ:
        given = Path(os.environ[VARIABLE]) / "golden"
    return None if given is None else Path(given)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden_folder" not in metafunc.fixturenames:
        return
    root = golden_root(metafunc.config)
    if root is None:
        reason = f"neither --golden nor {VARIABLE} is given"
        metafunc.parametrize("golden_folder", [pytest.param(None, marks=pytest.mark.skip(reason))])
        return
    found = [root] if (root / "cases.npz").is_file() else []
    found += sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise pytest.UsageError(f"{root}: no folder of golden vectors, see docs/contributing.md")
    metafunc.parametrize("golden_folder", found, ids=lambda path: path.name)


@pytest.fixture
def golden_report(request: pytest.FixtureRequest) -> list[Report]:
    """Reports that the tables at the end are made of."""
    return request.config.stash.setdefault(REPORTS, [])


def grouped(keys: list[str]) -> list[str]:
    """Keys `group/...` as one name with their number, others as they are."""
    groups = Counter(key.split("/")[0] for key in keys if "/" in key)
    plain = [key for key in keys if "/" not in key]
    return plain + [f"{name}/ ({count})" for name, count in groups.items()]


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    reports: list[Report] = config.stash.get(REPORTS, [])
    line = terminalreporter.write_line
    for report in reports:
        terminalreporter.section(f"{report.name}: {report.kind}", sep="-")
        width = max((len(row.key) for row in report.rows), default=0)
        for row in report.rows:
            mark = "" if row.good else "   ABOVE"
            line(f"{row.key:<{width}}  {row.measure:<9} {row.error:8.1e} of {row.bar:7.0e}{mark}")
        if report.rows:
            worst = max(report.rows, key=lambda row: row.error / row.bar if row.bar else row.error)
            line(f"{len(report.rows)} compared; nearest to its bar: {worst.key} {worst.error:.1e}")
        if report.inputs:
            line(f"{len(report.inputs)} inputs: {', '.join(report.inputs)}")
        for reason, keys in report.not_covered.items():
            line(f"NOT COVERED, {reason} ({len(keys)} arrays): {', '.join(grouped(keys))}")
        for key in report.forgotten:
            line(f"NOT COMPARED: {key}")

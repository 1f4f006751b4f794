from dataclasses import replace

import pytest

from jobs.stages import ALL
from jobs.store.stage import Stage
from jobs.versions import digest, load_record, problems, sources, update


def test_every_stage_vouches_for_its_sources():
    wrong = problems(ALL, load_record())
    assert not wrong, "\n".join(wrong)


def test_stage_names_are_their_own():
    assert len({stage.name for stage in ALL}) == len(ALL)


@pytest.fixture
def tree(tmp_path):
    """A stage that imports two modules, one of them only inside a function."""
    for name, text in {
        "jobs/stages/__init__.py": "",
        "jobs/stages/one.py": "from sigmaflow.a import f\nimport jobs.store.store\n",
        "jobs/store/store.py": "x = 1\n",
        "sigmaflow/__init__.py": "",
        "sigmaflow/a.py": "def f():\n    from .b import c\n    from sigmaflow import d\n",
        "sigmaflow/b/__init__.py": "from . import c\n",
        "sigmaflow/b/c.py": "",
        "sigmaflow/d.py": "",
        "sigmaflow/other.py": "",
        "sigmaflow/extra.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


STAGE = Stage("one", 1, "jobs.stages.one:run", sources=("sigmaflow/extra",))


def test_sources_are_what_is_imported_and_what_is_declared(tree):
    found = [p.relative_to(tree).as_posix() for p in sources(STAGE, tree)]
    assert found == [
        "jobs/stages/one.py", "sigmaflow/__init__.py", "sigmaflow/a.py", "sigmaflow/b/__init__.py",
        "sigmaflow/b/c.py", "sigmaflow/d.py", "sigmaflow/extra.py",
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError, match="sigmaflow/none"):
        sources(replace(STAGE, sources=("sigmaflow/none",)), tree)


def test_a_changed_source_needs_a_bump_or_a_waiver(tree):
    record, refused = update([STAGE], {}, root=tree)
    assert not refused and not problems([STAGE], record, tree)
    old = digest(STAGE, tree)
    (tree / "sigmaflow/b/c.py").write_text("changed = 1\n")
    (tree / "sigmaflow/other.py").write_text("nobody = 1\n")
    assert "raise the version" in problems([STAGE], record, tree)[0]
    same, refused = update([STAGE], record, root=tree)
    assert refused and same == record
    waived, refused = update([STAGE], record, "a comment", root=tree)
    assert not refused and not problems([STAGE], waived, tree)
    assert waived["one"]["waivers"] == [
        {"from": old, "to": digest(STAGE, tree), "reason": "a comment"}
    ]
    raised = replace(STAGE, version=2)
    assert problems([raised], record, tree)
    bumped, refused = update([raised], record, root=tree)
    assert not refused and bumped["one"]["version"] == 2 and not problems([raised], bumped, tree)
    assert "was 2 before" in problems([STAGE], bumped, tree)[0]

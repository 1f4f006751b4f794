"""Digests of outside files are taken once, and believed only while the file is the same."""

import json
import os
import shutil

import pytest

from jobs.store import digests, stage


@pytest.fixture
def hashed(monkeypatch):
    """Paths that were read, and an empty memory."""
    read, real = [], stage.sha256_file
    monkeypatch.setattr(stage, "known_digests", {})
    monkeypatch.setattr(digests, "WORTH", 4)
    monkeypatch.setattr(stage, "sha256_file", lambda path: (read.append(str(path)), real(path))[1])
    return read


def old(path, text, ago=100.0):
    path.write_text(text)
    then = path.stat().st_mtime - ago
    os.utime(path, (then, then))
    return path


def digest(runs, path):
    """As in a fresh process."""
    stage.known_digests.clear()
    with digests.remembered(runs):
        return stage.file_digest(path)


def test_a_file_is_read_once(tmp_path, hashed):
    path = old(tmp_path / "images.zip", "pictures")
    first = digest(tmp_path / "runs", path)
    assert digest(tmp_path / "runs", path) == first
    assert hashed == [str(path)]


def test_a_changed_file_is_read_again(tmp_path, hashed):
    path = old(tmp_path / "images.zip", "pictures")
    first = digest(tmp_path / "runs", path)
    old(path, "picturez", ago=50.0)
    assert digest(tmp_path / "runs", path) != first
    assert len(hashed) == 2


def test_a_file_written_just_now_is_not_believed(tmp_path, hashed):
    path = tmp_path / "images.zip"
    path.write_text("pictures")
    digest(tmp_path / "runs", path)
    digest(tmp_path / "runs", path)
    assert len(hashed) == 2


def test_who_waits_for_a_large_file_is_told_why(tmp_path, hashed, monkeypatch, caplog):
    monkeypatch.setattr(stage, "LONG", 4)
    path = old(tmp_path / "images.zip", "pictures")
    digest(tmp_path / "runs", path)
    digest(tmp_path / "runs", path)
    assert caplog.text.count(f"reading {path}") == 1


def test_small_files_leave_nothing_behind(tmp_path, hashed):
    path = old(tmp_path / "images.zip", "pic")
    digest(tmp_path / "runs", path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', '{"format": 1, "files": {"a": 3}}'])
def test_a_damaged_record_is_as_none(tmp_path, hashed, text):
    path = old(tmp_path / "images.zip", "pictures")
    (tmp_path / "digests.json").write_text(text)
    digest(tmp_path, path)
    assert json.loads((tmp_path / "digests.json").read_text())["files"][str(path)][0] == 8


def test_a_folder_counts_by_names_and_contents(tmp_path, hashed):
    def digest():
        stage.known_digests.clear()
        return stage.file_digest(folder)

    folder = tmp_path / "set"
    (folder / "00000").mkdir(parents=True)
    for name in ("00000/a.png", "00000/b.png", "dataset.json"):
        (folder / name).write_bytes(name.encode())
    first = digest()
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    assert stage.file_digest(elsewhere) == first
    (folder / "00000" / "b.png").write_bytes(b"00000/c.png")
    changed = digest()
    (folder / "00000" / "b.png").rename(folder / "00000" / "c.png")
    assert len({first, changed, digest()}) == 3


def test_a_folder_that_changed_is_read_again(tmp_path, hashed):
    folder = tmp_path / "set"
    (folder / "00000").mkdir(parents=True)
    (folder / "00000" / "a.png").write_bytes(b"old")
    first = stage.file_digest(folder)
    assert stage.file_digest(folder) == first and len(hashed) == 1
    (folder / "00000" / "a.png").write_bytes(b"new")
    os.utime(folder / "00000" / "a.png", ns=(2**62, 2**62))  # later, whatever the clock's grain
    assert stage.file_digest(folder) != first

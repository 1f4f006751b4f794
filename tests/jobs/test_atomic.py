import errno
import os

import pytest

from sigmaflow import atomic


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    atomic.write_json(path, {"b": 1, "a": [1.5]})
    before = path.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left.*") as caught:
        atomic.write_bytes(path, b"new")
    assert caught.value.filename == str(path) and caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["out.json"]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        atomic.write_with(tmp_path / "x", lambda temporary: temporary.write_text("half") / 0)
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "x", float("nan"))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot write") as caught:
        atomic.write_text(tmp_path / "missing" / "x", "text")
    assert caught.value.filename.endswith("missing/x")

"""`jobs.verify` reads every byte of the store, believes nothing, and moves nothing by itself."""

import io
import json
import os
import subprocess
import sys

import toys
from launches import launch
from test_sound import flip

from jobs import verify
from jobs.store import sound
from jobs.store.ledger import Ledger
from jobs.store.store import MARKER, Store


def finished(runs, *tasks):
    """A launched toy sweep: its store's folders by stage."""
    launch(runs, "toy", *(tasks or [toys.counting()]))
    found = {}
    for path in sorted((runs / "store").glob(f"*/[!.]*/{MARKER}")):
        found.setdefault(path.parent.parent.name, []).append(path.parent)
    return found


def said(capsys, *given):
    code = verify.main(list(map(str, given)))
    out = capsys.readouterr()
    return code, out.out + out.err


def large(folder):
    """A published file that is larger than those which launches read anyway."""
    path = folder / "large.bin"
    path.write_bytes(bytes(sound.SMALL + 1))
    marker = json.loads((folder / MARKER).read_text())
    status = path.stat()
    marker["files"]["large.bin"] = {"size": status.st_size, "sha256": sound.sha256_file(path)}
    marker.setdefault("stamps", {})["large.bin"] = sound.stamp(status)
    (folder / MARKER).write_text(json.dumps(marker))
    return path


def rot(path, monkeypatch):
    """Another byte without any change of size, times or inode, as on a disk that rots."""
    before = sound.stamp(path.stat())
    flip(path, keep_times=True)
    real = sound.stamp
    monkeypatch.setattr(sound, "stamp", lambda status: before if status.st_ino == before[2]
                        else real(status))  # fmt: skip


def test_a_store_that_is_whole(tmp_path, capsys):
    finished(tmp_path)
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 0 and "none damaged" in text and "damaged:" not in text


def test_every_damaged_file_is_named_with_what_makes_it_again(tmp_path, capsys):
    results = finished(tmp_path)
    folder = results["count"][0]
    files = sorted(json.loads((folder / MARKER).read_text())["files"])
    flip(folder / files[0])
    (folder / files[1]).unlink()
    before = sorted(p.name for p in folder.parent.iterdir())
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 1
    assert f"damaged: {folder}/{files[0]}: another sha256" in text
    assert f"damaged: {folder}/{files[1]}: is missing" in text
    assert f"count/{folder.name} is made again by the next launch of toy" in text
    assert ": 1 damaged" in text and "nothing was moved" in text
    assert sorted(p.name for p in folder.parent.iterdir()) == before


def test_a_large_file_that_rotted_without_a_trace_is_found_here_alone(
    tmp_path, capsys, monkeypatch
):
    results = finished(tmp_path)
    folder = results["count"][0]
    path = large(folder)
    monkeypatch.setattr(sound, "_read", set())
    rot(path, monkeypatch)
    marker = json.loads((folder / MARKER).read_text())
    assert sound.damaged(folder, marker) is None  # a launch believes its stamp
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 1 and f"damaged: {path}: another sha256" in text
    code, text = said(capsys, "--runs", tmp_path, "--quarantine")
    assert code == 1 and "moved to .broken-" in text and not folder.exists()
    assert len(list(folder.parent.glob(".broken-*"))) == 1
    assert said(capsys, "--runs", tmp_path)[0] == 0  # what is aside is left out
    launch(tmp_path, "toy", toys.counting())
    assert folder.is_dir() and said(capsys, "--runs", tmp_path)[0] == 0


def test_a_stage_and_a_sweep_alone(tmp_path, capsys):
    results = finished(tmp_path, toys.graph())
    launch(tmp_path, "other", toys.counting(steps=5))
    flip(next(p for p in results["count"][0].iterdir() if p.name not in (MARKER, "task.json")
              and p.is_file()))  # fmt: skip
    assert said(capsys, "--runs", tmp_path, "--stage", "count")[0] == 1
    assert said(capsys, "--runs", tmp_path, "--stage", "join")[0] == 0
    assert said(capsys, "toy", "--runs", tmp_path)[0] == 1
    code, text = said(capsys, "other", "--runs", tmp_path)
    assert code == 0 and text.startswith("1 results of")
    code, text = said(capsys, "--runs", tmp_path, "--stage", "slab")
    assert code == 2 and "there are: count" in text
    code, text = said(capsys, "toi", "--runs", tmp_path)
    assert code == 2 and "there are:" in text and "toy" in text
    code, text = said(capsys, "--runs", tmp_path / "none")
    assert code == 2 and "give --runs" in text


def test_results_that_nobody_plans_and_of_other_formats(tmp_path, capsys):
    results = finished(tmp_path)
    folder = results["count"][0]
    marker = json.loads((folder / MARKER).read_text())
    newer = folder.parent / "newer"
    newer.mkdir()
    (newer / MARKER).write_text(json.dumps({"format": 2, "other": []}))
    unended = folder.parent / "unended"
    unended.mkdir()
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 0 and "is of format 2, this version reads 1: left out" in text
    assert f"note: {unended} has no done.json" in text
    for broken in ("{", "[]", json.dumps({**marker, "files": 3}), json.dumps({"format": 1})):
        (folder / MARKER).write_text(broken)
        code, text = said(capsys, "--runs", tmp_path)
        assert code == 1 and f"damaged: {folder} {MARKER}" in text, broken
    (folder / MARKER).write_text(json.dumps(marker))
    spec = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps({**spec, "version": 99}))
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 1 and "task.json: not what its key was made of" in text
    (folder / "task.json").write_text(json.dumps(spec))
    (tmp_path / "sweeps").rename(tmp_path / "gone")
    flip(folder / sorted(marker["files"])[0])
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 1 and "by a launch with the same settings; none of those in" in text


def test_nothing_is_moved_while_a_launch_runs(tmp_path, capsys):
    folder = finished(tmp_path)["count"][0]
    flip(folder / sorted(json.loads((folder / MARKER).read_text())["files"])[0])
    with Ledger(tmp_path, "live", params=[], trials=0, kind="sweep", fid_name="", config={}):
        code, text = said(capsys, "--runs", tmp_path, "--quarantine")
        assert code == 2 and "a launch of live runs" in text
        assert said(capsys, "--runs", tmp_path)[0] == 1
    assert folder.exists()


def test_progress_is_shown_within_a_file(tmp_path, capsys, monkeypatch):
    path = large(finished(tmp_path)["count"][0])
    monkeypatch.setattr(verify, "EVERY", 0.0)
    monkeypatch.setattr("jobs.store.verify.CHUNK", 2**14)
    code, text = said(capsys, "--runs", tmp_path)
    lines = [line for line in text.splitlines() if " left, now count/" in line]
    assert code == 0 and len(lines) > path.stat().st_size / 2**14
    assert all(" KB, 0 of 1 results, about " in line for line in lines)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert verify.main(["--runs", str(tmp_path)]) == 0
    assert "\r\x1b[2K" in sys.stdout.getvalue()


def test_ctrl_c_keeps_nothing(tmp_path, capsys, monkeypatch):
    finished(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "damage", interrupted)
    code, text = said(capsys, "--runs", tmp_path)
    assert code == 130 and "begins again" in text


def test_as_a_command_without_heavy_imports(tmp_path):
    finished(tmp_path)
    before = sorted(p for p in tmp_path.rglob("*"))
    code = (
        "import sys, runpy; sys.argv = ['jobs.verify', '--runs', sys.argv[1]]\n"
        "try: runpy.run_module('jobs.verify', run_name='__main__')\n"
        "finally: print([n for n in ('torch', 'pandas', 'ray', 'mlflow') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True,
                         text=True, env=os.environ)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
    assert sorted(p for p in tmp_path.rglob("*")) == before  # it writes nothing
    assert Store(tmp_path / "store").root.is_dir()

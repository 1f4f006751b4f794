import subprocess

from jobs import ui
from jobs.track import Tracker


def test_it_links_to_the_runs_of_every_sweep(tmp_path, monkeypatch, capsys):
    for name in ("lambda", "backbone & more"):
        tracker = Tracker(tmp_path, name)
        tracker.end(tracker.run("key", name), {}, failed=False)
    asked = []
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: asked.append(a[0]) or subprocess.CompletedProcess(a, 0)
    )
    assert ui.main(["--runs", str(tmp_path), "--port", "5999"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("   ")[-1] for line in lines[:-1]] == ["lambda", "backbone & more"]
    assert all("http://127.0.0.1:5999/#/experiments/" in line for line in lines[:-1])
    assert "127.0.0.1" in asked[0]


def test_nothing_tracked_is_said(tmp_path, capsys):
    assert ui.main(["--runs", str(tmp_path)]) == 2
    assert "nothing has been tracked there" in capsys.readouterr().err

import time

from launches import launch
from toys import counting

from jobs import ui


def test_it_links_to_the_runs_of_every_sweep_and_stays_on_loopback(tmp_path, monkeypatch, capsys):
    """What nobody has entered yet is entered first."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("lambda", "backbone & more"):
        launch(tmp_path, name, counting())
        time.sleep(1)  # launches are told apart by the second
    asked = []
    monkeypatch.setattr(ui, "_serve", lambda command, environment: asked.append(command) or 0)
    assert ui.main(["--runs", str(tmp_path), "--port", "5999"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split("   ")[-1] for line in lines[:-1]} == {"lambda", "backbone & more"}
    assert all("http://127.0.0.1:5999/#/experiments/" in line for line in lines[:-1])
    (command,) = asked
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_nothing_tracked_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert ui.main(["--runs", str(tmp_path)]) == 2
    assert "nothing has been tracked there" in capsys.readouterr().err

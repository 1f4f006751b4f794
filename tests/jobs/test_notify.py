"""A word to a webhook, once."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from launches import SAID
from toys import counting

from jobs.output import notify
from jobs.store.ledger import Ledger
from jobs.store.store import Store
from sweeps import launch


@pytest.fixture
def hook(monkeypatch):
    """A server on loopback that notes what it is told; its path holds a secret."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(500 if "broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("LAB_HOOK", f"http://127.0.0.1:{server.server_port}/T0/verysecret")
    yield told, server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_finished_sweep_is_told_once(tiny_sweep, runs, hook):
    code, said = launch(tiny_sweep.sweep, runs, "--notify", "LAB_HOOK")
    assert code == 0, said
    ((path, kind, body),) = hook[0]
    assert path == "/T0/verysecret" and kind == "application/json"
    assert body["name"] == "tiny" and body["state"] == "done" and body["stages"]["done"] == 25
    assert body["trials"] == {"wanted": 2, "measured": 2}
    assert set(body["best"]) == {"reward", "fid"} and body["best"]["fid"]["fid"] > 0
    assert body["best"]["reward"]["gain"] >= body["best"]["fid"]["gain"]
    assert "verysecret" not in said and "/" not in json.dumps(body)
    for folder in ("sweeps", ".mlflow"):
        files = [p for p in (runs / folder).rglob("*") if p.is_file()]
        assert files and not any(b"verysecret" in p.read_bytes() for p in files)


def ended(runs, how):
    """A launch that ends in some way; its folder."""
    task = counting()
    try:
        with Ledger(runs, "toy", "p", **SAID) as ledger:
            ledger.add(task)
            if how is not None:
                raise how
    except BaseException as error:
        assert error is how
    return ledger.folder


def test_a_crash_is_told_and_a_stop_is_not(tmp_path, hook):
    folder = ended(tmp_path, RuntimeError("broken"))
    notify.tell_end("LAB_HOOK", tmp_path, "toy", folder)
    assert [body["state"] for _, _, body in hook[0]] == ["failed"]
    folder = ended(tmp_path, KeyboardInterrupt())
    notify.tell_end("LAB_HOOK", tmp_path, "toy", folder)
    assert len(hook[0]) == 1
    assert not (Store(tmp_path / "store").path(counting())).exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/T0/verysecret",
        "ftp://x/verysecret",
        "",
        "http://[verysecret",
        "http://127.0.0.1:99999/verysecret",
    ],
)
def test_a_failure_is_one_warning_without_the_address(monkeypatch, caplog, url):
    monkeypatch.setenv("LAB_HOOK", url)
    with caplog.at_level(logging.WARNING):
        assert not notify.send("LAB_HOOK", {"name": "x"})
    assert len(caplog.records) == 1
    assert "LAB_HOOK" in caplog.text and "verysecret" not in caplog.text


def test_a_server_that_refuses_is_one_warning(hook, monkeypatch, caplog):
    monkeypatch.setenv("LAB_HOOK", f"http://127.0.0.1:{hook[1].server_port}/broken")
    with caplog.at_level(logging.WARNING):
        assert not notify.send("LAB_HOOK", {"name": "x"})
    assert len(caplog.records) == 1 and "500" in caplog.text

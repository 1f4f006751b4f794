import http.client
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from launches import launch
from toys import counting

from jobs import ui
from jobs.track.guard import Guard


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
    link = r"http://127.0.0.1:5999/[\w-]{16}/\?token=([\w-]{32})#/experiments/"
    tokens = {re.match(link, line)[1]
              for line in lines[:-1]}  # fmt: skip
    (command,), (token,) = asked, tokens
    assert "--host" not in command and "--port" not in command
    place = Path(command[command.index("--uvicorn-opts") + 1].removeprefix("--uds "))
    assert token not in " ".join(command) and not place.parent.exists()


def test_nothing_tracked_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert ui.main(["--runs", str(tmp_path)]) == 2
    assert "nothing has been tracked there" in capsys.readouterr().err


class Echo(BaseHTTPRequestHandler):
    """Stands behind the guard: says what reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"{self.command} {self.path} {self.headers.get('Authorization')} ".encode() + body
        self.send_response(200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(said)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


class OnASocket(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)

    def get_request(self):
        return self.socket.accept()[0], ("", 0)


@pytest.fixture
def guard(tmp_path):
    behind = OnASocket(str(tmp_path / "s"), Echo)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    guard = Guard(0, str(tmp_path / "s"))
    with guard.serving():
        yield guard
    behind.shutdown()
    behind.server_close()


def ask(guard, path="/", method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=10)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_without_the_token_nothing_is_read_or_written(guard, method):
    for path, headers in (
        ("/get-artifact?path=x", {}), ("/ajax-api/2.0/mlflow/experiments/create", {}),
        ("/?token=", {}), ("/?token=wrong", {}), ("/", {"Cookie": f"{guard.cookie}=wrong"}),
        ("/", {"Authorization": "Bearer wrong"}), ("/", {"Authorization": f"Basic {guard.token}"}),
        ("/", {"Cookie": "\x01;;="}), ("/?token=%C3%A4", {}),
    ):  # fmt: skip
        code, said, _ = ask(guard, path, method, b"data", **headers)
        assert code == 403 and "the link that python -m jobs.ui printed" in said


def test_the_token_of_a_link_becomes_a_cookie_and_leaves_the_address(guard):
    code, _, headers = ask(guard, f"//elsewhere.example/a?x=1&token={guard.token}")
    assert code == 303 and headers["Location"] == f"{guard.room}/elsewhere.example/a?x=1"
    assert f"Path={guard.room}/;" in headers["Set-Cookie"]
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert ask(guard, f"{guard.room}/a?x=1", Cookie=cookie)[:2] == (200, "GET /a?x=1 None ")
    for path in ("/a", guard.room, f"{guard.room}x/a"):  # a browser would not send it there
        assert ask(guard, path, Cookie=cookie)[0] == 403
    again = ask(guard, f"{guard.room}/a?token={guard.token}")[2]["Location"]
    assert again == f"{guard.room}/a"
    big = b"b" * 300_000
    code, said, _ = ask(guard, "/up", "PUT", big, Authorization=f"Bearer {guard.token}")
    assert code == 200 and said.encode() == b"PUT /up None " + big
    assert ask(guard, f"{guard.room}/endless", Cookie=cookie)[:2] == (200, "GET /endless None ")


def test_pages_of_two_users_of_a_machine_keep_their_own_cookies(tmp_path, guard):
    """Cookies are of 127.0.0.1 whatever the port: by name and path none meets the other."""
    other = Guard(0, str(tmp_path / "s"))
    with other.serving():
        jar = {}
        for one in (guard, other):
            code, _, headers = ask(one, f"{one.room}/?token={one.token}")
            name, _, value = headers["Set-Cookie"].partition(";")[0].partition("=")
            said = {part.strip() for part in headers["Set-Cookie"].split(";")[1:]}
            assert code == 303
            assert said == {f"Path={one.room}/", "HttpOnly", "SameSite=Strict"}
            jar[name] = value
        assert len(jar) == 2 and guard.room != other.room
        both = "; ".join(f"{name}={value}" for name, value in jar.items())
        for one, of in ((guard, other), (other, guard)):
            assert ask(one, f"{one.room}/", Cookie=both)[0] == 200
            theirs, renamed = f"{of.cookie}={of.token}", f"{one.cookie}={of.token}"
            for path in (f"{one.room}/", f"{of.room}/", "/"):
                assert [ask(one, path, Cookie=c)[0] for c in (theirs, renamed)] == [403, 403]
            assert ask(one, f"{one.room}/?token={of.token}")[0] == 403


def test_a_page_that_is_asked_for_too_early_loads_again(tmp_path):
    guard = Guard(0, str(tmp_path / "nobody"))
    with guard.serving():
        code, _, headers = ask(guard, Authorization=f"Bearer {guard.token}")
    assert code == 503 and headers["Refresh"] == "2"


def test_a_port_that_is_taken_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    launch(tmp_path, "lambda", counting())
    guard = Guard(0, "nobody")
    assert ui.main(["--runs", str(tmp_path), "--port", str(guard.port)]) == 2
    guard.server_close()
    assert "give another --port" in capsys.readouterr().err

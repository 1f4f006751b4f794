"""A server on a port of this machine that asks for a token and hands on to a Unix socket.

Every user of a machine can connect to 127.0.0.1, and MLflow's server reads and writes files as its
owner. So MLflow listens on a socket in a folder of its owner, and the port is this server's.
"""

from __future__ import annotations

import contextlib
import hmac
import http.client
import secrets
import socket
import threading
from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

BLOCK = 1 << 16  # bytes that are handed on at once
PATIENCE = 600.0  # seconds for an answer of the server behind
HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
       "transfer-encoding", "upgrade"}  # fmt: skip
REFUSAL = b"open the link that python -m jobs.ui printed: it holds the token\n"
STARTING = b"MLflow is starting; this page loads again by itself\n"


class Guard(ThreadingHTTPServer):
    """Hands requests that hold the token on to the Unix socket ``behind``.

    The token may stand in the query (``?token=``, which becomes a cookie), in the cookie, or behind
    ``Authorization: Bearer``. Browsers send a cookie of 127.0.0.1 to every port of it, those of
    other users too; so it is of a path that nobody can guess, below which all pages are. Port 0
    takes a free one. Raises OSError where the port is taken.
    """

    daemon_threads = True

    def __init__(self, port: int, behind: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.room = f"/{secrets.token_urlsafe(12)}"  # the path of the pages
        self.behind = behind
        super().__init__(("127.0.0.1", port), _Handler)
        self.port = int(self.server_address[1])
        self.cookie = f"sigmaflow-{self.port}"

    @property
    def url(self) -> str:
        """Of the first page, with the token."""
        return f"http://127.0.0.1:{self.port}{self.room}/?token={self.token}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in another thread until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1})
        thread.daemon = True
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no error of ours."""


class _Behind(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120  # seconds that an idle connection is kept
    server: Guard

    def log_message(self, *_: object) -> None:
        """Nothing: a line would hold the token."""

    def _pass(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qsl(parts.query, keep_blank_values=True)
        if any(name == "token" and self._right(value) for name, value in query):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            room = self.server.room
            place = f"{room}/" + self._inside(parts.path).lstrip("/") + (f"?{rest}" if rest else "")
            said = f"{self.server.cookie}={self.server.token}; Path={room}/; HttpOnly"
            self._answer(303, b"", {"Location": place, "Set-Cookie": f"{said}; SameSite=Strict"})
        elif self._known():
            self._hand_on()
        else:
            self._answer(403, REFUSAL, {"Content-Type": "text/plain"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass

    def _inside(self, path: str) -> str:
        """A path without that of the pages, as the server behind knows it."""
        return path.removeprefix(self.server.room) if self._in_room(path) else path

    def _in_room(self, path: str) -> bool:
        return path.startswith(f"{self.server.room}/")

    def _right(self, said: str) -> bool:
        return hmac.compare_digest(said.encode(), self.server.token.encode())

    def _known(self) -> bool:
        kind, _, said = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._right(said.strip()):
            return True
        if not self._in_room(self.path):
            return False  # a cookie of ours does not come here
        with contextlib.suppress(CookieError):
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
            return cookie is not None and self._right(cookie.value)
        return False

    def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        """Ours, at the end of this connection: what a refused request holds is not read."""
        self.close_connection = True
        self.send_response_only(code)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hand_on(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._answer(411, b"give the length of what you send\n", {})
            return
        behind = _Behind(self.server.behind)
        try:
            behind.connect()
        except OSError:
            self._answer(503, STARTING, {"Refresh": "2", "Content-Type": "text/plain"})
            return
        with contextlib.closing(behind):
            path = self._inside(self.path)
            behind.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP | {"authorization"}:
                    behind.putheader(name, value)
            behind.endheaders()
            left = int(self.headers.get("Content-Length") or 0)
            while left > 0 and (block := self.rfile.read(min(BLOCK, left))):
                behind.send(block)
                left -= len(block)
            self._hand_back(behind.getresponse())

    def _hand_back(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if answer.length is None and not bodiless:  # it ends with the connection
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        while not bodiless and (block := answer.read(BLOCK)):
            self.wfile.write(block)

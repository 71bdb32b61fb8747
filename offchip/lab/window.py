# SPDX-License-Identifier: Apache-2.0
"""One HTTP server on the loopback interface: the page, and the desk for ``offchip lab deactivate`` and its like.

Whoever asks must know the token, which lies in a file that its owner alone can read and in the printed link; a page of
another origin has neither (no cookie is used), and a name that was rebound to 127.0.0.1 is refused by its Host.
"""

from __future__ import annotations

import hmac
import http.client
import json
import secrets
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from offchip.errors import BrokerError, OffchipError
from offchip.lab.desk import Answer, Desk, refusal
from offchip.lab.flash import write_private

CONTROL = "control.json"
_PAGE = Path(__file__).parent / "page.html"
_LONGEST = 256 * 1024
_SECONDS = 10
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class Window:
    """``url``: the page, with its token."""

    def __init__(self, desk: Desk, folder: Path, port: int = 0) -> None:
        """Listens at once and tells where in ``folder``. Raises BrokerError when the port is in use."""
        token = secrets.token_urlsafe(24)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port),
                                               type("Bound", (_Handler,), {"desk": desk, "token": token}))
        except (OSError, OverflowError) as error:
            raise BrokerError(f"cannot listen on 127.0.0.1:{port}: {getattr(error, 'strerror', None) or error}; give "
                              "another --page-port") from None
        self._server.daemon_threads = True
        self._file = folder / CONTROL
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/?token={token}"
        write_private(self._file, json.dumps({"port": self.port, "token": token}).encode())
        self._thread = threading.Thread(target=self._server.serve_forever, name="lab page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and take the notice away."""
        self._server.shutdown()
        self._server.server_close()
        self._file.unlink(missing_ok=True)


class _Handler(BaseHTTPRequestHandler):
    """Bound to a desk and a token by a subclass, as http.server has it."""

    desk: Desk
    token: str
    timeout = _SECONDS
    server_version, sys_version = "offchip", ""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path != "/":
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is / and nothing else\n")
        elif not self._trusted(parse_qs(asked.query).get("token", [""])[0]):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"use the link that offchip lab printed\n")
        else:
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", _PAGE.read_bytes())

    def do_POST(self) -> None:
        if not self._trusted(self.headers.get("X-Offchip-Token", "")):
            self._answer(HTTPStatus.FORBIDDEN, {"error": "wrong token; use the link that offchip lab printed"})
            return
        try:
            self._answer(HTTPStatus.OK, self.desk.do(*self._asked()))
        except OffchipError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": refusal(error)})

    def _asked(self) -> tuple[str, dict[str, str]]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or int(length) > _LONGEST:
            raise BrokerError(f"a request has at most {_LONGEST} bytes and says how many")
        try:
            content = json.loads(self.rfile.read(int(length)) or b"{}")
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or not all(isinstance(each, str) for each in content.values()):
            raise BrokerError("a request is one JSON object of texts")
        return urlsplit(self.path).path.strip("/"), content

    def _trusted(self, shown: str) -> bool:
        host = self.headers.get("Host", "").rpartition(":")[0]
        return host in ("127.0.0.1", "localhost") and hmac.compare_digest(shown.encode(), self.token.encode())

    def _answer(self, status: HTTPStatus, content: Answer) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))),
                            ("Content-Security-Policy", _POLICY), ("Cache-Control", "no-store"),
                            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody wants to read it."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The desk of a lab that runs in another process, found by its folder."""

    folder: Path

    def do(self, act: str, /, **arguments: str) -> Answer:
        """Raises OffchipError: there is none, or its own refusal."""
        try:
            told = json.loads((self.folder / CONTROL).read_text())
            connection = http.client.HTTPConnection("127.0.0.1", int(told["port"]), timeout=_SECONDS)
            connection.request("POST", f"/{act}", json.dumps(arguments), {"X-Offchip-Token": str(told["token"])})
            answer = connection.getresponse()
            content: Answer = json.loads(answer.read())
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            raise OffchipError(f"no lab runs in {self.folder}; start one with 'offchip lab --folder {self.folder}', or "
                               "name its --folder.") from None
        if answer.status != HTTPStatus.OK:
            raise OffchipError(str(content.get("error", "refused without a word")))
        return content

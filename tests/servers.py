"""A server of HTTP for tests: it answers as the test says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """Response of a server; a body that is not bytes is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """It, while it runs."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Server]:
    """Runs a server on a port of this machine's own address, inside the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            server.asked.append(asked)
            given = answer(asked)
            raw = isinstance(given.body, bytes)
            body = given.body if raw else json.dumps(given.body).encode()
            headers = {} if raw else {"Content-Type": "application/json"}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(given.status)
                for name, value in {**headers, **given.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

        def log_message(self, *about: Any) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_address[1]}")
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()

"""Request handler of the webhook server.

Imported with the first task that waits for a request, since the module imports tornado.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tornado import httputil, netutil, web
from tornado.httpserver import HTTPServer

from nbtasks.errors import NbtasksError

__all__ = ["MOST_BYTES", "serve"]

#: Size of the largest body that is accepted.
MOST_BYTES: Final = 1 << 20
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

#: Takes a token and a posted value. Returns True for the first value, False for a later one, None
#: for an unknown token.
Take = Callable[[str, Any], bool | None]


def serve(take: Take, host: str, port: int) -> int:
    """Listen on a port in the caller's loop, and return its number; 0 selects a free port.

    Raises:
        OSError: The port is taken.
    """
    sockets = netutil.bind_sockets(port, host)
    application = web.Application(
        [(r"/([\w-]+)", _Handler, {"take": take})], log_function=lambda _: None
    )
    # Without a real limit here: the handler limits the size of a body, and answers 413.
    HTTPServer(application, max_body_size=1 << 50).add_sockets(sockets)
    number: int = sockets[0].getsockname()[1]
    return number


@web.stream_request_body
class _Handler(web.RequestHandler):
    """Handler of POST requests."""

    def initialize(self, take: Take) -> None:
        self._take = take
        self._body = bytearray()

    def prepare(self) -> None:
        if int(self.request.headers.get("Content-Length") or 0) > MOST_BYTES:
            self._refuse_length()

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MOST_BYTES:
            self._body.clear()
            self._refuse_length()

    def post(self, token: str) -> None:
        if self._finished:
            return
        try:
            value = _value(self.request.headers, bytes(self._body))
        except ValueError as error:
            self._refuse(400, str(error))
            return
        first = self._take(token, value)
        if first is None:
            self._refuse(404, "Nothing waits at this address.")
        else:
            self.finish({"ok": True, "first": first})

    def _refuse_length(self) -> None:
        self._refuse(413, f"The body is larger than {MOST_BYTES} bytes.")

    def _refuse(self, status: int, reason: str) -> None:
        if not self._finished:
            self.set_header("Connection", "close")
            self.set_status(status)
            self.finish({"ok": False, "error": reason})

    def write_error(self, status_code: int, **about: Any) -> None:
        del status_code  # already set on the handler
        error = about.get("exc_info", (None, None))[1]
        message = str(error) if isinstance(error, NbtasksError) else self._reason
        self.finish({"ok": False, "error": message})

    def log_exception(self, *about: Any) -> None:
        """Log nothing: the sender receives the error, and it does not belong in a notebook."""


def _value(headers: httputil.HTTPHeaders, body: bytes) -> Any:
    """Return the value of a body: decoded JSON, the fields of a form, or else text or bytes.

    Raises:
        ValueError: The body does not fit its content type.
    """
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind in _FORMS:
        return _fields(headers["Content-Type"], body)
    if not body:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return json.loads(body)
        except ValueError as error:
            raise ValueError(f"The body is not valid JSON: {error}.") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _fields(kind: str, body: bytes) -> dict[str, Any]:
    raw: dict[str, list[bytes]] = {}
    try:
        httputil.parse_body_arguments(kind, body, raw, {})
        fields = {name: [value.decode() for value in values] for name, values in raw.items()}
    except Exception:  # noqa: BLE001 - tornado raises errors of several classes
        raise ValueError("The body is not a valid form.") from None
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}

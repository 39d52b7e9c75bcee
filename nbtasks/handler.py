"""What the receiver's server does with a request. Imported with the first task that waits for
one, since it takes tornado."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tornado import httputil, netutil, web
from tornado.httpserver import HTTPServer

from nbtasks.errors import NbtasksError

__all__ = ["MOST_BYTES", "serve"]

#: The largest body that is taken.
MOST_BYTES: Final = 1 << 20
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

#: Takes what was posted to a token: whether it is the first; None for a token that nobody has.
Take = Callable[[str, Any], bool | None]


def serve(take: Take, host: str, port: int) -> int:
    """Listens on a port, or on a new one for 0, in the loop of the caller; gives its number.

    Raises:
        OSError: It is taken.
    """
    sockets = netutil.bind_sockets(port, host)
    application = web.Application(
        [(r"/([\w-]+)", _Handler, {"take": take})], log_function=lambda _: None
    )
    HTTPServer(application, max_body_size=1 << 50).add_sockets(sockets)  # it counts by itself
    number: int = sockets[0].getsockname()[1]
    return number


@web.stream_request_body
class _Handler(web.RequestHandler):
    """Takes what is posted."""

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
        del status_code  # it is set
        error = about.get("exc_info", (None, None))[1]
        said = str(error) if isinstance(error, NbtasksError) else self._reason
        self.finish({"ok": False, "error": said})

    def log_exception(self, *about: Any) -> None:
        """Who sends the request hears of it; what a notebook prints is no place for it."""


def _value(headers: httputil.HTTPHeaders, body: bytes) -> Any:
    """What was posted: JSON, the fields of a form, or else text or bytes.

    Raises:
        ValueError: It is not what it says it is.
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
            raise ValueError(f"The body is no JSON: {error}.") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _fields(kind: str, body: bytes) -> dict[str, Any]:
    found: dict[str, list[bytes]] = {}
    try:
        httputil.parse_body_arguments(kind, body, found, {})
        texts = {name: [text.decode() for text in given] for name, given in found.items()}
    except Exception:  # noqa: BLE001 - tornado's own kinds of them
        raise ValueError("The body is no such form.") from None
    return {name: given[0] if len(given) == 1 else given for name, given in texts.items()}

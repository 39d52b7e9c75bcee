"""HTTP requests of `io.background_fetch`: sending, retry strategies, and the recorded form."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbtasks.core import clock
from nbtasks.engine.retries import Retry, RetryAt, SkipRetrying, retry_at, skip_retrying
from nbtasks.errors import FetchError, InvalidOptionError
from nbtasks.io.http.rate_limit import RateLimit, reset_us
from nbtasks.values.redaction import REDACTED, SECRET

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = [
    "Request", "Response", "RetryMap", "Strategies", "body_or_raise", "fetch", "fetch_async",
    "matches_status",
]  # fmt: skip

#: Strategies by pattern of the status: "429", "500-599", "5xx", "401,403", "timeout", "all".
RetryMap: TypeAlias = Mapping[str, Retry | RateLimit]

_PATTERN: Final = re.compile(r"all|timeout|[1-5xX][0-9xX]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2})*")
_PREVIEW_CHARS = 500  # of a body, in an error message
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Response:
    """Response to an HTTP request.

    Attributes:
        status: HTTP status.
        headers: Headers by name, in lower case.
        body: Decoded JSON of the body; else its text, or its bytes.

    ```python
    import nbtasks as nb

    response = nb.Response(200, {}, {"state": "done"})
    assert response.ok and response.body["state"] == "done"
    ```
    """

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def ok(self) -> bool:
        """True if the status is one of 200 to 299."""
        return self.status in _OK


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to make.

    Attributes:
        method: HTTP method, such as "GET".
        url: Address of the request.
        headers: Headers of the request.
        body: A dict or a list, sent as JSON; a string or bytes, sent unchanged; or None.
        timeout: Longest time to connect, and between two parts of the response, in seconds.
    """

    method: str
    url: str
    headers: Mapping[str, str] | None
    body: Any
    timeout: float

    def preview(self) -> dict[str, Any]:
        """Return the request as views show it, with possible secrets hidden."""
        headers = {
            name: REDACTED if SECRET.search(name) else value
            for name, value in (self.headers or {}).items()
        }
        body = f"<{len(self.body)} bytes>" if isinstance(self.body, bytes) else self.body
        params = {"method": self.method, "url": _without_secrets(self.url), "headers": headers}
        return params if self.body is None else {**params, "body": body}

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of httpx for the request."""
        kind = "json" if isinstance(self.body, dict | list) else "content"
        options: dict[str, Any] = {"headers": self.headers, "timeout": self.timeout}
        return options if self.body is None else {**options, kind: self.body}


def fetch(request: Request) -> Response:
    """Make a request.

    Raises:
        httpx.HTTPError: There was no response.
    """
    import httpx  # lazily: most runs make none

    with httpx.Client(follow_redirects=True, verify=_certificates()) as client:
        return _response(client.request(request.method, request.url, **request.options()))


async def fetch_async(request: Request) -> Response:
    """Make a request. Awaitable form of `fetch`."""
    import httpx

    async with httpx.AsyncClient(follow_redirects=True, verify=_certificates()) as client:
        return _response(await client.request(request.method, request.url, **request.options()))


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Load the certificates, once: that takes 50 ms, more than most requests."""
    import httpx

    return httpx.create_ssl_context()


def _response(answer: httpx.Response) -> Response:
    return Response(answer.status_code, dict(answer.headers), _body(answer))


def _body(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    if "json" in answer.headers.get("Content-Type", ""):
        try:
            return json.loads(answer.content)
        except ValueError:
            return answer.text
    try:
        return answer.content.decode(answer.encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return answer.content


def body_or_raise(request: Request, response: Response) -> Any:
    """Return the body of a successful response.

    Raises:
        FetchError: The status is not one of 200 to 299.
    """
    if response.ok:
        return response.body
    body = (
        response.body if isinstance(response.body, str) else json.dumps(response.body, default=repr)
    )
    preview = body if len(body) <= _PREVIEW_CHARS else f"{body[:_PREVIEW_CHARS]}..."
    url = _without_secrets(request.url)
    error = FetchError(f"{request.method} {url}: status {response.status}: {preview}")
    error.status, error.headers = response.status, response.headers
    raise error


class Strategies:
    """Retry strategies after a failed request.

    Args:
        retry: Strategies by pattern of the status.

    Raises:
        InvalidOptionError: A pattern or a strategy is not valid.
    """

    def __init__(self, retry: RetryMap | None) -> None:
        self._retry = dict(retry or {})
        pattern: Any
        for pattern, strategy in self._retry.items():
            if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern.replace(" ", "")):
                raise InvalidOptionError(
                    f"retry={{{pattern!r}: ...}}: a pattern is like '429', '5xx', '500-599', "
                    "'401,403', 'timeout' or 'all'."
                )
            if not isinstance(strategy, Retry | RateLimit):
                raise InvalidOptionError(
                    f"retry={{{pattern!r}: {strategy!r}}}: give an nb.Retry or an nb.RateLimit."
                )

    def decide(self, error: Exception, attempt: int) -> RetryAt | SkipRetrying:
        """Return the decision after the `attempt`-th failure of a request, counted from 1."""
        status = getattr(error, "status", None)
        strategy = self._strategy(status)
        if isinstance(strategy, Retry):
            is_spent = attempt >= strategy.attempts
            return skip_retrying() if is_spent else retry_at(strategy.delay(attempt))
        if strategy is None or attempt >= strategy.limit:
            return skip_retrying()
        headers: Mapping[str, str] = getattr(error, "headers", None) or {}
        text = headers.get(strategy.reset_header.lower())
        due_us = reset_us(text, strategy.reset_format, clock.micros())
        if due_us is None:  # the header is absent or holds no instant: back off instead
            return retry_at(Retry.standard().delay(attempt))
        return RetryAt(due_us)

    def _strategy(self, status: int | None) -> Retry | RateLimit | None:
        for pattern, strategy in self._retry.items():
            if matches_status(status, pattern):
                return strategy
        return None


def matches_status(status: int | None, pattern: str) -> bool:
    """Return True if a pattern matches a status; None is the status without a response.

    >>> [matches_status(503, pattern) for pattern in ("5xx", "500-502", "500, 503", "50x", "429")]
    [True, False, True, True, False]
    >>> matches_status(503, "all")
    True
    """
    pattern = pattern.replace(" ", "").lower()
    if pattern == "all" or status is None:
        return pattern in ("all", "timeout")
    if "-" in pattern:
        low, high = pattern.split("-")
        return int(low) <= status <= int(high)
    return any(
        re.fullmatch(part.replace("x", "[0-9]"), str(status)) is not None
        for part in pattern.split(",")
    )


def _without_secrets(url: str) -> str:
    """Return an address with its password and tokens hidden."""
    url = re.sub(r"(?<=//)[^/@]*@", f"{REDACTED}@", url)
    return re.sub(
        r"([?&])([^=&#]*)=([^&#]*)",
        lambda match: f"{match[1]}{match[2]}={REDACTED if SECRET.search(match[2]) else match[3]}",
        url,
    )

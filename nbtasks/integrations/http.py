"""Integration of a service with an HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtasks.core.durations import Duration, to_seconds
from nbtasks.engine.retries import Retry
from nbtasks.io.http.request import Request, Response, body_or_raise, fetch
from nbtasks.io.integration import Integration
from nbtasks.io.io import current_task

__all__ = ["Http"]


class _Client:
    """Client of a service."""

    def __init__(self, base_url: str, headers: Mapping[str, str], timeout: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._timeout = timeout

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Response:
        """Make a request.

        Every method but GET sends the task's idempotency key, by which the service can recognize a
        repeated request.
        """
        merged = {**self._headers, **(headers or {})}
        if method.upper() != "GET":
            merged.setdefault("Idempotency-Key", current_task().idempotency_key)
        url = path if "://" in path else f"{self._base_url}/{path.lstrip('/')}"
        request = Request(method.upper(), url, merged, body, self._timeout)
        response = fetch(request)
        body_or_raise(request, response)
        return response

    def get(self, path: str, **options: Any) -> Response:
        """Make a GET request."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Response:
        return self.request("POST", path, body=body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Response:
        return self.request("PUT", path, body=body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Response:
        return self.request("PATCH", path, body=body, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.request("DELETE", path, **options)


class Http(Integration):
    """Integration of a service with an HTTP API.

    `io.NAME.get(key, path)`, `.post(key, path, body)`, `.put`, `.patch`, `.delete` and
    `.request(key, method, path)` return an `nb.Response`. A status outside 200 to 299 is a
    failure, and is retried according to `retry`.

    Args:
        base_url: Address that paths are relative to.
        headers: Headers of each request, such as Authorization. They are not recorded.
        timeout: Longest time to connect, and between two parts of the response: seconds, a
            timedelta, or text such as "5m".
        retry: Retry policy; by default `Retry.standard()`.

    ```python
    import nbtasks as nb
    from nbtasks.integrations import Http

    nobody = Http("http://127.0.0.1:9", headers={"Authorization": "Bearer secret"}, retry=1)


    @nb.job("http-example", integrations={"service": nobody})
    def body(io: nb.SyncIO) -> str:
        try:
            return io.service.get("ask", "/status").body
        except nb.TaskFailed as error:
            return error.type


    assert body.run().output == "ConnectError"
    ```
    """

    def __init__(
        self,
        base_url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Duration = 120,
        retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    ) -> None:
        client = _Client(base_url, headers or {}, to_seconds("timeout", timeout))
        super().__init__(client, retry=retry)

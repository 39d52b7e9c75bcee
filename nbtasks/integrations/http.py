"""A service that is spoken to over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtasks.fetching import Request, Response, checked, fetch
from nbtasks.here import current_task
from nbtasks.integration import Integration
from nbtasks.replay import Retry

__all__ = ["Http"]


class _Client:
    """What speaks to it."""

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
        """Makes a request. What changes something carries the task's idempotency key, by which a
        service can tell that it was asked before."""
        said = {**self._headers, **(headers or {})}
        if method.upper() != "GET":
            said.setdefault("Idempotency-Key", current_task().idempotency_key)
        url = path if "://" in path else f"{self._base_url}/{path.lstrip('/')}"
        request = Request(method.upper(), url, said, body, self._timeout)
        response = fetch(request)
        checked(request, response)
        return response

    def get(self, path: str, **said: Any) -> Response:
        """Makes a GET request; the other methods likewise."""
        return self.request("GET", path, **said)

    def post(self, path: str, body: Any = None, **said: Any) -> Response:
        return self.request("POST", path, body=body, **said)

    def put(self, path: str, body: Any = None, **said: Any) -> Response:
        return self.request("PUT", path, body=body, **said)

    def patch(self, path: str, body: Any = None, **said: Any) -> Response:
        return self.request("PATCH", path, body=body, **said)

    def delete(self, path: str, **said: Any) -> Response:
        return self.request("DELETE", path, **said)


class Http(Integration):
    """A service over HTTP: `io.NAME.get(key, path)`, `.post(key, path, body)`, `.put`, `.patch`,
    `.delete` and `.request(key, method, path)`, which give an `nb.Response`.

    A status that is none of 200 to 299 is a failure, and is tried again as `retry` says.

    Args:
        base_url: Where paths begin.
        headers: Headers of each request, as Authorization. They are not recorded.
        timeout: Seconds to connect, and between two parts of the answer.
        retry: What is done about failures.

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
        timeout: float = 120,
        retry: Retry | int | None = Retry.standard(),  # noqa: B008 - it never changes
    ) -> None:
        super().__init__(_Client(base_url, headers or {}, timeout), retry=retry)

"""`io.background_fetch` and `io.background_poll`: HTTP requests that are retried, and polling."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from nbtasks.core import keys
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.engine.effects import Effects
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.io.base import AsyncBaseIO, BaseIO

if TYPE_CHECKING:
    from nbtasks.io.http.request import Response, RetryMap

__all__ = ["AsyncFetches", "SyncFetches"]

#: Function that returns True for the response that ends a poll.
Until = Callable[["Response"], bool]


class _Fetches(BaseIO):
    """The part of the HTTP calls that both io classes share.

    The modules that make requests import httpx, so they are loaded with the first request.
    """

    def _fetch(  # noqa: PLR0913, PLR0917 - the parts of a request
        self,
        key: keys.Key,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Any,
        retry: RetryMap | None,
        timeout: Duration,
    ) -> Effects:
        from nbtasks.io.http import request

        spec = request.Request(method, url, headers, body, to_seconds("timeout", timeout))
        strategies = request.Strategies(retry)

        def blocking() -> Any:
            return request.body_or_raise(spec, request.fetch(spec))

        async def awaiting() -> Any:
            return request.body_or_raise(spec, await request.fetch_async(spec))

        options = TaskOptions(on_change="ignore", params=spec.preview(), icon="globe")
        policy = Policy(
            on_error=lambda error, task: strategies.decide(error, task.attempt), options=options
        )
        return self._call(key, self._of(blocking, awaiting), (), policy, 3)

    def _poll(  # noqa: PLR0913, PLR0917 - the parts of a request
        self,
        key: keys.Key,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Any,
        interval: Duration,
        timeout: Duration,
        until: Until | None,
    ) -> Effects:
        from nbtasks.io.http import poll

        pause, limit = to_seconds("interval", interval), to_seconds("timeout", timeout)
        plan = poll.Poll((method, url, headers, body), pause, limit, until)

        def blocking() -> Any:
            return plan.block(self)

        async def awaiting() -> Any:
            return await plan.wait(self)

        options = TaskOptions(on_change="ignore", params=plan.preview(), icon="globe")
        return self._call(key, self._of(blocking, awaiting), (), Policy(options=options), 3)

    def _of(self, blocking: Callable[[], Any], awaiting: Callable[[], Any]) -> Callable[[], Any]:
        """Return the function that fits this class of io."""
        return awaiting if isinstance(self, AsyncBaseIO) else blocking


class SyncFetches(_Fetches):
    """HTTP requests as blocking calls."""

    def background_fetch(  # noqa: PLR0913 - the parts of a request
        self,
        key: keys.Key,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        retry: RetryMap | None = None,
        timeout: Duration = 120,
    ) -> Any:
        """Make an HTTP request as a task, and return the body of the response.

        Args:
            key: Key of the task, as in `run_task`.
            url: Address of the request.
            method: HTTP method, such as "POST".
            headers: Headers of the request. Headers that may hold a secret, such as Authorization,
                are not recorded.
            body: Body of the request: a dict or a list, sent as JSON; a string or bytes, sent
                unchanged.
            retry: Strategies after a failed request, by pattern of the status: "429", "5xx",
                "500-599", "401,403" or "all"; "timeout" is for a request without a response. The
                first matching pattern counts. An `nb.Retry` sets the back-off, an `nb.RateLimit`
                names the header that holds the time of the next attempt.
            timeout: Longest time to connect, and between two parts of the response: seconds, a
                timedelta, or text such as "5m".

        Returns:
            The decoded JSON of the body; else its text, or its bytes; None if it is empty.

        Raises:
            TaskFailed: The last response had a status outside 200 to 299, and the error is a
                FetchError, too; or there was no response.
            InvalidOptionError: A pattern or a strategy is not valid.

        ```python
        import nbtasks as nb


        @nb.job("background-fetch-example")
        def body(io: nb.SyncIO) -> str:
            retry = {"429": nb.RateLimit("x-ratelimit-reset"), "5xx": nb.Retry(attempts=3)}
            try:
                return io.background_fetch("ask", "http://127.0.0.1:9/", retry=retry, timeout=5)
            except nb.TaskFailed as error:
                return error.type  # no server listens there


        assert body.run().output == "ConnectError"
        ```
        """
        return self._drive(self._fetch(key, method, url, headers, body, retry, timeout))

    def background_poll(  # noqa: PLR0913 - the parts of a request
        self,
        key: keys.Key,
        url: str,
        *,
        interval: Duration = 10,
        timeout: Duration = 600,
        until: Until | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        """Repeat an HTTP request until its response is the expected one.

        Args:
            key: Key of the task, as in `run_task`.
            url: Address of the request.
            interval: Pause between two requests: seconds, a timedelta, or text such as "5m".
            timeout: Longest time to poll: seconds, a timedelta, or text such as "5m".
            until: Function that returns True for the `Response` that ends the poll; by default any
                response with a status of 200 to 299.
            method: HTTP method, such as "POST".
            headers: Headers of the request, as in `background_fetch`.
            body: Body of the request, as in `background_fetch`.

        Returns:
            The body of the last response, decoded as in `background_fetch`.

        Raises:
            WaitTimeout: The expected response did not arrive in time.

        ```python
        import nbtasks as nb


        @nb.job("background-poll-example")
        def body(io: nb.SyncIO) -> str:
            try:
                return io.background_poll(
                    "until it is done",
                    "http://127.0.0.1:9/job/7",
                    interval=0.01,
                    timeout=0.02,
                    until=lambda response: response.body["state"] == "done",
                )
            except nb.WaitTimeout:
                return "not yet"


        assert body.run().output == "not yet"
        ```
        """
        request = (method, url, headers, body)
        return self._drive(self._poll(key, *request, interval, timeout, until))


class AsyncFetches(_Fetches, AsyncBaseIO):
    """HTTP requests as awaitable calls."""

    def background_fetch(  # noqa: PLR0913 - the parts of a request
        self,
        key: keys.Key,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        retry: RetryMap | None = None,
        timeout: Duration = 120,
    ) -> Coroutine[Any, Any, Any]:
        """Make an HTTP request as a task. Awaitable form of `SyncIO.background_fetch`."""
        return self._drive(self._fetch(key, method, url, headers, body, retry, timeout))

    def background_poll(  # noqa: PLR0913 - the parts of a request
        self,
        key: keys.Key,
        url: str,
        *,
        interval: Duration = 10,
        timeout: Duration = 600,
        until: Until | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Coroutine[Any, Any, Any]:
        """Repeat an HTTP request as a task. Awaitable form of `SyncIO.background_poll`."""
        request = (method, url, headers, body)
        return self._drive(self._poll(key, *request, interval, timeout, until))

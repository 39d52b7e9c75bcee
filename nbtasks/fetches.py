"""`io.background_fetch` and `io.background_poll`: requests that are tried again, and answers that
are waited for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from nbtasks import keys
from nbtasks.calls import Effects
from nbtasks.driver import needs_loop
from nbtasks.face import AsyncFace, Face
from nbtasks.options import Duration, Policy, TaskOptions, seconds_of

if TYPE_CHECKING:
    from nbtasks.fetching import Response, RetryMap

__all__ = ["AsyncFetches", "SyncFetches"]

#: Whether an answer is the one that is waited for.
Until = Callable[["Response"], bool]


class _Fetches(Face):
    """What both faces say. What makes requests is loaded with the first of them."""

    def _fetch(  # noqa: PLR0913, PLR0917 - what a request is made of
        self,
        key: keys.Key,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: Any,
        retry: RetryMap | None,
        timeout: Duration,
    ) -> Effects:
        from nbtasks import fetching

        request = fetching.Request(method, url, headers, body, seconds_of("timeout", timeout))
        strategies = fetching.Strategies(retry)

        def blocking() -> Any:
            return fetching.checked(request, fetching.fetch(request))

        async def awaiting() -> Any:
            return fetching.checked(request, await fetching.fetch_async(request))

        options = TaskOptions(on_change="ignore", params=request.shown(), icon="globe")
        policy = Policy(
            on_error=lambda error, task: strategies.after(error, task.attempt), options=options
        )
        return self._call(key, self._of(blocking, awaiting), (), policy, 2)

    def _poll(  # noqa: PLR0913, PLR0917 - what a request is made of
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
        from nbtasks import polling

        rest, most = seconds_of("interval", interval), seconds_of("timeout", timeout)
        poll = polling.Poll((method, url, headers, body), rest, most, until)

        def blocking() -> Any:
            return poll.block(self)

        async def awaiting() -> Any:
            return await poll.wait(self)

        options = TaskOptions(on_change="ignore", params=poll.shown(), icon="globe")
        return self._call(key, self._of(blocking, awaiting), (), Policy(options=options), 2)

    def _of(self, blocking: Callable[[], Any], awaiting: Callable[[], Any]) -> Callable[[], Any]:
        """The function for the caller's kind."""
        return awaiting if isinstance(self, AsyncFace) else blocking


class SyncFetches(_Fetches):
    """Requests, by calls that block."""

    def background_fetch(  # noqa: PLR0913 - what a request is made of
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
        """Makes a request, as a task, and gives what comes back.

        Args:
            key: As in `run_task`.
            url: Where.
            method: As "POST".
            headers: Its headers. Those that may hold a secret, as Authorization, are not recorded.
            body: A dict or a list, sent as JSON; a text or bytes, sent as they are.
            retry: What is done when the answer is not right, by its status: the first pattern that
                fits counts, as "429", "5xx", "500-599", "401,403" or "all"; "timeout" is for no
                answer at all. An `nb.Retry` says how to back off, an `nb.RateLimit` which header
                says when.
            timeout: Seconds to connect, and between two parts of the answer.

        Returns:
            What its JSON says; else its text, or its bytes; None where it is empty.

        Raises:
            TaskFailed: The status was none of 200 to 299, in the end; it is a FetchError, too. Or
                there was no answer.
            InvalidOptionError: A pattern or a strategy is none.

        ```python
        import nbtasks as nb


        @nb.job("background-fetch-example")
        def body(io: nb.SyncIO) -> str:
            retry = {"429": nb.RateLimit("x-ratelimit-reset"), "5xx": nb.Retry(limit=3)}
            try:
                return io.background_fetch("ask", "http://127.0.0.1:9/", retry=retry, timeout=5)
            except nb.TaskFailed as error:
                return error.type  # nobody is there


        assert body.run().output == "ConnectError"
        ```
        """
        return self._drive(self._fetch(key, method, url, headers, body, retry, timeout))

    def background_poll(  # noqa: PLR0913 - what a request is made of
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
        """Makes a request again and again, until it is answered as is wished.

        Args:
            key: As in `run_task`.
            url: Where.
            interval: How long it rests in between, in seconds or as a timedelta.
            timeout: The longest that it goes on.
            until: Asked whether a `Response` is the one; by default each with a status of 200 to
                299 is.
            method: As of `background_fetch`.
            headers: As there.
            body: As there.

        Returns:
            What came back in the end, as there.

        Raises:
            WaitTimeout: It was not answered so in time.

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
        said = (method, url, headers, body)
        return self._drive(self._poll(key, *said, interval, timeout, until))


class AsyncFetches(_Fetches, AsyncFace):
    """Requests, by calls that are awaited."""

    def background_fetch(  # noqa: PLR0913 - what a request is made of
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
        """As `SyncIO.background_fetch`, awaited."""
        needs_loop("background_fetch")
        return self._drive(self._fetch(key, method, url, headers, body, retry, timeout))

    def background_poll(  # noqa: PLR0913 - what a request is made of
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
        """As `SyncIO.background_poll`, awaited."""
        needs_loop("background_poll")
        said = (method, url, headers, body)
        return self._drive(self._poll(key, *said, interval, timeout, until))

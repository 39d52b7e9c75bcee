"""`io.background_fetch` and `io.background_poll`: requests that are tried again, and answers that
are waited for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from nbtasks import clock, keys
from nbtasks.calls import Effects
from nbtasks.driver import needs_loop
from nbtasks.errors import WaitTimeout
from nbtasks.face import AsyncFace, Face
from nbtasks.options import Duration, Policy, TaskOptions, seconds_of

if TYPE_CHECKING:
    from nbtasks.fetching import Request, Response, RetryMap

__all__ = ["AsyncFetches", "SyncFetches"]

#: Whether an answer is the one that is waited for.
Until = Callable[["Response"], bool]
#: Seconds that one request of a poll may take.
_REQUEST_SECONDS = 30.0


class _Fetches(Face):
    """What both faces say."""

    def _fetch(self, key: keys.Key, request: Request, retry: RetryMap | None) -> Effects:
        from nbtasks.fetching import Strategies, checked, fetch, fetch_async

        strategies = Strategies(retry)

        def blocking() -> Any:
            return checked(request, fetch(request))

        async def awaiting() -> Any:
            return checked(request, await fetch_async(request))

        options = TaskOptions(on_change="ignore", params=request.shown(), icon="globe")
        policy = Policy(
            on_error=lambda error, task: strategies.after(error, task.attempt), options=options
        )
        return self._call(key, self._of(blocking, awaiting), (), policy, 2)

    def _poll(
        self,
        key: keys.Key,
        request: Request,
        interval: Duration,
        timeout: Duration,
        until: Until | None,
    ) -> Effects:
        rest, most = seconds_of("interval", interval), seconds_of("timeout", timeout)
        poll = _Poll(request, rest, most, until or (lambda response: response.ok))

        def blocking() -> Any:
            return poll.block(self)

        async def awaiting() -> Any:
            return await poll.wait(self)

        shown = {**request.shown(), "interval": rest, "timeout": most}
        options = TaskOptions(on_change="ignore", params=shown, icon="globe")
        return self._call(key, self._of(blocking, awaiting), (), Policy(options=options), 2)

    def _of(self, blocking: Callable[[], Any], awaiting: Callable[[], Any]) -> Callable[[], Any]:
        """The function for the caller's kind."""
        return awaiting if isinstance(self, AsyncFace) else blocking


class _Poll:
    """Requests until one is answered as is wished.

    Each of them is a task of its own, as are the waits in between: so it goes on where it was.
    """

    def __init__(self, request: Request, rest: float, most: float, until: Until) -> None:
        self._request = dataclasses.replace(request, timeout=min(most, _REQUEST_SECONDS))
        self._rest = rest
        self._most = most
        self._until = until
        self._options = TaskOptions(on_change="ignore", params=request.shown())

    def block(self, io: Any) -> Any:
        """Polls by blocking."""
        began, number = io.now("began"), 1
        while True:
            tried = io.run_task(["attempt", number], self._try, options=self._options)
            if self._is_it(tried):
                return tried["body"]
            self._check(began, tried)
            io.wait(["wait", number], self._rest)
            number += 1

    async def wait(self, io: Any) -> Any:
        """Polls by awaiting."""
        began, number = await io.now("began"), 1
        while True:
            tried = await io.run_task(["attempt", number], self._try_async, options=self._options)
            if self._is_it(tried):
                return tried["body"]
            self._check(began, tried)
            await io.wait(["wait", number], self._rest)
            number += 1

    def _try(self) -> dict[str, Any]:
        import httpx  # lazily: most runs make no requests

        from nbtasks.fetching import fetch

        try:
            return _tried(fetch(self._request))
        except httpx.TransportError as error:  # it may be there the next time
            return _tried(error)

    async def _try_async(self) -> dict[str, Any]:
        import httpx

        from nbtasks.fetching import fetch_async

        try:
            return _tried(await fetch_async(self._request))
        except httpx.TransportError as error:
            return _tried(error)

    def _is_it(self, tried: dict[str, Any]) -> bool:
        if tried["status"] is None:
            return False
        from nbtasks.fetching import Response

        response = Response(tried["status"], tried["headers"], tried["body"])
        return bool(self._until(response))

    def _check(self, began: Any, tried: dict[str, Any]) -> None:
        """Ends it where the next one would come too late: by the times that are recorded, so that
        it is the same whenever it is executed again."""
        passed = (tried["at"] - began).total_seconds()
        if passed + self._rest > self._most:
            last = tried["body"] if tried["status"] is None else f"status {tried['status']}"
            raise WaitTimeout(
                f"{self._request.method} {self._request.shown()['url']} was not answered as wished "
                f"within {self._most:g} seconds; the last answer: {last}"
            )


def _tried(came: Response | Exception) -> dict[str, Any]:
    """What is recorded of a try."""
    at = clock.at(clock.micros())
    if not isinstance(came, Exception):
        return {**dataclasses.asdict(came), "at": at}
    return {"status": None, "headers": {}, "body": f"{type(came).__name__}: {came}", "at": at}


def _request(*said: Any) -> Request:
    from nbtasks.fetching import Request  # lazily: most runs make none

    return Request(*said)


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
        request = _request(method, url, headers, body, seconds_of("timeout", timeout))
        return self._drive(self._fetch(key, request, retry))

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
        request = _request(method, url, headers, body, _REQUEST_SECONDS)
        return self._drive(self._poll(key, request, interval, timeout, until))


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
        request = _request(method, url, headers, body, seconds_of("timeout", timeout))
        return self._drive(self._fetch(key, request, retry))

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
        request = _request(method, url, headers, body, _REQUEST_SECONDS)
        return self._drive(self._poll(key, request, interval, timeout, until))

"""Polling: requests, with waits between them, until one has the expected response.

Imported with the first poll, since the module imports httpx.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx

from nbtasks.core import clock
from nbtasks.engine.options import TaskOptions
from nbtasks.errors import WaitTimeout
from nbtasks.io.http.request import Request, Response, fetch, fetch_async

__all__ = ["Poll"]

#: Function that returns True for the response that ends a poll.
Until = Callable[[Response], bool]
#: Longest time of one request, in seconds.
_REQUEST_SECONDS = 30.0


class Poll:
    """A poll: a request repeated until its response is the expected one.

    Each request is a task of its own, as is each wait between two: so a resumed poll continues
    where it was.

    Args:
        request: Method, address, headers and body of the request.
        interval: Seconds between two requests.
        timeout: Seconds in all.
        until: Function that returns True for the response that ends the poll; by default any
            response with a status of 200 to 299.
    """

    def __init__(
        self,
        request: tuple[str, str, Any, Any],
        interval: float,
        timeout: float,
        until: Until | None,
    ) -> None:
        self._request = Request(*request, min(timeout, _REQUEST_SECONDS))
        self._interval = interval
        self._timeout = timeout
        self._until = until or (lambda response: response.ok)
        self._options = TaskOptions(on_change="ignore", params=self._request.preview())

    def preview(self) -> dict[str, Any]:
        """Return the inputs of the poll as views show them."""
        return {**self._request.preview(), "interval": self._interval, "timeout": self._timeout}

    def block(self, io: Any) -> Any:
        """Poll, blocking."""
        start, number = io.now("began"), 1
        while True:
            attempt = io.run_task(["attempt", number], self._try, options=self._options)
            if self._is_last(attempt):
                return attempt["body"]
            self._check(start, attempt)
            io.wait(["wait", number], self._interval)
            number += 1

    async def wait(self, io: Any) -> Any:
        """Poll, awaiting."""
        start, number = await io.now("began"), 1
        while True:
            attempt = await io.run_task(["attempt", number], self._try_async, options=self._options)
            if self._is_last(attempt):
                return attempt["body"]
            self._check(start, attempt)
            await io.wait(["wait", number], self._interval)
            number += 1

    def _try(self) -> dict[str, Any]:
        try:
            return _record(fetch(self._request))
        except httpx.TransportError as error:  # the server may be back at the next request
            return _record(error)

    async def _try_async(self) -> dict[str, Any]:
        try:
            return _record(await fetch_async(self._request))
        except httpx.TransportError as error:
            return _record(error)

    def _is_last(self, attempt: dict[str, Any]) -> bool:
        if attempt["status"] is None:
            return False
        response = Response(attempt["status"], attempt["headers"], attempt["body"])
        return bool(self._until(response))

    def _check(self, start: Any, attempt: dict[str, Any]) -> None:
        """Raise an error if the next request would come too late.

        Only recorded times count, so that a replay decides in the same way.

        Raises:
            WaitTimeout: The next request would come after the timeout.
        """
        passed = (attempt["at"] - start).total_seconds()
        if passed + self._interval > self._timeout:
            last = attempt["body"] if attempt["status"] is None else f"status {attempt['status']}"
            raise WaitTimeout(
                f"{self._request.method} {self._request.preview()['url']} did not return the "
                f"expected response within {self._timeout:g} seconds; the last response: {last}"
            )


def _record(result: Response | Exception) -> dict[str, Any]:
    """Return the record of an attempt."""
    at = clock.at(clock.micros())
    if isinstance(result, Response):
        return {**dataclasses.asdict(result), "at": at}
    return {"status": None, "headers": {}, "body": f"{type(result).__name__}: {result}", "at": at}

"""A poll: requests, and waits in between, until one is answered as is wished. Imported with the
first of them, since it takes httpx."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx

from nbtasks import clock
from nbtasks.errors import WaitTimeout
from nbtasks.fetching import Request, Response, fetch, fetch_async
from nbtasks.options import TaskOptions

__all__ = ["Poll"]

#: Whether an answer is the one that is waited for.
Until = Callable[[Response], bool]
#: Seconds that one request may take.
_REQUEST_SECONDS = 30.0


class Poll:
    """Requests until one is answered as is wished.

    Each of them is a task of its own, as are the waits in between: so it goes on where it was.

    Args:
        said: The method, the address, the headers and the body.
        rest: Seconds in between.
        most: Seconds in all.
        until: Whether an answer is the one; by default each with a status of 200 to 299 is.
    """

    def __init__(
        self, said: tuple[str, str, Any, Any], rest: float, most: float, until: Until | None
    ) -> None:
        self._request = Request(*said, min(most, _REQUEST_SECONDS))
        self._rest = rest
        self._most = most
        self._until = until or (lambda response: response.ok)
        self._options = TaskOptions(on_change="ignore", params=self._request.shown())

    def shown(self) -> dict[str, Any]:
        """What people see of it."""
        return {**self._request.shown(), "interval": self._rest, "timeout": self._most}

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
        try:
            return _tried(fetch(self._request))
        except httpx.TransportError as error:  # it may be there the next time
            return _tried(error)

    async def _try_async(self) -> dict[str, Any]:
        try:
            return _tried(await fetch_async(self._request))
        except httpx.TransportError as error:
            return _tried(error)

    def _is_it(self, tried: dict[str, Any]) -> bool:
        if tried["status"] is None:
            return False
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
    if isinstance(came, Response):
        return {**dataclasses.asdict(came), "at": at}
    return {"status": None, "headers": {}, "body": f"{type(came).__name__}: {came}", "at": at}

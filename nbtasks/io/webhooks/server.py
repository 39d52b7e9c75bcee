"""Webhook server on the loopback address, for tasks that wait for a request.

A process has one server. It listens on one port for new tasks, and on each port that a resumed
task has recorded. It maps the token in an address to a task, and records what is posted there as
the answer to this task.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.core import clock
from nbtasks.errors import PortTakenError
from nbtasks.journal.events import record_answer

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal

__all__ = ["Address", "listen", "new_address"]

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 10.0


class Address(NamedTuple):
    """Address at which a task waits for a request."""

    port: int
    token: str


class _Waiting(NamedTuple):
    """The task that a token belongs to."""

    journal: Journal
    run_id: str
    path: str


class _Receiver:
    """Webhook server of this process: a tornado server, on a loop in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ports: set[int] = set()
        self._waiting: dict[str, _Waiting] = {}

    def open(self, port: int) -> int:
        """Listen on a port, and return its number; 0 selects any port, an open one first.

        Raises:
            OSError: The port is taken.
        """
        with self._lock:
            if port in self._ports:
                return port
            if port == 0 and self._ports:
                return min(self._ports)
            from nbtasks.io.webhooks.handler import serve  # lazily: most runs wait for no request

            number: int = self._call(lambda: serve(self.take, _HOST, port))
            self._ports.add(number)
            return number

    def _call(self, fn: Callable[[], Any]) -> Any:
        """Call a function in the server's thread."""
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="nbtasks-receiver", daemon=True).start()

        async def call() -> Any:
            return fn()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_START_SECONDS)

    def expect(self, address: Address, waiting: _Waiting) -> None:
        """Assign requests to this address to a task, from now on."""
        self._waiting[address.token] = waiting

    def take(self, token: str, value: Any) -> bool | None:
        """Record a posted value as the answer to the task of a token.

        Returns:
            True for the first answer to the task, False for a later one; None if no task has this
            token.
        """
        task = None
        # Compare all tokens in constant time, so that the response time reveals nothing of them.
        for candidate, waiting in list(self._waiting.items()):
            if hmac.compare_digest(candidate.encode(), token.encode()):
                task = waiting
        return task and record_answer(task.journal, task.run_id, task.path, value, "request")


_receiver = _Receiver()


def new_address() -> Address:
    """Return a new address that nobody can guess, and listen on it."""
    return Address(_receiver.open(0), clock.new_token())


def listen(address: Address, journal: Journal, run_id: str, path: str) -> None:
    """Accept requests to an address for a task.

    Raises:
        PortTakenError: Another program has taken the port in the meantime.
    """
    try:
        _receiver.open(address.port)
    except OSError as error:
        raise PortTakenError(
            f"Task {path!r} of run {run_id} waits for a request at port {address.port}, which "
            f"another program uses now ({error.strerror or error}). It may be another kernel that "
            "takes requests: end it, and execute again. Or give the task a new address: "
            f"run.reset({path!r})."
        ) from None
    _receiver.expect(address, _Waiting(journal, run_id, path))

"""A small server on this machine's own address, for requests that runs wait for.

There is one in a process, on as many ports as there are tasks that remember one. It knows the
URLs of tasks, and tells those what is posted there.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks import answers, clock
from nbtasks.errors import PortTakenError

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal

__all__ = ["Address", "listen", "new_address"]

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 10.0


class Address(NamedTuple):
    """Where a task waits for a request."""

    port: int
    token: str


class _Waiting(NamedTuple):
    """The task behind a token."""

    journal: Journal
    run_id: str
    path: str


class _Receiver:
    """The server of this process: tornado's, on a loop in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ports: set[int] = set()
        self._waiting: dict[str, _Waiting] = {}

    def open(self, port: int) -> int:
        """Listens on a port, or on a new one for 0.

        Raises:
            OSError: It is taken.
        """
        with self._lock:
            if port in self._ports:
                return port
            if port == 0 and self._ports:
                return min(self._ports)
            from nbtasks.handler import serve  # lazily: most runs wait for no request

            opened: int = self._call(lambda: serve(self.take, _HOST, port))
            self._ports.add(opened)
            return opened

    def _call(self, fn: Callable[[], Any]) -> Any:
        """Calls a function in the server's thread."""
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="nbtasks-receiver", daemon=True).start()

        async def call() -> Any:
            return fn()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_START_SECONDS)

    def expect(self, address: Address, waiting: _Waiting) -> None:
        """From now on a request to this address is for this task."""
        self._waiting[address.token] = waiting

    def take(self, token: str, value: Any) -> bool | None:
        """Tells the task behind a token what was posted; whether it is the first. None where there
        is no such task. Tokens are compared so that the time it takes tells nothing of them."""
        found = None
        for known, waiting in list(self._waiting.items()):
            if hmac.compare_digest(known.encode(), token.encode()):
                found = waiting
        return found and answers.give(found.journal, found.run_id, found.path, value, "request")


_receiver = _Receiver()


def new_address() -> Address:
    """An address that nobody can guess, on which this process listens."""
    return Address(_receiver.open(0), clock.new_token())


def listen(address: Address, journal: Journal, run_id: str, path: str) -> None:
    """Takes requests to an address for a task.

    Raises:
        PortTakenError: Another program has taken the port since.
    """
    try:
        _receiver.open(address.port)
    except OSError as error:
        raise PortTakenError(
            f"Task {path!r} of run {run_id} waits for a request at port {address.port}, which "
            f"another program has now ({error.strerror or error}). Another kernel that takes "
            "requests may be that one: end it, and execute again. Or let the task have a new "
            f"address: run.reset({path!r})."
        ) from None
    _receiver.expect(address, _Waiting(journal, run_id, path))

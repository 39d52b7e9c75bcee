"""Time and identity: the only place that asks the system for either.

Everything else takes them from here, so that `nbtasks.testing.FakeClock` can move time.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import uuid

__all__ = ["LISTEN", "Clock", "SystemClock", "at", "current", "micros", "new_id", "new_uuid", "use"]

#: A blocking sleep is cut into slices of this many seconds, so that what watches a run from
#: the same thread (a countdown, a cancel flag) is looked at in between.
SLICE = 0.1
#: How often it is asked whether something has happened that may happen in another process.
LISTEN = 0.05

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_last_id = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What the engine needs of time. All instants are epoch microseconds."""

    def micros(self) -> int:
        """The instant now."""

    def sleep_until(self, due_us: int, told: threading.Event | None = None) -> None:
        """Blocks until `due_us`, or until another thread sets `told`; returns at once when that
        is past."""

    async def wait_until(self, due_us: int) -> None:
        """Waits until `due_us` without blocking the loop."""

    async def alarm(self, due_us: int, heard: Callable[[], bool] = ...) -> None:
        """As `wait_until`, while something is under way that may well end before, or something
        may be `heard` before."""

    def outlast(self, done: threading.Event, due_us: int) -> None:
        """Blocks until another thread sets `done`, or else until `due_us`."""

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Blocks until something is `heard`, that may happen anywhere, or until `due_us`."""

    def attend(self, thread: threading.Thread) -> None:
        """A thread lives by this clock, beside the one that uses it anyway."""

    def leave(self, thread: threading.Thread) -> None:
        """It does not any more."""


class SystemClock:
    """The machine's own clock."""

    def micros(self) -> int:
        """The instant now."""
        return time.time_ns() // 1000

    def sleep_until(self, due_us: int, told: threading.Event | None = None) -> None:
        """Blocks until `due_us` or `told`. Looks at the wall clock again after each slice, so a
        laptop that slept through the due time goes on as soon as it wakes."""
        told = told or threading.Event()
        while (left := due_us - self.micros()) > 0:
            if told.wait(min(SLICE, left / 1e6)):
                return

    async def wait_until(self, due_us: int) -> None:
        """Waits until `due_us`, by the wall clock as `sleep_until` does."""
        while (left := due_us - self.micros()) > 0:
            await asyncio.sleep(min(1.0, left / 1e6))

    async def alarm(self, due_us: int, heard: Callable[[], bool] = lambda: False) -> None:
        """Waits until `due_us`."""
        del heard  # who listens looks by itself
        await self.wait_until(due_us)

    def attend(self, thread: threading.Thread) -> None:
        """Time goes on for everyone."""

    def leave(self, thread: threading.Thread) -> None:
        """As before."""

    def outlast(self, done: threading.Event, due_us: int) -> None:
        """Blocks until `done` is set or it is `due_us`, in slices as `sleep_until` does."""
        while (left := due_us - self.micros()) > 0:
            if done.wait(min(SLICE, left / 1e6)):
                return

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Blocks until something is `heard`, or until `due_us`; asks every `LISTEN` seconds."""
        rest = threading.Event()  # which nobody sets
        while not heard() and (left := due_us - self.micros()) > 0:
            rest.wait(min(LISTEN, left / 1e6))


_clock: Clock = SystemClock()
#: Epoch microseconds now, by the clock in force. Called through the module, since `use` moves it.
micros: Callable[[], int] = _clock.micros


def current() -> Clock:
    """The clock in force."""
    return _clock


def use(clock: Clock) -> Clock:
    """Puts `clock` in force and gives the one that was."""
    global _clock, micros  # noqa: PLW0603 - one process has one time; tests move it here
    was, _clock = _clock, clock
    micros = clock.micros
    return was


def at(us: int) -> datetime:
    """The instant `us` as an aware UTC datetime.

    >>> at(1_700_000_000_000_000).isoformat()
    '2023-11-14T22:13:20+00:00'
    """
    return _EPOCH + timedelta(microseconds=us)


def new_uuid() -> uuid.UUID:
    """A new random UUID."""
    import uuid  # lazily: most runs need none

    return uuid.uuid4()


def new_token() -> str:
    """A new text that nobody can guess."""
    import secrets  # lazily: most runs need none

    return secrets.token_urlsafe(32)


def new_id() -> str:
    """A new id of 26 characters that sorts by the time it was made (a ULID in lower case), also
    among those that this process makes within one millisecond."""
    global _last_id  # noqa: PLW0603 - what is new is new for all of the process
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    if value <= _last_id:  # a step of chance, since threads and forks may make one, too
        value = _last_id + 1 + int.from_bytes(os.urandom(8))
    _last_id = value
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))

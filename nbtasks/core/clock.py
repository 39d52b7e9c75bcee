"""Time and ids: the only module that asks the system for either.

All other code takes them from here, so that `nbtasks.testing.FakeClock` can control time.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import uuid

__all__ = [
    "LISTEN",
    "Clock",
    "SystemClock",
    "at",
    "boot_id",
    "current",
    "micros",
    "new_id",
    "new_uuid",
    "pauses",
    "use",
]

#: Slices of a blocking sleep in seconds: in between, whatever watches the run from the same thread
#: (a countdown, a cancel flag) gets its turn.
SLICE = 0.1
#: Seconds between two checks for something that may happen in another process, at most ...
LISTEN = 0.05
#: ... and at the beginning of a wait.
_LISTEN_FIRST = 0.001

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH, _MOST_ID = 26, 1 << 128
_last_id = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Clock of the engine. All instants are epoch microseconds."""

    def micros(self) -> int:
        """Return the current instant."""

    def sleep_until(self, due_us: int, wake: threading.Event | None = None) -> None:
        """Block until `due_us`, or until another thread sets `wake`.

        Return at once if `due_us` is past.
        """

    async def wait_until(self, due_us: int) -> None:
        """Wait until `due_us` without blocking the event loop."""

    async def alarm(
        self, due_us: int, has_changed: Callable[[], bool] = ..., *, patient: bool = ...
    ) -> None:
        """Wait until `due_us` as a timeout: the work it limits is likely to end first.

        `has_changed` tells a fake clock that the caller has something to handle before `due_us`,
        `patient` that the caller itself is likely to be canceled before, in real time.
        """

    def wait_for_thread(self, done: threading.Event, due_us: int) -> None:
        """Block until another thread sets `done`, at most until `due_us`."""

    def listen(self, has_changed: Callable[[], bool], due_us: int) -> None:
        """Block until `has_changed` returns True, whatever causes it, at most until `due_us`."""

    def register_thread(self, thread: threading.Thread) -> None:
        """Register a thread that lives by this clock beside the main one."""

    def unregister_thread(self, thread: threading.Thread) -> None:
        """Unregister a thread."""


class SystemClock:
    """The machine's own clock."""

    def micros(self) -> int:
        """Return the current instant."""
        return time.time_ns() // 1000

    def sleep_until(self, due_us: int, wake: threading.Event | None = None) -> None:
        """Block until `due_us`, or until `wake` is set.

        The wall clock is read again after each slice, so a laptop that slept past the due time
        resumes
        as soon as it wakes.
        """
        wake = wake or threading.Event()
        while (left_us := due_us - self.micros()) > 0:
            if wake.wait(min(SLICE, left_us / 1e6)):
                return

    async def wait_until(self, due_us: int) -> None:
        """Wait until `due_us` by the wall clock, as `sleep_until` does."""
        while (left_us := due_us - self.micros()) > 0:
            await asyncio.sleep(min(1.0, left_us / 1e6))

    async def alarm(
        self,
        due_us: int,
        has_changed: Callable[[], bool] = lambda: False,
        *,
        patient: bool = False,
    ) -> None:
        """Wait until `due_us`."""
        del has_changed, patient  # in real time, the caller checks it by itself
        await self.wait_until(due_us)

    def register_thread(self, thread: threading.Thread) -> None:
        """Do nothing: real time passes for every thread."""

    def unregister_thread(self, thread: threading.Thread) -> None:
        """Do nothing, as in `register_thread`."""

    def wait_for_thread(self, done: threading.Event, due_us: int) -> None:
        """Block until `done` is set, at most until `due_us`, in slices as `sleep_until` does."""
        while (left_us := due_us - self.micros()) > 0:
            if done.wait(min(SLICE, left_us / 1e6)):
                return

    def listen(self, has_changed: Callable[[], bool], due_us: int) -> None:
        """Block until `has_changed` returns True, checked in `pauses`, or until `due_us`."""
        never_set, pause = threading.Event(), pauses()
        while not has_changed() and (left_us := due_us - self.micros()) > 0:
            never_set.wait(min(next(pause), left_us / 1e6))


def pauses() -> Iterator[float]:
    """Yield the seconds between checks for something that may happen elsewhere, at most `LISTEN`.

    They grow: whatever happens soon is noticed soon, and a long wait costs little.
    """
    pause = _LISTEN_FIRST
    while True:
        yield pause
        pause = min(1.25 * pause, LISTEN)


_clock: Clock = SystemClock()
#: Current instant by the current clock. Call it as `clock.micros()`: `use` rebinds it.
micros: Callable[[], int] = _clock.micros


def current() -> Clock:
    """Return the current clock."""
    return _clock


def use(clock: Clock) -> Clock:
    """Put `clock` in force and return the previous one."""
    global _clock, micros  # noqa: PLW0603 - one clock per process; tests replace it here
    previous, _clock = _clock, clock
    micros = clock.micros
    return previous


def booted_us() -> int | None:
    """Return the instant at which this machine was started; None if it is not known."""
    if not isinstance(_clock, SystemClock) or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return micros() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@functools.cache
def boot_id() -> str | None:
    """Return what this start of the kernel is called; None if it is not known.

    All containers of a machine see the same, and the next start has another.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def at(us: int) -> datetime:
    """Return the instant `us` as an aware UTC datetime.

    >>> at(1_700_000_000_000_000).isoformat()
    '2023-11-14T22:13:20+00:00'
    """
    return _EPOCH + timedelta(microseconds=us)


def new_uuid() -> uuid.UUID:
    """Return a new random UUID."""
    import uuid  # lazily: most runs need none

    return uuid.uuid4()


def new_token() -> str:
    """Return a new unguessable text."""
    import secrets  # lazily: most runs need none

    return secrets.token_urlsafe(32)


def new_id(*, after: str = "") -> str:
    """Return a new id: a ULID in lower case, 26 characters that sort by time of creation.

    Ids that one process makes within a millisecond sort in order, too.

    Args:
        after: An id that the new one sorts after, also if the clock has been set back since. Other
            text counts for nothing.
    """
    global _last_id  # noqa: PLW0603 - ids are unique per process
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    if value <= _last_id:  # a random step, since threads and forks may count on from the same id
        value = _last_id + 1 + int.from_bytes(os.urandom(8))
    _last_id = value
    if len(after) == _ID_LENGTH and {*after} <= {*_ALPHABET}:
        earlier = functools.reduce(
            lambda number, each: number << 5 | _ALPHABET.index(each), after, 0
        )
        if value <= earlier < _MOST_ID:  # of this id alone: those of runs keep the time
            value = earlier + 1 + int.from_bytes(os.urandom(8))
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))

"""Time that a test moves."""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from nbtasks import clock as clocks
from nbtasks import driver

__all__ = ["FakeClock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)
#: Turns of the loop in which nothing new began to wait, before everything is taken to wait.
_QUIET_TURNS = 20
#: How long, in real seconds, what has a timeout may take before time jumps to its end: a function
#: that awaits, and one that is busy in a thread. Less where the timeout itself is shorter.
_GRACE, _PATIENCE = 0.05, 2.0
_LISTEN = 0.002


@dataclass(order=True, slots=True)
class _Sleeper:
    """Who waits for an instant; an alarm since when, in real time, and for how long at first."""

    due_us: int
    order: int
    future: asyncio.Future[None] = field(compare=False)
    since: float | None = field(compare=False)
    seconds: float = field(compare=False)

    def sleeps_on(self, busy_threads: int) -> bool:
        """Whether time must not jump to its instant yet."""
        if self.since is None:
            return busy_threads > 0
        patience = min(self.seconds, _PATIENCE if busy_threads else _GRACE)
        return time.monotonic() - self.since < patience


class FakeClock:
    """Time that stands still, and jumps to the next due instant when everything waits.

    Waits, back-offs and timeouts of the engine go by it; `asyncio.sleep` and `time.sleep` in your
    own functions do not. A function that takes its time gets a moment of real time before its
    timeout is taken to be over; to say that it took long, `advance` the clock in it.

    Args:
        start: The time that it starts at.

    ```python
    import nbtasks as nb
    from nbtasks.testing import FakeClock


    @nb.job("fake-clock-example")
    def patient(io: nb.SyncIO) -> str:
        io.wait("three hours", 3 * 60 * 60)
        return "done"


    with FakeClock() as clock:
        began = clock.now()
        assert patient.run().output == "done"  # at once
        assert (clock.now() - began).total_seconds() == 3 * 60 * 60
    ```
    """

    def __init__(self, start: datetime = _START) -> None:
        self._us = round(start.timestamp() * 1e6)
        self._sleepers: list[_Sleeper] = []
        self._pushed = 0
        self._pump: asyncio.Task[None] | None = None
        self._was: clocks.Clock | None = None

    def __enter__(self) -> Self:
        self._was = clocks.use(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._was is not None:
            clocks.use(self._was)

    def now(self) -> datetime:
        """The time now, in UTC."""
        return clocks.at(self._us)

    def advance(self, seconds: float) -> None:
        """Moves time on; who is due then goes on."""
        self._us += round(timedelta(seconds=seconds) / timedelta(microseconds=1))
        while self._sleepers and self._sleepers[0].due_us <= self._us:
            self._wake()

    def micros(self) -> int:
        """The time now in epoch microseconds."""
        return self._us

    def sleep_until(self, due_us: int, told: threading.Event | None = None) -> None:
        """Jumps there: what blocks waits for nothing else, unless it was `told` already."""
        if told is not None and told.is_set():
            return
        self._us = max(self._us, due_us)

    async def wait_until(self, due_us: int) -> None:
        """Waits until time has come to `due_us`, by `advance` or by a jump."""
        await self._wait(due_us, None)

    async def alarm(self, due_us: int) -> None:
        """Waits for the end of a timeout, which is not jumped to at once: functions live in real
        time, and may be about to return."""
        await self._wait(due_us, time.monotonic())

    def outlast(self, done: threading.Event, due_us: int) -> None:
        """Waits in real time for a thread, but not for long; then jumps to `due_us`."""
        left = (due_us - self._us) / 1e6
        # Past already: the thread has moved time itself, so it is about to come to its end.
        if not done.wait(min(_PATIENCE, left) if left > 0 else _PATIENCE):
            self._us = max(self._us, due_us)

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Listens in real time, but not for long; then jumps to `due_us`."""
        since, rest = time.monotonic(), threading.Event()
        while not heard() and due_us > self._us:
            patience = _PATIENCE if driver.busy_threads() else _GRACE
            if time.monotonic() - since >= min(patience, (due_us - self._us) / 1e6):
                self._us = max(self._us, due_us)
            rest.wait(_LISTEN)

    async def _wait(self, due_us: int, since: float | None) -> None:
        if due_us <= self._us:
            return
        future = asyncio.get_running_loop().create_future()
        self._pushed += 1
        seconds = (due_us - self._us) / 1e6
        heapq.heappush(self._sleepers, _Sleeper(due_us, self._pushed, future, since, seconds))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._jump_when_quiet())
        await future

    async def _jump_when_quiet(self) -> None:
        while self._next():
            pushed = self._pushed
            for _ in range(_QUIET_TURNS):
                await asyncio.sleep(0)
            sleeper = self._next()
            if sleeper is not None and sleeper.sleeps_on(driver.busy_threads()):
                await asyncio.sleep(0.001)
            elif sleeper is not None and pushed == self._pushed:
                self._us = max(self._us, sleeper.due_us)
                self._wake()

    def _next(self) -> _Sleeper | None:
        """Who is due next; who was cancelled is not."""
        while self._sleepers and self._sleepers[0].future.done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0] if self._sleepers else None

    def _wake(self) -> None:
        future = heapq.heappop(self._sleepers).future
        if not future.done():
            future.get_loop().call_soon_threadsafe(
                lambda: None if future.done() else future.set_result(None)
            )

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

from nbtasks.core import clock as clocks
from nbtasks.engine.drivers import drive

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
    """Who waits for an instant; an alarm since when, in real time, and for how long at first; who
    listens, whether there is something to hear."""

    due_us: int
    order: int
    future: asyncio.Future[None] = field(compare=False)
    since: float | None = field(compare=False)
    seconds: float = field(compare=False)
    heard: Callable[[], bool] = field(compare=False)

    def sleeps_on(self, busy_threads: int, *, beside: bool) -> bool:
        """Whether time must not jump to its instant yet. Who listens to threads `beside` need not
        give them a moment: it is known when they wait."""
        if self.since is None or (beside and self.heard is not _never):
            return busy_threads > 0
        patience = min(self.seconds, _PATIENCE if busy_threads else _GRACE)
        return time.monotonic() - self.since < patience


@dataclass(slots=True)
class _Loop:
    """Those who wait in one event loop, and the task that looks whether all of it waits."""

    sleepers: list[_Sleeper] = field(default_factory=list)
    pushed: int = 0
    pump: asyncio.Task[None] | None = None

    def next(self) -> _Sleeper | None:
        """Who is due next; who was cancelled is not."""
        while self.sleepers and self.sleepers[0].future.done():
            heapq.heappop(self.sleepers)
        return self.sleepers[0] if self.sleepers else None

    def heard(self) -> bool:
        """Whether somebody in it has something to hear."""
        return any(_hears(one.heard) for one in self.sleepers if not one.future.done())

    def wake(self) -> None:
        """Wakes who is due next."""
        future = heapq.heappop(self.sleepers).future
        if not future.done():
            future.get_loop().call_soon_threadsafe(
                lambda: None if future.done() else future.set_result(None)
            )


def _never() -> bool:
    return False


def _hears(heard: Callable[[], bool]) -> bool:
    """Whether somebody hears something, be it that their journal has crashed."""
    try:
        return heard()
    except BaseException:  # noqa: BLE001 - they will see it themselves
        return True


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
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._was: clocks.Clock | None = None
        # Threads that live by this clock beside the one of the test, and who waits: until when,
        # and whether there is something to hear.
        self._beside: set[threading.Thread] = set()
        self._waiting: dict[threading.Thread, tuple[int, Callable[[], bool]]] = {}
        self._changed = threading.Condition()

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
        with self._changed:
            self._us += round(timedelta(seconds=seconds) / timedelta(microseconds=1))
            self._wake_all()

    def micros(self) -> int:
        """The time now in epoch microseconds."""
        return self._us

    def register_thread(self, thread: threading.Thread) -> None:
        """From now on time jumps only when this thread waits, too."""
        with self._changed:
            self._beside.add(thread)

    def unregister_thread(self, thread: threading.Thread) -> None:
        """It does not count any more."""
        with self._changed:
            self._beside.discard(thread)
            self._changed.notify_all()

    def sleep_until(self, due_us: int, wake: threading.Event | None = None) -> None:
        """Jumps there: what blocks waits for nothing else, unless it was `wake` already, or other
        threads live by this clock."""
        if wake is not None and wake.is_set():
            return
        if self._beside:
            self._hold(due_us, wake.is_set if wake is not None else _never)
        else:
            self._us = max(self._us, due_us)

    async def wait_until(self, due_us: int) -> None:
        """Waits until time has come to `due_us`, by `advance` or by a jump."""
        await self._wait(due_us, None, _never)

    async def alarm(self, due_us: int, heard: Callable[[], bool] = _never) -> None:
        """Waits for the end of a timeout, which is not jumped to at once: functions live in real
        time, and may be about to return."""
        await self._wait(due_us, time.monotonic(), heard)

    def outlast(self, done: threading.Event, due_us: int) -> None:
        """Waits in real time for a thread, but not for long; then jumps to `due_us`."""
        if self._beside and threading.current_thread() in self._beside:
            self._hold(due_us, done.is_set)
            return
        left = (due_us - self._us) / 1e6
        # Past already: the thread has moved time itself, so it is about to come to its end.
        if not done.wait(min(_PATIENCE, left) if left > 0 else _PATIENCE):
            self._us = max(self._us, due_us)

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Listens in real time, but not for long; then jumps to `due_us`. As long as other threads
        live by this clock, it jumps when they wait, too."""
        since, rest = time.monotonic(), threading.Event()
        while not heard() and due_us > self._us:
            if self._beside:
                self._hold(due_us, heard)
                continue
            patience = _PATIENCE if drive.busy_threads() else _GRACE
            if time.monotonic() - since >= min(patience, (due_us - self._us) / 1e6):
                self._us = max(self._us, due_us)
            rest.wait(_LISTEN)

    # -- several threads ------------------------------------------------------------------------

    def _hold(self, due_us: int, heard: Callable[[], bool]) -> None:
        """Blocks until `due_us`, which comes when all threads wait, or until something is heard."""
        thread, since, known = threading.current_thread(), time.monotonic(), self._us
        with self._changed:
            self._waiting[thread] = due_us, heard
            try:
                while self._us < due_us and not heard():
                    if known != self._us:
                        since, known = time.monotonic(), self._us
                    self._jump_if_all_wait(at_last=time.monotonic() - since > _PATIENCE)
                    if self._us < due_us:
                        self._changed.wait(_LISTEN)
            finally:
                del self._waiting[thread]

    def _jump_if_all_wait(self, *, at_last: bool = False) -> None:
        """Moves time to the first instant that somebody waits for. `at_last` also if a thread does
        not: it may wait for one that this clock does not know of."""
        waiting = self._waiting
        all_wait = self._beside.issubset(waiting) and not self._beside.issuperset(waiting)
        going_on = any(due_us <= self._us or _hears(heard) for due_us, heard in waiting.values())
        if (all_wait or at_last) and not going_on:
            self._us = min(due_us for due_us, _ in waiting.values())
            self._wake_all()

    def _wake_all(self) -> None:
        self._changed.notify_all()
        for loop in self._loops.values():
            while loop.sleepers and loop.sleepers[0].due_us <= self._us:
                loop.wake()

    # -- an event loop --------------------------------------------------------------------------

    async def _wait(self, due_us: int, since: float | None, heard: Callable[[], bool]) -> None:
        if due_us <= self._us:
            return
        running = asyncio.get_running_loop()
        future = running.create_future()
        seconds = (due_us - self._us) / 1e6
        with self._changed:
            for closed in [loop for loop in self._loops if loop.is_closed()]:
                del self._loops[closed]
            loop = self._loops.setdefault(running, _Loop())
            loop.pushed += 1
            sleeper = _Sleeper(due_us, loop.pushed, future, since, seconds, heard)
            heapq.heappush(loop.sleepers, sleeper)
        if loop.pump is None or loop.pump.done():
            loop.pump = asyncio.create_task(self._jump_when_quiet(loop))
        await future

    async def _jump_when_quiet(self, loop: _Loop) -> None:
        while loop.next():
            pushed = loop.pushed
            for _ in range(_QUIET_TURNS):
                await asyncio.sleep(0)
            sleeper = loop.next()
            if sleeper is not None and (
                sleeper.sleeps_on(drive.busy_threads(), beside=bool(self._beside)) or loop.heard()
            ):
                await asyncio.sleep(0.001)
            elif sleeper is not None and pushed == loop.pushed:
                await self._jump_or_wait(loop, sleeper)

    async def _jump_or_wait(self, loop: _Loop, sleeper: _Sleeper) -> None:
        """Jumps to who is due next in a loop that is quiet, or waits a little for other threads."""
        thread = threading.current_thread()
        with self._changed:
            if not self._beside:
                self._us = max(self._us, sleeper.due_us)
                loop.wake()
                return
            self._waiting[thread] = sleeper.due_us, loop.heard
            self._jump_if_all_wait()
        try:
            await asyncio.sleep(_LISTEN)
        finally:
            with self._changed:
                self._waiting.pop(thread, None)

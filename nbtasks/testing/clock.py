"""Clock that a test controls."""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from nbtasks.core import clock as clocks
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.engine.drivers import drive

__all__ = ["FakeClock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)
#: Turns of the loop without a new sleeper, after which everything counts as waiting.
_QUIET_TURNS = 20
#: Real seconds that a function with a timeout may take before time jumps to the timeout's end: for
#: a function that awaits, and for one that is busy in a thread. Shorter if the timeout itself is.
_GRACE, _PATIENCE = 0.05, 2.0
_LISTEN = 0.002  # real seconds between two polls


@dataclass(order=True, slots=True)
class _Sleeper:
    """Coroutine that waits for an instant.

    Attributes:
        due_us: Instant that it waits for, in epoch microseconds.
        order: Number that orders sleepers due at the same instant.
        future: Future that wakes it.
        since: Real time at which an alarm started to wait; None for a plain wait.
        seconds: Length of the wait at its start.
        heard: Callable that returns True if a listener has something to receive.
        patient: Whether it is likely to be canceled before, by code that takes real time.
    """

    due_us: int
    order: int
    future: asyncio.Future[None] = field(compare=False)
    since: float | None = field(compare=False)
    seconds: float = field(compare=False)
    heard: Callable[[], bool] = field(compare=False)
    patient: bool = field(compare=False)

    def sleeps_on(self, busy_threads: int, *, beside: bool) -> bool:
        """Return True if time must not jump to this instant yet.

        If other threads run `beside` the thread of the test, a sleeper that listens need not give
        them a moment in real time: the clock knows when they wait.
        """
        if self.since is not None and self.patient:
            return time.monotonic() - self.since < _PATIENCE
        if self.since is None or (beside and self.heard is not _never):
            return busy_threads > 0
        patience = min(self.seconds, _PATIENCE if busy_threads else _GRACE)
        return time.monotonic() - self.since < patience


@dataclass(slots=True)
class _Loop:
    """Sleepers of one event loop, and the task that detects when the whole loop waits."""

    sleepers: list[_Sleeper] = field(default_factory=list)
    pushed: int = 0
    pump: asyncio.Task[None] | None = None

    def next(self) -> _Sleeper | None:
        """Return the next sleeper that is due, skipping canceled ones; None if there is none."""
        while self.sleepers and self.sleepers[0].future.done():
            heapq.heappop(self.sleepers)
        return self.sleepers[0] if self.sleepers else None

    def heard(self) -> bool:
        """Return True if a listener in this loop has something to receive."""
        return any(_hears(sleeper.heard) for sleeper in self.sleepers if not sleeper.future.done())

    def wake(self) -> None:
        """Wake the sleeper that is due next."""
        future = heapq.heappop(self.sleepers).future
        if not future.done():
            future.get_loop().call_soon_threadsafe(
                lambda: None if future.done() else future.set_result(None)
            )


def _never() -> bool:
    return False


def _hears(heard: Callable[[], bool]) -> bool:
    """Return True if a listener has something to receive, including the crash of its journal."""
    try:
        return heard()
    except BaseException:  # noqa: BLE001 - the listener meets the error itself
        return True


class FakeClock:
    """Clock that stands still, and jumps to the next due instant when everything waits.

    Waits, back-offs and timeouts of the engine use it; `asyncio.sleep` and `time.sleep` in your own
    functions do not. A slow function gets a moment of real time before its timeout counts as over;
    to simulate a long call, `advance` the clock in the function.

    Args:
        start: Time that the clock starts at.

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
        self._previous: clocks.Clock | None = None
        # Threads that use this clock beside the test's own, and the waiting threads: with the
        # instant each waits for, and a callable that is True if it has something to receive.
        self._beside: set[threading.Thread] = set()
        self._waiting: dict[threading.Thread, tuple[int, Callable[[], bool]]] = {}
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._previous = clocks.use(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if self._previous is not None:
            clocks.use(self._previous)

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return clocks.at(self._us)

    def advance(self, seconds: Duration) -> None:
        """Move time forward, and wake everything that is then due.

        Args:
            seconds: The length of the step: seconds, a timedelta, or text such as "5m".

        Raises:
            InvalidOptionError: `seconds` is not a duration.
        """
        step = to_seconds("advance(seconds)", seconds, least=0)
        with self._changed:
            self._us += round(step * 1e6)
            self._wake_all()

    def micros(self) -> int:
        """Return the current time in epoch microseconds."""
        return self._us

    def register_thread(self, thread: threading.Thread) -> None:
        """Let time jump from now on only when this thread waits, too."""
        with self._changed:
            self._beside.add(thread)

    def unregister_thread(self, thread: threading.Thread) -> None:
        """Stop waiting for this thread before time jumps."""
        with self._changed:
            self._beside.discard(thread)
            self._changed.notify_all()

    def sleep_until(self, due_us: int, wake: threading.Event | None = None) -> None:
        """Jump to `due_us`: a blocking caller waits for nothing else.

        Return at once if `wake` is set. If other threads use this clock, wait with them instead.
        """
        if wake is not None and wake.is_set():
            return
        if self._beside:
            self._hold(due_us, wake.is_set if wake is not None else _never)
        else:
            self._us = max(self._us, due_us)

    async def wait_until(self, due_us: int) -> None:
        """Wait until time has reached `due_us`, by `advance` or by a jump."""
        await self._wait(due_us, None, _never)

    async def alarm(
        self, due_us: int, heard: Callable[[], bool] = _never, *, patient: bool = False
    ) -> None:
        """Wait for the end of a timeout.

        Time does not jump to it at once: functions run in real time, and may be about to return, or
        to cancel a `patient` caller.
        """
        await self._wait(due_us, time.monotonic(), heard, patient=patient)

    def wait_for_thread(self, done: threading.Event, due_us: int) -> None:
        """Wait briefly in real time for a thread, then jump to `due_us`."""
        if self._beside and threading.current_thread() in self._beside:
            self._hold(due_us, done.is_set)
            return
        seconds = (due_us - self._us) / 1e6
        # Already past: the thread has moved time itself, so it is about to end.
        if not done.wait(min(_PATIENCE, seconds) if seconds > 0 else _PATIENCE):
            self._us = max(self._us, due_us)

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Listen briefly in real time, then jump to `due_us`.

        While other threads use this clock, time jumps only when they wait, too.
        """
        since, pause = time.monotonic(), threading.Event()
        while not heard() and due_us > self._us:
            if self._beside:
                self._hold(due_us, heard)
                continue
            patience = _PATIENCE if drive.busy_threads() else _GRACE
            if time.monotonic() - since >= min(patience, (due_us - self._us) / 1e6):
                self._us = max(self._us, due_us)
            pause.wait(_LISTEN)

    # -- several threads ------------------------------------------------------------------------

    def _hold(self, due_us: int, heard: Callable[[], bool]) -> None:
        """Block until `due_us`, which is reached once all threads wait, or until `heard()`."""
        thread, since, last_us = threading.current_thread(), time.monotonic(), self._us
        with self._changed:
            self._waiting[thread] = due_us, heard
            try:
                while self._us < due_us and not heard():
                    if last_us != self._us:
                        since, last_us = time.monotonic(), self._us
                    self._jump_if_all_wait(at_last=time.monotonic() - since > _PATIENCE)
                    if self._us < due_us:
                        self._changed.wait(_LISTEN)
            finally:
                del self._waiting[thread]

    def _jump_if_all_wait(self, *, at_last: bool = False) -> None:
        """Move time to the first instant that a thread waits for, if all threads wait.

        With `at_last`, move it even if a thread does not wait on this clock: it may wait for a
        thread that the clock does not know of.
        """
        waiting = self._waiting
        all_wait = self._beside.issubset(waiting) and not self._beside.issuperset(waiting)
        is_one_ready = any(due <= self._us or _hears(heard) for due, heard in waiting.values())
        if (all_wait or at_last) and not is_one_ready:
            self._us = min(due_us for due_us, _ in waiting.values())
            self._wake_all()

    def _wake_all(self) -> None:
        self._changed.notify_all()
        for loop in self._loops.values():
            while loop.sleepers and loop.sleepers[0].due_us <= self._us:
                loop.wake()

    # -- an event loop --------------------------------------------------------------------------

    async def _wait(
        self,
        due_us: int,
        since: float | None,
        heard: Callable[[], bool],
        *,
        patient: bool = False,
    ) -> None:
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
            sleeper = _Sleeper(due_us, loop.pushed, future, since, seconds, heard, patient)
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
        """Jump to the next sleeper of a quiet loop, or wait a little for other threads."""
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

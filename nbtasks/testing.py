"""For the tests of your own jobs: time that jumps, journals that crash, runs that replay.

```python
import nbtasks as nb
from nbtasks.testing import FakeClock


@nb.job("testing-example")
def patient(io: nb.SyncIO) -> str:
    io.wait("three hours", 3 * 60 * 60)
    return "done"


with FakeClock() as clock:
    began = clock.now()
    assert patient.run().output == "done"  # at once
    assert (clock.now() - began).total_seconds() == 3 * 60 * 60
```
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from nbtasks import clock as clocks
from nbtasks import driver
from nbtasks.errors import Interrupt
from nbtasks.journal.home import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.port import Change, Claim, Journal, Opened, TaskTuple
from nbtasks.kit import kit
from nbtasks.model import Row, RunRow, values

__all__ = ["Crash", "CrashingJournal", "FakeClock", "use_journal"]

_START = datetime(2026, 1, 1, tzinfo=UTC)
#: Turns of the loop in which nothing new began to wait, before everything is taken to wait.
_QUIET_TURNS = 20
#: How long, in real seconds, what has a timeout may take before time jumps to its end: a function
#: that awaits, and one that is busy in a thread. Less where the timeout itself is shorter.
_GRACE, _PATIENCE = 0.05, 2.0


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


class Crash(Interrupt):
    """What `CrashingJournal` raises: the process is gone, as far as the run can tell."""


class CrashingJournal:
    """A journal whose process dies at the n-th write.

    Rows that were put but not yet flushed die with it, as they do with a real process.

    Args:
        inner: The journal that survives.
        at: The number of the write, from 1, that is the last; 0 is never.
        when: Whether that write itself is lost or kept.
        kill: Kill this very process with SIGKILL instead of raising `Crash`.

    Attributes:
        writes: How many writes there were so far.
        crashed: Whether it died.

    ```python
    import nbtasks as nb
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import Crash, CrashingJournal, use_journal


    @nb.job("crashing-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("one", int, "1") + io.run_task("two", int, "2")


    kept = MemoryJournal()
    for n in range(1, 20):
        with use_journal(CrashingJournal(kept, at=n)):
            try:
                assert body.run().output == 3
                break
            except Crash:
                pass
    ```
    """

    def __init__(
        self,
        inner: Journal,
        *,
        at: int = 0,
        when: Literal["before", "after"] = "before",
        kill: bool = False,
    ) -> None:
        self._inner = inner
        self._at = at
        self._when = when
        self._kill = kill
        self._buffer: list[tuple[Row, tuple[Any, ...]]] = []
        self._lock = threading.RLock()  # a map that blocks calls from several threads
        self.writes = 0
        self.crashed = False

    def _die(self) -> None:
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        self.crashed = True
        _abandon(self._inner)
        self._check()

    def _check(self) -> None:
        if self.crashed:
            raise Crash(f"The journal crashed at write {self._at}, as the test asked for.")

    def _hand_over(self) -> None:
        with self._lock:
            buffer, self._buffer = self._buffer, []
            for row, snapshot in buffer:
                self._inner.put(type(row)(*snapshot))

    def claim(self, claim: Claim) -> Opened:
        """As the port says."""
        self._check()
        return self._inner.claim(claim)

    def look(self, claim: Claim) -> Opened | None:
        """As the port says."""
        self._check()
        return self._inner.look(claim)

    def amend(self, run_id: str, change: Change) -> None:
        """As the port says; all it writes is one more write."""
        self._check()
        self.writes += 1
        dies = self.writes == self._at
        if not dies or self._when == "after":
            self._inner.amend(run_id, change)
        if dies:
            self._die()

    def release(self, run: RunRow) -> None:
        """As the port says; the record of the end is one more write."""
        self._check()
        self.put(run)
        self._hand_over()
        self._inner.release(run)

    def ask_to_cancel(self, run_id: str) -> None:
        """As the port says."""
        self._check()
        self._inner.ask_to_cancel(run_id)

    def asked_to_cancel(self) -> Collection[str]:
        """As the port says."""
        return self._inner.asked_to_cancel()

    def put(self, row: Row) -> None:
        """As the port says."""
        with self._lock:
            self._check()
            self.writes += 1
            dies = self.writes == self._at
            if not dies or self._when == "after":
                self._buffer.append((row, values(row)))
            if dies:
                if self._when == "after":
                    self._hand_over()
                    self._inner.sync()
                self._die()

    def flush(self) -> None:
        """As the port says."""
        self._check()
        self._hand_over()
        self._inner.flush()

    def sync(self) -> None:
        """As the port says."""
        self._check()
        self._hand_over()
        self._inner.sync()

    def put_blob(self, data: bytes) -> str:
        """As the port says."""
        self._check()
        return self._inner.put_blob(data)

    def get_blob(self, name: str) -> bytes:
        """As the port says."""
        return self._inner.get_blob(name)

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """As the port says."""
        return self._inner.runs(run_id=run_id, job=job)

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """As the port says."""
        return self._inner.tasks(run_id)

    def query(self, sql: str, params: Any = None) -> Any:
        """As the port says."""
        return self._inner.query(sql, params)

    def close(self) -> None:
        """As the port says."""
        self._inner.close()


@contextlib.contextmanager
def use_journal(journal: Journal) -> Iterator[Journal]:
    """Records everything in `journal` instead of the home, inside the block.

    ```python
    import nbtasks as nb
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import use_journal

    with use_journal(MemoryJournal()):
        assert nb.runs().empty
    ```
    """
    was, kit.given = kit.given, journal
    try:
        yield journal
    finally:
        kit.given = was


def _abandon(journal: Journal) -> None:
    """Leaves a journal as the death of its process would."""
    if isinstance(journal, MemoryJournal):
        journal._claimed.clear()  # noqa: SLF001 - no user of a journal may do this
    elif isinstance(journal, HomeJournal) and journal._segment is not None:  # noqa: SLF001 - as above
        journal._segment.close()  # noqa: SLF001 - as above
        journal._segment = None  # noqa: SLF001 - as above
        journal._claimed.clear()  # noqa: SLF001 - as above

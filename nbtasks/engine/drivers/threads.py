"""Driver of many calls at once, from one thread that blocks.

The functions run in threads. The engine's part of every call runs in the calling thread, so calls
that finish together share one sync, and Stop, which only the main thread sees, ends all of them:
the calls in flight are recorded as CANCELED, and late results of their threads are dropped.
"""

from __future__ import annotations

import contextlib
import contextvars
import heapq
import itertools
import math
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from nbtasks.core import clock
from nbtasks.engine.drivers import drive
from nbtasks.engine.effects import Commit, Effect, Effects, Guard, Invoke, Park, Running

__all__ = ["drive_many"]

#: A call, and the callback that takes its result or its error.
Task = tuple[Effects, Callable[[Any, Exception | None], None]]


def drive_many(tasks: Iterator[Task], width: int, execution: Running) -> None:
    """Carry out calls, at most `width` at a time, and block until all have ended.

    Args:
        tasks: The calls. The next one is taken when there is room for it.
        width: The number of calls that may run at once.
        execution: The execution of the calls.

    Raises:
        BaseException: An error that is not an `Exception` ends all calls and is raised at once.
    """
    lanes = _Lanes(tasks, width, execution)
    try:
        lanes.run()
    finally:
        lanes.close()


class _Lanes:
    def __init__(self, tasks: Iterator[Task], width: int, execution: Running) -> None:
        self._tasks = tasks
        self._width = width
        self._journal = execution.journal
        self._ending = execution.ending
        self._parking = execution.parking
        self._running: set[_Lane] = set()
        self._committing: list[_Lane] = []
        self._sleeping: list[tuple[float, int, _Lane]] = []
        self._parked: dict[_Lane, str] = {}  # sleeping calls that may suspend the run
        self._order = itertools.count()
        self._threads = _Threads()

    def run(self) -> None:
        """Carry out calls until all have ended."""
        while True:
            while len(self._running) < self._width:
                task = next(self._tasks, None)
                if task is None:
                    break
                self._start(_Lane(*task))
            if not self._running:
                return
            for lane, answer, error in self._wait():
                self._go_on(lane, answer, error)

    def close(self) -> None:
        """End all calls in flight, for example after Stop."""
        self._threads.close()
        for lane in self._running:
            with contextlib.suppress(BaseException):  # a second Stop must not skip a call
                lane.effects.close()

    def _start(self, lane: _Lane) -> None:
        self._running.add(lane)
        self._go_on(lane, None, None)

    def _go_on(self, lane: _Lane, answer: Any, error: BaseException | None) -> None:
        """Resume a call, up to its next effect or its end."""
        try:
            effect = lane.effects.send(answer) if error is None else lane.effects.throw(error)
        except StopIteration as stop:
            self._running.discard(lane)
            lane.tell(stop.value, None)
        except Exception as exc:  # noqa: BLE001 - whatever the call raises
            self._running.discard(lane)
            lane.tell(None, exc)
        else:
            self._carry_out(lane, effect)

    def _carry_out(self, lane: _Lane, effect: Effect) -> None:
        if isinstance(effect, Commit):
            self._committing.append(lane)
        elif isinstance(effect, Invoke | Guard):
            try:
                if not (isinstance(effect, Guard) and effect.begun):
                    drive.begin(effect.scope)
            except Exception as exc:  # noqa: BLE001 - the call decides, as after a commit
                self._go_on(lane, None, exc)
            else:
                self._threads.call(lane, effect)
        else:
            due_us = math.inf if effect.due_us is None else effect.due_us
            heapq.heappush(self._sleeping, (due_us, next(self._order), lane))
            if isinstance(effect, Park):
                self._parked[lane] = effect.path
                self._parking.add(effect.path, effect.due_us)

    def _wait(self) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """Yield calls that can resume, with their answers; block until there may be one."""
        count = len(self._running)
        yield from self._threads.done()
        if self._committing:
            yield from self._commit()
        if len(self._running) < count:
            return  # there is room for more calls
        self._ending.check()
        if self._parked:
            self._parking.suspend_if_all_wait()
        yield from self._pass_time()

    def _pass_time(self) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """Yield calls whose function has ended or whose sleep is over; block for one slice."""
        now = clock.micros()
        slice_us = round(clock.SLICE * 1e6)
        due_us = round(min(self._sleeping[0][0], now + slice_us)) if self._sleeping else None
        if self._threads.busy:
            # In slices, so that Stop and due sleepers are noticed in between.
            seconds = clock.SLICE if due_us is None else max(0, due_us - now) / 1e6
            yield from self._threads.done(seconds)
        elif due_us is not None:
            self._ending.sleep_until(due_us)
        while self._sleeping and self._sleeping[0][0] <= clock.micros():
            lane = heapq.heappop(self._sleeping)[2]
            if lane in self._parked:
                self._parking.remove(self._parked.pop(lane))
            yield lane, None, None

    def _commit(self) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """Sync once for all calls that have asked for a commit by now, and yield them."""
        lanes, self._committing = self._committing, []
        error = None
        try:
            self._journal.sync()
        except Exception as exc:  # noqa: BLE001 - each call decides what to do with it
            error = exc
        for lane in lanes:
            yield lane, None, error


class _Lane:
    """Call in flight."""

    __slots__ = ("effects", "tell")

    def __init__(self, effects: Effects, tell: Callable[[Any, Exception | None], None]) -> None:
        self.effects = effects
        self.tell = tell


class _Threads:
    """Pool of daemon threads that call functions; it grows to the most calls ever in flight at
    once."""

    def __init__(self) -> None:
        self.busy = 0
        self._count = 0
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call(self, lane: _Lane, effect: Invoke | Guard) -> None:
        """Call a function in a thread, with the context variables of the calling thread."""
        context = contextvars.copy_context()

        def work() -> None:
            try:
                self._done.put((lane, context.run(drive.carry_out, effect), None))
            except BaseException as error:  # noqa: BLE001 - the engine decides what to do with it
                self._done.put((lane, None, error))

        self.busy += 1
        if self.busy > self._count:
            self._count += 1
            name = f"nbtasks-map-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(work)

    def done(self, seconds: float = 0) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """Yield the results that are there; wait up to `seconds` for the first."""
        block = seconds > 0
        while True:
            try:
                result = self._done.get(block, seconds)
            except queue.Empty:
                return
            self.busy -= 1
            yield result
            block = False

    def close(self) -> None:
        """Let the threads end. A busy thread ends later, and its result is dropped."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (work := self._jobs.get()) is not None:
            work()

"""Carrying out many calls at once, from one thread that blocks.

The functions run in threads. The engine's part of every call runs in the thread that asked, so
calls that finish together share one sync, and Stop, which only the main thread sees, ends all of
them: those in flight are recorded as canceled, and what their threads still give is dropped.
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

from nbtasks import clock, driver
from nbtasks.calls import Commit, Effect, Effects, Guard, Invoke, Park, Running

__all__ = ["drive_many"]

#: A call, and who is told its result or its error.
Task = tuple[Effects, Callable[[Any, Exception | None], None]]


def drive_many(tasks: Iterator[Task], width: int, execution: Running) -> None:
    """Carries out calls, at most `width` at a time, and blocks until all have ended.

    Args:
        tasks: The calls. The next one is asked for when there is room for it.
        width: How many run at once.
        execution: What they belong to.

    Raises:
        BaseException: What is no `Exception` ends all of them, and leaves at once.
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
        self._under_way: set[_Lane] = set()
        self._committing: list[_Lane] = []
        self._sleeping: list[tuple[float, int, _Lane]] = []
        self._parked: dict[_Lane, str] = {}  # those of them that may suspend the run
        self._order = itertools.count()
        self._threads = _Threads()

    def run(self) -> None:
        """Until all have ended."""
        while True:
            while len(self._under_way) < self._width:
                task = next(self._tasks, None)
                if task is None:
                    break
                self._start(_Lane(*task))
            if not self._under_way:
                return
            for lane, answer, error in self._wait():
                self._go_on(lane, answer, error)

    def close(self) -> None:
        """Ends what is under way: after Stop, say."""
        self._threads.close()
        for lane in self._under_way:
            with contextlib.suppress(BaseException):  # Stop pressed again must not leave one out
                lane.effects.close()

    def _start(self, lane: _Lane) -> None:
        self._under_way.add(lane)
        self._go_on(lane, None, None)

    def _go_on(self, lane: _Lane, answer: Any, error: BaseException | None) -> None:
        """Lets a call go on, to its next effect or to its end."""
        try:
            effect = lane.effects.send(answer) if error is None else lane.effects.throw(error)
        except StopIteration as stop:
            self._under_way.discard(lane)
            lane.tell(stop.value, None)
        except Exception as raised:  # noqa: BLE001 - whatever the call raises
            self._under_way.discard(lane)
            lane.tell(None, raised)
        else:
            self._carry_out(lane, effect)

    def _carry_out(self, lane: _Lane, effect: Effect) -> None:
        if isinstance(effect, Commit):
            self._committing.append(lane)
        elif isinstance(effect, Invoke | Guard):
            try:
                if not (isinstance(effect, Guard) and effect.begun):
                    driver.begin(effect.scope)
            except Exception as refused:  # noqa: BLE001 - as of a commit
                self._go_on(lane, None, refused)
            else:
                self._threads.call(lane, effect)
        else:
            due_us = math.inf if effect.due_us is None else effect.due_us
            heapq.heappush(self._sleeping, (due_us, next(self._order), lane))
            if isinstance(effect, Park):
                self._parked[lane] = effect.path
                self._parking.add(effect.path, effect.due_us)

    def _wait(self) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """The calls that can go on now; blocks until there may be one."""
        before = len(self._under_way)
        yield from self._threads.done()
        if self._committing:
            yield from self._commit()
        if len(self._under_way) < before:
            return  # there is room for the next ones
        self._ending.check()
        if self._parked:
            self._parking.suspend_if_all_wait()
        yield from self._pass_time()

    def _pass_time(self) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """Blocks until something has been done, or somebody is due, but not for long."""
        now = clock.micros()
        slice_us = round(clock.SLICE * 1e6)
        due_us = round(min(self._sleeping[0][0], now + slice_us)) if self._sleeping else None
        if self._threads.busy:
            # In slices, so that Stop and a due sleeper are looked for in between.
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
        """One sync for all that have finished by now."""
        lanes, self._committing = self._committing, []
        error = None
        try:
            self._journal.sync()
        except Exception as refused:  # noqa: BLE001 - each call decides what to do with it
            error = refused
        for lane in lanes:
            yield lane, None, error


class _Lane:
    """One call under way."""

    __slots__ = ("effects", "tell")

    def __init__(self, effects: Effects, tell: Callable[[Any, Exception | None], None]) -> None:
        self.effects = effects
        self.tell = tell


class _Threads:
    """Threads that call functions. As many as were ever busy at once; a process that ends does
    not wait for them."""

    def __init__(self) -> None:
        self.busy = 0
        self._count = 0
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call(self, lane: _Lane, effect: Invoke | Guard) -> None:
        """Calls a function in one of them, with the context variables of this one."""
        context = contextvars.copy_context()

        def work() -> None:
            try:
                self._done.put((lane, context.run(driver.carry_out, effect), None))
            except BaseException as error:  # noqa: BLE001 - the engine decides what to do with it
                self._done.put((lane, None, error))

        self.busy += 1
        if self.busy > self._count:
            self._count += 1
            name = f"nbtasks-map-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._asked.put(work)

    def done(self, seconds: float = 0) -> Iterator[tuple[_Lane, Any, BaseException | None]]:
        """What has been done; waits so long for the first."""
        block = seconds > 0
        while True:
            try:
                found = self._done.get(block, seconds)
            except queue.Empty:
                return
            self.busy -= 1
            yield found
            block = False

    def close(self) -> None:
        """Lets them end. Who is busy ends later, and is not heard any more."""
        for _ in range(self._count):
            self._asked.put(None)

    def _work(self) -> None:
        while (work := self._asked.get()) is not None:
            work()

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
from concurrent.futures import Future
from typing import Any

from nbtasks.core import clock
from nbtasks.engine.drivers import drive, engines
from nbtasks.engine.effects import (
    CallFunction,
    CallGuarded,
    Commit,
    Effect,
    Effects,
    Running,
    Suspend,
)
from nbtasks.values.failures import stops

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
    calls = _Calls(tasks, width, execution)
    try:
        calls.run()
    finally:
        calls.close()


class _Calls:
    def __init__(self, tasks: Iterator[Task], width: int, execution: Running) -> None:
        self._tasks = tasks
        self._width = width
        self._journal = execution.journal
        self._cancellation = execution.cancellation
        self._suspension = execution.suspension
        self._running: set[_RunningCall] = set()
        self._committing: list[_RunningCall] = []
        self._sleeping: list[tuple[float, int, _RunningCall]] = []
        self._parked: dict[_RunningCall, str] = {}  # sleeping calls that may suspend the run
        self._order = itertools.count()
        self._threads = _Threads()

    def run(self) -> None:
        """Carry out calls until all have ended."""
        while True:
            while len(self._running) < self._width:
                task = next(self._tasks, None)
                if task is None:
                    break
                self._start(_RunningCall(*task))
            if not self._running:
                return
            for running, answer, error in self._wait_for_ready():
                self._resume(running, answer, error)

    def close(self) -> None:
        """End all calls in flight, for example after Stop."""
        self._threads.close()
        for running in self._running:
            with contextlib.suppress(BaseException):  # a second Stop must not skip a call
                running.effects.close()

    def _start(self, running: _RunningCall) -> None:
        self._running.add(running)
        self._resume(running, None, None)

    def _resume(self, running: _RunningCall, answer: Any, error: BaseException | None) -> None:
        """Resume a call, up to its next effect or its end."""
        try:
            if error is None:
                effect = running.effects.send(answer)
            else:
                effect = running.effects.throw(stops.carry(error))
        except StopIteration as stop:
            self._running.discard(running)
            running.tell(stop.value, None)
        except Exception as exc:  # noqa: BLE001 - whatever the call raises
            self._running.discard(running)
            running.tell(None, stops.carried(exc))
        else:
            self._run_effect(running, effect)

    def _run_effect(self, running: _RunningCall, effect: Effect) -> None:
        if isinstance(effect, Commit):
            self._committing.append(running)
        elif isinstance(effect, CallFunction | CallGuarded):
            try:
                if not (isinstance(effect, CallGuarded) and effect.begun):
                    drive.mark_started(effect.context)
            except Exception as exc:  # noqa: BLE001 - the call decides, as after a commit
                self._resume(running, None, exc)
            else:
                self._threads.call(running, effect)
        else:
            due_us = math.inf if effect.due_us is None else effect.due_us
            heapq.heappush(self._sleeping, (due_us, next(self._order), running))
            if isinstance(effect, Suspend):
                self._parked[running] = effect.path
                self._suspension.add(effect.path, effect.due_us)

    def _wait_for_ready(self) -> Iterator[tuple[_RunningCall, Any, BaseException | None]]:
        """Yield calls that can resume, with their answers; block until there may be one."""
        count = len(self._running)
        yield from self._threads.done()
        if self._committing:
            yield from self._commit()
        if len(self._running) < count:
            return  # there is room for more calls
        self._cancellation.check()
        if self._parked:
            self._suspension.suspend_if_all_wait()
        yield from self._pass_time()

    def _pass_time(self) -> Iterator[tuple[_RunningCall, Any, BaseException | None]]:
        """Yield calls whose function has ended or whose sleep is over; block for one slice."""
        now = clock.micros()
        slice_us = round(clock.SLICE * 1e6)
        due_us = round(min(self._sleeping[0][0], now + slice_us)) if self._sleeping else None
        if self._threads.busy:
            # In slices, so that Stop and due sleepers are noticed in between.
            seconds = clock.SLICE if due_us is None else max(0, due_us - now) / 1e6
            yield from self._threads.done(seconds)
        elif due_us is not None:
            self._cancellation.sleep_until(due_us)
        while self._sleeping and self._sleeping[0][0] <= clock.micros():
            running = heapq.heappop(self._sleeping)[2]
            if running in self._parked:
                self._suspension.remove(self._parked.pop(running))
            yield running, None, None

    def _commit(self) -> Iterator[tuple[_RunningCall, Any, BaseException | None]]:
        """Sync once for all calls that have asked for a commit by now, and yield them."""
        calls, self._committing = self._committing, []
        error = None
        try:
            self._journal.sync()
        except Exception as exc:  # noqa: BLE001 - each call decides what to do with it
            error = exc
        for running in calls:
            yield running, None, error


class _RunningCall:
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
        self._count = self._sent = 0
        self._lane: Any = None  # on which all calls go
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call(self, running: _RunningCall, effect: CallFunction | CallGuarded) -> None:
        """Call a function in a thread, with the context variables of the calling thread.

        What another process does needs no thread here. It goes there in the order of the calls.
        """
        if effect.on is not None and not engines.shares_memory(effect.on):
            self._send(running, effect)
            return
        context = contextvars.copy_context()

        def work() -> None:
            try:
                self._done.put((running, context.run(drive.run_effect, effect), None))
            except BaseException as error:  # noqa: BLE001 - the engine decides what to do with it
                self._done.put((running, None, error))

        self.busy += 1
        if self.busy - self._sent > self._count:
            self._count += 1
            name = f"nbtasks-map-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(work)

    def _send(self, running: _RunningCall, effect: CallFunction | CallGuarded) -> None:
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        call = CallFunction(effect.fn, effect.args, effect.context, effect.on)
        self.busy += 1
        try:
            future = executors.send(call, effect.timeout if type(effect) is CallGuarded else None)
        except Exception as error:  # noqa: BLE001 - the engine decides what to do with it
            self._done.put((running, None, error))
            return
        self._sent += 1
        self._lane = effect.on
        future.add_done_callback(lambda _: self._done.put((running, call, future)))

    def done(self, seconds: float = 0) -> Iterator[tuple[_RunningCall, Any, BaseException | None]]:
        """Yield the results that are there; wait up to `seconds` for the first."""
        if seconds > 0 and self._lane is not None:
            from nbtasks.engine.drivers import executors  # as in `_send`

            executors.flush(self._lane)
        block = seconds > 0
        while True:
            try:
                result = self._done.get(block, seconds)
            except queue.Empty:
                return
            self.busy -= 1
            yield self._received(result) if isinstance(result[2], Future) else result
            block = False

    def _received(self, result: Any) -> tuple[_RunningCall, Any, BaseException | None]:
        from nbtasks.engine.drivers import executors  # as in `_send`

        running, call, future = result
        self._sent -= 1
        try:
            return running, executors.receive(call, future), None
        except BaseException as error:  # noqa: BLE001 - the engine decides what to do with it
            return running, None, error

    def close(self) -> None:
        """Let the threads end. A busy thread ends later, and its result is dropped."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (work := self._jobs.get()) is not None:
            work()

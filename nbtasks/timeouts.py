"""A call that may take only so long, by the clock in force.

What awaits is cancelled, as `asyncio.timeout` does. What blocks runs in a thread of its own, and
nothing can end a thread: it is abandoned.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from nbtasks import clock
from nbtasks.calls import Late

__all__ = ["busy", "here", "in_thread", "in_thread_async", "limited"]


async def limited(awaitable: Awaitable[Any], due_us: int) -> Any:
    """Awaits, until `due_us` at the most.

    A cancel from outside stays one, also when the time is over as well.

    Raises:
        Late: It took longer. It was cancelled, and has ended.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of a task, as all here are
    others = task.cancelling()
    rang = False

    async def ring() -> None:
        nonlocal rang
        await clock.current().alarm(due_us)
        rang = True
        task.cancel()

    alarm = asyncio.create_task(ring())
    error: BaseException | None = None
    value = None
    try:
        value = await awaitable
    except BaseException as raised:  # noqa: BLE001 - looked at below, and raised again
        error = raised
    finally:
        alarm.cancel()
    cancelled = isinstance(error, asyncio.CancelledError)
    if rang and task.uncancel() <= others and cancelled:
        raise Late
    if isinstance(error, Exception) or error is None:
        return _in_time(value, error, late=rang or clock.micros() > due_us)
    raise error


def _in_time(value: Any, error: Exception | None, *, late: bool) -> Any:
    if late:
        raise Late from error
    if error is not None:
        raise error
    return value


def here(call: Callable[[], Any], due_us: int) -> Any:
    """Calls in this thread, where nothing can end it early: that it is late shows afterwards.

    Raises:
        Late: It took longer.
    """
    error: Exception | None = None
    value = None
    try:
        value = call()
    except Exception as raised:  # noqa: BLE001 - looked at below, and raised again
        error = raised
    return _in_time(value, error, late=clock.micros() > due_us)


class _Aside:
    """A call in a thread of its own, with the context of the caller.

    The thread is a daemon: one that hangs does not keep the process from ending.
    """

    def __init__(self, call: Callable[[], Any], ended: Callable[[], None]) -> None:
        self._call = call
        self._ended = ended
        self._value: Any = None
        self._error: BaseException | None = None
        self.ended_us: int | None = None
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run,), name="nbtasks-task", daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as raised:  # noqa: BLE001 - for who waits for it
            self._error = raised
        self.ended_us = clock.micros()
        self._ended()

    def result(self, due_us: int) -> Any:
        """What the call gave, unless that came too late."""
        error, self._error = self._error, None
        if self.ended_us is None or self.ended_us > due_us:
            raise Late from error
        if error is not None:
            raise error
        return self._value


def in_thread(call: Callable[[], Any], due_us: int) -> Any:
    """Calls in a thread of its own and blocks, until `due_us` at the most.

    Raises:
        Late: It took longer. It may go on, and nobody listens.
    """
    done = threading.Event()
    aside = _Aside(call, done.set)
    clock.current().outlast(done, due_us)
    return aside.result(due_us)


_busy: set[_Aside] = set()


def busy() -> int:
    """How many calls that somebody awaits run in threads of their own now."""
    return len(_busy)


async def in_thread_async(call: Callable[[], Any], due_us: int) -> Any:
    """As `in_thread`, without blocking the loop.

    Raises:
        Late: It took longer. It may go on, and nobody listens.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    aside = _Aside(call, tell)
    _busy.add(aside)
    try:
        with contextlib.suppress(Late):  # the loop may have been late, and not the call
            await limited(done, due_us)
    finally:
        _busy.discard(aside)
    return aside.result(due_us)

"""Calls with a timeout, by the current clock.

An awaitable is canceled, as `asyncio.timeout` does it. A blocking call runs in a thread of its
own; nothing can end a thread, so it is abandoned.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from nbtasks.core import clock
from nbtasks.engine.effects import AttemptTimedOut

__all__ = ["busy", "in_this_thread", "in_thread", "in_thread_async", "limited"]


async def limited(awaitable: Awaitable[Any], due_us: int) -> Any:
    """Await until `due_us` at the latest, and return the result.

    A cancellation from outside stays a cancellation, even if the time is up as well.

    Raises:
        AttemptTimedOut: The awaitable took longer. It was canceled, and has ended.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - all our coroutines run in tasks
    outer_cancels = task.cancelling()
    is_due = False

    async def cancel_when_due() -> None:
        nonlocal is_due
        await clock.current().alarm(due_us)
        is_due = True
        task.cancel()

    alarm = asyncio.create_task(cancel_when_due())
    error: BaseException | None = None
    value = None
    try:
        value = await awaitable
    except BaseException as exc:  # noqa: BLE001 - raised again below
        error = exc
    finally:
        alarm.cancel()
    cancelled = isinstance(error, asyncio.CancelledError)
    if is_due and task.uncancel() <= outer_cancels and cancelled:
        raise AttemptTimedOut
    if isinstance(error, Exception) or error is None:
        return _return_in_time(value, error, late=is_due or clock.micros() > due_us)
    raise error


def _return_in_time(value: Any, error: Exception | None, *, late: bool) -> Any:
    if late:
        raise AttemptTimedOut from error
    if error is not None:
        raise error
    return value


def in_this_thread(call: Callable[[], Any], due_us: int) -> Any:
    """Call in this thread, where nothing can end the call early: lateness is noticed at its end.

    Raises:
        AttemptTimedOut: The call took longer.
    """
    error: Exception | None = None
    value = None
    try:
        value = call()
    except Exception as exc:  # noqa: BLE001 - `_return_in_time` raises it
        error = exc
    return _return_in_time(value, error, late=clock.micros() > due_us)


class _ThreadCall:
    """Call in a thread of its own, with the caller's context.

    The thread is a daemon: if it hangs, it does not keep the process from ending.
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
        except BaseException as exc:  # noqa: BLE001 - raised by `result`
            self._error = exc
        self.ended_us = clock.micros()
        self._ended()

    def result(self, due_us: int) -> Any:
        """Return the call's result or raise its error, unless it ended after `due_us`."""
        error, self._error = self._error, None
        if self.ended_us is None or self.ended_us > due_us:
            raise AttemptTimedOut from error
        if error is not None:
            raise error
        return self._value


def in_thread(call: Callable[[], Any], due_us: int) -> Any:
    """Call in a thread of its own, and block until `due_us` at the latest.

    Raises:
        AttemptTimedOut: The call took longer. It may still be running; its result is dropped.
    """
    done = threading.Event()
    thread_call = _ThreadCall(call, done.set)
    clock.current().wait_for_thread(done, due_us)
    return thread_call.result(due_us)


_busy: set[_ThreadCall] = set()


def busy() -> int:
    """Return the number of awaited calls that are running in threads of their own now."""
    return len(_busy)


async def in_thread_async(call: Callable[[], Any], due_us: int) -> Any:
    """Call in a thread of its own, and await the result until `due_us` at the latest.

    Raises:
        AttemptTimedOut: The call took longer. It may still be running; its result is dropped.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def notify() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the result
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    thread_call = _ThreadCall(call, notify)
    _busy.add(thread_call)
    try:
        with contextlib.suppress(AttemptTimedOut):  # the loop may have been late, not the call
            await limited(done, due_us)
    finally:
        _busy.discard(thread_call)
    return thread_call.result(due_us)

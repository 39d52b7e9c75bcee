"""Cancellation of a running execution, wherever its body is.

A body that awaits is cancelled through its asyncio task, as Stop does. A body that blocks the main
thread gets an exception from a signal handler, as with Ctrl-C. A body in any other thread gets the
exception at its next io call, or in the wait it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from nbtasks.core import clock
from nbtasks.errors import Interrupt

__all__ = ["SIGNAL", "CancelScope"]

#: Ignored by default, so a signal that arrives too late does no harm.
SIGNAL = signal.SIGURG
#: Modules whose frames must not be interrupted: there, the body has not begun yet or has ended.
_OUR_MODULES = (
    "nbtasks.jobs.session",
    "nbtasks.jobs.hooks",
    "nbtasks.jobs.job",
    "nbtasks.engine.cancellation",
)

#: Executions whose bodies block the main thread, the outermost first.
_blocking_main: list[CancelScope] = []


class CancelScope:
    """Cancellation state of one execution.

    Attributes:
        cause: The exception that ends the body; None while the execution may continue.
    """

    def __init__(self) -> None:
        self.cause: Interrupt | None = None
        self._stop_event = threading.Event()
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    @contextlib.contextmanager
    def blocking(self) -> Iterator[None]:
        """Deliver a cancellation by signal to a body that blocks this thread, if it is the main
        thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous_handler = signal.signal(SIGNAL, _handle_signal)
        _blocking_main.append(self)
        try:
            yield
        finally:
            _blocking_main.remove(self)
            signal.signal(
                SIGNAL, previous_handler or signal.SIG_DFL
            )  # None: not installed from Python

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Deliver a cancellation to a body that awaits in the caller's asyncio task."""
        task = self._task = asyncio.current_task()
        if self.cause is not None and task is not None:  # cancelled before there was a body
            task.get_loop().call_soon(self._cancel)
        try:
            yield
        finally:
            self._task = None
            if self._cancelled and task is not None:
                task.uncancel()  # the code around the body is not cancelled

    def cancel(self, cause: Interrupt) -> None:
        """Cancel the execution, from any thread. Only the first cause counts."""
        if self.cause is not None:
            return
        self.cause = cause
        self._stop_event.set()
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: the body has ended
                task.get_loop().call_soon_threadsafe(self._cancel)
        elif self in _blocking_main and threading.current_thread() is not threading.main_thread():
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._cancelled = True
            self._task.cancel()

    def check(self) -> None:
        """Raise `cause` if the execution has been cancelled."""
        if self.cause is not None:
            raise self.cause

    def sleep_until(self, due_us: int) -> None:
        """Block until `due_us`.

        Raises:
            Interrupt: The execution has been cancelled.
        """
        clock.current().sleep_until(due_us, self._stop_event)
        self.check()

    def wait_for_thread(self, due_us: int) -> None:
        """Block until `due_us`, like `sleep_until`, while other threads are working.

        Raises:
            Interrupt: The execution has been cancelled.
        """
        clock.current().wait_for_thread(self._stop_event, due_us)
        self.check()

    def listen(self, has_changed: Callable[[], bool], due_us: int) -> None:
        """Block until `has_changed()` is true, or until `due_us`.

        Raises:
            Interrupt: The execution has been cancelled.
        """
        clock.current().listen(lambda: self._stop_event.is_set() or has_changed(), due_us)
        self.check()


def _handle_signal(number: int, frame: FrameType | None) -> None:
    del number
    if frame is None or frame.f_globals.get("__name__") in _OUR_MODULES:
        return
    for cancellation in _blocking_main:
        cancellation.check()

"""How an execution is ended early: its body is reached wherever it is.

What awaits is cancelled, as Stop does. What blocks the main thread gets an exception by a signal,
as Ctrl-C does. Any other thread hears of it at its next io call, or in the wait it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from nbtasks import clock
from nbtasks.errors import Interrupt

__all__ = ["SIGNAL", "Ending"]

#: Ignored unless somebody handles it, so one that comes too late does no harm.
SIGNAL = signal.SIGURG
#: Modules whose frames must not be left half-way; the body has not begun there, or has ended.
_OURS = ("nbtasks.session", "nbtasks.hooks", "nbtasks.job", "nbtasks.ending")

#: The executions whose bodies block the main thread, the outermost first.
_blocking_main: list[Ending] = []


class Ending:
    """Whether an execution is to end, and why.

    Attributes:
        cause: What its body is left by; None as long as it may go on.
    """

    def __init__(self) -> None:
        self.cause: Interrupt | None = None
        self._told = threading.Event()
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    @contextlib.contextmanager
    def blocking(self) -> Iterator[None]:
        """Around a body that blocks this thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(SIGNAL, _leave)
        _blocking_main.append(self)
        try:
            yield
        finally:
            _blocking_main.remove(self)
            signal.signal(SIGNAL, before or signal.SIG_DFL)  # None: of no Python code

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Around a body that awaits in the asyncio task of the caller."""
        task = self._task = asyncio.current_task()
        if self.cause is not None and task is not None:  # it came before there was a body
            task.get_loop().call_soon(self._cancel)
        try:
            yield
        finally:
            self._task = None
            if self._cancelled and task is not None:
                task.uncancel()  # what surrounds the body is not cancelled

    def begin(self, cause: Interrupt) -> None:
        """Ends the execution, from any thread. The first cause counts."""
        if self.cause is not None:
            return
        self.cause = cause
        self._told.set()
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                task.get_loop().call_soon_threadsafe(self._cancel)
        elif self in _blocking_main and threading.current_thread() is not threading.main_thread():
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._cancelled = True
            self._task.cancel()

    def check(self) -> None:
        """Raises what ends the execution, if anything does."""
        if self.cause is not None:
            raise self.cause

    def sleep_until(self, due_us: int) -> None:
        """Blocks until `due_us`.

        Raises:
            Interrupt: The execution is to end.
        """
        clock.current().sleep_until(due_us, self._told)
        self.check()

    def outlast(self, due_us: int) -> None:
        """As `sleep_until`, while other threads are at work.

        Raises:
            Interrupt: The execution is to end.
        """
        clock.current().outlast(self._told, due_us)
        self.check()

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        """Blocks until something is `heard`, or until `due_us`.

        Raises:
            Interrupt: The execution is to end.
        """
        clock.current().listen(lambda: self._told.is_set() or heard(), due_us)
        self.check()


def _leave(number: int, frame: FrameType | None) -> None:
    del number
    if frame is None or frame.f_globals.get("__name__") in _OURS:
        return
    for ending in _blocking_main:
        ending.check()

"""Cancellation of a running execution, wherever its body is.

A body that awaits is canceled through its asyncio task, as Stop does. A body that blocks the main
thread gets an exception from a signal handler, as with Ctrl-C. A body in any other thread gets the
exception at its next io call, or in the wait it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeGuard

from nbtasks.core import clock, event_loop
from nbtasks.errors import Interrupt

__all__ = ["SIGNAL", "CancelScope", "uninterrupted"]

#: Ignored by default, so a signal that arrives too late does no harm.
SIGNAL = signal.SIGURG
#: Number of Stops that interrupt even a section that should not be interrupted.
_TIMES_TO_INSIST = 3
#: Modules whose frames must not be interrupted: there, the body has not begun yet or has ended.
_OUR_MODULES = (
    "nbtasks.jobs.session",
    "nbtasks.jobs.definition.hooks",
    "nbtasks.jobs.definition.job",
    "nbtasks.engine.cancellation",
)

_Handler = Callable[[], object]

#: Executions whose bodies block the main thread, the outermost first.
_blocking_main: list[CancelScope] = []


class CancelScope:
    """Cancellation state of one execution.

    Attributes:
        cause: The exception that ends the body; None while the execution may continue.
        delivered: Whether `cause` has been raised in the body or in a task. From then on, code that
            returns normally has swallowed it.
        swallowed: The Stop in spite of which the body has ended by itself, if any.
        closed: Whether the execution has ended, so that no call of it waits any longer.
        touched: Whether anything has tried to end the body, so that calls have to `check_call`.
    """

    def __init__(self) -> None:
        self.cause: BaseException | None = None
        self.delivered = False
        self.swallowed: BaseException | None = None
        self.closed = False
        self.touched = False
        self._stop_event = threading.Event()
        self._task: asyncio.Task[Any] | None = None
        self._outer_cancels = 0  # those of the caller's task before the body began
        self._received = 0  # its cancels when the last CancelledError passed a call of the body
        self._stopped = False
        self._interrupted = False
        self._cancelled = False
        self._blocking_calls = 0  # of a body that awaits, in the main thread

    @contextlib.contextmanager
    def blocking(self) -> Iterator[None]:
        """Deliver a cancellation by signal to a body that blocks this thread, if it is the main
        thread, and notice its Ctrl-C."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous_handler = signal.signal(SIGNAL, _handle_signal)
        _blocking_main.append(self)
        restore = self._watch_stop(self._pass_interrupt)
        try:
            yield
        finally:
            restore()
            if self._interrupted:
                self.swallowed = KeyboardInterrupt("The body swallowed its interrupt.")
            _blocking_main.remove(self)
            signal.signal(
                SIGNAL, previous_handler or signal.SIG_DFL
            )  # None: not installed from Python

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Deliver a cancellation to a body that awaits in the caller's asyncio task."""
        task = self._task = asyncio.current_task()
        self._outer_cancels = task.cancelling() if task is not None else 0
        if self.cause is not None and task is not None:  # canceled before there was a body
            task.get_loop().call_soon(self._cancel)
        restore = self._watch_stop(self._pass_stop)
        try:
            yield
        finally:
            restore()
            if self._cancelled and task is not None:
                task.uncancel()  # the code around the body is not canceled
            self._task = None

    @contextlib.contextmanager
    def blocking_call(self) -> Iterator[None]:
        """Let a Stop end what is called now, although it blocks the loop of a body that awaits."""
        if self._task is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._blocking_calls += 1
        try:
            yield
        finally:
            self._blocking_calls -= 1

    def end_body(self) -> None:
        """Note that a body that awaits has ended. A Stop from now on is none that it swallowed."""
        if self.is_being_cancelled():
            self.swallowed = asyncio.CancelledError("The body swallowed its cancellation.")

    def cancel(self, cause: Interrupt) -> None:
        """Cancel the execution, from any thread. Only the first cause counts."""
        if self.cause is not None:
            return
        self.cause = cause
        self.touched = True
        self._stop_event.set()
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: the body has ended
                task.get_loop().call_soon_threadsafe(self._cancel)
        elif self in _blocking_main and threading.current_thread() is not threading.main_thread():
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._cancelled = self.delivered = True
            self._task.cancel()

    def _watch_stop(self, pass_on: Callable[[_Handler], None]) -> Callable[[], None]:
        """Notice a Stop from now on, besides whatever handles it; return the way to end that."""
        previous = signal.getsignal(signal.SIGINT)
        if not callable(previous) or threading.current_thread() is not threading.main_thread():
            return lambda: None

        def note(number: int, frame: FrameType | None) -> None:
            pass_on(lambda: previous(number, frame))
            # The loop that is to deliver the Stop is blocked. Not in the engine's own code.
            if self._blocking_calls and frame is not None and not _is_ours(frame):
                raise asyncio.CancelledError("Stop")

        def restore() -> None:
            if signal.getsignal(signal.SIGINT) is note:
                signal.signal(signal.SIGINT, previous)

        signal.signal(signal.SIGINT, note)
        return restore

    def _pass_stop(self, handle: _Handler) -> None:
        """Note a Stop of a body that awaits."""
        self._stopped = self.touched = True
        handle()

    def _pass_interrupt(self, handle: _Handler) -> None:
        """Note the KeyboardInterrupt of a body that blocks; other handlers have other purposes."""
        try:
            handle()
        except KeyboardInterrupt:
            self._interrupted = self.touched = True
            raise

    def close(self) -> None:
        """End the waits of calls that the body has left in threads."""
        self.closed = True
        self._stop_event.set()

    def is_task_of_body(self, task: asyncio.Task[Any]) -> bool:
        """Return True for the asyncio task that the body itself runs in."""
        return task is self._task

    def note(self, error: BaseException) -> None:
        """Note an error that passed a task and may be a Stop (Ctrl-C, `sys.exit()`, a cancellation
        of the body's asyncio task): it is to end the execution even if the body swallows it."""
        if isinstance(error, KeyboardInterrupt | SystemExit) and self.cause is None:
            self.cause, self.delivered, self.touched = error, True, True
        elif isinstance(error, asyncio.CancelledError) and _is_current(self._task):
            self._received, self.touched = self._task.cancelling(), True

    def is_being_cancelled(self) -> bool:
        """Return True if the body is being canceled: by a Stop, by whatever awaits the run, or by
        a timeout in the body that has not ended yet."""
        # The count alone would not do: a failed TaskGroup leaves one too many before Python 3.13.
        if self._task is not None and self._task.cancelling() < self._received:
            self._received = 0
        return self._stopped or self._received > self._outer_cancels

    def has_swallowed(self) -> bool:
        """Return True if code that ends by itself now has swallowed the end of the execution."""
        return self.delivered or (self._interrupted and not _is_interrupt_passing())

    def check(self) -> None:
        """Raise `cause` if the execution has been canceled, or has swallowed its interrupt."""
        if self.cause is None and self._interrupted and not _is_interrupt_passing():
            self.cause = KeyboardInterrupt("The interrupt was swallowed before.")
        if self.cause is not None:
            self.delivered = True
            raise self.cause

    def check_call(self) -> None:
        """Raise at an io call if the execution has been canceled, or if the body has swallowed the
        cancellation of its asyncio task. An `except` or `finally` block may still make calls while
        that cancellation passes through it."""
        self.check()
        if (
            (self._stopped or self._received)
            and self.is_being_cancelled()
            and not isinstance(sys.exception(), asyncio.CancelledError)
            and (self._stopped or _is_current(self._task))
        ):
            raise asyncio.CancelledError("The cancellation was swallowed before.")

    def sleep_until(self, due_us: int) -> None:
        """Block until `due_us`.

        Raises:
            Interrupt: The execution has been canceled.
        """
        clock.current().sleep_until(due_us, self._stop_event)
        self.check()

    def wait_for_thread(self, due_us: int) -> None:
        """Block until `due_us`, like `sleep_until`, while other threads are working.

        Raises:
            Interrupt: The execution has been canceled.
        """
        clock.current().wait_for_thread(self._stop_event, due_us)
        self.check()

    def listen(self, has_changed: Callable[[], bool], due_us: int) -> None:
        """Block until `has_changed()` is true, or until `due_us`.

        Raises:
            Interrupt: The execution has been canceled.
        """
        clock.current().listen(lambda: self._stop_event.is_set() or has_changed(), due_us)
        self.check()


def _is_interrupt_passing() -> bool:
    """Return True in an `except` or `finally` block that Ctrl-C has led to."""
    return isinstance(sys.exception(), KeyboardInterrupt)


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("nbtasks.")


def _is_current(task: asyncio.Task[Any] | None) -> TypeGuard[asyncio.Task[Any]]:
    return task is not None and event_loop.current_task() is task


def _handle_signal(number: int, frame: FrameType | None) -> None:
    del number
    if frame is None or frame.f_globals.get("__name__") in _OUR_MODULES:
        return
    for index, cancellation in enumerate(_blocking_main):
        if cancellation.cause is not None:
            for inner in _blocking_main[index + 1 :]:  # runs within the run: they end with it
                inner.cause = inner.cause or cancellation.cause
                inner.delivered = inner.touched = True
            cancellation.check()


@contextlib.contextmanager
def uninterrupted(*, stopped: bool = False) -> Iterator[None]:
    """Defer Stop, Ctrl-C and the cancel signal of another run while a run is claimed or released.

    An interrupt at that point would leave the run claimed for as long as this process lives. It is
    raised afterwards, unless the run was `stopped` already. The third Stop is raised at once, in
    case the block hangs.
    """
    stop_handler = signal.getsignal(signal.SIGINT)
    if stop_handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    stops, cancels = list[int](), list[int]()

    def hold_back(number: int, _: object) -> None:
        stops.append(number)
        if len(stops) >= _TIMES_TO_INSIST:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold_back)
    cancel_handler = signal.signal(SIGNAL, lambda number, _: cancels.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, stop_handler)
        signal.signal(SIGNAL, cancel_handler or signal.SIG_DFL)  # None: not set by Python
    if cancels:
        signal.raise_signal(SIGNAL)
    if stops and not stopped:
        signal.raise_signal(signal.SIGINT)

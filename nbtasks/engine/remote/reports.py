"""Reports of functions that run in other processes, as they are recorded here.

A function reports what it prints, logs and measures in its reply; on a cluster that passes messages
on, also while it runs. The reply has everything, so it fills in what was lost on the way.
"""

from __future__ import annotations

import contextlib
import json
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock
from nbtasks.core.model import Status

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallFunction

__all__ = ["Report", "Sent", "begin", "enter"]


class Report:
    """Reports of one call, recorded in the row and in the log of its task.

    Reports come in threads of the engine's own.

    Args:
        call: The call.

    Attributes:
        row: The row of the task.
    """

    def __init__(self, call: CallFunction) -> None:
        assert call.context.row is not None  # noqa: S101 - only tasks call functions
        self.row = call.context.row
        self._state = call.context.execution.run_state
        self._lock = threading.Lock()
        self._heard = self._last_us = 0
        self._call: tuple[Any, ...] = ()
        self._has_ended = self._is_settled = self._is_late = False

    @property
    def has_begun(self) -> bool:
        """True once it is known that the function has begun."""
        return self.row.queued_on is None

    @property
    def is_settled(self) -> bool:
        """True once the outcome is here, or is lost."""
        return self._is_settled

    @property
    def is_recorded(self) -> bool:
        """True once the outcome of the call is recorded, or is dropped."""
        is_over = self._is_late or self.row.status != Status.RUNNING
        return self._is_settled and self._has_ended and is_over

    def begin(self, began_us: int = 0) -> None:
        """Record that the function has begun: now, or at an instant."""
        with self._lock:
            if not self._has_ended and self.row.queued_on is not None:
                self._begin(began_us or clock.micros())
                self._state.put(self.row, flush=True)

    def hear(self, message: dict[str, Any]) -> None:
        """Record what the function reports while it runs."""
        with self._lock:
            if self._has_ended:
                return
            behind_us = clock.micros() - message["now_us"]  # of the clock there, and of the way
            began_us = message["began_us"] + behind_us
            if self._is_other_call(message, began_us) or self.row.queued_on is not None:
                self._begin(began_us)
                self._locate(message)
                self._state.put(self.row, flush=True)
            if message["first"] <= self._heard:  # else one before was lost
                self._log(message["lines"][self._heard - message["first"] :], behind_us)
            self._count(message)
            if message["progress"] is not None or message["metrics"]:
                self._state.record_progress(self.row)

    def take(self, reply: dict[str, Any]) -> None:
        """Record what a reply says, beyond what has been heard before."""
        self.settle()
        with self._lock:
            self._is_late = reply["outcome"][0] == "late"
            seconds_us = max(0, reply["ended_us"] - reply["began_us"])
            began_us = clock.micros() - seconds_us  # by the clock here: the other one may be wrong
            self._is_other_call(reply, began_us)
            self._begin(began_us)
            self._locate(reply)
            self._log(reply["lines"][self._heard :], began_us - reply["began_us"])
            if reply["dropped"]:
                note = f"... and {reply['dropped']:,} more lines, which are not recorded"
                self._state.log("print", note, {}, self.row)
            self._count(reply)

    def end(self) -> None:
        """Let nothing more be recorded: the call has ended, or was given up."""
        with self._lock:
            self._has_ended = True

    def settle(self) -> None:
        """Note that no later call can join this one: its outcome is here, or is lost."""
        self._is_settled, self.row.sent = True, None

    def _is_other_call(self, message: dict[str, Any], began_us: int) -> bool:
        """Return True if the function has been called again, by an engine that lost a worker."""
        before, self._call = (
            self._call,
            tuple(message[name] for name in ("began_us", "host", "pid")),
        )
        if before in ((), self._call):
            return False
        self._heard = 0
        place = f"{message['host']}, process {message['pid']}"
        note = f"Its worker was lost, and {place}, called it again."
        self._last_us = max(began_us, self._last_us + 1)
        self._state.log("warn", note, {}, self.row, self._last_us)
        return True

    def _begin(self, began_us: int) -> None:
        row = self.row
        is_first = row.attempt_us == row.started_us  # of this execution
        row.queued_on, row.attempt_us = None, began_us
        if is_first:
            row.started_us = began_us

    def _locate(self, place: dict[str, Any]) -> None:
        self.row.host, self.row.pid = place["host"], place["pid"]
        self.row.worker = place["worker"]

    def _log(self, lines: list[Any], behind_us: int) -> None:
        for logged_us, level, line, data in lines:
            at_us = min(clock.micros(), logged_us + behind_us)
            self._last_us = max(at_us, self._last_us + 1)  # they stay in their order
            self._state.log(level, line, data, self.row, self._last_us)
        self._heard += len(lines)

    def _count(self, numbers: dict[str, Any]) -> None:
        row = self.row
        if numbers["metrics"]:
            row.metrics = json.dumps(numbers["metrics"], ensure_ascii=False)
        if numbers["progress"] is not None:
            if row.done is None and row.attempts > 1:
                row.done_before = numbers["progress"][0]
            row.done, row.total = numbers["progress"]


class Sent(Future[Any]):
    """Reply to a call that was sent to another process.

    Args:
        report: The report of the call.
        take_back: Function that is called before the call is canceled. It returns whether to take
            the call back, too; otherwise only its reply is dropped.

    Attributes:
        report: The report of the call.
        is_kept: Whether the call was not taken back when it was canceled.
    """

    def __init__(self, report: Report, take_back: Callable[[], bool] | None = None) -> None:
        super().__init__()
        self.report = report
        self.is_kept = False
        self._take_back = take_back

    def cancel(self) -> bool:
        """Take the call back if it has not begun. Its reply is dropped in any case."""
        if not self.done() and self._take_back is not None:
            self.is_kept = not self._take_back()
        return super().cancel()

    def lose(self, error: BaseException | None) -> None:
        """Note that the engine has lost the call, by an error of its own or without one."""
        if not self.done():
            self.report.settle()
        with contextlib.suppress(InvalidStateError):  # canceled meanwhile
            if error is None:
                super().cancel()
            else:
                self.set_exception(error)


# -- pools ----------------------------------------------------------------------------------------


class _Queue:
    """Calls in a pool of processes, which takes them in their order but does not say when."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._calls: dict[Sent, None] = {}
        self._lock = threading.Lock()

    def enter(self, sent: Sent) -> None:
        with self._lock:
            self._calls[sent] = None
        self._begin()
        sent.add_done_callback(self._leave)

    def _leave(self, sent: Future[Any]) -> None:
        with self._lock:
            self._calls.pop(sent, None)  # type: ignore[call-overload] # it has entered
        self._begin()

    def _begin(self) -> None:
        """Let those begin that have a place."""
        with self._lock:
            first = [sent for sent, _ in zip(self._calls, range(self._places), strict=False)]
        for sent in first:
            sent.report.begin()


_queues: weakref.WeakKeyDictionary[Any, _Queue] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def enter(engine: Any, places: int, sent: Sent) -> None:
    """Let a call wait in an engine that runs `places` calls at once, in their order."""
    with _lock:
        queue = _queues.setdefault(engine, _Queue(places))
    queue.enter(sent)


def begin(call: CallFunction) -> None:
    """Record that a call has begun in a thread of this process."""
    if call.context.row is not None and call.context.row.queued_on is not None:
        Report(call).begin()

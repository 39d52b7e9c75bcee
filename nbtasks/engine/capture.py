"""Capture of what tasks show: prints and rich displays appear as usual, and are recorded.

During an execution, `sys.stdout` and `sys.stderr` are wrappers around the original streams, and the
front end reports each display. A context variable tells which task writes or displays; what the
body or other code shows only passes through.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from nbtasks.core import clock, front_end
from nbtasks.core.front_end import Output
from nbtasks.core.model import DisplayRow
from nbtasks.engine.effects import current
from nbtasks.journal.protocol import PRINTED
from nbtasks.values import codec, displays
from nbtasks.values.content import LazyBytes

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallContext

__all__ = [
    "Screen",
    "capturing",
    "displaying",
    "end_attempt",
    "record_clear",
    "record_display",
    "show",
]

#: True while a display writes to stdout: that text must not be recorded as printed by the task.
displaying: ContextVar[bool] = ContextVar("nbtasks_displaying", default=False)

#: Levels in the log of what is printed, by stream.
_LEVELS: Final = dict(zip(("stdout", "stderr"), PRINTED, strict=True))
#: Limits on what is recorded: lines per attempt, and characters per line.
_MAX_LINES: Final = 1000
_MAX_CHARS: Final = 10_000
#: Limits on what is recorded: displays per attempt, and their size in bytes.
_MAX_DISPLAYS: Final = 100
_MAX_BYTES: Final = 32 << 20

_lock = threading.RLock()  # a finalizer that prints may come in between


class Screen(Protocol):
    """Part of the front end that shows what tasks display."""

    def draw(self, value: Any) -> Output:
        """Display a value and return its recordable output."""

    def capturing(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that reports each display by `record_display`, and each cleared
        output by `record_clear`."""

    def pending(self, context: CallContext) -> list[Output]:
        """Return what an attempt has left for the front end to display at the end of the cell."""


@contextlib.contextmanager
def capturing() -> Iterator[None]:
    """Record what tasks print and display while the context is open."""
    screen: Screen = front_end.current()
    with _streams(), screen.capturing():
        yield


# -- prints ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    wrapped: list[tuple[str, _Stream]] = []
    with _lock:
        for name, level in _LEVELS.items():
            # A wrapper is already there if another execution is running, or if one was left behind:
            # a stopped cell of plain IPython never ends.
            stream = getattr(sys, name)
            if stream is None:
                continue
            if not isinstance(stream, _Stream):
                stream = _Stream(stream, level)
                setattr(sys, name, stream)
            stream.users += 1
            wrapped.append((name, stream))
    try:
        yield
    finally:
        with _lock:
            for name, stream in wrapped:
                stream.users -= 1
                # otherwise other code has replaced it
                if not stream.users and getattr(sys, name) is stream:
                    setattr(sys, name, stream.inner)


class _Stream:
    """Text stream that passes everything to another stream and records the prints of tasks.

    Attributes:
        inner: The stream that does the work.
        users: How many executions use the wrapper now.
    """

    def __init__(self, inner: Any, level: str) -> None:
        self.inner = inner
        self.users = 0
        self._level = level

    def write(self, text: str) -> int:
        count: int = self.inner.write(text)
        context = current.get()
        if context is not None and context.row is not None and not displaying.get():
            _outputs_of(context).write(text, self._level)
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        return iter(self.inner)


# -- displays -------------------------------------------------------------------------------------


def record_display(output: Output, name: str | None, *, update: bool) -> None:
    """Record what the front end has displayed, if a task has displayed it.

    Args:
        output: The output.
        name: Id by which the display can be updated.
        update: True if it replaces the display of that id.
    """
    context = current.get()
    if context is not None and context.row is not None and not displaying.get():
        _outputs_of(context).display(output, name, update=update)


def record_clear(*, wait: bool) -> None:
    """Record that a task has cleared the output; with `wait` it is cleared by the next one."""
    context = current.get()
    if context is not None and context.row is not None:
        _outputs_of(context).clear(wait=wait)


def show(context: CallContext, value: Any) -> None:
    """Display a value for a running task, and record it."""
    token = displaying.set(True)
    try:
        screen: Screen = front_end.current()
        output = screen.draw(value)
    finally:
        displaying.reset(token)
    _outputs_of(context).display(output)


def end_attempt(context: CallContext) -> None:
    """Record the rest of what an attempt has printed and displayed."""
    screen: Screen = front_end.current()
    for output in screen.pending(context):
        _outputs_of(context).display(output)
    if context.shown is not None:
        context.shown.close()


def _outputs_of(context: CallContext) -> _Outputs:
    if context.shown is None:
        with _lock:  # threads of a task may show something at the same time
            made = _Outputs(context)
            if context.shown is None:
                context.shown = made
    return context.shown  # type: ignore[return-value]  # nobody else puts one there


class _Display(NamedTuple):
    shown_us: int
    record: bytes


class _Outputs:
    """Outputs of one attempt: lines in its log, and displays.

    Displays are recorded at the end, since until then they may be updated or cleared.

    Args:
        context: The attempt's call context.
    """

    def __init__(self, context: CallContext) -> None:
        assert context.row is not None  # noqa: S101 - nothing of a body is recorded
        self._state = context.execution.run_state
        self._journal = context.execution.journal
        self._row = context.row
        self._attempt = context.row.attempts
        self._lock = threading.RLock()
        self._lines_left = _MAX_LINES
        self._partial_lines: dict[str, str] = {}  # the text after the last newline, by level
        self._displays: dict[object, _Display] = {}  # by name, or by an object of their own
        self._bytes = self._dropped_lines = self._dropped_displays = 0
        self._is_clear_due = False
        self._cleared_us: int | None = None

    def write(self, text: str, level: str) -> None:
        """Add printed text; complete lines go into the log."""
        if not text:
            return
        with self._lock:
            self._clear_if_due()
            if not self._lines_left:
                self._dropped_lines += text.count("\n")
                return
            *lines, partial = (self._partial_lines.get(level, "") + text).split("\n")
            for line in lines:
                self._put_line(line, level)
            self._partial_lines[level] = partial[-_MAX_CHARS:]

    def display(self, output: Output, name: str | None = None, *, update: bool = False) -> None:
        """Add a display, or replace that of this name."""
        record = displays.dumps(output, self._state.secrets.get(self._row.path, ()))
        place: object = object() if name is None else name
        with self._lock:
            if not update:
                self._clear_if_due()
            before = self._displays.get(place)
            if record is None or (update and before is None):
                return  # nothing to show, or somebody else's display
            if not update:
                self._end_line(_LEVELS["stdout"])  # what follows stands below it
            size = self._bytes + len(record) - (len(before.record) if before else 0)
            if size > _MAX_BYTES or (before is None and len(self._displays) >= _MAX_DISPLAYS):
                self._dropped_displays += 1
                return
            self._bytes = size
            shown_us = before.shown_us if before and update else clock.micros()
            self._displays[place] = _Display(shown_us, record)

    def clear(self, *, wait: bool) -> None:
        """Forget what was shown so far; with `wait` as soon as there is more to show."""
        with self._lock:
            self._is_clear_due = True
            if not wait:
                self._clear_if_due()

    def close(self) -> None:
        """Record the displays and the last, incomplete lines, and how much was left out."""
        with self._lock:
            for level in list(self._partial_lines):
                self._end_line(level)
            if self._dropped_lines:
                note = f"... and {self._dropped_lines:,} more lines, which are not recorded"
                self._state.log(_LEVELS["stdout"], note, {}, self._row)
            if self._cleared_us is not None:
                self._put(self._cleared_us, None)
            for display in self._displays.values():
                self._put(*display)
            if self._dropped_displays:
                count = self._dropped_displays
                more = (
                    "1 more display, which is"
                    if count == 1
                    else f"{count:,} more displays, which are"
                )
                note = f"... and {more} not recorded"
                self._put(clock.micros(), displays.dumps(({"text/plain": note}, {})))
            self._displays.clear()
            self._dropped_lines = self._dropped_displays = 0
            self._cleared_us = None

    def _put(self, shown_us: int, record: bytes | None) -> None:
        """Put the row of a display; None clears what the attempt has shown before."""
        text = blob = None
        if record is not None and len(record) > codec.INLINE_BYTES:
            blob = self._journal.put_blob(LazyBytes.of(record))
        elif record is not None:
            text = record.decode()
        row, run_id = self._row, self._row.run_id
        self._state.put_beside(
            row, DisplayRow(run_id, row.path, self._attempt, shown_us, text, blob)
        )

    def _put_line(self, line: str, level: str) -> None:
        if not self._lines_left:
            self._dropped_lines += 1
            return
        self._lines_left -= 1
        line = line.rstrip("\r").rpartition("\r")[2]  # a progress bar's final state
        line = line if len(line) <= _MAX_CHARS else f"{line[:_MAX_CHARS]}..."
        self._state.log(level, line, {}, self._row)

    def _end_line(self, level: str) -> None:
        partial = self._partial_lines.pop(level, "")
        if partial and self._lines_left:
            self._put_line(partial, level)

    def _clear_if_due(self) -> None:
        if self._is_clear_due:
            self._end_line(_LEVELS["stdout"])
            self._displays.clear()
            self._is_clear_due, self._bytes, self._dropped_displays = False, 0, 0
            self._cleared_us = clock.micros()

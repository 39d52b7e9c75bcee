"""Capture of what tasks show: prints and rich displays appear as usual, and are recorded.

During an execution, `sys.stdout` is a wrapper around the original stream. A context variable tells
it which task writes; text from the body or from other code only passes through. Displays go through
the front end; a reused task shows them again.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Collection, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from nbtasks.core import clock, front_end, keys
from nbtasks.core.front_end import Output
from nbtasks.core.model import DisplayRow, RunRow, TaskRow
from nbtasks.engine.effects import current
from nbtasks.values import codec
from nbtasks.values.content import LazyBytes

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallContext
    from nbtasks.journal.protocol import Journal

__all__ = [
    "LEVEL",
    "Displays",
    "PrintedLines",
    "Screen",
    "capture_prints",
    "displaying",
]

#: True while a display writes to stdout: that text must not be recorded as printed by the task.
displaying: ContextVar[bool] = ContextVar("nbtasks_displaying", default=False)


class Screen(Protocol):
    """Part of the front end that shows what tasks display."""

    def draw(self, value: Any) -> Output:
        """Display a value and return its recordable output."""

    def publish(self, output: Output) -> None:
        """Display a recorded output."""


class Displays:
    """Displays of one run's tasks.

    Args:
        journal: The journal that records them.
        run: The run.
        paths: The tasks with recorded displays.

    Attributes:
        replayable_paths: These tasks and their ancestors: `replay` has something to show for each.
    """

    def __init__(self, journal: Journal, run: RunRow, paths: Collection[str]) -> None:
        self._journal = journal
        self._run = run
        self._rows: list[DisplayRow] | None = None
        self.replayable_paths = {above for path in paths for above in (path, *keys.parents(path))}

    def show(self, row: TaskRow, value: Any) -> None:
        """Display a value for a running task, and record it."""
        token = displaying.set(True)
        try:
            screen: Screen = front_end.current()
            output = screen.draw(value)
        finally:
            displaying.reset(token)
        text = orjson.dumps(output, default=repr, option=orjson.OPT_NON_STR_KEYS)
        blob = (
            self._journal.put_blob(LazyBytes.of(text)) if len(text) > codec.INLINE_BYTES else None
        )
        inline = None if blob else text.decode()
        now = clock.micros()
        self._journal.put(DisplayRow(row.run_id, row.path, row.attempts, now, inline, blob))

    def replay(self, path: str) -> None:
        """Repeat the displays of a task and its descendants, from their latest attempts."""
        token = displaying.set(True)
        try:
            screen: Screen = front_end.current()
            for row in self._latest_rows():
                if row.path == path or row.path.startswith(f"{path}/"):
                    screen.publish(_caption(row))
                    screen.publish(self._output(row))
        finally:
            displaying.reset(token)

    def _latest_rows(self) -> list[DisplayRow]:
        """Return the displays that the latest attempts recorded before this execution, in the
        order of time."""
        if self._rows is None:
            rows = self._journal.find("display", run_id=self._run.run_id)
            latest_attempts: dict[str, int] = {}
            for row in rows:
                latest_attempts[row.path] = max(row.attempt, latest_attempts.get(row.path, 0))
            latest_rows = [row for row in rows if row.attempt == latest_attempts[row.path]]
            self._rows = sorted(latest_rows, key=lambda row: row.shown_us)
        return self._rows

    def _output(self, row: DisplayRow) -> Output:
        text: Any = row.output if row.blob is None else self._journal.get_blob(row.blob).data
        data, metadata = orjson.loads(text or b"[{}, {}]")
        return data, metadata


def _caption(row: DisplayRow) -> Output:
    import html  # lazily: most tasks display nothing

    when = clock.at(row.shown_us).astimezone()
    text = f"{keys.display(row.path)}: reused, as recorded {when:%Y-%m-%d %H:%M:%S}"
    return {"text/plain": text, "text/html": f"<small>{html.escape(text)}</small>"}, {}


#: Log level of printed lines.
LEVEL: Final = "print"
#: Limits on what is recorded: lines per attempt, and characters per line.
_MAX_LINES: Final = 1000
_MAX_CHARS: Final = 10_000

_lock = threading.Lock()


@contextlib.contextmanager
def capture_prints() -> Iterator[None]:
    """Record what tasks print while the context is open."""
    if sys.stdout is None:
        yield
        return
    with _lock:
        # A wrapper is already there if another execution is running, or if one was left behind:
        # a stopped cell of plain IPython never ends.
        stream = sys.stdout if isinstance(sys.stdout, _Stream) else _Stream(sys.stdout)
        stream.users += 1
        sys.stdout = stream
    try:
        yield
    finally:
        with _lock:
            stream.users -= 1
            if not stream.users and sys.stdout is stream:  # else other code has replaced it
                sys.stdout = stream.inner


class PrintedLines:
    """Lines that one attempt prints, recorded in its log.

    Args:
        context: The attempt's call context.
    """

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._lines_left = _MAX_LINES
        self._dropped_lines = 0
        self._partial_line = ""  # the text after the last newline

    def write(self, text: str) -> None:
        """Add printed text; complete lines go into the log."""
        with self._lock:
            if not self._lines_left:
                self._dropped_lines += text.count("\n")
                return
            *lines, self._partial_line = (self._partial_line + text).split("\n")
            for line in lines:
                self._put(line)
            self._partial_line = self._partial_line[-_MAX_CHARS:]

    def close(self) -> None:
        """Record the last, incomplete line, and how many lines were left out."""
        with self._lock:
            if self._partial_line and self._lines_left:
                self._put(self._partial_line)
            if self._dropped_lines:
                self._log(f"... and {self._dropped_lines:,} more lines, which are not recorded")
            self._partial_line, self._dropped_lines = "", 0

    def _put(self, line: str) -> None:
        if not self._lines_left:
            self._dropped_lines += 1
            return
        self._lines_left -= 1
        line = line.rstrip("\r").rpartition("\r")[2]  # a progress bar's final state
        self._log(line if len(line) <= _MAX_CHARS else f"{line[:_MAX_CHARS]}...")

    def _log(self, message: str) -> None:
        context = self._context
        context.execution.run_state.log(LEVEL, message, {}, context.row)


class _Stream:
    """Text stream that passes everything to another stream and records the prints of tasks.

    Attributes:
        inner: The stream that does the work.
        users: How many executions use the wrapper now.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.users = 0

    def write(self, text: str) -> int:
        count: int = self.inner.write(text)
        context = current.get()
        if context is not None and context.row is not None and not displaying.get():
            if context.printed is None:
                context.printed = PrintedLines(context)
            context.printed.write(text)
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        return iter(self.inner)

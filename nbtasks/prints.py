"""Capture of stdout: a task's prints appear as usual and also go into its log.

During an execution, `sys.stdout` is a wrapper around the original stream. A context variable tells
it which task writes; text from the body or from other code only passes through.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from nbtasks.calls import current
from nbtasks.displays import displaying

if TYPE_CHECKING:
    from nbtasks.calls import Scope

__all__ = ["LEVEL", "Printed", "recorded"]

#: Log level of printed lines.
LEVEL: Final = "print"
#: Limits on what is recorded: lines per attempt, and characters per line.
_MAX_LINES: Final = 1000
_MAX_CHARS: Final = 10_000

_lock = threading.Lock()


@contextlib.contextmanager
def recorded() -> Iterator[None]:
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


class Printed:
    """Printed lines of one attempt.

    Args:
        scope: The attempt's call context.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
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
        scope = self._scope
        scope.execution.ledger.log(LEVEL, message, {}, scope.row)


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
        scope = current.get()
        if scope is not None and scope.row is not None and not displaying.get():
            if scope.printed is None:
                scope.printed = Printed(scope)
            scope.printed.write(text)
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        return iter(self.inner)

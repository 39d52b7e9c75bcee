"""What tasks print: it shows where it would anyway, and goes into their logs.

While anything is executed, `sys.stdout` is a stream in front of the one that was there. It knows
by the context which task writes; what the body writes, and anybody else, only passes through.
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

#: The level of the lines in a log that were printed.
LEVEL: Final = "print"
#: So many lines of one attempt are recorded, and so much of each.
_MOST_LINES: Final = 1000
_MOST_LETTERS: Final = 10_000

_lock = threading.Lock()


@contextlib.contextmanager
def recorded() -> Iterator[None]:
    """While this lasts, what tasks print is recorded."""
    if sys.stdout is None:
        yield
        return
    with _lock:
        # One is there already if something else is executed, or was left behind: a stopped cell
        # of plain IPython never ends.
        stream = sys.stdout if isinstance(sys.stdout, _Stream) else _Stream(sys.stdout)
        stream.users += 1
        sys.stdout = stream
    try:
        yield
    finally:
        with _lock:
            stream.users -= 1
            if not stream.users and sys.stdout is stream:  # else somebody has put another there
                sys.stdout = stream.inner


class Printed:
    """The lines that one attempt of a task prints.

    Args:
        scope: Where it is.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._left = _MOST_LINES
        self._dropped = 0
        self._rest = ""  # of a line that is not at its end

    def write(self, text: str) -> None:
        """Takes what was printed; its lines go into the log."""
        with self._lock:
            if not self._left:
                self._dropped += text.count("\n")
                return
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._put(line)
            self._rest = self._rest[-_MOST_LETTERS:]

    def close(self) -> None:
        """Records the last line, and how many were left out."""
        with self._lock:
            if self._rest and self._left:
                self._put(self._rest)
            if self._dropped:
                self._log(f"... and {self._dropped:,} more lines, which are not recorded")
            self._rest, self._dropped = "", 0

    def _put(self, line: str) -> None:
        if not self._left:
            self._dropped += 1
            return
        self._left -= 1
        line = line.rstrip("\r").rpartition("\r")[2]  # what a progress bar shows in the end
        self._log(line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}...")

    def _log(self, message: str) -> None:
        scope = self._scope
        scope.execution.ledger.log(LEVEL, message, {}, scope.row)


class _Stream:
    """A text stream in front of another one, which does all there is to do.

    Attributes:
        inner: That one.
        users: How many executions need this one.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.users = 0

    def write(self, text: str) -> int:
        written: int = self.inner.write(text)
        scope = current.get()
        if scope is not None and scope.row is not None and not displaying.get():
            if scope.printed is None:
                scope.printed = Printed(scope)
            scope.printed.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        return iter(self.inner)

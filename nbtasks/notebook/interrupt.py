"""End of a stopped cell: Ctrl-C in a terminal, and short tracebacks."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import signal
import sysconfig
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from nbtasks.core import tracebacks

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CtrlC", "as_keyboard_interrupt", "without_libraries"]

#: Folders of code that is not the user's own: the standard library and installed packages.
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def without_libraries(tb: TracebackType | None) -> TracebackType | None:
    """Return the frames of the user's own code: the line that was stopped, not the library code
    that it was waiting in."""

    def is_own(frame: FrameType, line: int) -> bool:
        file = frame.f_code.co_filename
        # Frames of compiled libraries have no source.
        return bool(linecache.getline(file, line)) and not file.startswith(_LIBRARIES)

    return tracebacks.select_frames(tb, is_own)


def as_keyboard_interrupt(
    error: asyncio.CancelledError | None, shell: InteractiveShell
) -> KeyboardInterrupt:
    """Return the interrupt that the user sent, in place of the cancellation that reached the body.

    `error` is None if the body had just ended.
    """
    interrupt = KeyboardInterrupt()
    tb = error.__traceback__ if error else None
    for note in getattr(error, "__notes__", []):
        interrupt.add_note(note)

    def render() -> list[str]:
        # The body's traceback: raising adds this module's frames to the interrupt's own.
        if tb is None:
            return ["KeyboardInterrupt"]
        lines: list[str] = shell.InteractiveTB.structured_traceback(
            KeyboardInterrupt, interrupt, tb, tb_offset=0
        )
        return lines

    interrupt._render_traceback_ = render  # type: ignore[attr-defined]  # IPython looks for it
    return interrupt


class CtrlC:
    """Ctrl-C handler while a cell awaits in plain IPython, where it would orphan the cell's task.

    The first Ctrl-C cancels the task. If that does not end it, because it blocks the loop or
    ignores its cancellation, a later one raises KeyboardInterrupt in it.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._loop = task.get_loop()
        self._asked = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)

    def restore(self) -> None:
        """Restore the previous handler."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def end(self) -> bool:
        """Let the cell's task end normally; return True if Ctrl-C was pressed meanwhile."""
        self.restore()
        while self._asked and self._task.cancelling():
            self._task.uncancel()  # so that the cell can end normally
        return self._asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked and asyncio.current_task(self._loop) is self._task:
            raise KeyboardInterrupt
        self._asked = True
        # Not `self._task.cancel()`: the loop may sleep, and this wakes it.
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing to stop
            self._loop.call_soon_threadsafe(self._task.cancel)

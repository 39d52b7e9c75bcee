"""How a cell that was stopped ends: by Ctrl-C in a terminal, and with a short traceback."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import signal
import sysconfig
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Interrupt", "as_keyboard_interrupt", "without_libraries"]

#: Where code lives that is not the user's own: the standard library and installed packages.
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def without_libraries(tb: TracebackType | None) -> TracebackType | None:
    """The frames of the user's own code: the line where it was stopped, not what it waited in."""
    kept: list[TracebackType] = []
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        if linecache.getline(file, tb.tb_lineno) and not file.startswith(_LIBRARIES):
            kept.append(tb)  # compiled libraries have frames without source
        tb = tb.tb_next
    result: TracebackType | None = None
    for frame in reversed(kept):
        result = TracebackType(result, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return result


def as_keyboard_interrupt(
    error: asyncio.CancelledError | None, shell: InteractiveShell
) -> KeyboardInterrupt:
    """What the user did, instead of how it reached the body; None if the body had just ended."""
    stopped = KeyboardInterrupt()
    where = error.__traceback__ if error else None
    for note in getattr(error, "__notes__", []):
        stopped.add_note(note)

    def render() -> list[str]:
        # That of the body: raising adds this module's frames to the interrupt's own.
        if where is None:
            return ["KeyboardInterrupt"]
        lines: list[str] = shell.InteractiveTB.structured_traceback(
            KeyboardInterrupt, stopped, where, tb_offset=0
        )
        return lines

    stopped._render_traceback_ = render  # type: ignore[attr-defined]  # IPython looks for it
    return stopped


class Interrupt:
    """Ctrl-C while a cell awaits in plain IPython, where it would orphan the cell's task.

    The first one cancels the task. If that does not end it, since it blocks the loop or goes on
    after its cancellation, a later one raises KeyboardInterrupt in it.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._loop = task.get_loop()
        self._asked = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)

    def end(self) -> bool:
        """Puts the old handler back. Whether Ctrl-C was pressed meanwhile."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        while self._asked and self._task.cancelling():
            self._task.uncancel()  # the cell's end is no longer cancelled
        return self._asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked and asyncio.current_task(self._loop) is self._task:
            raise KeyboardInterrupt
        self._asked = True
        # Not `self._task.cancel()`: the loop sleeps, and this wakes it.
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing to stop
            self._loop.call_soon_threadsafe(self._task.cancel)

"""Tracebacks with the user's own frames, and none of the engine's."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

__all__ = ["Remote", "own_frames", "text"]

_HERE = f"{Path(__file__).parent}{os.sep}"
#: What stands between the engine and a user's function: worker threads and the event loop.
_CARRIERS = ("anyio", "asyncio", "nest_asyncio2", "threading", "concurrent")


class Remote(Exception):  # noqa: N818 - it is shown, never caught
    """The traceback of another process, to be shown above this one's."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


def own_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without the engine's frames; None where it has no others.

    Frames of worker threads and the event loop go, too, where the engine called them.
    """
    kept: list[TracebackType] = []
    called_by_engine = False
    while tb is not None:
        name = str(tb.tb_frame.f_globals.get("__name__", ""))
        if tb.tb_frame.f_code.co_filename.startswith(_HERE):
            called_by_engine = True
        elif not (called_by_engine and name.partition(".")[0] in _CARRIERS):
            called_by_engine = False
            kept.append(tb)
        tb = tb.tb_next
    result: TracebackType | None = None
    for frame in reversed(kept):
        result = TracebackType(result, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return result


def text(error: BaseException) -> str:
    """The error as Python prints it, without the engine's frames."""
    lines = traceback.format_exception(type(error), error, own_frames(error.__traceback__))
    return "".join(lines).rstrip()

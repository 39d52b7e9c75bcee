"""Tracebacks that show the user's own frames and none of the engine's, and chains of errors."""

from __future__ import annotations

import collections
import functools
import inspect
import linecache
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, TypeVar

from nbtasks.errors import MapFailed

__all__ = [
    "HidingEngine",
    "Remote",
    "iter_errors",
    "locate_source",
    "own_frames",
    "select_frames",
    "text",
]

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_HERE = f"{Path(__file__).parents[1]}{os.sep}"
#: Packages between the engine and a user's function: worker threads and the event loop.
_CARRIERS = ("anyio", "asyncio", "nest_asyncio2", "threading", "concurrent")


#: Traceback line of code that cloudpickle has sent to another process: since version 3.1.3 such
#: code does not know its file there.
_SENT = re.compile(r'^( *)File "<dynamic-code>", line (\d+), in (.+)$', re.MULTILINE)


class Remote(Exception):  # noqa: N818 - it is shown, never caught
    """Traceback of another process, shown above that of this process."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


def own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the engine's frames; None if no others are left.

    Frames of worker threads and the event loop go, too, where the engine called them.
    """
    called_by_engine = False

    def is_own(frame: FrameType, _: int) -> bool:
        nonlocal called_by_engine
        name = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_filename.startswith(_HERE):
            called_by_engine = True
        elif not (called_by_engine and name.partition(".")[0] in _CARRIERS):
            called_by_engine = False
        return not called_by_engine

    return select_frames(tb, is_own)


def select_frames(
    tb: TracebackType | None, keep: Callable[[FrameType, int], bool]
) -> TracebackType | None:
    """Return the traceback without some of its frames; None if no others are left.

    Args:
        tb: The traceback.
        keep: Function that returns True for a frame, and the number of its line, to keep. It is
            called for the outermost frame first.
    """
    links: list[TracebackType] = []
    while tb is not None:
        if keep(tb.tb_frame, tb.tb_lineno):
            links.append(tb)
        tb = tb.tb_next
    result: TracebackType | None = None
    for link in reversed(links):
        result = TracebackType(result, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return result


def iter_errors(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, its causes, contexts, group members and failed map items, each once.

    The outermost comes first.
    """
    seen: set[int] = set()
    todo = collections.deque([error])
    while todo:
        current = todo.popleft()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        members = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        todo += [current.__cause__, current.__context__, *members]
        if isinstance(current, MapFailed):
            todo += current.failed.values()


class HidingEngine:
    """Context manager whose exceptions show only the user's own frames."""

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if error is not None:
            error.__traceback__ = own_frames(error.__traceback__)


def text(error: BaseException) -> str:
    """Return the error as Python prints it, without the engine's frames."""
    lines = traceback.format_exception(type(error), error, own_frames(error.__traceback__))
    return "".join(lines).rstrip()


def locate_source(text: str, fn: Callable[..., Any]) -> str:
    """Return the traceback of a function sent to another process, with its files and source lines.

    They are looked up by the names of `fn` and of the functions that it refers to; a line whose
    function is not among them stays as it is.
    """
    codes = {code.co_name: code for code in _codes(fn)}

    def locate(match: re.Match[str]) -> str:
        indent, line, name = match.groups()
        code = codes.get(name)
        if code is None:
            return match[0]
        source = linecache.getline(code.co_filename, int(line)).strip()
        entry = f'{indent}File "{code.co_filename}", line {line}, in {name}'
        return f"{entry}\n{indent}  {source}" if source else entry

    return _SENT.sub(locate, text)


def _codes(fn: Any) -> Iterator[CodeType]:
    """Yield the code of the functions that `fn` may call by name, and at last its own."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(getattr(fn, "__func__", fn))
    if not isinstance(fn, FunctionType):
        return
    referenced = [fn.__globals__.get(name) for name in fn.__code__.co_names]
    enclosed = [cell.cell_contents for cell in fn.__closure__ or () if _is_set(cell)]
    codes = [
        value.__code__ for value in (*referenced, *enclosed) if isinstance(value, FunctionType)
    ]
    codes.append(fn.__code__)
    for code in codes:
        yield from (inner for inner in code.co_consts if isinstance(inner, CodeType))
        yield code


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # its variable is not assigned yet
        return False

"""Tracebacks with the user's own frames, and none of the engine's."""

from __future__ import annotations

import functools
import inspect
import linecache
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, TracebackType
from typing import Any, TypeVar

__all__ = ["Remote", "called", "located", "own_frames", "text"]

Given = TypeVar("Given")
Result = TypeVar("Result")

_HERE = f"{Path(__file__).parent}{os.sep}"
#: What stands between the engine and a user's function: worker threads and the event loop.
_CARRIERS = ("anyio", "asyncio", "nest_asyncio2", "threading", "concurrent")


#: A line for code that cloudpickle has sent to another process: since its version 3.1.3 such code
#: does not know its file there.
_SENT = re.compile(r'^( *)File "<dynamic-code>", line (\d+), in (.+)$', re.MULTILINE)


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


def called(fn: Callable[[Given], Result], given: Given) -> Result:
    """Calls a function of the engine; what that raises shows the user's own frames."""
    try:
        return fn(given)
    except BaseException as error:
        error.__traceback__ = own_frames(error.__traceback__)
        raise


def text(error: BaseException) -> str:
    """The error as Python prints it, without the engine's frames."""
    lines = traceback.format_exception(type(error), error, own_frames(error.__traceback__))
    return "".join(lines).rstrip()


def located(text: str, fn: Callable[..., Any]) -> str:
    """The traceback of a function that was sent to another process, with its files and source
    lines, as far as they are found by the names of `fn` and of what stands beside it."""
    found = {code.co_name: code for code in _codes(fn)}

    def place(sent: re.Match[str]) -> str:
        indent, line, name = sent.groups()
        code = found.get(name)
        if code is None:
            return sent[0]
        source = linecache.getline(code.co_filename, int(line)).strip()
        shown = f'{indent}File "{code.co_filename}", line {line}, in {name}'
        return f"{shown}\n{indent}  {source}" if source else shown

    return _SENT.sub(place, text)


def _codes(fn: Any) -> Iterator[CodeType]:
    """The code of the functions that `fn` may call by their names, and at last its own."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(getattr(fn, "__func__", fn))
    if not isinstance(fn, FunctionType):
        return
    beside = [fn.__globals__.get(name) for name in fn.__code__.co_names]
    enclosed = [cell.cell_contents for cell in fn.__closure__ or () if _is_set(cell)]
    todo = [other.__code__ for other in (*beside, *enclosed) if isinstance(other, FunctionType)]
    todo.append(fn.__code__)
    for code in todo:
        yield from (inner for inner in code.co_consts if isinstance(inner, CodeType))
        yield code


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # its variable is not assigned yet
        return False

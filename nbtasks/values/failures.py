"""Conversion of exceptions to recorded failures, and of failures to catchable exceptions.

The error of a task is recorded as a `Failure`, which is data. The caller of the task catches a
`TaskFailed` made from that record, on the first execution and on every replay alike. It is also an
instance of the original class, if that class can be found.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from nbtasks.core import tracebacks
from nbtasks.core.model import Failure
from nbtasks.errors import MapFailed, TaskFailed
from nbtasks.values import redaction

__all__ = [
    "add_inline_hint",
    "dumps",
    "from_body_error",
    "from_task_error",
    "iter_task_failures",
    "loads",
    "rebuild",
    "scrub",
    "task_path",
]

#: Messages of thread-bound objects used in another thread: sqlite3, tkinter, signal, asyncio.
_THREAD_BOUND = re.compile(
    "same thread|main thread|(different|wrong|another) (thread|apartment)|event loop in thread"
)
_INLINE = (
    "It ran in a worker thread. inline=True, in @nb.task(...) or in options=nb.TaskOptions(...), "
    "keeps it in the thread that calls it."
)


def from_task_error(error: BaseException, path: str, attempts: int, run_id: str) -> Failure:
    """Return the record of the failure of the task at `path`.

    If a subtask's failure is passed on, the record keeps the innermost task's path, type and
    message.
    """
    cause = next((e for e in iter_task_failures(error) if e.run_id == run_id), None)
    where = task_path(cause) if cause else None
    if isinstance(error, TaskFailed) and cause is error:
        inner = error
        module = type(inner).__module__
        original = getattr(inner, "_module", module)
        return Failure(
            inner.type,
            original,
            inner.message,
            inner.traceback,
            inner.path,
            inner.attempts,
            cause=where,
        )
    return dataclasses.replace(from_body_error(error), path=path, attempts=attempts, cause=where)


def from_body_error(error: BaseException) -> Failure:
    """Return the record of an error that ended the body of a run."""
    if isinstance(error, TaskFailed):
        return Failure(
            error.type,
            getattr(error, "_module", "builtins"),
            error.message,
            error.traceback,
            error.path,
            error.attempts,
            segments=getattr(error, "_segments", None),
        )
    kind = type(error)
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - a user-defined __str__ may raise anything
        message = f"(its __str__ failed: {broken!r})"
    if _INLINE in getattr(error, "__notes__", ()):
        message = f"{message}\n{_INLINE}"
    message = message.encode("utf-8", "replace").decode()  # JSON has no lone surrogates
    trace = tracebacks.text(error).encode("utf-8", "replace").decode()
    return Failure(kind.__qualname__, kind.__module__, message, trace)


def rebuild(failure: Failure, path: str, run_id: str) -> TaskFailed:
    """Return the exception for the caller of the task at `path`."""
    arguments: dict[str, Any] = {
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
        "attempts": failure.attempts,
        "run_id": run_id,
    }
    where = failure.path or path
    error: TaskFailed = _choose_class(failure)(where, **arguments)
    error._task, error._module = path, failure.module  # type: ignore[attr-defined]  # noqa: SLF001 - this module's own attributes
    return error


def _choose_class(failure: Failure) -> Any:
    if (failure.module, failure.type) == (MapFailed.__module__, MapFailed.__name__):
        return MapFailed
    original = _find_class(failure.module, failure.type)
    return TaskFailed if original is None else _mix(original)


def task_path(error: TaskFailed) -> str:
    """Return the path of the task that raised `error`, which may have passed on a subtask's."""
    return getattr(error, "_task", error.path)


def iter_task_failures(error: BaseException | None) -> Iterator[TaskFailed]:
    """Return every `TaskFailed` among `error`, its causes, contexts, group members and map items.

    The outermost comes first.
    """
    return (link for link in tracebacks.iter_errors(error) if isinstance(link, TaskFailed))


def add_inline_hint(error: Exception) -> None:
    """Add a note about `inline=True` if a function failed because a worker thread called it."""
    # Search the arguments, because a user-defined __str__ may fail.
    if not isinstance(error, TaskFailed) and _THREAD_BOUND.search(" ".join(map(ascii, error.args))):
        error.add_note(_INLINE)


def scrub(failure: Failure, secrets: Collection[str] | None) -> Failure:
    """Return the failure with the secrets hidden in its message and traceback."""
    if not secrets:
        return failure
    message, traceback = (redaction.scrub(s, secrets) for s in (failure.message, failure.traceback))
    return dataclasses.replace(failure, message=message, traceback=traceback)


def dumps(failure: Failure) -> str:
    """Return the failure as the text for a row."""
    return orjson.dumps(failure).decode()


def loads(text: str) -> Failure:
    """Return the failure from the text of a row, without fields that this version lacks."""
    names = {f.name for f in dataclasses.fields(Failure)}
    return Failure(**{k: v for k, v in orjson.loads(text).items() if k in names})


@functools.cache  # by the class, not by its name: a cell may define the class anew
def _mix(original: type[Exception]) -> Any:
    """Return a subclass of `TaskFailed` and `original`, or of its nearest base that allows it."""
    for base in original.__mro__:
        if base is Exception:
            break
        # StopIteration would end the generator in which it is raised, the engine's or the user's.
        if not issubclass(base, Exception) or issubclass(base, StopIteration):
            continue
        names: dict[str, Any] = {"__module__": TaskFailed.__module__}
        if issubclass(base, SyntaxError):
            names["msg"] = property(str)  # Python prints only the msg of a SyntaxError
        try:
            combined: Any = type("TaskFailed", (TaskFailed, base), names)
            combined("", type="", message="")
        except Exception:  # noqa: BLE001, S112 - a final class, or one with its own __new__/layout
            continue
        return combined
    return TaskFailed


def _find_class(module: str, qualname: str) -> Any:
    # Only among loaded modules: code that catches the class has imported it, and importing for a
    # stranger's record would run code.
    target: Any = sys.modules.get(module)
    for name in qualname.split("."):
        target = getattr(target, name, None)
    if isinstance(target, type) and issubclass(target, Exception) and target is not Exception:
        return None if issubclass(target, TaskFailed) else target
    return None

"""From an exception to the data that is kept of it, and back to one that can be caught.

What a task raised is recorded as a `Failure`. What the caller of the task catches is a
`TaskFailed` made from that record, on the first execution and on every replay alike, which is
also an instance of the original class where that can be found again.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from nbtasks import redaction, tracebacks
from nbtasks.errors import MapFailed, TaskFailed
from nbtasks.model import Failure

__all__ = [
    "chain",
    "dumps",
    "loads",
    "name_inline",
    "of_body",
    "of_task",
    "rebuild",
    "scrubbed",
    "task_path",
]

#: What objects that belong to a thread say in another one: sqlite3, tkinter, signal, asyncio.
_THREAD_BOUND = re.compile(
    "same thread|main thread|(different|wrong|another) (thread|apartment)|event loop in thread"
)
_INLINE = (
    "It ran in a worker thread. inline=True, in @nb.task(...) or in options=nb.TaskOptions(...), "
    "keeps it in the thread that calls it."
)


def of_task(error: BaseException, path: str, attempts: int, run_id: str) -> Failure:
    """The record of the failure of the task at `path`.

    A subtask's failure that is passed on keeps the innermost task's path, type and message.
    """
    cause = next((e for e in chain(error) if e.run_id == run_id), None)
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
    return dataclasses.replace(of_body(error), path=path, attempts=attempts, cause=where)


def of_body(error: BaseException) -> Failure:
    """The record of an error that ended the body of a run."""
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
    except Exception as broken:  # noqa: BLE001 - a __str__ of the user's own
        message = f"(its __str__ failed: {broken!r})"
    if _INLINE in getattr(error, "__notes__", ()):
        message = f"{message}\n{_INLINE}"
    message = message.encode("utf-8", "replace").decode()  # a lone surrogate is no JSON
    trace = tracebacks.text(error).encode("utf-8", "replace").decode()
    return Failure(kind.__qualname__, kind.__module__, message, trace)


def rebuild(failure: Failure, path: str, run_id: str) -> TaskFailed:
    """The exception that the caller of the task at `path` gets."""
    arguments: dict[str, Any] = {
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
        "attempts": failure.attempts,
        "run_id": run_id,
    }
    where = failure.path or path
    error: TaskFailed = _class(failure)(where, **arguments)
    error._task, error._module = path, failure.module  # type: ignore[attr-defined]  # noqa: SLF001 - our own notes on it
    return error


def _class(failure: Failure) -> Any:
    if (failure.module, failure.type) == (MapFailed.__module__, MapFailed.__name__):
        return MapFailed
    original = _find(failure.module, failure.type)
    return TaskFailed if original is None else _mixed(original)


def task_path(error: TaskFailed) -> str:
    """The path of the very task that raised `error`, which may have passed on another's."""
    return getattr(error, "_task", error.path)


def chain(error: BaseException | None) -> Iterator[TaskFailed]:
    """Every `TaskFailed` that `error` is, was caused by, was raised while handling, or holds
    as a member of a group or as an item of a map. Outermost first."""
    seen: set[int] = set()
    todo = collections.deque([error])
    while todo:
        current = todo.popleft()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, TaskFailed):
            yield current
        members = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        todo += [current.__cause__, current.__context__, *members]
        if isinstance(current, MapFailed):
            todo += current.failed.values()


def name_inline(error: Exception) -> None:
    """Names the way out if a function failed only because a worker thread called it."""
    # Of its arguments, since a __str__ of the user's own may fail.
    if not isinstance(error, TaskFailed) and _THREAD_BOUND.search(" ".join(map(ascii, error.args))):
        error.add_note(_INLINE)


def scrubbed(failure: Failure, secrets: Collection[str] | None) -> Failure:
    """The failure, without what nobody is to see."""
    if not secrets:
        return failure
    message, traceback = (
        redaction.scrubbed(s, secrets) for s in (failure.message, failure.traceback)
    )
    return dataclasses.replace(failure, message=message, traceback=traceback)


def dumps(failure: Failure) -> str:
    """The failure as the text of a row."""
    return orjson.dumps(failure).decode()


def loads(text: str) -> Failure:
    """The failure of a row."""
    known = {f.name for f in dataclasses.fields(Failure)}
    return Failure(**{k: v for k, v in orjson.loads(text).items() if k in known})


@functools.cache  # by the class and not by its name: a cell may define it anew
def _mixed(original: type[Exception]) -> Any:
    """A `TaskFailed` that is an `original`, too; else the nearest base of that which can be."""
    for base in original.__mro__:
        if base is Exception:
            break
        # A StopIteration would end the generator it is raised in, the engine's or the user's.
        if not issubclass(base, Exception) or issubclass(base, StopIteration):
            continue
        names: dict[str, Any] = {"__module__": TaskFailed.__module__}
        if issubclass(base, SyntaxError):
            names["msg"] = property(str)  # all that Python prints of one
        try:
            mixed: Any = type("TaskFailed", (TaskFailed, base), names)
            mixed("", type="", message="")
        except Exception:  # noqa: BLE001, S112 - final, or with a __new__ or a layout of its own
            continue
        return mixed
    return TaskFailed


def _find(module: str, qualname: str) -> Any:
    # Only among what is loaded: who can catch it has its module, and a record may be a stranger's.
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if isinstance(found, type) and issubclass(found, Exception) and found is not Exception:
        return None if issubclass(found, TaskFailed) else found
    return None

"""Conversion of exceptions to recorded failures, and of failures to catchable exceptions.

The error of a task is recorded as a `Failure`, which is data. The caller of the task catches a
`TaskFailed` made from that record, on the first execution and on every replay alike. It is also an
instance of the original class, if that class can be found, and has its state, as far as it is data.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from nbtasks.core import tracebacks
from nbtasks.core.model import Failure
from nbtasks.errors import MapFailed, TaskFailed
from nbtasks.values import redaction
from nbtasks.values.failures import classes, objects, state, stops
from nbtasks.values.failures.stops import carried, carry, run_awaitable

__all__ = [
    "add_inline_hint",
    "carried",
    "carry",
    "dumps",
    "from_body_error",
    "from_task_error",
    "iter_task_failures",
    "link",
    "loads",
    "rebuild",
    "restore",
    "run_awaitable",
    "scrub",
    "show_frames",
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
#: Attributes of a `TaskFailed` that the original's attributes do not replace.
_FIELDS = frozenset(("path", "type", "message", "traceback", "attempts", "run_id"))


def from_task_error(error: BaseException, path: str, attempts: int, run_id: str) -> Failure:
    """Return the record of the failure of the task at `path`.

    If a subtask's failure is passed on, the record keeps the innermost task's path, type and
    message.
    """
    cause = next((e for e in iter_task_failures(error) if e.run_id == run_id), None)
    where = task_path(cause) if cause else None
    if isinstance(error, TaskFailed) and cause is error:
        return dataclasses.replace(from_body_error(error), cause=where, segments=None)
    return dataclasses.replace(from_body_error(error), path=path, attempts=attempts, cause=where)


def from_body_error(error: BaseException) -> Failure:
    """Return the record of an error that ended the body of a run."""
    if isinstance(error, TaskFailed):
        return _record_of(error)
    module, name = state.name_of(type(error))
    message = state.text_of(error)
    if _INLINE in getattr(error, "__notes__", ()):
        message = f"{message}\n{_INLINE}"
    trace = state.valid(tracebacks.text(error))
    described = state.describe(error) if isinstance(error, Exception) else None
    return Failure(name, module, message, trace, state=described or None)


def _record_of(error: TaskFailed) -> Failure:
    """Return the record that an error was made from, with notes that were added to it since."""
    fields = vars(error)
    failure = Failure(
        fields["type"],
        getattr(error, "_module", "builtins"),
        fields["message"],
        fields["traceback"],
        fields["path"],
        fields["attempts"],
        segments=fields.get("_segments"),
        state=(fields.get("_record") or {}).get("state"),
    )
    own = fields.get("_note"), stops.HINT
    notes = [state.valid(str(n)) for n in getattr(error, "__notes__", ()) if n not in own]
    if notes != ((failure.state or {}).get("notes") or []):
        failure = dataclasses.replace(failure, state={**(failure.state or {}), "notes": notes})
    return failure


def rebuild(failure: Failure, path: str, run_id: str) -> TaskFailed:
    """Return the exception for the caller of the task at `path`."""
    try:
        error = _make(failure, path, run_id)
    except Exception:  # noqa: BLE001 - a damaged state, or a stranger's: the rest is shown
        error = _make(dataclasses.replace(failure, state=None), path, run_id)
    times = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
    vars(error)["_note"] = f"TaskFailed: task {error.path!r}{times}, run {run_id}"
    error.add_note(vars(error)["_note"])
    return error


def restore(record: dict[str, Any], path: str, run_id: str) -> TaskFailed:
    """Return the error of a record again, for example in another process."""
    return rebuild(_read(record), path, run_id)


def _make(failure: Failure, path: str, run_id: str) -> TaskFailed:
    described = failure.state or {}

    def member(record: Any) -> TaskFailed:
        inner = _read(record)
        return _make(inner, inner.path or failure.path or path, run_id)

    reader = state.Reader(member)
    members: list[TaskFailed] = []
    if (failure.module, failure.type) == (MapFailed.__module__, MapFailed.__name__):
        error: Any = MapFailed("", type="", message="")
    else:
        names = [(failure.module, failure.type), *map(tuple, described.get("bases") or ())]
        original = classes.find(names)
        members = [member(record) for record in described.get("members") or ()]
        error = TaskFailed.__new__(TaskFailed)
        if original is not None:
            error = classes.instantiate(original, _constructor(described, members, reader))
    if "args" in described:
        args = tuple(map(reader.argument, described["args"]))
    elif members:
        args = described["group"], members
    else:
        args = (failure.message,)
    BaseException.args.__set__(error, args)  # type: ignore[attr-defined]  # a descriptor of C
    _write_attributes(error, described, state.Reader(member, args))
    vars(error).update(
        path=failure.path or path,
        type=failure.type,
        message=failure.message,
        traceback=failure.traceback,
        attempts=failure.attempts,
        run_id=run_id,
        _task=path,
        _module=failure.module,
        _record={f.name: getattr(failure, f.name) for f in dataclasses.fields(failure)},
        _restore=restore,
    )
    for note in described.get("notes") or ():
        error.add_note(note)
    task_failed: TaskFailed = error
    return task_failed


def _read(record: dict[str, Any]) -> Failure:
    names = {f.name for f in dataclasses.fields(Failure)}
    return Failure(**{k: v for k, v in record.items() if k in names})


def _constructor(
    described: dict[str, Any], members: list[Any], reader: state.Reader
) -> classes.Constructor:
    """Return the way in which C code makes the error, if it needs arguments."""
    if members:
        args = described["group"], members
        return classes.Constructor("builtins", "BaseExceptionGroup", "", args)
    module, name, method, made = described.get("made") or ("", "", "", {"v": []})
    return classes.Constructor(module, name, method, tuple(reader.argument(made)))


def _write_attributes(error: Any, described: dict[str, Any], reader: state.Reader) -> None:
    """Set the attributes that are kept, and note those that are not."""
    lost: dict[str, str] = dict(described.get("lost") or {})
    kept: list[str] = []
    for name, written in (described.get("attributes") or {}).items():
        if name in _FIELDS or name.startswith("__"):
            continue
        try:
            value = reader.value(written)
        except Exception as reason:  # noqa: BLE001 - for example, its class is gone
            lost[name] = f"it cannot be read here: {reason}"
            continue
        kept.append(name)
        try:
            object.__setattr__(error, name, value)  # its class may have a __setattr__ of its own
        except (AttributeError, TypeError):
            vars(error).setdefault(name, value)
    obj = "obj"
    if isinstance(error, AttributeError) and obj in lost:  # Python reads it for its suggestions
        object.__setattr__(error, obj, objects.RecordedObject("object", {}))
        del lost[obj]
    vars(error)["_kept"] = ("args", *kept)
    vars(error)["_lost"] = lost


def link(error: TaskFailed, cause: TaskFailed, path: str) -> None:
    """Set a subtask's failure as the cause of the failure of the task at `path`."""
    if error.path != path or isinstance(error, BaseExceptionGroup):
        vars(error)["_passed_on"] = cause  # the same error once more, or a group that shows it
    else:
        error.__cause__ = cause


def show_frames(raised: BaseException, original: BaseException) -> None:
    """Give an error and the members of its group the frames of the original."""
    raised.__traceback__ = tracebacks.own_frames(original.__traceback__)
    if isinstance(raised, BaseExceptionGroup) and isinstance(original, BaseExceptionGroup):
        for member, one in zip(raised.exceptions, original.exceptions, strict=False):
            show_frames(member, one)


def task_path(error: TaskFailed) -> str:
    """Return the path of the task that raised `error`, which may have passed on a subtask's."""
    return str(vars(error).get("_task", error.path))


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
    """Return the failure with the secrets hidden in its message, its traceback and its state."""
    if not secrets:
        return failure
    message, traceback = (redaction.scrub(s, secrets) for s in (failure.message, failure.traceback))
    described = state.scrub(failure.state, secrets)
    return dataclasses.replace(failure, message=message, traceback=traceback, state=described)


def dumps(failure: Failure) -> str:
    """Return the failure as the text for a row."""
    return orjson.dumps(failure).decode()


def loads(text: str) -> Failure:
    """Return the failure from the text of a row, without fields that this version lacks."""
    return _read(orjson.loads(text))

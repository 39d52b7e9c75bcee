"""What a person changes of a run that nobody executes: tasks are reset, set or skipped.

Pure: from a run's tasks to the rows to write, which `Journal.amend` then does.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from nbtasks import codec, keys
from nbtasks.errors import NotFoundError
from nbtasks.model import AttemptRow, EditRow, Row, RunRow, Status, TaskRow

__all__ = [
    "again",
    "cancel",
    "find",
    "from_on",
    "kept",
    "missing",
    "nearest",
    "put_value",
    "reset",
    "since",
]

#: Of so many paths the ones most like a mistyped one are looked for.
_COMPARED: Final = 2000
#: A task with one of these does not call its function again, so its subtasks are not reached.
_ANSWERED: Final = frozenset({Status.COMPLETED, Status.SKIPPED, Status.FAILED})


def by_path(tasks: Iterable[tuple[Any, ...]]) -> dict[str, TaskRow]:
    """The tasks of a run by their paths, of what a journal gives."""
    return {row.path: row for row in (TaskRow(*values) for values in tasks)}


def reset(run: RunRow, tasks: Mapping[str, TaskRow], path: str, now_us: int) -> Iterator[Row]:
    """Lets a task run again with all below it, and with the tasks above it that would not come
    to it otherwise.

    Raises:
        NotFoundError: There is no such task.
    """
    find(run, tasks, path)
    yield EditRow(run.run_id, path, "reset", now_us)
    yield from again(tasks, {path, *_below(tasks, path)})


def from_on(
    run: RunRow, tasks: Mapping[str, TaskRow], path: str | None, now_us: int
) -> Iterator[Row]:
    """As `reset`, with all that first started after the task, too; without a path, everything.

    Raises:
        NotFoundError: There is no such task.
    """
    chosen = since(run, tasks, path)
    yield EditRow(run.run_id, path or "", "reset", now_us)
    yield from again(tasks, chosen)


def since(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None) -> set[str]:
    """The paths of a task, of all below it, and of all that first started after it.

    Raises:
        NotFoundError: There is no such task.
    """
    if path is None:
        return set(tasks)
    first = find(run, tasks, path).seq
    return {row.path for row in tasks.values() if row.seq >= first} | set(_below(tasks, path))


def kept(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None) -> Iterator[TaskRow]:
    """The tasks that a fork begins with: those that had started before a task, as they are
    recorded, and as ones of which no execution has come to yet; without a path, none.

    Raises:
        NotFoundError: There is no such task.
    """
    chosen = since(run, tasks, path)
    opened = _to_open(tasks, chosen)
    for row in tasks.values():
        if row.path in opened:
            yield replace(_emptied(row), execution=0, attempts=0)
        elif row.path not in chosen:
            yield replace(row, execution=0, reused=False)


def put_value(  # noqa: PLR0913, PLR0917 - a row, and what is new in it
    run: RunRow,
    tasks: Mapping[str, TaskRow],
    path: str,
    status: Status,
    output: codec.Encoded,
    blob: str | None,
    now_us: int,
) -> Iterator[Row]:
    """Lets a task count as having come to a value, also one that has never run."""
    row = tasks.get(path)
    if row is None:
        seq = max((task.seq for task in tasks.values()), default=0) + 1
        row = TaskRow(run.run_id, path, seq, execution=0)
    else:
        yield from _attempt(row)
    action = "skip" if status == Status.SKIPPED else "set"
    yield EditRow(run.run_id, path, action, now_us)
    yield replace(
        _emptied(row),
        status=status,
        started_us=now_us,
        finished_us=now_us,
        output=output.text,
        output_kind=output.kind,
        output_bytes=output.size,
        blob=blob,
        hidden=output.shown is not None,
    )


def cancel(run: RunRow, tasks: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Lets a run that nobody executes count as cancelled, with what it waits for. Due times stay,
    so that executed again it waits what is left of them."""
    for row in (TaskRow(*values) for values in tasks):
        if row.status == Status.WAITING:
            yield replace(row, status=Status.CANCELED)
    yield replace(run, status=Status.CANCELED, resume_us=None)


def again(tasks: Mapping[str, TaskRow], chosen: Collection[str]) -> Iterator[Row]:
    """The rows that let tasks run again, and each of the tasks above them that has its answer
    already: its function is what comes to them."""
    for path in sorted(_to_open(tasks, chosen) | set(chosen)):
        if (row := tasks.get(path)) is not None:
            yield from _attempt(row)
            yield _emptied(row)


def find(run: RunRow, tasks: Mapping[str, TaskRow], path: str) -> TaskRow:
    """The task at a path.

    Raises:
        NotFoundError: There is none; the message names the nearest ones.
    """
    row = tasks.get(path)
    if row is None:
        raise missing(run, path, tasks)
    return row


def missing(run: RunRow, path: str, known: Iterable[str]) -> NotFoundError:
    """The error for a path of which nothing is recorded."""
    near = nearest(path, known)
    there = (
        f"The nearest: {', '.join(map(repr, near))}. run.tasks().path lists them all."
        if near
        else "It has none yet."
    )
    return NotFoundError(f"Run {run.run_id} of job {run.job!r} has no task {path!r}. {there}")


def nearest(path: str, known: Iterable[str]) -> list[str]:
    """At most three paths that somebody may have meant.

    >>> nearest("fit/Aa", ["load", "fit", "fit/AA", "fit/BB"])
    ['fit/AA', 'fit/BB', 'fit']
    """
    import difflib  # lazily: most runs are not edited, and most edits name what is there

    above = keys.parent(path)
    ordered = sorted(known, key=lambda other: keys.parent(other) != above)
    some = list(itertools.islice(ordered, _COMPARED))
    return difflib.get_close_matches(path, some, n=3, cutoff=0.4) or some[:3]


def _to_open(tasks: Mapping[str, TaskRow], chosen: Collection[str]) -> set[str]:
    """The tasks above others that have their answer already, and would not come to them."""
    above = {p for path in chosen for p in keys.parents(path)}.difference(chosen)
    return {p for p in above if p in tasks and tasks[p].status in _ANSWERED}


def _below(tasks: Mapping[str, TaskRow], path: str) -> list[str]:
    prefix = path + "/"
    return [other for other in tasks if other.startswith(prefix)]


def _attempt(row: TaskRow) -> Iterator[Row]:
    """Its latest attempt as a row of its own, since the task's row will not tell of it any more.
    In a back-off, and where the run was suspended in it, it has one already."""
    if row.attempt and row.due_us is None and row.status != Status.WAITING:
        status = Status.INTERRUPTED if row.status == Status.RUNNING else row.status
        yield AttemptRow(
            row.run_id, row.path, row.attempts, row.attempt, status,
            row.attempt_us, row.finished_us, row.error,
        )  # fmt: skip


def _emptied(row: TaskRow) -> TaskRow:
    """The task as one that was stopped before it began: it runs again, with a fresh budget.

    It keeps its place, and the number of its attempts. Nobody has to fear for a lost outcome any
    more, since a person has looked at it.
    """
    return TaskRow(
        row.run_id,
        row.path,
        row.seq,
        row.name,
        Status.CANCELED,
        execution=row.execution,
        attempts=row.attempts,
        params=row.params,
        properties=row.properties,
        icon=row.icon,
    )

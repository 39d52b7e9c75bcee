"""Edits of a run by a person while nobody executes it: reset, set or skip a task.

All functions are pure: they turn the tasks of a run into the rows that `Journal.amend` then writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from nbtasks.core import keys
from nbtasks.core.model import ANSWERED, AttemptRow, EditRow, Row, RunRow, Status, TaskRow
from nbtasks.errors import NotFoundError
from nbtasks.values import codec

__all__ = [
    "cancel",
    "find_task",
    "missing_task_error",
    "nearest_paths",
    "put_value",
    "reset",
    "reset_from",
    "reset_rows",
    "rows_before",
    "started_since",
]

#: Maximum number of paths that a mistyped one is compared with.
_COMPARED: Final = 2000


def by_path(tasks: Iterable[tuple[Any, ...]]) -> dict[str, TaskRow]:
    """Return the tasks of a run by path, from the values that a journal returns."""
    return {row.path: row for row in (TaskRow(*values) for values in tasks)}


def reset(run: RunRow, tasks: Mapping[str, TaskRow], path: str, now_us: int) -> Iterator[Row]:
    """Yield the rows that make a task run again, with its subtasks.

    The tasks above it that would not reach it otherwise run again, too.

    Raises:
        NotFoundError: There is no such task.
    """
    find_task(run, tasks, path)
    yield EditRow(run.run_id, path, "reset", now_us)
    yield from reset_rows(tasks, {path, *_find_subtasks(tasks, path)})


def reset_from(
    run: RunRow, tasks: Mapping[str, TaskRow], path: str | None, now_us: int
) -> Iterator[Row]:
    """Yield the rows that reset a task, its subtasks, and all tasks that first started after it.

    Without a path, all tasks are reset.

    Raises:
        NotFoundError: There is no such task.
    """
    chosen = started_since(run, tasks, path)
    yield EditRow(run.run_id, path or "", "reset", now_us)
    yield from reset_rows(tasks, chosen)


def started_since(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None) -> set[str]:
    """Return the paths of a task, its subtasks, and all tasks that first started after it.

    Without a path, all paths are returned.

    Raises:
        NotFoundError: There is no such task.
    """
    if path is None:
        return set(tasks)
    first = find_task(run, tasks, path).seq
    return {row.path for row in tasks.values() if row.seq >= first} | set(
        _find_subtasks(tasks, path)
    )


def rows_before(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None) -> Iterator[TaskRow]:
    """Yield the tasks that a fork starts with: those that had started before the task at `path`.

    They are copied as recorded, but count as not yet reached by any execution. Without a path,
    there are none.

    Raises:
        NotFoundError: There is no such task.
    """
    chosen = started_since(run, tasks, path)
    opened = _find_finished_ancestors(tasks, chosen)
    for row in tasks.values():
        if row.path in opened:
            yield replace(_empty_row(row), execution=0, attempts=0)
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
    """Yield the rows that record a value as the result of a task, even one that has never run."""
    row = tasks.get(path)
    if row is None:
        seq = max((task.seq for task in tasks.values()), default=0) + 1
        row = TaskRow(run.run_id, path, seq, execution=0)
    else:
        yield from _keep_attempt(row)
    action = "skip" if status == Status.SKIPPED else "set"
    yield EditRow(run.run_id, path, action, now_us)
    yield replace(
        _empty_row(row),
        status=status,
        started_us=now_us,
        finished_us=now_us,
        output=output.text,
        output_kind=output.kind,
        output_bytes=output.size,
        blob=blob,
        hidden=output.preview is not None,
    )


def cancel(run: RunRow, tasks: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Yield the rows that cancel a run that nobody executes, and its waiting tasks.

    Due times are kept, so that a new execution waits only for the remaining time.
    """
    for row in (TaskRow(*values) for values in tasks):
        if row.status == Status.WAITING:
            yield replace(row, status=Status.CANCELED)
    yield replace(run, status=Status.CANCELED, resume_us=None)


def reset_rows(tasks: Mapping[str, TaskRow], chosen: Collection[str]) -> Iterator[Row]:
    """Yield rows that reset the tasks at `chosen` paths and every finished ancestor.

    A finished ancestor would be answered from the journal and never call its subtasks.
    """
    for path in sorted(_find_finished_ancestors(tasks, chosen) | set(chosen)):
        if (row := tasks.get(path)) is not None:
            yield from _keep_attempt(row)
            yield _empty_row(row)


def find_task(run: RunRow, tasks: Mapping[str, TaskRow], path: str) -> TaskRow:
    """Return the task at a path.

    Raises:
        NotFoundError: There is no such task; the message names the nearest paths.
    """
    row = tasks.get(path)
    if row is None:
        raise missing_task_error(run, path, tasks)
    return row


def missing_task_error(run: RunRow, path: str, paths: Iterable[str]) -> NotFoundError:
    """Return the error for a path without a task."""
    candidates = nearest_paths(path, paths)
    hint = (
        f"The nearest: {', '.join(map(repr, candidates))}. run.tasks().path lists them all."
        if candidates
        else "It has none yet."
    )
    return NotFoundError(f"Run {run.run_id} of job {run.job!r} has no task {path!r}. {hint}")


def nearest_paths(path: str, paths: Iterable[str]) -> list[str]:
    """Return at most three paths that somebody may have meant.

    >>> nearest_paths("fit/Aa", ["load", "fit", "fit/AA", "fit/BB"])
    ['fit/AA', 'fit/BB', 'fit']
    """
    import difflib  # lazily: most runs are not edited, and most edits name an existing task

    parent = keys.parent(path)
    siblings_first = sorted(paths, key=lambda other: keys.parent(other) != parent)
    compared = list(itertools.islice(siblings_first, _COMPARED))
    return difflib.get_close_matches(path, compared, n=3, cutoff=0.4) or compared[:3]


def _find_finished_ancestors(tasks: Mapping[str, TaskRow], chosen: Collection[str]) -> set[str]:
    """Return the finished ancestors of `chosen`, which would not call their subtasks again."""
    ancestors = {p for path in chosen for p in keys.parents(path)}.difference(chosen)
    return {p for p in ancestors if p in tasks and tasks[p].status in ANSWERED}


def _find_subtasks(tasks: Mapping[str, TaskRow], path: str) -> list[str]:
    prefix = path + "/"
    return [other for other in tasks if other.startswith(prefix)]


def _keep_attempt(row: TaskRow) -> Iterator[Row]:
    """Yield the latest attempt of a task as a row of its own, before the task's row is emptied.

    An attempt in a back-off, or in which the run was suspended, has a row already.
    """
    if row.attempt and row.due_us is None and row.status != Status.WAITING:
        status = Status.INTERRUPTED if row.status == Status.RUNNING else row.status
        yield AttemptRow(
            row.run_id, row.path, row.attempts, row.attempt, status,
            row.attempt_us, row.finished_us, row.error, None, row.host, row.pid, row.worker,
        )  # fmt: skip


def _empty_row(row: TaskRow) -> TaskRow:
    """Return the task as if canceled before its start: it runs again, with a fresh retry budget.

    It keeps its position, and the number of attempts so far. A lost outcome is no longer in doubt,
    since a person has looked at it.
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

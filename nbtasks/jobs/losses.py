"""Runs that kill their worker: how often each did so in a row, and the end of those that go on.

A run may end the process that executes it: by `os._exit`, a crash in a library, or all the memory
of the machine. The next worker resumes it. After a few such deaths in a row it fails instead, so
that the worker does the other work.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from nbtasks.core import clock
from nbtasks.core.model import EntryRow, Failure, Row, RunRow, Status, TaskRow, WakeRow
from nbtasks.errors import WorkerLostError
from nbtasks.values import failures

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Find

__all__ = ["LIMIT", "acquit", "count", "fail"]

#: Number of deaths in a row after which a run is left alone.
LIMIT: Final = 3
#: Name of the entry in the scope of a run. A name of a user's own value holds no colon first.
_KEY: Final = ":worker lost"


class _Losses(NamedTuple):
    """Deaths in a row under one run.

    Attributes:
        execution: Number of the latest execution that was counted, or acquitted.
        deaths: Number of deaths in a row up to that execution.
        row: The recorded entry; None if there is none.
    """

    execution: int
    deaths: int
    row: EntryRow | None


def count(find: Find, run: RunRow) -> tuple[int, list[Row]]:
    """Return how often in a row the process of an interrupted run died, and the row that counts it.

    The reboot of the machine does not count, and each execution counts once.
    """
    losses = _load(find, run)
    if losses.execution == run.executions:
        return losses.deaths, []
    deaths = _before(losses, run) + (not _was_rebooted(run))
    return deaths, [_entry(losses, run, deaths)]


def acquit(find: Find, run: RunRow) -> Iterator[Row]:
    """Yield the row that keeps the coming death of this process from counting against a run."""
    losses = _load(find, run)
    if losses.execution != run.executions:
        yield _entry(losses, run, _before(losses, run))


def fail(find: Find, run: RunRow, deaths: int) -> Iterator[Row]:
    """Yield the rows that end a run that has killed its worker too often.

    If somebody executes it again by hand, the count starts again.
    """
    now, losses = clock.micros(), _load(find, run)
    lost: list[TaskRow] = find("task", run_id=run.run_id, status=Status.INTERRUPTED)
    task = max(lost, key=lambda row: (row.path.count("/"), row.seq), default=None)
    place = "" if task is None else f" in task {task.path!r}"
    failure = Failure(
        WorkerLostError.__name__,
        WorkerLostError.__module__,
        f"The process that executed run {run.run_id} of job {run.job!r} died {deaths} times "
        f"in a row, the last time{place} (pid {run.pid} on {run.host}), so workers leave it alone. "
        "Its finished tasks are kept. Find out what ends the process: too little memory, os._exit, "
        f"or a crash of a library. Then `nbtasks resume {run.run_id}` executes it again.",
        path="" if task is None else task.path,
    )
    yield replace(
        run, status=Status.FAILED, finished_us=now, resume_us=None, error=failures.dumps(failure)
    )
    yield _entry(losses, run, 0)
    if run.parent_run is not None:
        yield WakeRow(run.parent_run, now)


def _load(find: Find, run: RunRow) -> _Losses:
    for row in find("entry", scope=f"run:{run.run_id}", key=_KEY):
        execution, deaths = json.loads(row.value)
        return _Losses(execution, deaths, row)
    return _Losses(0, 0, None)


def _before(losses: _Losses, run: RunRow) -> int:
    """Return the number of deaths in a row before the latest execution of a run."""
    return losses.deaths if losses.execution == run.executions - 1 else 0


def _entry(losses: _Losses, run: RunRow, deaths: int) -> EntryRow:
    earliest = 0 if losses.row is None else losses.row.changed_us + 1
    value = json.dumps([run.executions, deaths])
    return EntryRow(f"run:{run.run_id}", _KEY, max(clock.micros(), earliest), value, "json")


def _was_rebooted(run: RunRow) -> bool:
    """Return True if this machine, which executed the run, has been started since."""
    booted_us = clock.booted_us()
    return (
        run.host == os.uname().nodename and booted_us is not None and run.execution_us < booted_us
    )

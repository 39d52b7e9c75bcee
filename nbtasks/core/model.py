"""Rows of a journal: the records of runs, tasks, attempts, log lines and so on.

A row is a complete snapshot. Writing it again with other values replaces it: the last row
written for a run, or for a path of a run, counts. Instants are epoch microseconds;
`None` means not known or not yet.

The fields have the order of the columns in `journal/database/schema.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar, Protocol

__all__ = [
    "ANSWERED", "KEYS", "KINDS", "OPEN", "SUCCEEDED", "UNDER_WAY", "AnswerRow", "AttemptRow",
    "CodeRow", "DisplayRow", "EditRow", "EntryRow", "EnvironmentRow", "EventRow", "Failure",
    "LogRow", "ReuseRow", "Row", "RunRow", "Status", "StatusRow", "TaskRow", "WakeRow", "columns",
    "record", "row_type", "values",
]  # fmt: skip


class Status(StrEnum):
    """State of a run, a task or an attempt.

    >>> Status.RUNNING == "RUNNING"
    True
    """

    __repr__ = str.__repr__  # show the plain word, as in a frame

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    INTERRUPTED = "INTERRUPTED"
    INVALID = "INVALID"
    SKIPPED = "SKIPPED"


# Sets of statuses, not properties of `Status`: rows contain the plain text, as journals return it.

#: A run or a task that may still change by itself.
UNDER_WAY = frozenset({Status.RUNNING, Status.WAITING})
#: A run that has not ended: it can be resumed and canceled.
OPEN = UNDER_WAY | {Status.INTERRUPTED}
#: A task whose recorded output answers its call.
SUCCEEDED = frozenset({Status.COMPLETED, Status.SKIPPED})
#: A task with a recorded outcome: an output, or a failure.
ANSWERED = SUCCEEDED | {Status.FAILED}


@dataclass(frozen=True, slots=True)
class Failure:
    """Record of an exception: data, never the pickled object.

    Attributes:
        type: Name of the class.
        module: Module that the class can be imported from.
        message: `str(exception)`.
        traceback: The formatted traceback without the engine's frames.
        path: Path of the innermost task that failed; empty for the body's own error.
        attempts: Number of attempts of that task.
        cause: Path of the subtask whose failure this one passes on.
        segments: For a map, the last path segment of each item, by its index. None if the segments
            are the indexes themselves.
        state: State of the exception as JSON: its arguments, attributes, notes and members, as far
            as they are data.
    """

    type: str
    module: str
    message: str
    traceback: str = ""
    path: str = ""
    attempts: int = 1
    cause: str | None = None
    segments: list[str] | None = None
    state: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(slots=True)
class RunRow:
    """One run: one job for one key, over all its executions."""

    kind: ClassVar[str] = "run"

    run_id: str
    job: str
    name: str
    version: str
    key: str
    status: str = Status.RUNNING
    trigger: str = "manual"
    parent_run: str | None = None
    started_us: int = 0  # of the first execution
    finished_us: int | None = None
    execution_us: int = 0  # start of the latest execution
    executions: int = 0
    resume_us: int | None = None
    payload: str | None = None  # as encoded by the codec, with its kind
    payload_kind: str | None = None
    output: str | None = None
    output_kind: str | None = None
    output_bytes: int | None = None
    blob: str | None = None
    error: str | None = None  # a Failure as JSON
    source: str | None = None  # of the cell, if the job is one
    notebook: str | None = None
    segment: str | None = None  # the one of the process that executes the run
    host: str | None = None
    pid: int | None = None
    payload_shown: str | None = None  # redacted, for display; None if nothing is hidden
    hidden: bool = False  # whether exports leave its output out
    number: int = 0  # its place in the order in which the runs of the home began


@dataclass(slots=True)
class TaskRow:
    """One task of a run: the keyed step at `path`."""

    kind: ClassVar[str] = "task"

    run_id: str
    path: str
    seq: int  # the order in which the tasks of the run first started
    name: str | None = None  # None: the key
    status: str = Status.RUNNING
    execution: int = 1  # the latest execution that reached it
    reused: bool = False  # whether that execution answered it from the journal
    started_us: int | None = None
    finished_us: int | None = None
    attempt_us: int | None = None  # start of the latest attempt
    due_us: int | None = None  # end of its current wait or back-off
    attempts: int = 0  # all attempts ever
    attempt: int = 0  # number of the latest one within its retry budget
    failures: int = 0  # within this budget; they count against the limit
    fatal: bool = False  # FAILED, and the body did not catch it: runs again
    params: str | None = None
    output: str | None = None
    output_kind: str | None = None
    output_bytes: int | None = None
    blob: str | None = None
    error: str | None = None  # a Failure as JSON
    fingerprint: str | None = None  # of its function when it ran
    digest: str | None = None  # of its arguments
    stale: str | None = None  # why its recorded output may be out of date
    once: bool = False  # do not call its function again if the outcome is lost
    expires_us: int | None = None  # from then on its output is computed again
    done: int | None = None  # progress in units of `total`
    total: int | None = None
    metrics: str | None = None  # a JSON object, as are properties
    properties: str | None = None
    icon: str | None = None
    awaits: str | None = None  # JSON: the outside answer that it waits for
    given_up_us: int | None = None  # CANCELED, and the body continued without it: after how long
    done_before: int | None = None  # as first reported by an attempt that is not the first
    host: str | None = None  # of the latest attempt, where that was another process than the run's
    pid: int | None = None
    worker: str | None = None  # its address in a cluster
    queued_on: str | None = None  # RUNNING, and waits for a place in this engine
    sent: int | None = None  # the attempt whose call a cluster may still hold
    hidden: bool = False  # whether exports leave its output out


@dataclass(slots=True)
class AttemptRow:
    """One attempt that was followed by another. The latest attempt is in the task's row."""

    kind: ClassVar[str] = "attempt"

    run_id: str
    path: str
    number: int  # among all attempts of the task, from 1
    attempt: int  # within its retry budget, from 1
    status: str
    started_us: int | None
    finished_us: int | None = None
    error: str | None = None
    retry_us: int | None = None
    host: str | None = None  # as in the task's row
    pid: int | None = None
    worker: str | None = None


@dataclass(slots=True)
class LogRow:
    """One line logged by a body or a task. `path` is empty for the body."""

    kind: ClassVar[str] = "log"

    run_id: str
    path: str
    attempt: int
    logged_us: int
    level: str
    message: str
    data: str | None = None


@dataclass(slots=True)
class CodeRow:
    """Source behind a fingerprint, stored once per run."""

    kind: ClassVar[str] = "code"

    run_id: str
    fingerprint: str
    source: str  # JSON, as `function.dumps` wrote it


@dataclass(slots=True)
class EnvironmentRow:
    """Versions that the pickles of an execution may depend on."""

    kind: ClassVar[str] = "environment"

    run_id: str
    recorded_us: int
    python: str
    modules: str  # JSON: versions by name


@dataclass(slots=True)
class EditRow:
    """A task set, skipped or reset by hand."""

    kind: ClassVar[str] = "edit"

    run_id: str
    path: str
    action: str  # set, skip, reset
    edited_us: int
    host: str | None = None
    pid: int | None = None
    notebook: str | None = None


@dataclass(slots=True)
class ReuseRow:
    """Tasks with `first <= seq <= last`, answered from the journal in `execution`."""

    kind: ClassVar[str] = "reuse"

    run_id: str
    execution: int
    ranges: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class DisplayRow:
    """Output displayed by one attempt of a task."""

    kind: ClassVar[str] = "display"

    run_id: str
    path: str
    attempt: int  # among all attempts of the task, from 1
    shown_us: int
    output: str | None  # JSON: data by MIME type, and metadata
    blob: str | None = None


@dataclass(slots=True)
class AnswerRow:
    """Answer from outside to a waiting task; the first one counts."""

    kind: ClassVar[str] = "answer"

    run_id: str
    path: str
    answered_us: int
    value: str | None  # as encoded by the codec, with its kind
    value_kind: str | None
    origin: str  # its source: request, ask, a command


@dataclass(slots=True)
class WakeRow:
    """Sign that a run may find something new; a run suspended by then becomes due."""

    kind: ClassVar[str] = "wake"

    run_id: str
    woken_us: int


@dataclass(slots=True)
class StatusRow:
    """Status shown by a run, as it stood from an instant on."""

    kind: ClassVar[str] = "status"

    run_id: str
    status: str  # its key
    number: int  # of the snapshot, from 1
    changed_us: int
    label: str
    state: str | None = None  # loading, success, failure
    data: str | None = None  # JSON


@dataclass(slots=True)
class EventRow:
    """An event. Of several rows for one event, the one changed last counts."""

    kind: ClassVar[str] = "event"

    event_id: str
    changed_us: int
    name: str
    source: str
    payload: str | None
    payload_kind: str | None
    created_us: int
    at_us: int  # time of the event: its delivery time, or else its sending time
    deliver_us: int | None = None
    delivered_us: int | None = None
    cancelled_us: int | None = None
    payload_shown: str | None = None  # redacted, for display; None if nothing is hidden


@dataclass(slots=True)
class EntryRow:
    """A value stored under a name."""

    kind: ClassVar[str] = "entry"

    scope: str  # env, job:<id>, run:<id>
    key: str
    changed_us: int
    value: str | None  # as encoded by the codec, with its kind
    value_kind: str | None  # None if the entry was deleted
    blob: str | None = None


class Row(Protocol):
    """Any of the rows above."""

    kind: ClassVar[str]


_ROWS: tuple[type[Any], ...] = (
    RunRow, TaskRow, AttemptRow, LogRow, CodeRow, EditRow, ReuseRow, DisplayRow, AnswerRow, WakeRow,
    StatusRow, EventRow, EntryRow, EnvironmentRow,
)  # fmt: skip
#: All kinds of rows.
KINDS = tuple(row.kind for row in _ROWS)
#: Key fields of the kinds of which, for each key, only the row changed last counts.
KEYS: dict[str, tuple[str, ...]] = {
    "event": ("event_id",), "entry": ("scope", "key"),
}  # fmt: skip
_TYPES = {row.kind: row for row in _ROWS}
_COLUMNS = {kind: tuple(f.name for f in fields(row)) for kind, row in _TYPES.items()}
_VALUES = {kind: attrgetter(*names) for kind, names in _COLUMNS.items()}
_RECORDS = {kind: attrgetter("kind", *names) for kind, names in _COLUMNS.items()}


def row_type(kind: str) -> type[Any]:
    """Return the class of a kind of row."""
    return _TYPES[kind]


def columns(kind: str) -> tuple[str, ...]:
    """Return the field names of a kind of row, in order.

    >>> columns("reuse")
    ('run_id', 'execution', 'ranges')
    """
    return _COLUMNS[kind]


def record(row: Row) -> tuple[Any, ...]:
    """Return the row's kind, followed by its values."""
    result: tuple[Any, ...] = _RECORDS[row.kind](row)
    return result


def values(row: Row) -> tuple[Any, ...]:
    """Return the values of the fields, in the order of `columns`."""
    result: tuple[Any, ...] = _VALUES[row.kind](row)
    return result

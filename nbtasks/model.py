"""The rows of a journal: what is recorded of a run, a task, an attempt, a log line.

A row is a complete snapshot. Writing it again with other values replaces it, so the last one
written for a run, or for a path of a run, is the truth. Instants are epoch microseconds;
`None` means not known or not yet.

The fields stand in the order of the columns of the tables in `journal/schema.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar, Protocol

__all__ = [
    "KEYS",
    "TERMINAL",
    "UNDER_WAY",
    "AnswerRow",
    "AttemptRow",
    "CodeRow",
    "DisplayRow",
    "EditRow",
    "EntryRow",
    "EnvironmentRow",
    "EventRow",
    "Failure",
    "LogRow",
    "ReuseRow",
    "Row",
    "RunRow",
    "Status",
    "StatusRow",
    "TaskRow",
    "WakeRow",
    "columns",
    "record",
    "row_type",
    "values",
]


class Status(StrEnum):
    """The state of a run, a task or an attempt (DESIGN 4).

    >>> Status.RUNNING == "RUNNING"
    True
    """

    __repr__ = str.__repr__  # people see the word, as in a frame

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    INTERRUPTED = "INTERRUPTED"
    INVALID = "INVALID"
    SKIPPED = "SKIPPED"


#: What may still change by itself.
UNDER_WAY = (Status.RUNNING, Status.WAITING)
TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.SKIPPED, Status.INVALID})


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an exception: data, never the pickled object.

    Attributes:
        type: The class's name.
        module: The module that the class can be imported from.
        message: `str(exception)`.
        traceback: The formatted traceback without the engine's frames.
        path: The path of the innermost task that failed; empty for the body's own error.
        attempts: How often that task was tried.
        cause: The path of the subtask whose failure this one passes on.
        segments: Of a map: the last part of each item's path, by the item's index. None where
            that is the index itself.
    """

    type: str
    module: str
    message: str
    traceback: str = ""
    path: str = ""
    attempts: int = 1
    cause: str | None = None
    segments: list[str] | None = None


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
    payload: str | None = None  # as the codec wrote it, with its kind
    payload_kind: str | None = None
    output: str | None = None
    output_kind: str | None = None
    output_bytes: int | None = None
    blob: str | None = None
    error: str | None = None  # a Failure as JSON
    source: str | None = None  # of the cell, if it is one
    notebook: str | None = None
    segment: str | None = None  # whose owner executes it
    host: str | None = None
    pid: int | None = None
    payload_shown: str | None = None  # what people may see of it, where that is not all
    hidden: bool = False  # whether its output is in no export


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
    reused: bool = False  # ... and whether it was answered from the journal there
    started_us: int | None = None
    finished_us: int | None = None
    attempt_us: int | None = None  # start of the latest attempt
    due_us: int | None = None  # end of the wait or the back-off it is in
    attempts: int = 0  # all attempts ever
    attempt: int = 0  # the latest one's number within its retry budget
    failures: int = 0  # of this budget: what counts against the limit
    fatal: bool = False  # FAILED, and that failure was not caught: it runs again
    params: str | None = None
    output: str | None = None
    output_kind: str | None = None
    output_bytes: int | None = None
    blob: str | None = None
    error: str | None = None  # a Failure as JSON
    fingerprint: str | None = None  # of its function, when it ran
    digest: str | None = None  # of its arguments
    stale: str | None = None  # why its recorded output may be out of date
    once: bool = False  # its function must not be called again if the outcome is lost
    expires_us: int | None = None  # then its output is computed anew
    done: int | None = None  # progress, of `total`
    total: int | None = None
    metrics: str | None = None  # JSON objects
    properties: str | None = None
    icon: str | None = None
    awaits: str | None = None  # JSON: what comes from outside that it waits for
    hidden: bool = False  # whether its output is in no export


@dataclass(slots=True)
class AttemptRow:
    """One attempt that another one followed. The latest attempt is in its task's row."""

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


@dataclass(slots=True)
class LogRow:
    """One line that a body or a task logged. `path` is empty for the body."""

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
    """The source that a fingerprint stands for, kept once in a run."""

    kind: ClassVar[str] = "code"

    run_id: str
    fingerprint: str
    source: str  # JSON, as `fingerprint` wrote it


@dataclass(slots=True)
class EnvironmentRow:
    """What the pickles of an execution may depend on."""

    kind: ClassVar[str] = "environment"

    run_id: str
    recorded_us: int
    python: str
    modules: str  # JSON: versions by names


@dataclass(slots=True)
class EditRow:
    """A task that somebody set, skipped or reset by hand."""

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
    """The tasks with `first <= seq <= last` were answered from the journal in `execution`."""

    kind: ClassVar[str] = "reuse"

    run_id: str
    execution: int
    ranges: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class DisplayRow:
    """What a task displayed in one of its attempts."""

    kind: ClassVar[str] = "display"

    run_id: str
    path: str
    attempt: int  # among all of the task, from 1
    shown_us: int
    output: str | None  # JSON: data by MIME type, and what is said of it
    blob: str | None = None


@dataclass(slots=True)
class AnswerRow:
    """What a task that waits was told from outside: the first answer to it counts."""

    kind: ClassVar[str] = "answer"

    run_id: str
    path: str
    answered_us: int
    value: str | None  # as the codec wrote it, with its kind
    value_kind: str | None
    origin: str  # who gave it: request, ask, a command


@dataclass(slots=True)
class WakeRow:
    """A run may find something new: if it was suspended by then, it is due."""

    kind: ClassVar[str] = "wake"

    run_id: str
    woken_us: int


@dataclass(slots=True)
class StatusRow:
    """A status that a run shows, as it stood from an instant on."""

    kind: ClassVar[str] = "status"

    run_id: str
    status: str  # its key
    number: int  # of its snapshots, from 1
    changed_us: int
    label: str
    state: str | None = None  # loading, success, failure
    data: str | None = None  # JSON


@dataclass(slots=True)
class EventRow:
    """An event. The row that was changed last is how it stands, as of those that follow."""

    kind: ClassVar[str] = "event"

    event_id: str
    changed_us: int
    name: str
    source: str
    payload: str | None
    payload_kind: str | None
    created_us: int
    at_us: int  # when it happens: when it is to be delivered, or else when it was sent
    deliver_us: int | None = None
    delivered_us: int | None = None
    cancelled_us: int | None = None
    payload_shown: str | None = None  # what people may see of it, where that is not all


@dataclass(slots=True)
class EntryRow:
    """A value that was stored by name."""

    kind: ClassVar[str] = "entry"

    scope: str  # env, job:<id>, run:<id>
    key: str
    changed_us: int
    value: str | None  # as the codec wrote it, with its kind
    value_kind: str | None  # None where it was deleted
    blob: str | None = None


class Row(Protocol):
    """Any of the rows above."""

    kind: ClassVar[str]


_ROWS: tuple[type[Any], ...] = (
    RunRow, TaskRow, AttemptRow, LogRow, CodeRow, EditRow, ReuseRow, DisplayRow, AnswerRow, WakeRow,
    StatusRow, EventRow, EntryRow, EnvironmentRow,
)  # fmt: skip
#: The rows of other kinds stay, each of them; of these the one that was changed last, by its key.
KEYS: dict[str, tuple[str, ...]] = {
    "event": ("event_id",), "entry": ("scope", "key"),
}  # fmt: skip
_TYPES = {row.kind: row for row in _ROWS}
_COLUMNS = {row.kind: tuple(f.name for f in fields(row)) for row in _ROWS}
_VALUES = {kind: attrgetter(*names) for kind, names in _COLUMNS.items()}
_RECORDS = {kind: attrgetter("kind", *names) for kind, names in _COLUMNS.items()}


def row_type(kind: str) -> type[Any]:
    """The class of a kind of row."""
    return _TYPES[kind]


def columns(kind: str) -> tuple[str, ...]:
    """The fields of a kind of row, in order.

    >>> columns("reuse")
    ('run_id', 'execution', 'ranges')
    """
    return _COLUMNS[kind]


def record(row: Row) -> tuple[Any, ...]:
    """The row's kind, and then its values."""
    result: tuple[Any, ...] = _RECORDS[row.kind](row)
    return result


def values(row: Row) -> tuple[Any, ...]:
    """The fields' values, in the order of `columns`."""
    result: tuple[Any, ...] = _VALUES[row.kind](row)
    return result

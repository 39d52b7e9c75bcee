"""The journal protocol: twenty methods, in the words of the domain, that the engine needs.

`memory.MemoryJournal` and `home_journal.HomeJournal` implement it, and one test holds both to it.
`readonly.Reader` wraps either of them for read-only use.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar, cast

from nbtasks.core.model import Failure, Row, RunRow, TaskRow, columns
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = [
    "ANSWER",
    "UNATTENDED",
    "Answer",
    "AnyRun",
    "Change",
    "Claim",
    "ClaimedRun",
    "Find",
    "Journal",
    "JournalWrapper",
    "TaskTuple",
    "Transaction",
    "answer_of",
]

#: The fields of a `TaskRow` that a replay needs of a COMPLETED task. Reading all fields would take
#: three times as long.
ANSWER = (
    "seq", "path", "output_kind", "output", "blob", "finished_us", "fingerprint", "digest", "stale",
)  # fmt: skip
#: The values of the `ANSWER` fields of a task.
Answer = tuple[Any, ...]
#: Function that returns them, given a `TaskTuple`.
answer_of = itemgetter(*map(columns("task").index, ANSWER))

#: The values of a `TaskRow`, in its order. A resumed run may have 100,000 of them and look at a
#: few, so each one becomes a row only when it is needed.
TaskTuple = tuple[Any, ...]

#: Function that returns the rows to write for a run, given its row and its tasks; see
#: `Journal.amend`.
Change = Callable[[RunRow, list[TaskTuple]], Iterable[Row]]


class Find(Protocol):
    """Query by kind and values of fields; see `Journal.find`."""

    def __call__(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Return the rows."""


#: Function that returns the rows to write, given a query of the recorded rows; see
#: `Journal.transact`.
Transaction = Callable[[Find], Iterable[Row]]


#: Levels of the log lines that a task printed, to stdout and to stderr.
PRINTED: Final = ("print", "stderr")
#: Triggers of runs without a user watching.
UNATTENDED: Final = ("event", "schedule", "invoke")


@dataclass(frozen=True, slots=True)
class Claim:
    """Request to execute a run.

    Attributes:
        make: The row of the run to create if none exists.
        run_id: Execute this very run; by default the latest one of the job, version and key in
            `make`.
        new: Create a new run even if one exists.
        rows: Tasks to record in a run that is created, as if they had happened in it.
        limit: Maximum number of runs of the job executed at the same time, this one included.
        after: Execute the run only if it has not ended after so many executions.
    """

    make: RunRow
    run_id: str | None = None
    new: bool = False
    rows: Sequence[TaskRow] = ()
    limit: int | None = None
    after: int | None = None


@dataclass(slots=True)
class RecordedOutputs:
    """Output of the tasks of a run: printed lines and displays.

    Attributes:
        paths: Paths of these tasks.
        rows: The rows of the log and of displays, in no particular order; None if there are too
            many to be read before anybody asks for them.
        retried: Paths of the tasks with earlier attempts, if `rows` are there.
    """

    paths: Collection[str] = ()
    rows: list[Any] | None = None
    retried: Collection[str] = ()


@dataclass(slots=True)
class ClaimedRun:
    """A run that this process has claimed for execution.

    Attributes:
        run: The run; `executions` already counts this one, `status` is RUNNING.
        tasks: The recorded tasks that are not COMPLETED, by path, in the order of `seq`.
        answers: The `ANSWER` fields of the COMPLETED tasks, by path, in the order of `seq`.
            `Journal.tasks` returns all fields of a task.
        rows: All fields of the COMPLETED tasks, by path; None if they are many, or not at hand.
        logs: Number of times the body has already logged each (level, message, data).
        fresh: True if the run is new.
        codes: The recorded sources of its tasks' functions, by fingerprint.
        shown: What its tasks have printed and displayed.
        only: True if tasks are only answered from the journal, and none runs.
    """

    run: RunRow
    tasks: dict[str, TaskTuple] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    rows: dict[str, TaskTuple] | None = None
    logs: dict[tuple[str, str, str | None], int] = field(default_factory=dict)
    fresh: bool = True
    codes: dict[str, str] = field(default_factory=dict)
    shown: RecordedOutputs = field(default_factory=RecordedOutputs)
    only: bool = False


class JobHandle(Protocol):
    """A job, as the views need it."""

    id: str


class RunHandle(Protocol):
    """A run, as `io`, events and the views need it: `Run` is one."""

    id: str

    @property
    def journal(self) -> Journal:
        """Journal that the run is read from."""

    @property
    def job(self) -> str:
        """Id of its job."""

    @property
    def key(self) -> str:
        """Key that continues it, together with the job's id and version."""

    @property
    def status(self) -> str:
        """Status now."""

    @property
    def output(self) -> Any:
        """Value that the body returned."""

    @property
    def error(self) -> Failure | None:
        """Error that ended the run, if it failed."""

    @property
    def executions(self) -> int:
        """Number of executions of its body."""


#: A run, or its id. A job, or its id, stands for its latest run.
AnyRun = RunHandle | JobHandle | str


class Journal(Protocol):
    """Protocol for the store of one home."""

    def claim(self, claim: Claim) -> ClaimedRun:
        """Find or create a run and claim it, atomically among all processes of the home.

        The start of the execution is durable when this method returns. A task that a dead process
        left RUNNING is returned as INTERRUPTED.

        Raises:
            RunBusyError: The run is being executed, in this process or another one.
            JobBusyError: The concurrency limit of its job is reached.
            NotFoundError: There is no run `claim.run_id`.
            JournalWriteError: The home cannot be written.
        """

    def peek(self, claim: Claim) -> ClaimedRun | None:
        """Return what `claim` would return, without claiming the run.

        Nothing is written, and the run is returned as it is recorded.

        Returns:
            The run. None if there is no such run, or no home.

        Raises:
            RunBusyError: The run is being executed, in this process or another one.
            NotFoundError: There is no run `claim.run_id`.
        """

    def release(self, run: RunRow) -> None:
        """Record the end of an execution durably, and release the run for others.

        The run is released even if the record cannot be written; it then counts as INTERRUPTED.
        Other programs that open the file of a home see the execution at once; that of a cell or of
        an `UNATTENDED` run, soon after.
        """

    def settle(self) -> None:
        """Let other programs that open the file of the home see the executions that have ended."""

    def amend(self, run_id: str, change: Change) -> None:
        """Write rows of a run that nobody executes: all of them or none, durably.

        `change` is called while the run is held, so that nobody claims it in between. If `change`
        raises, the error is raised here, and nothing is written. An `EditRow` gets the host, the
        process and the notebook of this journal.

        Raises:
            RunBusyError: The run is being executed, in this process or another one.
            NotFoundError: There is no run `run_id`.
            JournalWriteError: The home cannot be written.
        """

    def import_rows(self, rows: Sequence[Row]) -> Mapping[str, str]:
        """Import runs that were recorded elsewhere, with all their rows: all or none, durably.

        A run that is in this journal already and has gone further there continues here; see
        `conflicts.to_import`.

        Returns:
            What became of each run, by its id: `new`, `continued`, or unchanged, since the one here
            is the `same` or has gone `further`.

        Raises:
            RunBusyError: One of the runs is being executed, in this process or another one.
            RunDivergedError: One of the runs has gone further both here and there.
            JournalWriteError: The home cannot be written.
        """

    def request_cancel(self, run_id: str) -> None:
        """Request the cancellation of a run from the process of the home that executes it.

        The request expires when the execution ends, and when another one starts.

        Raises:
            JournalWriteError: The home cannot be written.
        """

    def cancel_requests(self) -> Collection[str]:
        """Return the runs with a request to cancel.

        This method is cheap: it is called ten times a second.
        """

    def transact(self, transaction: Transaction) -> None:
        """Read recorded rows and write new ones in one transaction.

        No other process of the home runs a transaction or claims a run meanwhile. The new rows are
        durable, in their order, when this method returns, and `change_count` has changed if there
        were any. `transaction` is called with `find`; an error that it raises is raised here.

        Rows of a run that somebody executes, and rows of a task, must be written by `amend`
        instead. A row that replaces another must have a greater `changed_us`.

        Raises:
            JournalWriteError: The home cannot be written.
        """

    def change_count(self) -> int:
        """Return a number that changes with each `transact` that wrote rows, in any process of the
        home.

        This method is cheap: it is called twenty times a second.
        """

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Return the rows of a kind whose fields equal the given values, in no particular order.

        Args:
            kind: The kind of row.
            since: A field and an instant, in epoch microseconds: only rows from that instant on.
            **equal: The value of each field.
        """

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Add a row. It is not yet durable, but never overtakes a row that was put before it.

        The values of the row are copied now: changing it afterwards does not change the record.

        Args:
            row: The row.
            flush: Then flush, in the same call.
        """

    def flush(self) -> None:
        """Hand all rows put so far to the system: they survive the death of this process."""

    def sync(self) -> None:
        """Make all rows put so far durable: they survive a power cut, too.

        With durability `relaxed` this is `flush`.

        Raises:
            JournalWriteError: The disk refused the write. The rows are kept, and written by the
                next call that succeeds.
        """

    def put_blob(self, content: LazyBytes) -> str:
        """Store bytes under the hash of their content, and return that name. Durable at once."""

    def get_blob(self, name: str) -> VerifiedBytes:
        """Return the bytes stored by `put_blob`.

        Raises:
            UnreadableValueError: The bytes are missing. `VerifiedBytes.check` raises the same
                error if they have changed.
        """

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """Return the runs of the home, oldest first: all, one by id, or those of one job.

        A RUNNING run whose owner is dead is returned as INTERRUPTED, and so are its RUNNING tasks.
        """

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """Return the tasks of a run in the order in which they first started."""

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Return the result of one SQL query over the views of `schema.sql`, as a pyarrow Table.

        The query sees all rows that any process of the home has put and flushed, live runs
        included, and cannot change anything. It may also name `frames`, except those named like a
        view.

        Raises:
            JournalError: `sql` is not a single query, or DuckDB refuses it.
        """

    def close(self) -> None:
        """Release all resources. Rows that were put are kept."""


Method = TypeVar("Method", bound=Callable[..., Any])


def _delegate(method: Method) -> Method:
    """Return a method that calls the one of the same name on the inner journal."""
    name = method.__name__

    def call(self: JournalWrapper, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._inner, name)(*args, **kwargs)

    call.__name__, call.__doc__ = name, f"Delegate to the inner journal: `Journal.{name}`."
    return cast("Method", call)


class JournalWrapper:
    """Journal that delegates to another journal. A subclass overrides the methods that differ.

    Args:
        inner: The other journal.
    """

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self.home = getattr(inner, "home", None)  # for messages that say where a run is

    claim = _delegate(Journal.claim)
    peek = _delegate(Journal.peek)
    release = _delegate(Journal.release)
    settle = _delegate(Journal.settle)
    amend = _delegate(Journal.amend)
    import_rows = _delegate(Journal.import_rows)
    request_cancel = _delegate(Journal.request_cancel)
    cancel_requests = _delegate(Journal.cancel_requests)
    transact = _delegate(Journal.transact)
    change_count = _delegate(Journal.change_count)
    find = _delegate(Journal.find)
    put = _delegate(Journal.put)
    flush = _delegate(Journal.flush)
    sync = _delegate(Journal.sync)
    put_blob = _delegate(Journal.put_blob)
    get_blob = _delegate(Journal.get_blob)
    runs = _delegate(Journal.runs)
    tasks = _delegate(Journal.tasks)
    query = _delegate(Journal.query)
    close = _delegate(Journal.close)

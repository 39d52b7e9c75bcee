"""What the engine needs of a journal: eighteen verbs, in the words of the domain.

Two implementations keep this contract, and one test holds both to it: `memory.MemoryJournal`
and `home.HomeJournal`. Around either, `reader.Reader` only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbtasks.model import Failure, Row, RunRow, TaskRow
from nbtasks.values.content import Blob, Content

__all__ = [
    "ANSWER",
    "Answer",
    "Change",
    "Claim",
    "Deal",
    "Find",
    "Journal",
    "Opened",
    "TaskTuple",
]

#: What a replay needs of a task that is completed: these fields of its `TaskRow`. All of them
#: would take three times as long to read.
ANSWER = (
    "seq", "path", "output_kind", "output", "blob", "finished_us", "fingerprint", "digest", "stale",
)  # fmt: skip
#: The values of those.
Answer = tuple[Any, ...]

#: The values of a `TaskRow`, in its order. A resumed run may have 100,000 of them, of which it
#: looks at a few, so rows are made of them one by one.
TaskTuple = tuple[Any, ...]

#: What to write of a run, given its row and its tasks; see `Journal.amend`.
Change = Callable[[RunRow, list[TaskTuple]], Iterable[Row]]


class Find(Protocol):
    """The rows of a kind whose fields have given values; see `Journal.find`."""

    def __call__(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """The rows."""


#: What to write, given what is recorded; see `Journal.transact`.
Deal = Callable[[Find], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Claim:
    """Which run is to be executed, and by whom.

    Attributes:
        run_id: Execute this very run; else the latest one of `job`, `version` and `key`.
        new: Make a new run even if there is one.
        make: The row of the run to make where there is none.
        rows: What is recorded of a run that is made, as if it had happened in it.
        limit: How many runs of the job may be executed at once, this one included.
    """

    make: RunRow
    run_id: str | None = None
    new: bool = False
    rows: Sequence[TaskRow] = ()
    limit: int | None = None


@dataclass(slots=True)
class Opened:
    """A run that this process may execute now.

    Attributes:
        run: The run; `executions` already counts this one, `status` is RUNNING.
        tasks: What is recorded of its tasks that are not COMPLETED, by path, in the order of
            `seq`.
        answers: The `ANSWER` of those that are, likewise. `Journal.tasks` gives all of a task.
        logs: How often the body has logged a (level, message, data) already.
        fresh: Whether the run is new.
        codes: What is recorded of the functions of its tasks, by their fingerprints.
        displayed: The tasks of which it is recorded what they displayed.
        only: Whether its tasks are only answered from what is recorded, and none runs.
    """

    run: RunRow
    tasks: dict[str, TaskTuple] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    logs: dict[tuple[str, str, str | None], int] = field(default_factory=dict)
    fresh: bool = True
    codes: dict[str, str] = field(default_factory=dict)
    displayed: Collection[str] = ()
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


class Journal(Protocol):
    """The store of one home."""

    def claim(self, claim: Claim) -> Opened:
        """Finds or makes a run and takes it, atomically among all processes of the home.

        The start of the execution is durable when this returns. A task that its dead owner
        left RUNNING is given as INTERRUPTED.

        Raises:
            RunBusyError: The run is being executed, here or elsewhere.
            JobBusyError: So many runs of its job are that there is no room for it.
            NotFoundError: There is no run `claim.run_id`.
            JournalWriteError: The home cannot be written.
        """

    def look(self, claim: Claim) -> Opened | None:
        """What `claim` would find, which is not taken: nothing is written, and the run is given
        as it is recorded. None where there is no such run, also if there is no home.

        Raises:
            RunBusyError: The run is being executed, here or elsewhere.
            NotFoundError: There is no run `claim.run_id`.
        """

    def release(self, run: RunRow) -> None:
        """Records the end of an execution, durably, and lets others have the run.

        The run is let go even if the record cannot be written; it then counts as INTERRUPTED.
        """

    def amend(self, run_id: str, change: Change) -> None:
        """Writes rows of a run that nobody executes: all of them or none, durably.

        `change` is asked for them while the run is held, so that nobody takes it in between; what
        it raises is raised, and nothing is written. An `EditRow` gets the host, the process and
        the notebook of this journal.

        Raises:
            RunBusyError: The run is being executed, here or elsewhere.
            NotFoundError: There is no run `run_id`.
            JournalWriteError: The home cannot be written.
        """

    def adopt(self, rows: Sequence[Row]) -> None:
        """Takes runs that were recorded elsewhere, with all their rows: all of them or none,
        durably.

        Raises:
            JournalError: One of the runs is here.
            JournalWriteError: The home cannot be written.
        """

    def ask_to_cancel(self, run_id: str) -> None:
        """Asks whoever executes a run to cancel it, in whatever process of the home.

        The request goes with the execution: when that ends, and when another one begins.

        Raises:
            JournalWriteError: The home cannot be written.
        """

    def asked_to_cancel(self) -> Collection[str]:
        """The runs of which somebody has asked that. Cheap: it is called ten times a second."""

    def transact(self, deal: Deal) -> None:
        """Reads what is recorded and writes rows on the strength of it, while nobody else in any
        process of the home does so or claims a run. Durable when it returns, in the order of the
        rows; and `news` has changed, if there were any.

        Not for the rows of a run that somebody executes, nor for those of a task: that is
        `amend`. A row that replaces another has a greater `changed_us`.

        `deal` is called with `find`, and what it raises is raised.

        Raises:
            JournalWriteError: The home cannot be written.
        """

    def news(self) -> int:
        """A number that changes with each `transact` that wrote, in any process of the home. Cheap:
        it is called twenty times a second."""

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """The rows of a kind whose fields are equal to those given, and from an instant on in a
        field of `since`; in no particular order."""

    def put(self, row: Row) -> None:
        """Takes a row. It is not yet safe, but never overtakes a row that was put before it.

        The row's values are taken now: changing it afterwards does not change what was put.
        """

    def flush(self) -> None:
        """Hands everything put so far to the system: it survives the death of this process."""

    def sync(self) -> None:
        """Makes everything put so far durable: it survives a power cut, too.

        With durability `relaxed` this is `flush`.

        Raises:
            JournalWriteError: The disk refused. What was put stays, and goes out with the next
                call that succeeds.
        """

    def put_blob(self, content: Content) -> str:
        """Keeps bytes by their content and gives the name to get them by. Durable at once."""

    def get_blob(self, name: str) -> Blob:
        """The bytes that `put_blob` named.

        Raises:
            UnreadableValueError: They are missing; or were changed, when they are checked.
        """

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """The runs of the home, oldest first; one by id, or those of one job.

        A RUNNING run whose owner is dead is given as INTERRUPTED, and so are its tasks below.
        """

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """The tasks of a run in the order in which they first started."""

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """The result of one SQL query over the views of `schema.sql`, as a pyarrow Table.

        It sees everything that was put and flushed by any process of the home, live runs
        included, and can change nothing. Of `frames` it may name those that are no view.

        Raises:
            JournalError: It is not one query, or DuckDB refuses it.
        """

    def close(self) -> None:
        """Gives everything back. What was put is kept."""

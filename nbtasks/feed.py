"""Where a view gets the rows of a run from, and hears what has changed in them."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Protocol

from nbtasks.errors import NotFoundError
from nbtasks.model import RunRow, Status, TaskRow

if TYPE_CHECKING:
    from nbtasks.engine import Execution
    from nbtasks.journal.port import Journal

__all__ = ["ExecutionFeed", "Feed", "JournalFeed"]

#: A run and tasks of it.
Rows = tuple[RunRow, list[TaskRow]]


class Feed(Protocol):
    """The rows of one run.

    Attributes:
        rest: Seconds between two looks, at least.
        blocking: Whether the kernel hears of no click until the execution ends.
        ends: Whether there is nothing more to see when the run has come to its end.
    """

    rest: float
    blocking: bool
    ends: bool

    def all(self) -> Rows:
        """The run, and all its tasks, as they are now."""

    def changed(self) -> Rows | None:
        """The run, and those of its tasks that may have changed since the last look; None if
        nothing has."""


class ExecutionFeed:
    """The rows of a run that is executed in this process.

    Args:
        execution: Its execution.
    """

    rest = 0.05
    ends = False  # the run lies here until its end is recorded, and is told of by `finish`

    def __init__(self, execution: Execution) -> None:
        self.blocking = not execution.root.asynchronous
        self._run = execution.run
        self._ledger = execution.ledger
        self._revision = -1
        self._news: collections.deque[str] = collections.deque()
        self._ledger.changed = self._news

    def all(self) -> Rows:
        """See the protocol."""
        self._revision = self._ledger.revision
        return self._run, self._ledger.rows()

    def changed(self) -> Rows | None:
        """See the protocol."""
        revision = self._ledger.revision
        if revision == self._revision:
            return None
        self._revision = revision
        paths: dict[str, None] = {}
        while self._news:
            paths[self._news.popleft()] = None
        return self._run, self._ledger.rows(paths)


class JournalFeed:
    """The rows of a run as they are recorded, whoever executes it.

    Args:
        journal: Where that is.
        run_id: The run.

    Raises:
        NotFoundError: There is no such run.
    """

    rest = 0.5
    blocking = False
    ends = True

    def __init__(self, journal: Journal, run_id: str) -> None:
        self._journal = journal
        self._run_id = run_id
        self._seen: Rows | None = None

    def all(self) -> Rows:
        """See the protocol."""
        rows = self._journal.runs(run_id=self._run_id)
        if not rows:
            raise NotFoundError(f"There is no run {self._run_id!r} in this home.")
        tasks = [TaskRow(*values) for values in self._journal.tasks(self._run_id)]
        self._seen = rows[0], tasks
        return self._seen

    def changed(self) -> Rows | None:
        """See the protocol."""
        before = self._seen
        if before is not None and Status(before[0].status) not in (Status.RUNNING, Status.WAITING):
            (row,) = self._journal.runs(run_id=self._run_id)
            if row == before[0]:
                return None
        return self.all()

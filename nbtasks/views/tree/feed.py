"""Sources of the rows that a view shows, and of their changes."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Protocol

from nbtasks.core.model import UNDER_WAY, RunRow, TaskRow
from nbtasks.journal.lookup import require_run

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution
    from nbtasks.journal.protocol import Journal

__all__ = ["ExecutionFeed", "Feed", "JournalFeed", "Rows"]

#: A run and some of its tasks.
Rows = tuple[RunRow, list[TaskRow]]


class Feed(Protocol):
    """Source of the rows of one run.

    Attributes:
        min_interval: Least number of seconds between two calls of `changed`.
        blocking: Whether the kernel handles no click until the execution ends.
        is_final: Whether a final status of the run means that nothing more will change.
        own: Whether this process executes the run, so that the run ends with it.
    """

    min_interval: float
    blocking: bool
    is_final: bool
    own: bool

    def all(self) -> Rows:
        """Return the run and all its tasks as they are now."""

    def changed(self) -> Rows | None:
        """Return the run and all tasks that may have changed since the last call.

        None if nothing has changed.
        """


class ExecutionFeed:
    """Rows of a run that is executed in this process.

    Args:
        execution: Execution of the run.
        path: Path of the only task to show, with its subtasks; all by default.
    """

    min_interval = 0.05
    is_final = False  # the status is not reliable until the end is recorded; `finish` reports that
    own = True

    def __init__(self, execution: Execution, path: str = "") -> None:
        self._path = path
        self.blocking = not execution.root.asynchronous
        self._run = execution.run
        self._run_state = execution.run_state
        self._revision = -1
        self._changed_paths: collections.deque[str] = collections.deque()
        self._run_state.changed = self._changed_paths

    def all(self) -> Rows:
        """Implement `Feed.all`."""
        return self._run, self._shown(self._run_state.rows())

    def changed(self) -> Rows | None:
        """Implement `Feed.changed`."""
        revision = self._run_state.revision
        if revision == self._revision:
            return None
        self._revision = revision
        paths: dict[str, None] = {}
        while self._changed_paths:
            paths[self._changed_paths.popleft()] = None
        return self._run, self._shown(self._run_state.rows(paths))

    def _shown(self, rows: list[TaskRow]) -> list[TaskRow]:
        if not self._path:
            return rows
        return [row for row in rows if f"{row.path}/".startswith(f"{self._path}/")]


class JournalFeed:
    """Rows of a run as recorded, whichever process executes it.

    Args:
        journal: Journal that holds the run.
        run_id: Id of the run.

    Raises:
        NotFoundError: There is no such run.
    """

    min_interval = 0.5
    blocking = False
    is_final = True
    own = False

    def __init__(self, journal: Journal, run_id: str) -> None:
        self._journal = journal
        self._run_id = run_id
        self._seen: Rows | None = None

    def all(self) -> Rows:
        """Implement `Feed.all`."""
        run = require_run(self._journal, self._run_id)
        tasks = [TaskRow(*values) for values in self._journal.tasks(self._run_id)]
        self._seen = run, tasks
        return self._seen

    def changed(self) -> Rows | None:
        """Implement `Feed.changed`."""
        before = self._seen
        if (
            before is not None
            and before[0].status not in UNDER_WAY
            and require_run(self._journal, self._run_id) == before[0]
        ):
            return None
        return self.all()

"""Sources of the rows that a view shows, and of their changes."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from nbtasks.core import clock, keys
from nbtasks.core.model import UNDER_WAY, RunRow, TaskRow
from nbtasks.journal.lookup import require_run
from nbtasks.views.tree.labels import is_chosen

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution
    from nbtasks.journal.protocol import Journal

__all__ = ["ExecutionFeed", "Feed", "JournalFeed", "RunsFeed", "sparkline"]

_MOST = 1_000  # latest runs
_BARS = "▁▂▃▄▅▆▇█"
_DRAWN = 20  # latest runs of a job whose durations are drawn

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


class RunsFeed:
    """Runs of a home as the rows of one tree: below each job its runs.

    Args:
        journal: Journal that holds the runs.
        job: Id of the only job to show; None for all.
    """

    min_interval = 1.0
    blocking = False
    is_final = False
    own = False

    def __init__(self, journal: Journal, job: str | None) -> None:
        self._journal = journal
        self._job = job
        self._seen: Rows | None = None
        #: Ids of the runs, by the paths of their rows.
        self.runs: dict[str, str] = {}

    def all(self) -> Rows:
        """Implement `Feed.all`."""
        runs = self._journal.runs(job=self._job)
        rows: dict[str, TaskRow] = {}
        seconds: dict[str, list[float]] = collections.defaultdict(list)
        for run in runs[-_MOST:]:
            job_row = rows.setdefault(run.job, _job_row(run, 2 * len(rows)))
            row = _run_row(run, 2 * len(rows) + 1)
            rows[row.path] = row
            self.runs[row.path] = run.run_id
            if row.finished_us is not None and row.attempt_us is not None:
                seconds[run.job].append((row.finished_us - row.attempt_us) / 1e6)
            named = [run.name] if run.name != run.job else []
            job_row.name = " ".join([*named, sparkline(seconds[run.job][-_DRAWN:])]).strip() or None
            job_row.status, job_row.attempt_us, job_row.finished_us = (
                row.status, row.attempt_us, row.finished_us,
            )  # fmt: skip
        first = runs[0].started_us if runs else 0
        name = runs[-1].name if runs and self._job else ""
        head = RunRow("", self._job or "all jobs", name, "", "", started_us=first)
        self._seen = head, list(rows.values())
        return self._seen

    def changed(self) -> Rows | None:
        """Implement `Feed.changed`."""
        before = self._seen
        return None if self.all() == before else self._seen


def sparkline(numbers: Sequence[float]) -> str:
    """Return a bar of text for each number, as high as its part of the largest.

    Returns:
        The bars; an empty text for fewer than two numbers, which show no course.

    >>> sparkline([1, 2, 8, 4])
    '▁▂█▄'
    """
    if len(numbers) < 2:  # noqa: PLR2004 - see above
        return ""
    largest = max(numbers) or 1.0
    return "".join(_BARS[max(0, math.ceil(len(_BARS) * n / largest) - 1)] for n in numbers)


def _job_row(run: RunRow, seq: int) -> TaskRow:
    """Return the row of a job, which starts with its first run."""
    return TaskRow(run.run_id, keys.join("", run.job), seq, started_us=run.started_us)


def _run_row(run: RunRow, seq: int) -> TaskRow:
    return TaskRow(
        run.run_id,
        keys.join(
            keys.join("", run.job),
            f"{clock.at(run.started_us):%Y-%m-%d %H:%M:%S} {run.run_id[-6:]}",
        ),
        seq,
        name=f"key {run.key}" if is_chosen(run.key) else None,
        status=run.status,
        attempts=run.executions,
        started_us=run.started_us,
        attempt_us=run.execution_us or run.started_us,
        finished_us=run.finished_us,
        due_us=run.resume_us,
        error=run.error,
    )

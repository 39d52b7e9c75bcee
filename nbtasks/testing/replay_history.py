"""History of a job's restarts, and checks that each restart replays the same path."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Final

from nbtasks.core.model import ReuseRow, RunRow, Status, TaskRow
from nbtasks.errors import NbtasksError

__all__ = ["History", "ReplayError"]

#: A later execution may end before it reaches every ended task. If it misses more than this many,
#: the cause is not concurrency: the tasks' keys differ each time.
_MOST_LOST: Final = 50
#: Times that a recorded output of one task may be out of date when the body reaches it again.
_MOST_AGAIN: Final = 10
#: Tasks that a message lists.
_MOST_TOLD: Final = 5
_ADVICE: Final = (
    "The body runs again from its top each time, so whatever decides its tasks and their "
    "arguments must be the same each time. Get anything else from a task of its own: a "
    "random number, the time, an answer from the outside world."
)


class ReplayError(NbtasksError, AssertionError):
    """A job that cannot be resumed from the journal as if nothing had happened.

    ```python
    import random

    import nbtasks as nb
    from nbtasks.testing import ReplayError, always_replay


    @nb.job("replay-error-example")
    def body(io: nb.SyncIO) -> float:
        return io.run_task("double", float, random.random())  # another one each time


    try:
        with always_replay():
            body.run()
    except ReplayError as error:
        assert "'double' (" in str(error)
    else:
        raise AssertionError("it does not replay")
    ```
    """


class History:
    """Record of the tasks that newly ended in one run, and of the tasks its executions reached.

    Args:
        limit: Maximum number of restarts.

    Attributes:
        restarts: Number of restarts so far.
        after: Path of the task whose end caused the latest restart.
    """

    def __init__(self, limit: int) -> None:
        self.restarts = 0
        self.after = ""
        self._limit = limit
        self._run: RunRow | None = None
        self._ended: dict[str, int] = {}  # the number of each task by its path
        self._reached: set[int] = set()  # by this execution
        self._completions: collections.Counter[str] = collections.Counter()

    @property
    def run_id(self) -> str:
        """Id of the run; empty before its first execution."""
        return self._run.run_id if self._run is not None else ""

    def begin(self, run: RunRow) -> None:
        """Record that the next execution starts."""
        self._run = run
        self._reached = set()

    def mark_reused(self, row: ReuseRow) -> None:
        """Record that the execution reached tasks that the journal answered."""
        for first, last in row.ranges:
            self._reached.update(range(first, last + 1))

    def mark_reached(self, row: TaskRow) -> None:
        """Record that the execution reached a task."""
        self._reached.add(row.seq)

    def end(self, row: TaskRow) -> None:
        """Record that a task newly ended, and the execution with it."""
        self._ended[row.path] = row.seq
        if row.status == Status.COMPLETED:
            self._completions[row.path] += 1
        self.after = row.path
        self.restarts += 1

    def check(self) -> None:
        """Check that the run gets closer to its end.

        Raises:
            ReplayError: The run makes no progress, or takes another path each time.
        """
        if self._completions[self.after] > _MOST_AGAIN:
            raise ReplayError(
                f"{self._name_run()} never finishes: task {self.after!r} has completed "
                f"{self._completions[self.after]} times, since its recorded output is no longer "
                "valid when the body reaches it again. Check its ttl=, and on_change="
                f"'rerun' with other inputs each time. {_ADVICE}"
            ) from None
        lost = [path for path, seq in self._ended.items() if seq not in self._reached]
        if len(lost) > _MOST_LOST:
            raise ReplayError(
                f"{self._name_run()} takes a different path each time: {len(lost)} tasks have "
                f"ended that later executions did not reach: {_format_paths(lost)}. {_ADVICE}"
            ) from None
        if self.restarts >= self._limit:
            raise ReplayError(
                f"{self._name_run()} was restarted {self.restarts} times without reaching its "
                f"end; the last task that ended was {self.after!r}. If it has more tasks than "
                f"that, use always_replay(limit=...); otherwise it makes new ones forever. "
                f"{_ADVICE}"
            ) from None

    def check_end(self, run: RunRow, tasks: Mapping[str, TaskRow]) -> None:
        """Check that a completed run took the same path in all executions.

        Raises:
            ReplayError: The run took another path, or gave its tasks other arguments.
        """
        rows = [tasks[path] for path in self._ended if path in tasks]
        lost = [row.path for row in rows if row.execution < run.executions]
        if lost:
            raise ReplayError(
                f"{self._name_run()} took a different path when it was restarted: the last "
                f"execution did not reach {_format_paths(lost)}, which had ended before. {_ADVICE}"
            ) from None
        stale = [f"{row.path!r} ({row.stale})" for row in rows if row.stale]
        if stale:
            raise ReplayError(
                f"{self._name_run()} gave its tasks something else when it was restarted: "
                f"{', '.join(stale[:_MOST_TOLD])}. {_ADVICE}"
            ) from None

    def note(self, error: BaseException) -> None:
        """Add a note to an error that names the execution it was raised in."""
        if self.restarts and self._run is not None:
            error.add_note(
                f"always_replay: in execution {self._run.executions} of run {self._run.run_id}, "
                f"restarted from the journal after task {self.after!r} had ended."
            )

    def _name_run(self) -> str:
        assert self._run is not None  # noqa: S101 - a task of it has ended
        return f"Run {self._run.run_id} of job {self._run.job!r}"


def _format_paths(paths: Iterable[str]) -> str:
    items = list(paths)
    more = f" and {len(items) - _MOST_TOLD} more" if len(items) > _MOST_TOLD else ""
    return ", ".join(map(repr, items[:_MOST_TOLD])) + more

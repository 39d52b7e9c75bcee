"""What a job comes to while it is started again and again, and whether that can be a replay."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Final

from nbtasks.core.model import ReuseRow, RunRow, Status, TaskRow
from nbtasks.errors import NbtasksError

__all__ = ["History", "ReplayError"]

#: So many tasks that ended, and that later executions did not come to before another one ended,
#: are too many to have been overtaken: their keys are other ones each time.
_MOST_LOST: Final = 50
#: So often a recorded output may count no longer when the body comes to it again.
_MOST_AGAIN: Final = 10
_MOST_TOLD: Final = 5
_ADVICE: Final = (
    "The body runs again from its top each time, so what decides which tasks there are, and what "
    "they are given, has to be the same each time. Let a task of its own give what is not: a "
    "random number, the time, an answer of the outside world."
)


class ReplayError(NbtasksError, AssertionError):
    """A job that cannot go on from the journal as if nothing had happened.

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
        assert "argument 1 is" in str(error)
    else:
        raise AssertionError("it does not replay")
    ```
    """


class History:
    """The tasks of one run that have newly ended, and what its executions made of them.

    Args:
        limit: How many restarts there may be.

    Attributes:
        restarts: How many there were.
        after: The path of the task that the latest one came after.
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
        """The id of the run; empty before its first execution."""
        return self._run.run_id if self._run is not None else ""

    def begin(self, run: RunRow) -> None:
        """The next execution begins."""
        self._run = run
        self._reached = set()

    def reused(self, row: ReuseRow) -> None:
        """The execution has come to tasks that the journal answered for."""
        for first, last in row.ranges:
            self._reached.update(range(first, last + 1))

    def reached(self, row: TaskRow) -> None:
        """The execution has come to a task."""
        self._reached.add(row.seq)

    def end(self, row: TaskRow) -> None:
        """A task has newly ended, and so has the execution."""
        self._ended[row.path] = row.seq
        if row.status == Status.COMPLETED:
            self._completions[row.path] += 1
        self.after = row.path
        self.restarts += 1

    def check(self) -> None:
        """Whether the run comes any nearer to its end.

        Raises:
            ReplayError: It does not.
        """
        if self._completions[self.after] > _MOST_AGAIN:
            raise ReplayError(
                f"{self._who()} does not come to its end: task {self.after!r} has completed "
                f"{self._completions[self.after]} times, since what is recorded of it counts no "
                "longer when the body comes to it again. Look at its ttl=, and at on_change="
                f"'rerun' with other inputs each time. {_ADVICE}"
            ) from None
        lost = [path for path, seq in self._ended.items() if seq not in self._reached]
        if len(lost) > _MOST_LOST:
            raise ReplayError(
                f"{self._who()} takes another path each time: {len(lost)} tasks have ended that "
                f"later executions did not come to: {_listed(lost)}. {_ADVICE}"
            ) from None
        if self.restarts >= self._limit:
            raise ReplayError(
                f"{self._who()} was started again {self.restarts} times, and has not come to its "
                f"end; the last task that ended was {self.after!r}. If it has more tasks than "
                f"that, say always_replay(limit=...); else it makes new ones for ever. {_ADVICE}"
            ) from None

    def check_end(self, run: RunRow, tasks: Mapping[str, TaskRow]) -> None:
        """Whether a run that has completed has taken the same path all the time.

        Raises:
            ReplayError: It has not.
        """
        mine = [tasks[path] for path in self._ended if path in tasks]
        lost = [row.path for row in mine if row.execution < run.executions]
        if lost:
            raise ReplayError(
                f"{self._who()} took another path when it was started again: the last execution "
                f"did not come to {_listed(lost)}, which had ended before. {_ADVICE}"
            ) from None
        stale = [f"{row.path!r} ({row.stale})" for row in mine if row.stale]
        if stale:
            raise ReplayError(
                f"{self._who()} gave its tasks something else when it was started again: "
                f"{', '.join(stale[:_MOST_TOLD])}. {_ADVICE}"
            ) from None

    def note(self, error: BaseException) -> None:
        """Says of an error in which execution it was."""
        if self.restarts and self._run is not None:
            error.add_note(
                f"always_replay: in execution {self._run.executions} of run {self._run.run_id}, "
                f"started again from the journal after task {self.after!r} had ended."
            )

    def _who(self) -> str:
        assert self._run is not None  # noqa: S101 - a task of it has ended
        return f"Run {self._run.run_id} of job {self._run.job!r}"


def _listed(paths: Iterable[str]) -> str:
    listed = list(paths)
    more = f" and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
    return ", ".join(map(repr, listed[:_MOST_TOLD])) + more

"""Tasks that the body gave up, and continued without: a part of the path through the body.

A timeout, a task group or `Task.cancel()` ends an io call by a CancelledError, and so does a Stop.
Only what follows tells them apart: a body that makes another io call, or completes, has continued.
So a task that ends this way is recorded as CANCELED first, and would run again if the process died
now. Once the body has continued, its row gets `given_up_us`, before the next task is recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbtasks.core import clock, event_loop, tracebacks
from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.engine.effects import Commit, Effects, Linger
from nbtasks.errors import RunEndedError
from nbtasks.values import failures

if TYPE_CHECKING:
    from nbtasks.engine.cancellation import CancelScope
    from nbtasks.engine.run_state import RunState

__all__ = ["GivenUpTasks"]

#: How much longer than it took then a call waits to be given up again.
_MORE_US = 1_000_000
#: Attribute of a CancelledError: the paths of the tasks that it ended.
_PATHS = "_nbtasks_paths"


@dataclass(slots=True)
class _GivenUp:
    """Task that was given up in this execution.

    Attributes:
        path: Path of the task.
        at_us: Instant at which it was given up.
        took_us: Time from the call until then.
        in_body: Whether the call was made in the body's own asyncio task.
    """

    path: str
    at_us: int
    took_us: int
    in_body: bool


class GivenUpTasks:
    """Tasks of one execution that the body gave up.

    Args:
        run: The run's row.
        run_state: The state of the run.
        cancellation: The cancellation state.

    Attributes:
        pending: The tasks that were given up, where it is not known yet if the body continues.
        body_failed: Whether the body has ended by an error, so that it gives up nothing any more.
    """

    def __init__(self, run: RunRow, run_state: RunState, cancellation: CancelScope) -> None:
        self.pending: list[_GivenUp] = []
        self.body_failed = False
        self._marked: list[_GivenUp] = []
        self._run = run
        self._run_state = run_state
        self._cancellation = cancellation

    # -- giving up ------------------------------------------------------------------------------

    def note(self, row: TaskRow, error: BaseException) -> None:
        """Note that a call of a task ended by `error`, if the body may have given it up."""
        if self.body_failed or self._cancellation.cause is not None:
            return
        task = event_loop.current_task() if isinstance(error, asyncio.CancelledError) else None
        if task is None or not task.cancelling():  # else the function canceled itself
            return
        vars(error).setdefault(_PATHS, []).append(row.path)
        now, began_us = clock.micros(), max(row.started_us or 0, self._run.execution_us)
        in_body = self._cancellation.is_task_of_body(task)
        given_up = _GivenUp(row.path, now, max(0, now - began_us), in_body)
        (self.pending if row.given_up_us is None else self._marked).append(given_up)

    def commit(self, row: TaskRow) -> Effects:
        """Commit a task that has completed. The body may give it up even now."""
        try:
            yield Commit()
        except asyncio.CancelledError as error:
            self.note(row, error)
            raise

    def settle(self) -> None:
        """Mark what was given up before: the body makes a call, so it has continued."""
        if self._cancellation.cause is None and not self._cancellation.is_being_cancelled():
            self._mark_pending()

    def _mark_pending(self) -> None:
        pending, self.pending = self.pending, []
        for given_up in pending:
            row = self._run_state.row(given_up.path)
            if row is not None and self._mark(row, given_up.took_us):
                self._marked.append(given_up)

    def _mark(self, row: TaskRow, took_us: int) -> bool:
        """Mark a task as given up, unless it runs again. Return True if it is marked."""
        if row.status == Status.COMPLETED and not row.once:  # nobody has seen its output
            row.output = row.output_kind = row.output_bytes = row.blob = row.expires_us = None
            row.hidden = False
        elif row.status != Status.CANCELED:
            return False
        row.status, row.given_up_us = Status.CANCELED, took_us
        self._run_state.put(row)
        return True

    # -- giving up again ------------------------------------------------------------------------

    def recorded(self, path: str) -> TaskRow | None:
        """Return the row of a task that an earlier execution gave up; None for any other."""
        if self._run_state.completed(path) is not None:
            return None
        row = self._run_state.row(path)
        return row if row is not None and row.given_up_us is not None else None

    def wait_again(self, row: TaskRow, *, only: bool = False) -> Effects:
        """Wait for the body to give a task up again, as long as it took, and a second more.

        Return if it has not, after which the task may run, unless the execution `only` replays.

        Raises:
            RunEndedError: The execution has ended meanwhile.
        """
        assert row.given_up_us is not None  # noqa: S101 - the caller has checked it
        self._run_state.reuse(row)
        try:
            yield Linger(clock.micros() + row.given_up_us + _MORE_US, self._cancellation)
        except BaseException as error:
            self._cancellation.note(error)
            self.note(row, error)
            raise
        if self._cancellation.closed:
            raise RunEndedError(
                f"Task {row.path!r} of run {self._run.run_id} was given up by the body, which has "
                "ended again without it."
            )
        if not only:
            row.given_up_us = None
            self.release(row.path)

    # -- what runs again ------------------------------------------------------------------------

    def release(self, path: str, error: BaseException | None = None) -> None:
        """Let tasks below `path` run again, since their parent will: all that were given up, or
        those only whose giving up led to `error`."""
        if error is None:
            for subtask in self._run_state.open_descendants(path):
                self._unmark(subtask)
            self._drop({g.path for g in self._in_execution() if g.path.startswith(f"{path}/")})
        elif self.pending or self._marked:
            chosen = self._led_to(error)
            self._drop({p for p in chosen if not path or p.startswith(f"{path}/")})

    def conclude(self, status: str, error: BaseException | None) -> None:
        """Decide about the rest at the end of the execution."""
        if status == Status.COMPLETED:
            self._mark_pending()
            return
        if error is not None:
            self.release("", error)
        if status == Status.FAILED:
            self._mark_pending()

    def mark_left(self, rows: list[TaskRow]) -> None:
        """Mark what a completed body has left running, in threads for example."""
        for row in rows:
            began_us = max(row.started_us or 0, self._run.execution_us)
            self._mark(row, max(0, clock.micros() - began_us))

    def _led_to(self, error: BaseException) -> set[str]:
        """Return the paths of the tasks whose giving up led to `error`.

        These are the tasks that the CancelledErrors in its chain ended, and the tasks given up
        after those, or after the failure of a task in its chain: all of that may come out
        differently when it runs again. A task group does not say what it has canceled.
        """
        known, since, grouped = self._in_execution(), [], False
        paths: set[str] = set()
        for link in tracebacks.iter_errors(error):
            grouped = grouped or isinstance(link, BaseExceptionGroup)
            paths.update(getattr(link, _PATHS, ()))
        for task_failed in failures.iter_task_failures(error):
            row = self._run_state.row(failures.task_path(task_failed))
            if row is not None and row.finished_us is not None and not row.reused:
                since.append(row.finished_us)
        since += [given_up.at_us for given_up in known if given_up.path in paths]
        if since:
            paths.update(given_up.path for given_up in known if given_up.at_us >= min(since))
        if grouped:
            paths.update(given_up.path for given_up in self.pending if not given_up.in_body)
        return paths

    def _in_execution(self) -> list[_GivenUp]:
        return self.pending + self._marked

    def _drop(self, paths: set[str]) -> None:
        self.pending = [given_up for given_up in self.pending if given_up.path not in paths]
        for given_up in self._marked:
            if given_up.path in paths:
                self._unmark(given_up.path)

    def _unmark(self, path: str) -> None:
        row = self._run_state.row(path)
        if row is not None and row.given_up_us is not None:
            row.given_up_us = None
            self._run_state.put(row)

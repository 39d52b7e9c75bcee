"""User-facing handle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, keys
from nbtasks.core.model import SUCCEEDED, Failure, Row, RunRow, Status, TaskRow
from nbtasks.errors import NotFoundError
from nbtasks.jobs import active_runs
from nbtasks.jobs.resumption import Resumable, Starter, wake_parent
from nbtasks.journal import current, edits, outputs
from nbtasks.journal.lookup import require_run
from nbtasks.journal.protocol import Journal, JournalWrapper
from nbtasks.values import codec, failures
from nbtasks.views.history import History
from nbtasks.views.tree import run_tree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbtasks.views.frames import DataFrame
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["Run"]


class Run(Resumable):
    """Handle of a run. Every property and method reads the current state from the journal.

    ```python
    import nbtasks as nb


    @nb.job("run-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    run = body.run()
    assert (run.status, run.output, run["answer"]) == ("COMPLETED", 42, 42)
    assert run.tasks().path.tolist() == ["answer"]
    print(run.tree())
    ```
    """

    def __init__(
        self, run_id: str, starter: Callable[[RunRow, Any], Starter], place: Path | Journal | None
    ) -> None:
        self.id = run_id
        self._starter = starter
        self._home = place.home if isinstance(place, JournalWrapper) else None
        self._home = place if isinstance(place, Path) else self._home
        self._given = None if isinstance(place, Path) else place

    @property
    def journal(self) -> Journal:
        """The journal that records the run: that of its home, or of a shared file."""
        return self._given or current.journal(self._home)

    def _row(self) -> RunRow:
        return require_run(self.journal, self.id)

    @property
    def job(self) -> str:
        """The id of the run's job."""
        return self._row().job

    @property
    def key(self) -> str:
        """The key that, with the job's id and version, identifies the run to continue."""
        return self._row().key

    @property
    def status(self) -> str:
        """RUNNING, WAITING, COMPLETED, FAILED, CANCELED, INTERRUPTED or INVALID."""
        return Status(self._row().status)

    @property
    def output(self) -> Any:
        """The return value of the body, or the value of the cell's last expression."""
        return outputs.output(self.journal, self._row())

    @property
    def error(self) -> Failure | None:
        """The failure of a failed run: `.type`, `.message`, `.traceback`, `.path`; else None."""
        text = self._row().error
        return failures.loads(text) if text else None

    @property
    def executions(self) -> int:
        """The number of executions of the body."""
        return self._row().executions

    @property
    def started_at(self) -> datetime:
        """The start of the first execution."""
        return clock.at(self._row().started_us)

    @property
    def finished_at(self) -> datetime | None:
        """The end of the latest execution; None while it is running."""
        us = self._row().finished_us
        return None if us is None else clock.at(us)

    def tasks(self) -> DataFrame:
        """Return the run's tasks, a row per task, with the columns of `nb.tasks`."""
        return History(self.journal).tasks(self)

    def logs(self) -> DataFrame:
        """Return the run's log, a row per line."""
        return History(self.journal).logs(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the run's tasks as bars over time with matplotlib; at most the 60 longest.

        Args:
            ax: Axes to draw on; by default those of a new figure, which a notebook shows.

        Raises:
            NbtasksError: matplotlib is not installed, or no task of the run has started.
        """
        from nbtasks.views import plots  # lazily: most runs are never plotted

        title = "{0.name} {0.version}, {0.status}".format(self._row())
        return plots.timeline(self.tasks(), title, clock.at(clock.micros()), ax)

    def diff(self, path: keys.KeyPath) -> str:
        """Return the difference between a task's recorded code and inputs and its current ones.

        The latest execution of the run in this process computed the difference.

        Raises:
            NotFoundError: That execution found no difference, or no execution took place in this
                process.
        """
        from nbtasks.engine import staleness

        text = keys.path_of(path)
        diff = staleness.last_diff(self.id, text)
        if diff is None:
            raise NotFoundError(
                f"No execution in this process has found task {text!r} of run {self.id} changed. "
                "Execute the run, and ask again."
            )
        return diff

    def tree(self) -> RunTree:
        """Return the run's tasks as a tree that a notebook and `print` can show."""
        in_force = current.journal()
        in_home = self.journal is in_force or bool(in_force.runs(run_id=self.id))
        return run_tree.draw_run(self.journal, self._row(), live_view=in_home)

    def __getitem__(self, path: keys.KeyPath) -> Any:
        """Return the recorded output of the task at a path.

        Raises:
            NotFoundError: There is no task at the path, or it has no output.
        """
        text = keys.path_of(path)
        tasks = {values[1]: values for values in self.journal.tasks(self.id)}
        if text not in tasks:
            raise edits.missing_task_error(self._row(), text, tasks)
        row = TaskRow(*tasks[text])
        if row.status not in SUCCEEDED:
            raise NotFoundError(
                f"Task {text!r} of run {self.id} is {row.status}: it has no output yet."
            )
        return outputs.output(self.journal, row)

    def cancel(self) -> None:
        """Cancel the run, whichever process of the home executes it. Return at once.

        Another process receives the request within a third of a second. Awaiting code is canceled
        as by Stop, and so is a body that blocks the main thread. A body in another thread ends at
        its next io call, or in its current wait. The tasks in flight and the run are recorded as
        CANCELED; executing the run again continues it. A suspended run, or a run whose process has
        died, is CANCELED at once. A run that has ended stays unchanged.

        Raises:
            NotFoundError: There is no such run.
            JournalWriteError: The home cannot be written.

        ```python
        import nbtasks as nb


        @nb.job("run-cancel-example")
        def body(io: nb.SyncIO) -> None:
            io.wait("until tomorrow", 24 * 3600)


        run = body.run(suspend_after=60)
        run.cancel()
        assert run.status == "CANCELED"
        run.cancel()  # the run has ended: nothing happens
        ```
        """
        active_runs.cancel(self.journal, self.id)
        wake_parent(self.journal, self._row())  # if that was all: nobody executes the run

    # -- manual edits ----------------------------------------------------------------------------

    def reset(self, path: keys.KeyPath) -> None:
        """Reset a task: it runs again in the next execution, with a fresh retry budget.

        Any recorded task can be reset, even one whose failure was caught, or that is waiting, in
        doubt, or set by hand. Its subtasks run again, too, and so do its finished parents, because
        their functions call it; other subtasks of these parents keep their results. The run keeps
        its status and its output until it is executed.

        Args:
            path: The task's path, or the list of its keys.

        Raises:
            RunBusyError: The run is being executed.
            NotFoundError: There is no such task; the message names the nearest ones.

        ```python
        import nbtasks as nb


        @nb.job("reset-example")
        def body(io: nb.SyncIO) -> int:
            return io.run_task("load", lambda: next(numbers))


        numbers = iter([1, 2])
        run = body.run()
        run.reset("load")
        assert (run.output, body.run().output) == (1, 2)
        ```
        """
        self._edit(path, edits.reset)

    def set(self, path: keys.KeyPath, value: Any) -> None:
        """Mark a task as COMPLETED with a given output: its function is not called.

        The task may never have run, as in a test. Results computed from an earlier output stay:
        call `reset` for tasks that should run again, before you set any of their subtasks.

        Args:
            path: The task's path, or the list of its keys.
            value: The task's output from now on.

        Raises:
            RunBusyError: The run is being executed.
            ValueNotKeptError: The value cannot be recorded. Nothing has changed.
        """
        self._set_output(path, Status.COMPLETED, value)

    def skip(self, path: keys.KeyPath) -> None:
        """Mark a task as SKIPPED: its function is not called, and its output is None.

        Args:
            path: The task's path, or the list of its keys. The task may never have run.

        Raises:
            RunBusyError: The run is being executed.
        """
        self._set_output(path, Status.SKIPPED, None)

    def _set_output(self, path: keys.KeyPath, status: Status, value: Any) -> None:
        encoded = codec.hide(codec.encode(value, put=self.journal.put_blob))

        def change(run: RunRow, tasks: dict[str, TaskRow], text: str, now: int) -> Iterable[Row]:
            blob = outputs.store(self.journal, encoded)
            return edits.put_value(run, tasks, text, status, encoded, blob, now)

        self._edit(path, change)

    def _edit(
        self,
        path: keys.KeyPath,
        change: Callable[[RunRow, dict[str, TaskRow], str, int], Iterable[Row]],
    ) -> None:
        text = keys.path_of(path)
        self.journal.amend(
            self.id, lambda run, tasks: change(run, edits.by_path(tasks), text, clock.micros())
        )

    def __repr__(self) -> str:
        row = self._row()
        return f"<Run {self.id} of job {row.job!r}: {row.status}, execution {row.executions}>"

"""A run, as a person holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks import claims, clock, codec, edits, failures, kept, keys, live, recorded, tracebacks
from nbtasks.errors import NotFoundError
from nbtasks.journal.port import Claim, Journal
from nbtasks.model import Failure, Row, RunRow, Status, TaskRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbtasks.drawing import RunTree
    from nbtasks.frames import DataFrame

__all__ = ["Run"]


class Keeper(Protocol):
    """Who knows the journal, and the jobs."""

    @property
    def journal(self) -> Journal: ...

    def starter(self, run: RunRow, payload: Any) -> Callable[[Claim], Run]:
        """What executes a claim to a run, or to a fork of it, by the code that made it."""


class Run:
    """One run of a job. What it says is read from the journal at the moment it is asked.

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

    def __init__(self, run_id: str, keeper: Keeper, journal: Journal | None = None) -> None:
        self.id = run_id
        self._keeper = keeper
        self._given = journal  # what it reads instead of the keeper's

    @property
    def journal(self) -> Journal:
        """The journal that it is read from: the home's, or that of a shared file."""
        return self._given or self._keeper.journal

    def _row(self) -> RunRow:
        rows = self.journal.runs(run_id=self.id)
        if not rows:
            raise NotFoundError(f"There is no run {self.id!r} in this home.")
        return rows[0]

    @property
    def job(self) -> str:
        """The id of its job."""
        return self._row().job

    @property
    def key(self) -> str:
        """Its key: what continues it, together with the job's id and version."""
        return self._row().key

    @property
    def status(self) -> str:
        """RUNNING, WAITING, COMPLETED, FAILED, CANCELED, INTERRUPTED or INVALID."""
        return Status(self._row().status)

    @property
    def output(self) -> Any:
        """What its body returned, or the value of the cell's last expression."""
        return kept.output(self.journal, self._row())

    @property
    def error(self) -> Failure | None:
        """What ended it, if it failed: `.type`, `.message`, `.traceback`, `.path`."""
        text = self._row().error
        return failures.loads(text) if text else None

    @property
    def executions(self) -> int:
        """How many times its body was executed."""
        return self._row().executions

    @property
    def started_at(self) -> datetime:
        """When its first execution began."""
        return clock.at(self._row().started_us)

    @property
    def finished_at(self) -> datetime | None:
        """When its latest execution ended; None while it goes on."""
        us = self._row().finished_us
        return None if us is None else clock.at(us)

    def tasks(self) -> DataFrame:
        """Its tasks, a row each; the columns are those of `nb.tasks`."""
        from nbtasks import frames  # lazily, as in `lookup`

        return frames.tasks(self.journal, self.id)

    def logs(self) -> DataFrame:
        """Its log, a row a line."""
        from nbtasks import frames

        return frames.logs(self.journal, self.id)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws its tasks as bars over time, with matplotlib: the 60 longest, if there are more.

        Args:
            ax: Where to draw; by default a figure of its own, which a notebook shows.

        Raises:
            NbtasksError: matplotlib is not installed, or none of its tasks has started.
        """
        from nbtasks import plots  # lazily: most runs are never drawn

        title = "{0.name} {0.version}, {0.status}".format(self._row())
        return plots.timeline(self.tasks(), title, clock.at(clock.micros()), ax)

    def diff(self, path: keys.KeyPath) -> str:
        """How the code and the inputs of a task differ from what is recorded of them, as the
        latest execution in this process found them.

        Raises:
            NotFoundError: It found no difference, or there was none in this process.
        """
        from nbtasks import stale

        text = keys.path_of(path)
        found = stale.last_diff(self.id, text)
        if found is None:
            raise NotFoundError(
                f"No execution in this process has found task {text!r} of run {self.id} changed. "
                "Execute the run, and ask again."
            )
        return found

    def tree(self) -> RunTree:
        """Its tasks as a tree, to look at."""
        here = self._given is None or bool(self._keeper.journal.runs(run_id=self.id))
        return recorded.draw(self.journal, self._row(), living=here)

    def __getitem__(self, path: keys.KeyPath) -> Any:
        """The recorded output of the task at a path.

        Raises:
            NotFoundError: There is no such task, or it has no output.
        """
        text = keys.path_of(path)
        tasks = {values[1]: values for values in self.journal.tasks(self.id)}
        if text not in tasks:
            raise edits.missing(self._row(), text, tasks)
        row = TaskRow(*tasks[text])
        if row.status not in (Status.COMPLETED, Status.SKIPPED):
            raise NotFoundError(
                f"Task {text!r} of run {self.id} is {row.status}: it has no output yet."
            )
        return kept.output(self.journal, row)

    def cancel(self) -> None:
        """Cancels the run, wherever it is executed: in this process, or in another one of the
        home, which hears of it within a third of a second. Returns at once.

        What awaits is cancelled, as Stop does, and so is a body that blocks the main thread. In
        another thread a body ends at its next io call, or in the wait that it is in. The tasks
        in flight and the run are recorded as CANCELED; executing it again goes on where it was.
        A run that waits to be gone on with, or whose process has died, is CANCELED at once. One
        that has ended stays as it is.

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
        run.cancel()  # it has ended: nothing happens
        ```
        """
        self._row()  # there must be one
        live.cancel(self.journal, self.id)

    # -- executing it again ---------------------------------------------------------------------

    def rerun(self, from_: keys.KeyPath | None = None) -> Run:
        """Executes the run again now: a task, and all that first started after it.

        What had started before is answered from the journal; but a task above the chosen one runs
        again, since its function is what comes to it. The run keeps its id, and its payload.
        Blocks until the execution ends, everywhere, as `job.run` does.

        Args:
            from_: The task's path, or the list of its keys; by default everything runs again.

        Returns:
            The run, COMPLETED.

        Raises:
            Exception: What the body raised.
            RunBusyError: The run is being executed.
            NotFoundError: There is no such task; the nearest ones are named. Nothing has changed.
            NbtasksError: The job is not defined here, or in another version. That of a `%%job` cell
                is executed from what is recorded of the cell, in a notebook only.

        ```python
        import nbtasks as nb


        @nb.job("rerun-example")
        def body(io: nb.SyncIO) -> None:
            for key in ("a", "b", "c"):
                io.run_task(key, note, key)


        def note(key: str) -> None:
            calls.append(key)


        calls: list[str] = []
        run = body.run()
        assert run.rerun(from_="b").executions == 2
        assert calls == ["a", "b", "c", "b", "c"]
        ```
        """
        run = self._row()
        start = self._keeper.starter(run, claims.payload_of(run))
        path = None if from_ is None else keys.path_of(from_)
        self.journal.amend(
            self.id,
            lambda row, tasks: edits.from_on(row, edits.by_path(tasks), path, clock.micros()),
        )
        return tracebacks.called(start, claims.to_rerun(run))

    def fork(self, from_: keys.KeyPath | None = None, payload: Any = None) -> Run:
        """Makes a new run of this one, and executes it now: a task, and all that first started
        after it, run in the fork, and what had started before is copied. This run stays as it is.

        The fork has this run as its `parent_run`, the trigger "fork", and a key of its own, so
        `job.run` goes on with this run as before. To go on with a fork that failed, write
        `job.run(payload, key=fork.key)`; `nb.last_run(job)` is the fork.

        Args:
            from_: The task's path, or the list of its keys; by default nothing is copied.
            payload: What its body gets; by default what this run's did.

        Returns:
            The fork, COMPLETED.

        Raises:
            Exception: What the body raised.
            RunBusyError: This run is being executed.
            NotFoundError: There is no such task; the nearest ones are named. There is no fork.
            InvalidPayloadError: The payload does not fit. There is no fork.
            NbtasksError: As from `rerun`.

        ```python
        import nbtasks as nb


        @nb.job("fork-example")
        def body(payload: float, io: nb.SyncIO) -> list[float]:
            rows = io.run_task("load", list, range(4))
            return io.run_task("scale", lambda: [payload * row for row in rows])


        run = body.run(1.0)
        fork = run.fork(from_="scale", payload=0.5)
        assert (run.output, fork.output) == ([0, 1, 2, 3], [0, 0.5, 1, 1.5])
        assert fork.tasks().reused.tolist() == [True, False]
        assert nb.runs().trigger.tolist() == ["manual", "fork"]
        ```
        """
        run = self._row()
        given = claims.payload_of(run) if payload is None else payload
        start = self._keeper.starter(run, given)
        path = None if from_ is None else keys.path_of(from_)
        self.journal.look(Claim(run, run_id=self.id))  # refuses a run that is being executed
        tasks = edits.by_path(self.journal.tasks(self.id))
        return tracebacks.called(start, claims.to_fork(run, tasks, path, given))

    # -- what a person changes ------------------------------------------------------------------

    def reset(self, path: keys.KeyPath) -> None:
        """Lets a task run again at the next execution, with a fresh retry budget, whatever became
        of it: also one that failed and was caught, waits, is in doubt, or was set.

        All below it run again, too, and so do those tasks above it that have finished, since
        their functions are what comes to it; what else is below those stays as it is. The run
        itself keeps its status and its output until it is executed.

        Args:
            path: The task's path, or the list of its keys.

        Raises:
            RunBusyError: The run is being executed.
            NotFoundError: There is no such task; the nearest ones are named.

        ```python
        import nbtasks as nb


        @nb.job("reset-example")
        def body(io: nb.SyncIO) -> int:
            return io.run_task("load", numbers.pop)


        numbers = [2, 1]
        run = body.run()
        run.reset("load")
        assert (run.output, body.run().output) == (1, 2)
        ```
        """
        self._edit(path, edits.reset)

    def set(self, path: keys.KeyPath, value: Any) -> None:
        """Lets a task count as COMPLETED with a value: its function is not called.

        It may be a task that has never run, as for a test. What was computed from an earlier
        value stays: `reset` what should be computed again, before you set what is below it.

        Args:
            path: The task's path, or the list of its keys.
            value: Its output from now on.

        Raises:
            RunBusyError: The run is being executed.
            ValueNotKeptError: No journal can hold the value. Nothing has changed.
        """
        self._put(path, Status.COMPLETED, value)

    def skip(self, path: keys.KeyPath) -> None:
        """Lets a task count as done without a value: its answer is None, its status SKIPPED.

        Args:
            path: The task's path, or the list of its keys. It may be one that has never run.

        Raises:
            RunBusyError: The run is being executed.
        """
        self._put(path, Status.SKIPPED, None)

    def _put(self, path: keys.KeyPath, status: Status, value: Any) -> None:
        encoded = codec.hide(codec.encode(value))

        def change(run: RunRow, tasks: dict[str, TaskRow], text: str, now: int) -> Iterable[Row]:
            blob = kept.keep(self.journal, encoded)
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

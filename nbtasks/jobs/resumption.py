"""Methods of a run that execute it again: where it stopped, from a task on, or as a fork."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from nbtasks.core import clock, keys, tracebacks
from nbtasks.core.model import OPEN, RunRow, WakeRow
from nbtasks.errors import JournalError
from nbtasks.jobs import claims
from nbtasks.journal import current, edits
from nbtasks.journal.lookup import require_run
from nbtasks.journal.protocol import Claim

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal

__all__ = ["Resumable", "Starter", "wake_parent"]

_FROM_NOTHING = (
    "Run {run.run_id} of job {run.job!r} begins from nothing: all of its recorded tasks ({count}) "
    "run again. run.resume() reuses what they returned."
)


class Starter(Protocol):
    """Starter of a recorded run: the code that executes it, or a fork of it, and a payload."""

    def start(self, claim: Claim) -> Any:
        """Execute a claim. Return the run."""

    async def astart(self, claim: Claim) -> Any:
        """Execute a claim like `start`, as a coroutine."""


class Resumable(ABC):
    """Mixin of a run that can be executed again."""

    id: str
    _starter: Callable[[RunRow, Any], Starter]
    _home: Path | None

    @property
    @abstractmethod
    def journal(self) -> Journal:
        """The journal that records the run."""

    @abstractmethod
    def _row(self) -> RunRow:
        """Return the row of the run as it is now."""

    def resume(self) -> Self:
        """Execute the run again now, as running its cell or job again does.

        Its recorded tasks are answered from the journal, and what was not recorded runs: a run
        that failed, was stopped, waits, or whose process died continues where it stopped; of a
        COMPLETED run the output is computed again. It works for each run, whoever started it: a
        cell, `job.run`, an event, a schedule, another run; and for a fork or an imported run.
        Blocks until the execution ends, even in a notebook, like `job.run`.

        Returns:
            The run: COMPLETED, or WAITING if it was suspended.

        Raises:
            Exception: The error that the body raised.
            Cancelled: The run was canceled.
            RunBusyError: The run is being executed.
            InvalidPayloadError: The payload does not fit the job as it is now.
            NbtasksError: The job is not defined in this process, or in another version. The run of
                a `%%job` cell is executed from the recorded cell, in a notebook only.
            JournalWriteError: The run is in a shared file: `nb.import_run` makes it yours.

        ```python
        import nbtasks as nb


        @nb.job("resume-example")
        def body(month: int, *, io: nb.SyncIO) -> int:
            io.run_task("load", lambda: calls.append(month))
            io.yield_("pause")
            return io.run_task("double", lambda: month * 2)


        calls: list[int] = []
        run = body.run(month=3)
        assert run.status == "WAITING"
        assert run.resume().output == 6  # also in another process that defines the job
        assert calls == [3]
        ```
        """
        with tracebacks.HidingEngine():
            row = self._row()
            return self._start(row, *self._prepare(row))

    async def aresume(self) -> Self:
        """Execute the run again like `resume`, as a coroutine.

        If canceled, a `def` body, which runs in a worker thread, ends at its next io call.
        """
        with tracebacks.HidingEngine():
            row = self._row()
            starter, claim = self._prepare(row)
            try:
                with current.at(self._home):
                    run: Self = await starter.astart(claim)
            finally:
                wake_parent(self.journal, row)
            return run

    def _prepare(self, run: RunRow) -> tuple[Starter, Claim]:
        """Return what resumes the run, and the claim to it."""
        starter = self._starter(run, claims.load_payload(run))
        if self._home is None:
            self.journal.amend(self.id, lambda *_: ())  # raises if it is in a shared file
        return starter, claims.rerun_claim(run)

    def _start(self, row: RunRow, starter: Starter, claim: Claim) -> Self:
        try:
            with current.at(self._home):
                run: Self = starter.start(claim)
        finally:
            wake_parent(self.journal, row)
        return run

    def rerun(self, from_: keys.KeyPath | None = None) -> Self:
        """Execute the run again now: a task and all tasks that first started after it.

        Without `from_`, all its tasks run again, and a line says so. To continue it where it
        stopped, call `resume`.

        Tasks that started earlier are answered from the journal, except the parents of the chosen
        task: they run again, because their functions call it. The run keeps its id and its
        payload. Blocks until the execution ends, even in a notebook, like `job.run`.

        Args:
            from_: The task's path, or the list of its keys; by default all tasks run again.

        Returns:
            The run, COMPLETED.

        Raises:
            Exception: The error that the body raised.
            RunBusyError: The run is being executed.
            NotFoundError: There is no such task; the message names the nearest ones. Nothing has
                changed.
            NbtasksError: The job is not defined in this process, or in another version. The run of
                a `%%job` cell is executed from the recorded cell, in a notebook only.

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
        starter = self._starter(run, claims.load_payload(run))
        path = None if from_ is None else keys.path_of(from_)
        self.journal.amend(
            self.id,
            lambda row, tasks: edits.reset_from(row, edits.by_path(tasks), path, clock.micros()),
        )
        if path is None and (count := len(self.journal.tasks(self.id))):
            print(_FROM_NOTHING.format(run=run, count=count))  # noqa: T201 - who meant `resume` sees it
        with tracebacks.HidingEngine():
            return self._start(run, starter, claims.rerun_claim(run))

    def fork(self, from_: keys.KeyPath | None = None, payload: Any = None) -> Self:
        """Fork this run at a task, and execute the fork now. This run stays unchanged.

        The fork copies the tasks that started before the chosen task; that task and all tasks that
        first started later run in the fork.

        The fork has this run as its `parent_run`, the trigger "fork", and a key of its own, so
        `job.run` still continues this run. To continue a fork that failed, call
        `job.run(payload, key=fork.key)`; `nb.last_run(job)` is the fork.

        Args:
            from_: The task's path, or the list of its keys; by default no task is copied.
            payload: The payload of the fork; by default that of this run.

        Returns:
            The fork, COMPLETED.

        Raises:
            Exception: The error that the body raised.
            RunBusyError: This run is being executed.
            NotFoundError: There is no such task; the message names the nearest ones. No fork is
                made.
            InvalidPayloadError: The payload is invalid. No fork is made.
            NbtasksError: The job cannot be executed here; the reasons are those of `rerun`.

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
        assert nb.runs().trigger.tolist() == ["fork", "manual"]
        ```
        """
        run = self._row()
        fork_payload = claims.load_payload(run) if payload is None else payload
        starter = self._starter(run, fork_payload)
        path = None if from_ is None else keys.path_of(from_)
        self.journal.peek(Claim(run, run_id=self.id))  # raises RunBusyError for a busy run
        tasks = edits.by_path(self.journal.tasks(self.id))
        with tracebacks.HidingEngine():
            claim = claims.fork_claim(run, tasks, path, fork_payload)
            return self._start(claim.make, starter, claim)


def wake_parent(journal: Journal, run: RunRow) -> None:
    """Wake the run that has invoked another one, if that has ended: it may be waiting for it.

    Args:
        journal: Journal that records both.
        run: The run that was invoked, as it was at any time.
    """
    if run.parent_run is None or run.trigger != "invoke":
        return  # without a query: most runs were not invoked
    wake = WakeRow(run.parent_run, clock.micros())
    with contextlib.suppress(JournalError):  # whoever waits for the run also polls
        if require_run(journal, run.run_id).status not in OPEN:
            journal.transact(lambda _: [wake])

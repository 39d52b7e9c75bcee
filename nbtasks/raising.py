"""The exceptions that the callers of tasks get, now and on every replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbtasks import failures, keys, tracebacks
from nbtasks.errors import InDoubtError, MapFailed, NotRecordedError, TaskFailed
from nbtasks.model import Failure, RunRow, Status, TaskRow

if TYPE_CHECKING:
    from nbtasks.ledger import Ledger

__all__ = ["Raising"]

_DONE = (Status.COMPLETED, Status.SKIPPED)


class Raising:
    """Makes the exceptions of one execution.

    Args:
        ledger: What is recorded of the run.
        run: The run's row.
    """

    def __init__(self, ledger: Ledger, run: RunRow) -> None:
        self._ledger = ledger
        self._run = run

    def in_doubt(self, row: TaskRow) -> InDoubtError:
        """The error for a function that must not be called again, though it may have to be."""
        if row.status != Status.CANCELED:
            row.status = Status.INTERRUPTED
        row.execution, row.reused = self._run.executions, False
        self._ledger.put(row)
        run = f'nb.get_run("{self._run.run_id}")'
        path = json.dumps(row.path, ensure_ascii=False)
        return InDoubtError(
            f"Task {row.path!r} of run {self._run.run_id} began, and what came of it is not known: "
            "its process died, it was stopped, or its time was over. With once=True it is not "
            f"called again. If it did its work, write {run}.set({path}, value) with what it "
            f"returned; if it did not, write {run}.reset({path}). Then run the cell or job again."
        )

    def not_recorded(self, path: str, why: str) -> NotRecordedError:
        """The error for a task that would have to run where none may."""
        run = self._run
        return NotRecordedError(
            f"Task {path!r} of run {run.run_id} of job {run.job!r} has no outcome to replay: "
            f'{why}. With replay="only" it did not run. Execute the cell or job without that to '
            "record it."
        )

    def first(self, row: TaskRow, failure: Failure, error: Exception) -> TaskFailed:
        """What a task raises that has given up just now."""
        raised = failures.rebuild(failure, row.path, self._run.run_id)
        raised.__cause__ = next((e for e in failures.chain(error) if e.run_id), None)
        if raised.__cause__ is None and isinstance(error.__cause__, tracebacks.Remote):
            raised.__cause__ = error.__cause__
        if isinstance(raised, MapFailed):
            self._fill(raised, failure, row, error)
        return raised.with_traceback(tracebacks.own_frames(error.__traceback__))

    def recorded(self, row: TaskRow) -> TaskFailed:
        """The same, of a task that gave up before."""
        failure = failures.loads(row.error or "{}")
        raised = failures.rebuild(failure, row.path, self._run.run_id)
        cause = self._ledger.row(failure.cause) if failure.cause else None
        if cause is not None and cause.error:
            raised.__cause__ = self.recorded(cause)
        if isinstance(raised, MapFailed):
            self._fill(raised, failure, row, None)
        return raised

    def _fill(
        self, raised: MapFailed, failure: Failure, row: TaskRow, first: Exception | None
    ) -> None:
        """Says of each item of a map that failed what came of it: as it was seen just now, or
        as it is recorded. A task that passes a map's failure on says the same."""
        if failure.path != row.path:
            passed = raised.__cause__
            if isinstance(passed, MapFailed):
                raised.succeeded, raised.failed = passed.succeeded, passed.failed
            return
        seen = first if isinstance(first, MapFailed) else raised
        failed, succeeded = dict(seen.failed), dict(seen.succeeded)
        for index, item in self._items(row, failure.segments):
            if item.status == Status.FAILED and index not in failed:
                failed[index] = self.recorded(item)
            elif item.status in _DONE and index not in succeeded:
                kept = item.output_kind, item.output, item.blob
                succeeded[index] = self._ledger.decode(*kept, item.path)
        raised.failed = dict(sorted(failed.items()))
        raised.succeeded = dict(sorted(succeeded.items()))

    def _items(self, row: TaskRow, segments: list[str] | None) -> Iterator[tuple[int, TaskRow]]:
        """The items of a map that were ever started, with their indices."""
        if segments is None:
            segments = [keys.segment([index]) for index in range(row.total or 0)]
        for index, segment in enumerate(segments):
            item = self._ledger.row(f"{row.path}/{segment}")
            if item is not None:
                yield index, item

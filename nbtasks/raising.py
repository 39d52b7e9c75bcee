"""Exceptions that the callers of failed tasks get, now and on every replay."""

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
    """Source of the exceptions of one execution.

    Args:
        ledger: The state of the run.
        run: The run's row.
    """

    def __init__(self, ledger: Ledger, run: RunRow) -> None:
        self._ledger = ledger
        self._run = run

    def in_doubt(self, row: TaskRow) -> InDoubtError:
        """Record that a task with `once=True` has lost its outcome, and return the error for it."""
        if row.status != Status.CANCELED:
            row.status = Status.INTERRUPTED
        row.execution, row.reused = self._run.executions, False
        self._ledger.put(row)
        run = f'nb.get_run("{self._run.run_id}")'
        path = json.dumps(row.path, ensure_ascii=False)
        return InDoubtError(
            f"Task {row.path!r} of run {self._run.run_id} began, and its outcome is unknown: its "
            "process died, it was stopped, or it timed out. With once=True it is not called "
            f"again. If it did its work, write {run}.set({path}, value) with the value it "
            f"returned; if it did not, write {run}.reset({path}). Then run the cell or job again."
        )

    def not_recorded(self, path: str, why: str) -> NotRecordedError:
        """Return the error for a task that would have to run in an execution that only replays."""
        run = self._run
        return NotRecordedError(
            f"Task {path!r} of run {run.run_id} of job {run.job!r} has no outcome to replay: "
            f'{why}. With replay="only" it did not run. Execute the cell or job without that to '
            "record it."
        )

    def first(self, row: TaskRow, failure: Failure, error: Exception) -> TaskFailed:
        """Return the error for a task that has just failed for good."""
        task_failed = failures.rebuild(failure, row.path, self._run.run_id)
        task_failed.__cause__ = next((e for e in failures.chain(error) if e.run_id), None)
        if task_failed.__cause__ is None and isinstance(error.__cause__, tracebacks.Remote):
            task_failed.__cause__ = error.__cause__
        if isinstance(task_failed, MapFailed):
            self._fill_map_results(task_failed, failure, row, error)
        return task_failed.with_traceback(tracebacks.own_frames(error.__traceback__))

    def recorded(self, row: TaskRow) -> TaskFailed:
        """Return the error for a task that failed in an earlier execution."""
        failure = failures.loads(row.error or "{}")
        task_failed = failures.rebuild(failure, row.path, self._run.run_id)
        cause = self._ledger.row(failure.cause) if failure.cause else None
        if cause is not None and cause.error:
            task_failed.__cause__ = self.recorded(cause)
        if isinstance(task_failed, MapFailed):
            self._fill_map_results(task_failed, failure, row, None)
        return task_failed

    def _fill_map_results(
        self, raised: MapFailed, failure: Failure, row: TaskRow, first: Exception | None
    ) -> None:
        """Set `succeeded` and `failed` of a `MapFailed`, from this execution or from the journal.
        A parent that re-raises it keeps the child's results."""
        if failure.path != row.path:
            child = raised.__cause__
            if isinstance(child, MapFailed):
                raised.succeeded, raised.failed = child.succeeded, child.failed
            return
        source = first if isinstance(first, MapFailed) else raised
        failed, succeeded = dict(source.failed), dict(source.succeeded)
        for index, item in self._iter_items(row, failure.segments):
            if item.status == Status.FAILED and index not in failed:
                failed[index] = self.recorded(item)
            elif item.status in _DONE and index not in succeeded:
                encoded = item.output_kind, item.output, item.blob
                succeeded[index] = self._ledger.decode(*encoded, item.path)
        raised.failed = dict(sorted(failed.items()))
        raised.succeeded = dict(sorted(succeeded.items()))

    def _iter_items(
        self, row: TaskRow, segments: list[str] | None
    ) -> Iterator[tuple[int, TaskRow]]:
        """Yield index and row of each item of a map that was ever started."""
        if segments is None:
            segments = [keys.segment([index]) for index in range(row.total or 0)]
        for index, segment in enumerate(segments):
            item = self._ledger.row(f"{row.path}/{segment}")
            if item is not None:
                yield index, item

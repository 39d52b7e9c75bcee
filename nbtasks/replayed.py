"""Answers to io calls in an execution that only replays: from the journal, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks import clock
from nbtasks.model import Status, TaskRow
from nbtasks.replay import Action, recorded

if TYPE_CHECKING:
    from nbtasks.calls import Call
    from nbtasks.errors import NotRecordedError
    from nbtasks.ledger import Ledger
    from nbtasks.raising import Raising
    from nbtasks.stale import Changes

__all__ = ["Replayed"]


class Replayed:
    """Answers to the calls of one execution that only replays.

    Args:
        ledger: The state of the run.
        changes: The staleness checker.
        raising: The errors that callers of tasks get.

    Attributes:
        refused: The first error for a task without an outcome; None if there was none.
    """

    def __init__(self, ledger: Ledger, changes: Changes, raising: Raising) -> None:
        self._ledger = ledger
        self._changes = changes
        self._raising = raising
        self.refused: NotRecordedError | None = None

    def task(self, call: Call, path: str) -> Any:
        """Return the recorded output of a task.

        Raises:
            TaskFailed: The task failed.
            NotRecordedError: The task has no outcome, or it has changed and would run again.
        """
        row = self._ledger.row(path)
        if row is not None and recorded(row) is not None:
            provenance = row.fingerprint, row.digest, row.stale
            if self._changes.call_for_rerun(call, path, provenance):
                raise self._refuse(
                    path, 'it has changed since, and with on_change="rerun" it would run again'
                )
        return self.answer(path)

    def answer(self, path: str) -> Any:
        """Return the recorded output of a task without checking whether it is stale.

        Raises:
            TaskFailed: The task failed.
            NotRecordedError: The task has no outcome.
        """
        row = self._ledger.row(path)
        action = recorded(row)
        if row is None or action is None:
            raise self._refuse(path, _describe_missing(row))
        self._ledger.reuse(row)
        if action is Action.RAISE:
            raise self._raising.recorded(row)
        return self._ledger.decode(row.output_kind, row.output, row.blob, path)

    def wait(self, path: str) -> None:
        """Mark a wait as reused if it is over.

        Raises:
            NotRecordedError: The wait is not over, or was never recorded.
        """
        row = self._ledger.row(path)
        is_due = row is not None and row.due_us is not None and row.due_us <= clock.micros()
        if row is None or (recorded(row) is not Action.REUSE and not is_due):
            raise self._refuse(path, _describe_missing(row))
        self._ledger.reuse(row)

    def _refuse(self, path: str, why: str) -> NotRecordedError:
        error = self._raising.not_recorded(path, why)
        self.refused = self.refused or error
        return error


def _describe_missing(row: TaskRow | None) -> str:
    if row is None:
        return "nothing is recorded for it"
    if row.due_us is not None:
        due = clock.at(row.due_us).astimezone()
        return f"it waits until {due:%Y-%m-%d %H:%M:%S}"
    if row.status == Status.CANCELED:
        return "it was stopped or reset"
    return f"it is {row.status}"

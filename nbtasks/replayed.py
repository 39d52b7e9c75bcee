"""What io calls do in an execution that only replays: they answer from what is recorded."""

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
    """Answers the calls of one execution.

    Args:
        ledger: What is recorded of the run.
        changes: Knows which tasks have changed since they were recorded.
        raising: Makes what the callers of tasks get.

    Attributes:
        refused: The first error of a task that has no outcome, if there is one.
    """

    def __init__(self, ledger: Ledger, changes: Changes, raising: Raising) -> None:
        self._ledger = ledger
        self._changes = changes
        self._raising = raising
        self.refused: NotRecordedError | None = None

    def task(self, call: Call, path: str) -> Any:
        """The recorded output of a task.

        Raises:
            TaskFailed: It failed.
            NotRecordedError: It has no outcome, or one that is not to be used since it changed.
        """
        row = self._ledger.row(path)
        if row is not None and recorded(row) is not None:
            made_of = row.fingerprint, row.digest, row.stale
            if self._changes.call_for_rerun(call, path, made_of):
                raise self._refuse(
                    path, 'it has changed since, and with on_change="rerun" it would run again'
                )
        return self.answer(path)

    def answer(self, path: str) -> Any:
        """The recorded output of a task, whatever it was made of.

        Raises:
            TaskFailed: It failed.
            NotRecordedError: It has no outcome.
        """
        row = self._ledger.row(path)
        action = recorded(row)
        if row is None or action is None:
            raise self._refuse(path, _why(row))
        self._ledger.reuse(row)
        if action is Action.RAISE:
            raise self._raising.recorded(row)
        return self._ledger.decode(row.output_kind, row.output, row.blob, path)

    def wait(self, path: str) -> None:
        """Goes on if a wait is over.

        Raises:
            NotRecordedError: It is not, or there was none.
        """
        row = self._ledger.row(path)
        over = row is not None and row.due_us is not None and row.due_us <= clock.micros()
        if row is None or (recorded(row) is not Action.REUSE and not over):
            raise self._refuse(path, _why(row))
        self._ledger.reuse(row)

    def _refuse(self, path: str, why: str) -> NotRecordedError:
        error = self._raising.not_recorded(path, why)
        self.refused = self.refused or error
        return error


def _why(row: TaskRow | None) -> str:
    if row is None:
        return "nothing is recorded of it"
    if row.due_us is not None:
        due = clock.at(row.due_us).astimezone()
        return f"it waits until {due:%Y-%m-%d %H:%M:%S}"
    if row.status == Status.CANCELED:
        return "it was stopped or reset"
    return f"it is {row.status}"

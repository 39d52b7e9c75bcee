"""What tasks that wait are told from outside: the first answer to one counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec
from nbtasks.errors import NotFoundError
from nbtasks.model import AnswerRow, Row, Status, TaskRow, WakeRow

if TYPE_CHECKING:
    from nbtasks.journal.port import Find, Journal

__all__ = ["find_answers", "give"]

#: Stopped where it waits, a task still waits: executed again it finds the answer.
_WAITING = (Status.WAITING, Status.CANCELED, Status.INTERRUPTED)


def find_answers(find: Find, run_id: str, path: str) -> list[Any]:
    """What a task was told, the first first.

    Raises:
        UnreadableValueError: One cannot be read back here.
    """
    rows: list[AnswerRow] = find("answer", run_id=run_id, path=path)
    rows.sort(key=lambda row: row.answered_us)
    return [codec.decode(row.value_kind or "json", row.value) for row in rows]


def give(journal: Journal, run_id: str, path: str, value: Any, origin: str) -> bool:
    """Tells a task that waits a value.

    Args:
        journal: Where that is recorded.
        run_id: The run.
        path: The task.
        value: The value.
        origin: Who tells it.

    Returns:
        Whether it is the first. Others are kept, and count for nothing if that one is right.

    Raises:
        NotFoundError: There is no such task that waits.
        ValueNotKeptError: No journal can hold the value.
    """
    encoded = codec.encode(value, inline=True)
    first = False

    def deal(find: Find) -> Iterator[Row]:
        nonlocal first
        tasks: list[TaskRow] = find("task", run_id=run_id, path=path)
        if not tasks or tasks[0].awaits is None:
            raise NotFoundError(f"Run {run_id!r} has no task {path!r} that waits for an answer.")
        if tasks[0].status in _WAITING:
            before: list[AnswerRow] = find("answer", run_id=run_id, path=path)
            first = not before
            now = max([clock.micros(), *(row.answered_us + 1 for row in before)])
            yield AnswerRow(run_id, path, now, encoded.text, encoded.kind, origin)
            yield WakeRow(run_id, now)

    journal.transact(deal)
    return first

"""Answers that waiting tasks receive from outside. The first answer to a task counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock
from nbtasks.core.model import ANSWERED, AnswerRow, Row, TaskRow, WakeRow
from nbtasks.errors import NotFoundError
from nbtasks.values import codec

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Find, Journal

__all__ = ["find_answers", "record_answer"]


def find_answers(find: Find, run_id: str, path: str) -> list[Any]:
    """Return the answers to a task, the earliest first.

    Raises:
        UnreadableValueError: An answer cannot be read here.
    """
    rows: list[AnswerRow] = find("answer", run_id=run_id, path=path)
    rows.sort(key=lambda row: row.answered_us)
    return [codec.decode(row.value_kind or "json", row.value) for row in rows]


def record_answer(journal: Journal, run_id: str, path: str, value: Any, origin: str) -> bool:
    """Record an answer to a waiting task.

    Args:
        journal: Journal to record the answer in.
        run_id: Id of the run.
        path: Path of the task.
        value: The answer.
        origin: Source of the answer: "form", "request" or "command".

    Returns:
        True if this is the first answer to the task. A later answer is recorded, too, but ignored
        if the first one is valid.

    Raises:
        NotFoundError: The run has no such task, or the task does not wait for an answer.
        ValueNotKeptError: No journal can record the value.
    """
    encoded = codec.encode(value, inline=True)
    first = False

    def transaction(find: Find) -> Iterator[Row]:
        nonlocal first
        tasks: list[TaskRow] = find("task", run_id=run_id, path=path)
        if not tasks or tasks[0].awaits is None:
            raise NotFoundError(f"Run {run_id!r} has no task {path!r} that waits for an answer.")
        if tasks[0].status not in ANSWERED:
            earlier: list[AnswerRow] = find("answer", run_id=run_id, path=path)
            first = not earlier
            now = max([clock.micros(), *(row.answered_us + 1 for row in earlier)])
            yield AnswerRow(run_id, path, now, encoded.text, encoded.kind, origin)
            yield WakeRow(run_id, now)

    journal.transact(transaction)
    return first

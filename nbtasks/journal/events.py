"""Events, named occurrences that start runs or end waits; answers to tasks that wait for one.

The first answer to a task counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from nbtasks.core import clock
from nbtasks.core.model import ANSWERED, AnswerRow, EventRow, Row, TaskRow, WakeRow
from nbtasks.errors import NotFoundError
from nbtasks.journal.protocol import RunHandle
from nbtasks.values import codec

__all__ = ["SOURCE", "Event", "find_answers", "of_row", "payload_of", "record_answer"]

#: The source of events that do not name one.
SOURCE = "nbtasks"

# Type of the runs of an event: `Run` where `nb.send_event` returns it. Only a checker needs the
# default, and the import of what has one before Python 3.13 costs a hundredth of ours.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from nbtasks.journal.protocol import Find, Journal

    RunT_co = TypeVar("RunT_co", bound=RunHandle, covariant=True, default=RunHandle)
else:
    from typing import TypeVar

    RunT_co = TypeVar("RunT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[RunT_co]):
    """A snapshot of an event at the time it was read.

    Attributes:
        id: Unique id; an event is delivered once.
        name: Name of the event.
        payload: Content of the event.
        at: Time at which it happened: its delivery or, before that, the time it is due.
        source: Origin of the event.
        delivered_at: Time of its delivery; None while that is pending.
        cancelled_at: Time of its cancellation, if it was canceled.
        runs: Runs that it started. Empty in a recorded copy, such as a task's output.

    ```python
    import nbtasks as nb

    event = nb.send_event("note", {"text": "hello"})
    assert (event.name, event.payload, event.runs) == ("note", {"text": "hello"}, [])
    assert event.at == event.delivered_at
    ```
    """

    id: str
    name: str
    payload: Any
    at: datetime
    source: str = SOURCE
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    runs: list[RunT_co] = field(default_factory=list, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Event, (
            self.id, self.name, self.payload, self.at, self.source, self.delivered_at,
            self.cancelled_at,
        )  # fmt: skip


def payload_of(row: EventRow) -> Any:
    """Return the decoded payload of an event.

    Raises:
        UnreadableValueError: The payload cannot be decoded here.
    """
    return codec.decode(row.payload_kind or "json", row.payload)


def of_row(row: EventRow, runs: list[RunT_co] | None = None) -> Event[RunT_co]:
    """Return the event recorded in a row."""
    return Event(
        row.event_id,
        row.name,
        payload_of(row),
        clock.at(row.at_us),
        row.source,
        None if row.delivered_us is None else clock.at(row.delivered_us),
        None if row.cancelled_us is None else clock.at(row.cancelled_us),
        runs or [],
    )


# -- answers ---------------------------------------------------------------------------------------


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

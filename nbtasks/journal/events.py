"""Events: named occurrences that start runs or end waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from nbtasks.core import clock
from nbtasks.core.model import EventRow
from nbtasks.journal.protocol import RunHandle
from nbtasks.values import codec

__all__ = ["SOURCE", "Event", "of_row", "payload_of"]

#: The source of events that do not name one.
SOURCE = "nbtasks"

# Type of the runs of an event: `Run` where `nb.send_event` returns it. Only a checker needs the
# default, and the import of what has one before Python 3.13 costs a hundredth of ours.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

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
        cancelled_at: Time of its cancellation, if it was cancelled.
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

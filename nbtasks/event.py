"""An event: something that happened, by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

from typing_extensions import TypeVar

from nbtasks import clock, codec
from nbtasks.journal.port import RunHandle
from nbtasks.model import EventRow

__all__ = ["SOURCE", "Event", "of_row", "payload_of"]

#: The source of events that say none.
SOURCE = "nbtasks"
#: Type of the runs of an event: `nb.send_event` gives `Run`s.
RunT = TypeVar("RunT", bound=RunHandle, covariant=True, default=RunHandle)


@dataclass(frozen=True, slots=True)
class Event(Generic[RunT]):
    """An event, as it stood when it was asked for.

    Attributes:
        id: Its id; it is delivered once.
        name: Its name.
        payload: What it says.
        at: When it happened: when it was delivered, or else when it is to be.
        source: Whose it is.
        delivered_at: When it was delivered; None if it is yet to be.
        cancelled_at: When it was cancelled, if it was.
        runs: The runs that it began. A recorded copy, as a task's output, has none.

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
    runs: list[RunT] = field(default_factory=list, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Event, (
            self.id, self.name, self.payload, self.at, self.source, self.delivered_at,
            self.cancelled_at,
        )  # fmt: skip


def payload_of(row: EventRow) -> Any:
    """What an event says.

    Raises:
        UnreadableValueError: It cannot be read back here.
    """
    return codec.decode(row.payload_kind or "json", row.payload)


def of_row(row: EventRow, runs: list[RunT] | None = None) -> Event[RunT]:
    """The event that is recorded in a row."""
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

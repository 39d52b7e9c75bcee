"""Protocol through which `io` starts and finds other runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from nbtasks.journal.events import Event
    from nbtasks.journal.protocol import RunHandle

__all__ = ["Dispatcher", "Invocable", "NewEvent"]


class NewEvent(NamedTuple):
    """A new event, not sent yet.

    Attributes:
        id: Id of the event.
        name: Name of the event.
        payload: Payload of the event.
        source: Source of the event.
        deliver_us: Delivery time in epoch microseconds; None to deliver at once.
    """

    id: str
    name: str
    payload: Any
    source: str
    deliver_us: int | None


class Invocable(Protocol):
    """A job that can be invoked."""

    id: str


class Dispatcher(Protocol):
    """Dispatcher that starts runs, and finds them again."""

    def send(self, new_events: Sequence[NewEvent], parent: str | None) -> Sequence[Event]:
        """Record events with the runs that they start, without executing these runs yet.

        An event that was sent before and is not delivered yet is changed; any other recorded event
        stays as it is.
        """

    def event(self, id_: str) -> Event | None:
        """Return the event with this id, or None."""

    def cancel_event(self, id_: str) -> Event:
        """Cancel an event, unless it was delivered, and return it.

        Raises:
            NotFoundError: There is no event with this id.
        """

    def invoke(self, job: Invocable, payloads: Sequence[Any], parent: str, key: str) -> list[str]:
        """Return the ids of a job's runs for these payloads; create runs that do not exist."""

    def resume(self, run_id: str) -> None:
        """Resume a run in the background, unless it has ended or is executed elsewhere."""

    def get_run(self, run_id: str) -> RunHandle:
        """Return the run with this id."""

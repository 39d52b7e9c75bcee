"""What io asks of the place that its run is in: to begin other runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from nbtasks.event import Event
    from nbtasks.journal.port import RunHandle

__all__ = ["Desk", "Draft", "Invocable"]


class Draft(NamedTuple):
    """An event to be sent.

    Attributes:
        id: Its id.
        name: Its name.
        payload: What it says.
        source: Whose it is.
        deliver_us: When it is to be delivered; None for at once.
    """

    id: str
    name: str
    payload: Any
    source: str
    deliver_us: int | None


class Invocable(Protocol):
    """A job, as far as it can be invoked."""

    id: str


class Desk(Protocol):
    """Begins runs, and finds them again."""

    def send(self, drafts: Sequence[Draft], parent: str | None) -> Sequence[Event]:
        """Records events with the runs that they begin; none of these is executed yet. An event
        that was sent before and is not delivered is changed; any other one stays as it is."""

    def event(self, id_: str) -> Event | None:
        """The event with an id."""

    def cancel_event(self, id_: str) -> Event:
        """The event with an id, which will not be delivered, unless it was.

        Raises:
            NotFoundError: There is none.
        """

    def invoke(self, job: Invocable, payloads: Sequence[Any], parent: str, key: str) -> list[str]:
        """The runs of a job for these payloads, by their ids: made if they are not yet."""

    def go_on(self, run_id: str) -> None:
        """Executes a run in the background, unless it has ended or somebody else does."""

    def hold(self, run_id: str) -> RunHandle:
        """The run with an id."""

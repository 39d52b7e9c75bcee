"""What io does with events: it sends them, looks them up, and waits for them."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from nbtasks import filters, keys
from nbtasks.calls import mapped
from nbtasks.driver import needs_loop
from nbtasks.event import SOURCE, Event
from nbtasks.event_calls import Events, draft, drafts, first
from nbtasks.face import AsyncFace
from nbtasks.options import Duration

__all__ = ["AsyncEvents", "SyncEvents"]


class SyncEvents(Events):
    """Events, by calls that block."""

    def send_event(  # noqa: PLR0913 - what an event is made of
        self,
        key: keys.Key,
        name: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the name of the contract, here and below
        source: str = SOURCE,
        deliver_at: datetime | None = None,
        deliver_after: Duration | None = None,
    ) -> Event:
        """Sends an event: those who wait for it go on, and each job with a trigger that takes it
        begins a run, which goes on in the background.

        Args:
            key: As in `run_task`.
            name: The event's name.
            payload: What it says.
            id: Its id, by default one of this task's own. One that is delivered is never delivered
                again: what was sent then is given. One that is not yet is changed.
            source: Whose it is.
            deliver_at: When it is to be delivered, by a worker; an aware datetime. By default at
                once.
            deliver_after: Or in how long, in seconds or as a timedelta.

        Returns:
            The event, with its `runs`.

        Raises:
            InvalidOptionError: It cannot be sent so.

        ```python
        import nbtasks as nb


        @nb.job("send-event-mail", trigger=nb.event_trigger("signed up"))
        def mail(payload: str, io: nb.SyncIO) -> str:
            return io.run_task("mail", lambda: f"welcome, {payload}")


        @nb.job("send-event-example")
        def body(io: nb.SyncIO) -> str:
            return io.send_event("tell", "signed up", "Ada").name


        assert body.run().output == "signed up"
        ```
        """
        args = (name, payload, id, source, deliver_at, deliver_after)
        one = draft(f"io.send_event({key!r}, ...)", *args)
        sent: Event = self._drive(mapped(self._send(key, lambda: [one], name), first))
        return sent

    def send_events(self, key: keys.Key, events: Iterable[Any]) -> list[Event]:
        """Sends several events in one task: all of them or none.

        Args:
            key: As in `run_task`.
            events: Each as (name, payload), or as a dict of the arguments of `send_event`.

        Returns:
            The events, in this order.

        Raises:
            InvalidOptionError: One cannot be sent so.

        ```python
        import nbtasks as nb


        @nb.job("send-events-example")
        def body(io: nb.SyncIO) -> list[str]:
            sent = io.send_events("both", [("a", 1), {"name": "b", "deliver_after": 60}])
            return [event.name for event in sent if event.delivered_at]


        assert body.run().output == ["a"]
        ```
        """
        made = drafts(events)
        names = [one.name for one in made]
        sent: list[Event] = self._drive(self._send(key, lambda: made, names))
        return sent

    def get_event(self, key: keys.Key, id: str) -> Event | None:  # noqa: A002 - as above
        """The event with an id, as it stands now; None if there is none.

        Args:
            key: As in `run_task`.
            id: Its id.

        ```python
        import nbtasks as nb


        @nb.job("get-event-example")
        def body(io: nb.SyncIO) -> bool:
            io.send_event("order", "order", {"n": 1}, id="order-1", deliver_after=3600)
            io.cancel_event("no, do not", "order-1")
            event = io.get_event("look", "order-1")
            return event is not None and event.cancelled_at is not None


        assert body.run().output is True
        ```
        """
        found: Event | None = self._drive(self._found(key, lambda: self._desk.event(id), id))
        return found

    def cancel_event(self, key: keys.Key, id: str) -> Event:  # noqa: A002 - as above
        """Cancels an event that is to be delivered later; one that was delivered stays as it is.

        Args:
            key: As in `run_task`.
            id: Its id.

        Returns:
            The event; if it is cancelled, with `cancelled_at`.

        Raises:
            TaskFailed: There is no such event; it is a NotFoundError, too.
        """
        found: Event = self._drive(self._found(key, lambda: self._desk.cancel_event(id), id))
        return found

    def wait_for_event(
        self,
        key: keys.Key,
        name: str | list[str],
        *,
        schema: Any = None,
        filter: filters.Filter | None = None,  # noqa: A002 - the name of the contract
        source: str | None = None,
        timeout: Duration = 3600,
    ) -> Event:
        """Waits for an event: the first one that was delivered since the wait began, also while
        this process was dead.

        Args:
            key: As in `run_task`.
            name: The event's name, or several.
            schema: What the payload has to be: any type that pydantic can validate. One that does
                not fit is not the one that is waited for.
            filter: Which payloads are meant, by the names of their fields.
            source: Whose events are meant; by default anyone's.
            timeout: The longest that it waits, in seconds or as a timedelta.

        Raises:
            WaitTimeout: None came in time.
            InvalidOptionError: It cannot be waited for so.

        ```python
        import threading

        import nbtasks as nb


        @nb.job("wait-for-event-example")
        def body(io: nb.SyncIO) -> dict[str, bool]:
            threading.Timer(0.2, nb.send_event, ("approved", {"by": "Ada", "ok": True})).start()
            event = io.wait_for_event("approval", "approved", filter={"by": ["Ada"]}, timeout=60)
            return event.payload


        assert body.run().output == {"by": "Ada", "ok": True}
        ```
        """
        waits = self._wait_for_event(key, name, schema, filter, source, timeout)
        found: Event = self._drive(waits)
        return found


class AsyncEvents(Events, AsyncFace):
    """Events, by calls that are awaited."""

    def send_event(  # noqa: PLR0913 - what an event is made of
        self,
        key: keys.Key,
        name: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the name of the contract, here and below
        source: str = SOURCE,
        deliver_at: datetime | None = None,
        deliver_after: Duration | None = None,
    ) -> Coroutine[Any, Any, Event]:
        """As `SyncIO.send_event`, awaited."""
        needs_loop("send_event")
        args = (name, payload, id, source, deliver_at, deliver_after)
        one = draft(f"io.send_event({key!r}, ...)", *args)
        return self._drive(mapped(self._send(key, lambda: [one], name), first))

    def send_events(self, key: keys.Key, events: Iterable[Any]) -> Coroutine[Any, Any, list[Event]]:
        """As `SyncIO.send_events`, awaited."""
        needs_loop("send_events")
        made = drafts(events)
        return self._drive(self._send(key, lambda: made, [one.name for one in made]))

    def get_event(
        self,
        key: keys.Key,
        id: str,  # noqa: A002 - as above
    ) -> Coroutine[Any, Any, Event | None]:
        """As `SyncIO.get_event`, awaited."""
        needs_loop("get_event")
        return self._drive(self._found(key, lambda: self._desk.event(id), id))

    def cancel_event(
        self,
        key: keys.Key,
        id: str,  # noqa: A002 - as above
    ) -> Coroutine[Any, Any, Event]:
        """As `SyncIO.cancel_event`, awaited."""
        needs_loop("cancel_event")
        return self._drive(self._found(key, lambda: self._desk.cancel_event(id), id))

    def wait_for_event(
        self,
        key: keys.Key,
        name: str | list[str],
        *,
        schema: Any = None,
        filter: filters.Filter | None = None,  # noqa: A002 - the name of the contract
        source: str | None = None,
        timeout: Duration = 3600,
    ) -> Coroutine[Any, Any, Event]:
        """As `SyncIO.wait_for_event`, awaited."""
        needs_loop("wait_for_event")
        waits = self._wait_for_event(key, name, schema, filter, source, timeout)
        return self._drive(waits)

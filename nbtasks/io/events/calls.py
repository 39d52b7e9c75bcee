"""Calls of io that send, look up, cancel and wait for events."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from nbtasks.core import keys
from nbtasks.core.durations import Duration
from nbtasks.engine.effects import mapped
from nbtasks.io.base import AsyncBaseIO
from nbtasks.io.events import filters
from nbtasks.io.events.tasks import Events, new_event, new_events, only
from nbtasks.journal.events import SOURCE, Event

__all__ = ["AsyncEvents", "SyncEvents"]


class SyncEvents(Events):
    """Event calls that block."""

    def send_event(  # noqa: PLR0913 - the parts of an event
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
        """Send an event.

        Runs that wait for the event continue, and each job with a matching trigger starts a run,
        which executes in the background.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the event.
            payload: Payload of the event.
            id: Id of the event, by default an id of this task. An event that was delivered is never
                delivered again: the call returns the delivered event. An event that is not
                delivered yet is changed.
            source: Source of the event.
            deliver_at: Time at which a worker delivers the event, as an aware datetime. By default
                the event is delivered at once.
            deliver_after: Delay of the delivery instead: seconds, a timedelta, or text such as
                "5m".

        Returns:
            The event, with its `runs`.

        Raises:
            InvalidOptionError: An argument is not valid.

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
        new = new_event(f"io.send_event({key!r}, ...)", *args)
        event: Event = self._drive(mapped(self._send(key, lambda: [new], name), only))
        return event

    def send_events(self, key: keys.Key, events: Iterable[Any]) -> list[Event]:
        """Send several events in one task: all of them or none.

        Args:
            key: Key of the task, as in `run_task`.
            events: Events, each as (name, payload), or as a dict of the arguments of `send_event`.

        Returns:
            The events, in the same order.

        Raises:
            InvalidOptionError: An event is not valid.

        ```python
        import nbtasks as nb


        @nb.job("send-events-example")
        def body(io: nb.SyncIO) -> list[str]:
            sent = io.send_events("both", [("a", 1), {"name": "b", "deliver_after": 60}])
            return [event.name for event in sent if event.delivered_at]


        assert body.run().output == ["a"]
        ```
        """
        batch = new_events(events)
        names = [new.name for new in batch]
        results: list[Event] = self._drive(self._send(key, lambda: batch, names))
        return results

    def get_event(self, key: keys.Key, id: str) -> Event | None:  # noqa: A002 - as above
        """Return the current state of the event with this id, or None.

        Args:
            key: Key of the task, as in `run_task`.
            id: Id of the event.

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
        event: Event | None = self._drive(
            self._look_up(key, lambda: self._dispatcher.event(id), id)
        )
        return event

    def cancel_event(self, key: keys.Key, id: str) -> Event:  # noqa: A002 - as above
        """Cancel an event that is not delivered yet; a delivered event stays as it is.

        Args:
            key: Key of the task, as in `run_task`.
            id: Id of the event.

        Returns:
            The event; if it is canceled, with `cancelled_at`.

        Raises:
            TaskFailed: There is no event with this id. The error is a NotFoundError, too.
        """
        event: Event = self._drive(
            self._look_up(key, lambda: self._dispatcher.cancel_event(id), id)
        )
        return event

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
        """Wait for an event, and return it.

        The first matching event delivered since the wait began counts, even if this process was
        dead at the time.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the event, or a list of names.
            schema: Type of the payload: any type that pydantic can validate. An event whose payload
                does not fit is ignored.
            filter: Conditions on the fields of the payload, by name.
            source: Source of the event; by default any.
            timeout: Longest time to wait: seconds, a timedelta, or text such as "5m".

        Raises:
            WaitTimeout: No matching event was delivered in time.
            InvalidOptionError: An argument is not valid.

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
        effects = self._wait_for_event(key, name, schema, filter, source, timeout)
        event: Event = self._drive(effects)
        return event


class AsyncEvents(Events, AsyncBaseIO):
    """Event calls that are awaited."""

    def send_event(  # noqa: PLR0913 - the parts of an event
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
        """Send an event. Awaitable form of `SyncIO.send_event`."""
        args = (name, payload, id, source, deliver_at, deliver_after)
        new = new_event(f"io.send_event({key!r}, ...)", *args)
        return self._drive(mapped(self._send(key, lambda: [new], name), only))

    def send_events(self, key: keys.Key, events: Iterable[Any]) -> Coroutine[Any, Any, list[Event]]:
        """Send several events in one task. Awaitable form of `SyncIO.send_events`."""
        batch = new_events(events)
        return self._drive(self._send(key, lambda: batch, [new.name for new in batch]))

    def get_event(
        self,
        key: keys.Key,
        id: str,  # noqa: A002 - as above
    ) -> Coroutine[Any, Any, Event | None]:
        """Return the event with this id, or None. Awaitable form of `SyncIO.get_event`."""
        return self._drive(self._look_up(key, lambda: self._dispatcher.event(id), id))

    def cancel_event(
        self,
        key: keys.Key,
        id: str,  # noqa: A002 - as above
    ) -> Coroutine[Any, Any, Event]:
        """Cancel an event that is not delivered yet. Awaitable form of `SyncIO.cancel_event`."""
        return self._drive(self._look_up(key, lambda: self._dispatcher.cancel_event(id), id))

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
        """Wait for an event, and return it. Awaitable form of `SyncIO.wait_for_event`."""
        effects = self._wait_for_event(key, name, schema, filter, source, timeout)
        return self._drive(effects)

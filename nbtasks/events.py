"""What io does with events: it sends them, looks them up, and waits for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any

from nbtasks import clock, event, filters, keys, params, payloads, sites
from nbtasks.calls import Awaited, Effects, current, mapped
from nbtasks.desk import Draft
from nbtasks.driver import needs_loop
from nbtasks.errors import InvalidOptionError, InvalidPayloadError, UnreadableValueError
from nbtasks.event import SOURCE, Event
from nbtasks.face import AsyncFace, Face
from nbtasks.model import EventRow, TaskRow
from nbtasks.options import Duration, seconds_of
from nbtasks.place import CurrentTask
from nbtasks.triggers import named

__all__ = ["AsyncEvents", "SyncEvents", "draft"]

_S = 1_000_000


def draft(  # noqa: PLR0913, PLR0917 - what an event is made of
    call: str,
    name: str,
    payload: Any,
    id_: str | None,
    source: str,
    deliver_at: datetime | None,
    deliver_after: Duration | None,
) -> Draft:
    """The event that a call of `send_event` describes; without `id_` it has none yet.

    Raises:
        InvalidOptionError: It cannot be sent so.
    """
    texts: list[tuple[Any, str]] = [(name, "name"), (source, "source"), (id_ or "id", "id")]
    for said, what in texts:
        if not isinstance(said, str) or not said:
            raise InvalidOptionError(f"{call}: the {what} of an event is a text, not {said!r}.")
    if deliver_at is not None and deliver_after is not None:
        raise InvalidOptionError(f"{call}: it takes deliver_at or deliver_after, not both.")
    if deliver_at is not None and deliver_at.tzinfo is None:
        raise InvalidOptionError(
            f"{call}: deliver_at={deliver_at!r}: an instant needs a time zone, as in "
            "datetime(2026, 1, 31, 9, tzinfo=UTC)."
        )
    deliver_us = None
    if deliver_at is not None:
        deliver_us = round(deliver_at.timestamp() * _S)
    elif deliver_after is not None:
        deliver_us = clock.micros() + round(seconds_of("deliver_after", deliver_after) * _S)
    if deliver_us is not None and deliver_us <= clock.micros():
        deliver_us = None
    return Draft(id_ or "", name, payload, source, deliver_us)


class _Events(Face):
    """What both faces say of events."""

    def _send(self, key: keys.Key, drafts: Callable[[], list[Draft]], shown: object) -> Effects:
        """A task that sends events, which gives the values of those, with the ids of the runs."""

        def send() -> list[dict[str, Any]]:
            task = _task()
            said = [
                one._replace(id=one.id or f"{task.idempotency_key}{f'-{number}' * bool(number)}")
                for number, one in enumerate(drafts())
            ]
            return [_record(found) for found in self._desk.send(said, task.run_id)]

        return mapped(self._own(key, send, (), "send", {"event": shown}, 4), self._sent)

    def _sent(self, records: list[dict[str, Any]]) -> list[Event]:
        """The events of such a task. Runs that they began and that nobody executes go on."""
        return [self._event(record, go_on=True) for record in records]

    def _event(self, record: dict[str, Any], *, go_on: bool = False) -> Event:
        runs = record.pop("runs")
        if go_on and self._execution.only is None:
            for run_id in runs:
                self._desk.go_on(run_id)
        return Event(**record, runs=list(map(self._desk.hold, runs)))

    def _found(self, key: keys.Key, ask: Callable[[], Event | None], id_: str) -> Effects:
        def find() -> dict[str, Any] | None:
            found = ask()
            return None if found is None else _record(found)

        effects = self._own(key, find, (), "search", {"id": id_}, 4)
        return mapped(effects, lambda record: None if record is None else self._event(record))

    def _wait_for_event(
        self,
        key: keys.Key,
        name: str | list[str],
        schema: Any,
        wanted: filters.Filter | None,
        source: str | None,
        timeout: Duration,
    ) -> Effects:
        names = named(name)
        if not names:
            raise InvalidOptionError(f"io.wait_for_event({key!r}, {name!r}): it waits for a name.")
        if wanted is not None:
            filters.check(wanted)
        seconds = seconds_of("timeout", timeout)
        said = {"event": names, "filter": wanted, "source": source, "timeout": seconds}
        find = self._execution.journal.find

        def begin() -> str:
            """From when on events count: also those of this instant that are yet to come."""
            now = clock.micros()
            before = [row.event_id for one in names for row in _since(find, one, now)]
            return json.dumps({"event": names, "since_us": now, "before": before})

        def look(row: TaskRow) -> tuple[Any] | None:
            awaits = json.loads(row.awaits or "{}")
            rows = [row for one in names for row in _since(find, one, awaits["since_us"])]
            for found in sorted(rows, key=lambda row: (row.delivered_us, row.event_id)):
                if found.event_id not in awaits["before"] and _fits(found, schema, wanted, source):
                    return (_plain(found),)
            return None

        wait = Awaited(
            key,
            sites.here(2),
            round(seconds * _S),
            params.shown({name: value for name, value in said.items() if value is not None}),
            begin,
            look,
            f"no event {' or '.join(map(repr, names))} that fits came within {seconds:g} seconds",
            "bell",
        )
        return mapped(self._until(wait), lambda record: _validated(record, schema))


def _since(find: Any, name: str, since_us: int) -> list[EventRow]:
    """The events of a name that were delivered from an instant on."""
    found = find("event", since=("at_us", since_us), name=name)
    return [row for row in found if row.delivered_us is not None and row.cancelled_us is None]


def _fits(row: EventRow, schema: Any, wanted: filters.Filter | None, source: str | None) -> bool:
    if source not in (None, row.source):
        return False
    try:
        payload = event.payload_of(row)
        payloads.validated(schema, payload, "the event")
    except (InvalidPayloadError, UnreadableValueError):
        return False
    return wanted is None or filters.matches(payload, wanted)


def _plain(row: EventRow) -> dict[str, Any]:
    """What is recorded of an event that was waited for."""
    found = event.of_row(row)
    names = ("id", "name", "payload", "at", "source", "delivered_at")
    return {name: getattr(found, name) for name in names}


def _validated(record: dict[str, Any], schema: Any) -> Event:
    payload = payloads.validated(schema, record["payload"], "the event")
    return Event(**{**record, "payload": payload})


def _record(found: Event) -> dict[str, Any]:
    """What is recorded of an event that was sent."""
    names = ("id", "name", "payload", "at", "source", "delivered_at", "cancelled_at")
    record: dict[str, Any] = {name: getattr(found, name) for name in names}
    return {**record, "runs": [run.id for run in found.runs]}


def _task() -> CurrentTask:
    scope = current.get()
    assert scope is not None  # noqa: S101 - it is called as a task
    return CurrentTask(scope)


def _drafts(events: Iterable[Any]) -> list[Draft]:
    """The events that `send_events` is given."""
    made = []
    for one in events:
        if isinstance(one, Mapping):
            said = dict(one)
        else:
            said = dict(zip(("name", "payload"), one, strict=False))
        known = ("name", "payload", "id", "source", "deliver_at", "deliver_after")
        if "name" not in said or set(said) - set(known):
            raise InvalidOptionError(
                f"io.send_events: an event is (name, payload), or a dict of {', '.join(known)}; "
                f"not {one!r}."
            )
        made.append(
            draft(
                "io.send_events", said["name"], said.get("payload"), said.get("id"),
                said.get("source", SOURCE), said.get("deliver_at"), said.get("deliver_after"),
            )
        )  # fmt: skip
    return made


def _first(events: list[Event]) -> Event:
    return events[0]


class SyncEvents(_Events):
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
        sent: Event = self._drive(mapped(self._send(key, lambda: [one], name), _first))
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
        made = _drafts(events)
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


class AsyncEvents(_Events, AsyncFace):
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
        return self._drive(mapped(self._send(key, lambda: [one], name), _first))

    def send_events(self, key: keys.Key, events: Iterable[Any]) -> Coroutine[Any, Any, list[Event]]:
        """As `SyncIO.send_events`, awaited."""
        needs_loop("send_events")
        made = _drafts(events)
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

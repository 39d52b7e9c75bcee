"""Effects of the event calls of io, for `SyncIO` and `AsyncIO` alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from nbtasks.core import callsite, clock, keys, text
from nbtasks.core.durations import Duration, to_instant, to_seconds
from nbtasks.core.model import EventRow, TaskRow
from nbtasks.engine.drivers.current_task import CurrentTask
from nbtasks.engine.effects import Effects, ExternalWait, current, mapped
from nbtasks.errors import InvalidOptionError, InvalidPayloadError, UnreadableValueError
from nbtasks.io.base import BaseIO
from nbtasks.io.dispatcher import NewEvent
from nbtasks.io.events import filters
from nbtasks.journal import events
from nbtasks.journal.events import SOURCE, Event
from nbtasks.values import preview, validation

__all__ = ["Events", "event_names", "new_event", "new_events", "only"]

_S = 1_000_000


def new_event(  # noqa: PLR0913, PLR0917 - the parts of an event
    call: str,
    name: str,
    payload: Any,
    id_: str | None,
    source: str,
    deliver_at: datetime | None,
    deliver_after: Duration | None,
) -> NewEvent:
    """Return the event that a call of `send_event` describes; without `id_` its id is empty.

    Raises:
        InvalidOptionError: An argument is not valid.
    """
    fields: list[tuple[Any, str]] = [(name, "name"), (source, "source"), (id_ or "id", "id")]
    for value, field in fields:
        if not isinstance(value, str) or not value:
            raise InvalidOptionError(
                f"{call}: the {field} of an event is a non-empty string, not {value!r}."
            )
        text.check(f"{call}: the {field} of an event,", value, InvalidOptionError)
    if deliver_at is not None and deliver_after is not None:
        raise InvalidOptionError(f"{call}: give deliver_at or deliver_after, not both.")
    deliver_us = None
    if deliver_at is not None:
        deliver_us = to_instant(f"{call}: deliver_at", deliver_at)
    elif deliver_after is not None:
        delay = to_seconds(f"{call}: deliver_after", deliver_after)
        deliver_us = clock.micros() + round(delay * _S)
    if deliver_us is not None and deliver_us <= clock.micros():
        deliver_us = None
    return NewEvent(id_ or "", name, payload, source, deliver_us)


class Events(BaseIO):
    """The part of the event calls that both io classes share."""

    def _send(self, key: keys.Key, made: Callable[[], list[NewEvent]], shown: object) -> Effects:
        """Build the task that sends events, and returns them with their runs."""

        def send() -> list[dict[str, Any]]:
            task = _task()
            # Ids from the task, so that an attempt after a crash sends the same events.
            events = [
                new._replace(id=new.id or f"{task.idempotency_key}{f'-{number}' * bool(number)}")
                for number, new in enumerate(made())
            ]
            return [_sent_record(item) for item in self._dispatcher.send(events, task.run_id)]

        return mapped(
            self._builtin_task(key, send, (), "send", {"event": shown}, 4), self._resume_runs
        )

    def _resume_runs(self, records: list[dict[str, Any]]) -> list[Event]:
        """Return the events of such a task, and resume the runs they started that are idle."""
        return [self._event(record, resume=True) for record in records]

    def _event(self, record: dict[str, Any], *, resume: bool = False) -> Event:
        fields = {name: value for name, value in record.items() if name != "runs"}
        runs = record["runs"]
        if resume and self._execution.replay_only is None:
            for run_id in runs:
                self._dispatcher.resume(run_id)
        return Event(**fields, runs=list(map(self._dispatcher.get_run, runs)))

    def _look_up(self, key: keys.Key, ask: Callable[[], Event | None], id_: str) -> Effects:
        text.check("The id of an event,", id_, InvalidOptionError)

        def find() -> dict[str, Any] | None:
            match = ask()
            return None if match is None else _sent_record(match)

        effects = self._builtin_task(key, find, (), "search", {"id": id_}, 4)
        return mapped(effects, lambda record: None if record is None else self._event(record))

    def _wait_for_event(
        self,
        key: keys.Key,
        name: str | list[str],
        schema: Any,
        filter_: filters.Filter | None,
        source: str | None,
        timeout: Duration,
    ) -> Effects:
        names = event_names(name)
        if not names:
            raise InvalidOptionError(
                f"io.wait_for_event({key!r}, {name!r}): give at least one name."
            )
        text.check("The source of an event,", source, InvalidOptionError)
        if filter_ is not None:
            filters.check(filter_)
        seconds = to_seconds("timeout", timeout)
        inputs = {"event": names, "filter": filter_, "source": source, "timeout": seconds}
        find = self._execution.journal.find

        def begin() -> str:
            """Record the start of the wait."""
            # Events of the same microsecond count if they are sent after it.
            now = clock.micros()
            before = [row.event_id for each in names for row in _since(find, each, now)]
            return json.dumps({"event": names, "since_us": now, "before": before})

        def look(row: TaskRow) -> tuple[Any] | None:
            awaits = json.loads(row.awaits or "{}")
            rows = [row for each in names for row in _since(find, each, awaits["since_us"])]
            for item in sorted(rows, key=lambda row: (row.delivered_us, row.event_id)):
                if item.event_id not in awaits["before"] and _fits(item, schema, filter_, source):
                    return (_received_record(events.of_row(item)),)
            return None

        wait = ExternalWait(
            key,
            callsite.capture(2),
            round(seconds * _S),
            preview.to_display_json(
                {name: value for name, value in inputs.items() if value is not None}
            ),
            begin,
            look,
            f"no matching event {' or '.join(map(repr, names))} came within {seconds:g} seconds",
            "bell",
        )
        return mapped(self._wait_for(wait), lambda record: _validated(record, schema))


def _since(find: Any, name: str, since_us: int) -> list[EventRow]:
    """Return the events of a name delivered at or after an instant, in epoch microseconds."""
    rows = find("event", since=("at_us", since_us), name=name)
    return [row for row in rows if row.delivered_us is not None and row.cancelled_us is None]


def _fits(row: EventRow, schema: Any, filter_: filters.Filter | None, source: str | None) -> bool:
    if source not in (None, row.source):
        return False
    try:
        payload = events.payload_of(row)
        validation.validate(schema, payload, "the event")
    except (InvalidPayloadError, UnreadableValueError):
        return False
    return filter_ is None or filters.matches(payload, filter_)


def _received_record(event: Event) -> dict[str, Any]:
    """Return the record of an event that a task waited for."""
    names = ("id", "name", "payload", "at", "source", "delivered_at")
    return {name: getattr(event, name) for name in names}


def _validated(record: dict[str, Any], schema: Any) -> Event:
    payload = validation.validate(schema, record["payload"], "the event")
    return Event(**{**record, "payload": payload})


def _sent_record(event: Event) -> dict[str, Any]:
    """Return the record of an event that a task sent."""
    run_ids = [run.id for run in event.runs]
    return {**_received_record(event), "cancelled_at": event.cancelled_at, "runs": run_ids}


def _task() -> CurrentTask:
    context = current.get()
    assert context is not None  # noqa: S101 - called as a task
    return CurrentTask(context)


def new_events(events: Iterable[Any]) -> list[NewEvent]:
    """Return the events that the argument of `send_events` describes.

    Raises:
        InvalidOptionError: An event is not valid, or two events have the same id.
    """
    new_events = []
    for item in events:
        if isinstance(item, Mapping):
            fields = dict(item)
        else:
            fields = dict(zip(("name", "payload"), item, strict=False))
        names = ("name", "payload", "id", "source", "deliver_at", "deliver_after")
        if "name" not in fields or set(fields) - set(names):
            raise InvalidOptionError(
                f"io.send_events: an event is (name, payload), or a dict of {', '.join(names)}; "
                f"not {item!r}."
            )
        new_events.append(
            new_event(
                "io.send_events", fields["name"], fields.get("payload"), fields.get("id"),
                fields.get("source", SOURCE), fields.get("deliver_at"), fields.get("deliver_after"),
            )
        )  # fmt: skip
    ids = [new.id for new in new_events if new.id]
    if len(ids) != len(set(ids)):
        raise InvalidOptionError(
            f"io.send_events: two events have the same id, among {ids!r}. Give each its own."
        )
    return new_events


def only(events: list[Event]) -> Event:
    """Return the only event of a list."""
    return events[0]


def event_names(name: Any) -> tuple[str, ...]:
    """Return the event names in a string or a list; an empty tuple if one is invalid.

    Raises:
        InvalidOptionError: A name is not valid Unicode.
    """
    names = (name,) if isinstance(name, str) else tuple(name or ())
    for one in names:
        text.check("The name of an event,", one, InvalidOptionError)
    return names if all(isinstance(one, str) and one for one in names) else ()

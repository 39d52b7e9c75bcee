"""What a call of io about events says to the engine, whichever face it is of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from nbtasks import clock, event, filters, keys, params, payloads, sites
from nbtasks.calls import Awaited, Effects, current, mapped
from nbtasks.desk import Draft
from nbtasks.errors import InvalidOptionError, InvalidPayloadError, UnreadableValueError
from nbtasks.event import SOURCE, Event
from nbtasks.face import Face
from nbtasks.model import EventRow, TaskRow
from nbtasks.options import Duration, seconds_of
from nbtasks.place import CurrentTask

__all__ = ["Events", "draft", "drafts", "first", "named"]

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


class Events(Face):
    """What both faces say of events."""

    def _send(self, key: keys.Key, made: Callable[[], list[Draft]], shown: object) -> Effects:
        """A task that sends events, which gives the values of those, with the ids of the runs."""

        def send() -> list[dict[str, Any]]:
            task = _task()
            said = [
                one._replace(id=one.id or f"{task.idempotency_key}{f'-{number}' * bool(number)}")
                for number, one in enumerate(made())
            ]
            return [_record(found) for found in self._desk.send(said, task.run_id)]

        return mapped(self._own(key, send, (), "send", {"event": shown}, 4), self._sent)

    def _sent(self, records: list[dict[str, Any]]) -> list[Event]:
        """The events of such a task. Runs that they began and that nobody executes go on."""
        return [self._event(record, go_on=True) for record in records]

    def _event(self, record: dict[str, Any], *, go_on: bool = False) -> Event:
        said = {name: value for name, value in record.items() if name != "runs"}
        runs = record["runs"]
        if go_on and self._execution.only is None:
            for run_id in runs:
                self._desk.go_on(run_id)
        return Event(**said, runs=list(map(self._desk.hold, runs)))

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


def drafts(events: Iterable[Any]) -> list[Draft]:
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
    ids = [one.id for one in made if one.id]
    if len(ids) != len(set(ids)):
        raise InvalidOptionError(
            f"io.send_events: an id is there twice, among {ids!r}. Give each event its own."
        )
    return made


def first(events: list[Event]) -> Event:
    """The only one of them."""
    return events[0]


def named(name: Any) -> tuple[str, ...]:
    """The names of events, given one or several; none where that is no name."""
    names = (name,) if isinstance(name, str) else tuple(name or ())
    return names if all(isinstance(one, str) and one for one in names) else ()

"""Dispatch of events and invocations to runs: exactly one run for each job and event.

The transaction that delivers an event also inserts its runs, WAITING and due. They are executed
afterwards: at once, in the background, or by a worker. The key of such a run is the event's id, so
every process that delivers the event finds the run, and a process claims the run to execute it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.core.model import OPEN, EventRow, Row, RunRow, Status, WakeRow
from nbtasks.errors import NotFoundError, UnreadableValueError
from nbtasks.jobs import active_runs, claims
from nbtasks.jobs.definition.job import Job, RuntimeProtocol
from nbtasks.jobs.resumption import wake_parent
from nbtasks.jobs.triggers import EventTrigger
from nbtasks.journal import current, events
from nbtasks.journal.lookup import require_run
from nbtasks.values import failures

if TYPE_CHECKING:
    from pathlib import Path

    from nbtasks.engine.waiting.budget import TimeBudget
    from nbtasks.io.dispatcher import Invocable, NewEvent
    from nbtasks.jobs.run import Run
    from nbtasks.journal.events import Event
    from nbtasks.journal.protocol import Find

__all__ = ["CURSOR", "HomeDispatcher", "after_others"]

#: Scope of the entries that hold, by job, the instant up to which a worker has handled all events.
CURSOR: Final = "delivered"


class HomeDispatcher:
    """Dispatcher of a home; implements `dispatcher.Dispatcher`.

    Args:
        runtime: Runtime that provides the journal and the registered jobs.
        home: Home of the calling run, whichever is in force; None for the one in force.
    """

    def __init__(self, runtime: RuntimeProtocol, home: Path | None = None) -> None:
        self._runtime = runtime
        self._home = home

    def at(self, home: Path) -> HomeDispatcher:
        """Return the dispatcher of the runs in a home."""
        return HomeDispatcher(self._runtime, home)

    # -- events ---------------------------------------------------------------------------------

    def send(self, new_events: Sequence[NewEvent], parent: str | None = None) -> list[Event[Run]]:
        """Implement `Dispatcher.send`."""
        sent: list[Event[Run]] = []

        def transaction(find: Find) -> Iterator[Row]:
            for new_event in new_events:
                row = _event_row(find, new_event)
                if row is None:
                    sent.append(self._event_of(find, find("event", event_id=new_event.id)[0]))
                    continue
                rows = list(self.delivery_rows(find, row, parent)) if row.delivered_us else [row]
                run_ids = [new.run_id for new in rows if isinstance(new, RunRow)]
                sent.append(events.of_row(row, list(map(self._runtime.get_run, run_ids))))
                yield from rows

        with current.at(self._home):
            self._runtime.journal.transact(transaction)
        return sent

    def delivery_rows(self, find: Find, row: EventRow, parent: str | None = None) -> Iterator[Row]:
        """Yield the rows of a delivery: the new runs, then the event, then the wakes."""
        for job in self._runtime.jobs.values():
            yield from self.triggered_runs(find, job, row, parent)
        yield row
        for run_id in _run_ids_awaiting(find, row.name):
            yield WakeRow(run_id, clock.micros())

    def triggered_runs(
        self, find: Find, job: Job, row: EventRow, parent: str | None = None
    ) -> Iterator[RunRow]:
        """Yield the run of a job that an event triggers, unless that run exists already."""
        trigger = job.trigger
        if not isinstance(trigger, EventTrigger) or not job.enabled:
            return
        with contextlib.suppress(UnreadableValueError):  # a process that can read it delivers it
            payload = events.payload_of(row)
            matches = trigger.matches(row.name, row.source, payload)
            if matches and not find("run", job=job.id, key=row.event_id):
                yield new_run(job, payload, key=row.event_id, trigger="event", parent=parent)

    def event(self, id_: str) -> Event[Run] | None:
        """Implement `Dispatcher.event`."""
        with current.at(self._home):
            find = self._runtime.journal.find
            rows = find("event", event_id=id_)
            return self._event_of(find, rows[0]) if rows else None

    def _event_of(self, find: Find, row: EventRow) -> Event[Run]:
        run_ids = sorted(run.run_id for run in find("run", key=row.event_id, trigger="event"))
        return events.of_row(row, list(map(self._runtime.get_run, run_ids)))

    def cancel_event(self, id_: str) -> Event[Run]:
        """Implement `Dispatcher.cancel_event`."""

        def transaction(find: Find) -> Iterator[Row]:
            for row in find("event", event_id=id_):
                if row.delivered_us is None and row.cancelled_us is None:
                    now = clock.micros()
                    yield dataclasses.replace(row, changed_us=_later_than(row), cancelled_us=now)

        with current.at(self._home):
            self._runtime.journal.transact(transaction)
        cancelled = self.event(id_)
        if cancelled is None:
            raise NotFoundError(f"There is no event {id_!r} in this home. nb.events() lists them.")
        return cancelled

    # -- runs -----------------------------------------------------------------------------------

    def invoke(self, job: Invocable, payloads: Sequence[Any], parent: str, key: str) -> list[str]:
        """Implement `Dispatcher.invoke`."""
        assert isinstance(job, Job)  # noqa: S101 - its own method calls this
        job.check_enabled()
        ids: list[str] = []

        def transaction(find: Find) -> Iterator[Row]:
            for number, payload in enumerate(payloads):
                run_key = key if len(payloads) == 1 else f"{key}//{number}"  # no path contains "//"
                for run in find("run", job=job.id, key=run_key)[-1:]:
                    ids.append(run.run_id)
                    break
                else:
                    run = new_run(job, payload, key=run_key, trigger="invoke", parent=parent)
                    ids.append(run.run_id)
                    yield run

        with current.at(self._home):
            self._runtime.journal.transact(transaction)
        return ids

    def resume(self, run_id: str) -> None:
        """Implement `Dispatcher.resume`."""
        if run_id not in active_runs.running_ids():
            with current.at(self._home):
                self.execute(require_run(self._runtime.journal, run_id))

    def execute(self, run: RunRow, budget: TimeBudget | None = None) -> None:
        """Execute a run in the background, unless it has ended or is executing already."""
        if run.status in OPEN:
            with current.at(self._home):
                execute = self._runtime.prepare(run, claims.continue_claim(run), budget)
                journal = self._runtime.journal
            active_runs.start(run.run_id, execute, partial(wake_parent, journal, run))

    def get_run(self, run_id: str) -> Run:
        """Implement `Dispatcher.get_run`."""
        with current.at(self._home):
            return self._runtime.get_run(run_id)


def new_run(job: Job, payload: Any, *, key: str, trigger: str, parent: str | None = None) -> RunRow:
    """Return the row of a new run: WAITING and due, or INVALID if the payload is invalid."""
    now = clock.micros()
    row = RunRow(
        clock.new_id(), job.id, job.name, job.version, key, Status.WAITING, trigger, parent,
        started_us=now, execution_us=now, resume_us=now,
    )  # fmt: skip
    claims.store_payload(row, payload)
    try:
        job.validate_payload(payload)
    except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
        row.status, row.resume_us, row.finished_us = Status.INVALID, None, now
        row.error = failures.dumps(failures.from_body_error(error))
    return row


def _event_row(find: Find, new_event: NewEvent) -> EventRow | None:
    """Return the row of an event to send, or None if an event with its id is already final."""
    now = after_others(find)
    row = EventRow(
        new_event.id, now, new_event.name, new_event.source, None, None, created_us=now,
        at_us=new_event.deliver_us or now, deliver_us=new_event.deliver_us,
        delivered_us=None if new_event.deliver_us else now,
    )  # fmt: skip
    for previous in find("event", event_id=new_event.id):
        if previous.delivered_us is not None or previous.cancelled_us is not None:
            return None
        row.changed_us, row.created_us = _later_than(previous), previous.created_us
    claims.store_payload(row, new_event.payload)
    return row


def after_others(find: Find) -> int:
    """Return the current time, but later than all that events are compared with.

    That is each recorded delivery, for their order, and each instant from which on a job or a task
    hears of events, which may lie ahead where the clock was set back.
    """
    now = clock.micros()
    others: list[int] = [row.delivered_us + 1 for row in find("event", since=("at_us", now))
              if row.delivered_us is not None]  # fmt: skip
    others += [int(row.value) for row in find("entry", scope=CURSOR)]
    if find("run", since=("execution_us", now)):
        waiting = find("task", status=Status.WAITING)
        awaited: list[Any] = [json.loads(task.awaits) for task in waiting if task.awaits]
        others += [each["since_us"] for each in awaited if "since_us" in each]
    return max([now, *others])


def _later_than(row: EventRow) -> int:
    """Return the current time, but later than the last change of the row."""
    return max(clock.micros(), row.changed_us + 1)


def _run_ids_awaiting(find: Find, name: str) -> set[str]:
    """Return the ids of the runs with a task that waits for an event with this name."""
    return {
        task.run_id
        for task in find("task", status=Status.WAITING)
        if task.awaits and name in _awaited_names(task.awaits)
    }


def _awaited_names(awaits: str) -> Sequence[str]:
    source: Any = json.loads(awaits)
    return source.get("event", ()) if isinstance(source, Mapping) else ()

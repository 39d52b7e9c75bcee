"""How events and invocations begin runs: exactly one for each job and event, whoever delivers it.

A run is made WAITING and due, in the very transaction that delivers its event, and executed after
that: at once, in the background, or by a worker. Its key is the event's id, so that it is found by
all who deliver, and whoever executes it claims it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from nbtasks import background, claims, clock, event, failures
from nbtasks.errors import NotFoundError, UnreadableValueError
from nbtasks.job import Job
from nbtasks.journal.port import Claim
from nbtasks.model import EventRow, Row, RunRow, Status, WakeRow
from nbtasks.triggers import EventTrigger

if TYPE_CHECKING:
    from nbtasks.desk import Draft, Invocable
    from nbtasks.event import Event
    from nbtasks.journal.port import Find, Journal
    from nbtasks.parking import Budget
    from nbtasks.run import Run

__all__ = ["HomeDesk", "Keeper"]

#: Runs in these states have not come to an end.
_OPEN: Final = (Status.WAITING, Status.INTERRUPTED, Status.RUNNING)


class Keeper(Protocol):
    """Who knows the journal, and the jobs."""

    jobs: dict[str, Job]

    @property
    def journal(self) -> Journal:
        """The journal of the home in force."""

    def hold(self, run_id: str) -> Run:
        """The run with this id."""

    def prepared(self, run: RunRow, claim: Claim, budget: Budget | None) -> Callable[[], Run]:
        """What executes a claim to a run in the background."""


class HomeDesk:
    """The desk (`desk.Desk`) of a home.

    Args:
        keeper: Knows the journal, and the jobs.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    # -- events ---------------------------------------------------------------------------------

    def send(self, drafts: Sequence[Draft], parent: str | None = None) -> list[Event[Run]]:
        """Records events, with the runs that they begin; see the protocol."""
        events: list[Event[Run]] = []

        def deal(find: Find) -> Iterator[Row]:
            for draft in drafts:
                row = _sent(find, draft)
                if row is None:
                    events.append(self._recorded(find, find("event", event_id=draft.id)[0]))
                    continue
                rows = list(self.delivered(find, row, parent)) if row.delivered_us else [row]
                runs = [made.run_id for made in rows if isinstance(made, RunRow)]
                events.append(event.of_row(row, list(map(self._keeper.hold, runs))))
                yield from rows

        self._keeper.journal.transact(deal)
        return events

    def delivered(self, find: Find, row: EventRow, parent: str | None = None) -> Iterator[Row]:
        """The rows of a delivery: the runs that begin, before the event itself, and who wakes."""
        for job in self._keeper.jobs.values():
            yield from self.begun(find, job, row, parent)
        yield row
        for run_id in _awaiting(find, row.name):
            yield WakeRow(run_id, clock.micros())

    def begun(
        self, find: Find, job: Job, row: EventRow, parent: str | None = None
    ) -> Iterator[RunRow]:
        """The run that an event begins of a job, if it does and has not yet."""
        trigger = job.trigger
        if not isinstance(trigger, EventTrigger) or not job.enabled:
            return
        with contextlib.suppress(UnreadableValueError):  # whoever can read it may deliver it
            payload = event.payload_of(row)
            takes = trigger.takes(row.name, row.source, payload)
            if takes and not find("run", job=job.id, key=row.event_id):
                yield made(job, payload, key=row.event_id, trigger="event", parent=parent)

    def event(self, id_: str) -> Event[Run] | None:
        """The event with an id, and its runs; see the protocol."""
        find = self._keeper.journal.find
        rows = find("event", event_id=id_)
        return self._recorded(find, rows[0]) if rows else None

    def _recorded(self, find: Find, row: EventRow) -> Event[Run]:
        runs = sorted(run.run_id for run in find("run", key=row.event_id, trigger="event"))
        return event.of_row(row, list(map(self._keeper.hold, runs)))

    def cancel_event(self, id_: str) -> Event[Run]:
        """The event, which will not be delivered any more; see the protocol."""

        def deal(find: Find) -> Iterator[Row]:
            for row in find("event", event_id=id_):
                if row.delivered_us is None and row.cancelled_us is None:
                    now = clock.micros()
                    yield dataclasses.replace(row, changed_us=_later(row), cancelled_us=now)

        self._keeper.journal.transact(deal)
        found = self.event(id_)
        if found is None:
            raise NotFoundError(f"There is no event {id_!r} in this home. nb.events() lists them.")
        return found

    # -- runs -----------------------------------------------------------------------------------

    def invoke(self, job: Invocable, payloads: Sequence[Any], parent: str, key: str) -> list[str]:
        """The runs of a job for these payloads; see the protocol."""
        assert isinstance(job, Job)  # noqa: S101 - its own method calls this
        job.check_enabled()
        ids: list[str] = []

        def deal(find: Find) -> Iterator[Row]:
            for number, payload in enumerate(payloads):
                own = key if len(payloads) == 1 else f"{key}//{number}"  # which no path holds
                for run in find("run", job=job.id, key=own)[-1:]:
                    ids.append(run.run_id)
                    break
                else:
                    run = made(job, payload, key=own, trigger="invoke", parent=parent)
                    ids.append(run.run_id)
                    yield run

        self._keeper.journal.transact(deal)
        return ids

    def go_on(self, run_id: str) -> None:
        """Executes a run in the background; see the protocol."""
        if run_id not in background.busy():
            (run,) = self._keeper.journal.runs(run_id=run_id)
            self.execute(run)

    def execute(self, run: RunRow, budget: Budget | None = None) -> None:
        """Executes a run in the background, unless it has ended or somebody else does."""
        if run.status in _OPEN:
            execute = self._keeper.prepared(run, claims.to_rerun(run), budget)
            background.start(run.run_id, execute, partial(_tell, self._keeper.journal, run))

    def hold(self, run_id: str) -> Run:
        """The run with an id; see the protocol."""
        return self._keeper.hold(run_id)


def made(job: Job, payload: Any, *, key: str, trigger: str, parent: str | None = None) -> RunRow:
    """A run to begin with: due at once; or INVALID, where the payload does not fit."""
    now = clock.micros()
    row = RunRow(
        clock.new_id(), job.id, job.name, job.version, key, Status.WAITING, trigger, parent,
        started_us=now, execution_us=now, resume_us=now,
    )  # fmt: skip
    claims.keep_payload(row, payload)
    try:
        job.check(payload)
    except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
        row.status, row.resume_us, row.finished_us = Status.INVALID, None, now
        row.error = failures.dumps(failures.of_body(error))
    return row


def _sent(find: Find, draft: Draft) -> EventRow | None:
    """The row of an event that is sent; None if it was before, and is not changed any more."""
    now = _after_others(find)
    row = EventRow(
        draft.id, now, draft.name, draft.source, None, None, created_us=now,
        at_us=draft.deliver_us or now, deliver_us=draft.deliver_us,
        delivered_us=None if draft.deliver_us else now,
    )  # fmt: skip
    for before in find("event", event_id=draft.id):
        if before.delivered_us is not None or before.cancelled_us is not None:
            return None
        row.changed_us, row.created_us = _later(before), before.created_us
    claims.keep_payload(row, draft.payload)
    return row


def _after_others(find: Find) -> int:
    """Now, but later than any event was delivered: so they have an order."""
    now = clock.micros()
    others = find("event", since=("at_us", now))
    delivered: list[int] = [row.delivered_us for row in others if row.delivered_us is not None]
    return max([now, *(us + 1 for us in delivered)])


def _later(row: EventRow) -> int:
    """Now, but later than when a row was changed."""
    return max(clock.micros(), row.changed_us + 1)


def _awaiting(find: Find, name: str) -> set[str]:
    """The runs with a task that waits for an event of a name."""
    return {
        task.run_id
        for task in find("task", status=Status.WAITING)
        if task.awaits and name in _awaited(task.awaits)
    }


def _awaited(awaits: str) -> Sequence[str]:
    said: Any = json.loads(awaits)
    return said.get("event", ()) if isinstance(said, Mapping) else ()


def _tell(journal: Journal, run: RunRow) -> None:
    """Lets the run that may wait for another one see that this has come to its end."""
    if run.parent_run is not None and journal.runs(run_id=run.run_id)[0].status not in _OPEN:
        woken = WakeRow(run.parent_run, clock.micros())
        journal.transact(lambda _: [woken])

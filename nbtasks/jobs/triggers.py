"""Triggers that start runs of a job: events, schedules and other runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbtasks.core import clock, text
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.model import EntryRow
from nbtasks.core.parameters import with_nearest_option
from nbtasks.errors import InvalidJobError, InvalidOptionError
from nbtasks.io.events import filters
from nbtasks.io.events.tasks import event_names

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Find

__all__ = [
    "CronTrigger",
    "EventTrigger",
    "IntervalTrigger",
    "InvokeTrigger",
    "Plan",
    "Schedule",
    "Tick",
    "Trigger",
    "check_trigger",
    "cron_trigger",
    "event_trigger",
    "find_plan",
    "interval_trigger",
    "invoke_trigger",
]

_S: Final = 1_000_000
#: Below this range a schedule is a busy loop, above it no schedule (v2: 20 seconds to 30 days).
_SHORTEST, _LONGEST = 0.1, 366 * 24 * 3600  # seconds of an interval
_SCOPE: Final = "schedule"
#: Longest delay of a tick, in microseconds: a later tick is skipped. Shorter for short intervals.
_LATEST_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Trigger that starts a run for each matching event; made by `event_trigger`.

    Attributes:
        names: Names of the matching events.
        schema: Type that validates the payload.
        filter: Filter on the payload; None to match any.
        source: Source of the matching events; None to match any.
    """

    names: tuple[str, ...]
    schema: Any = None
    filter: filters.Filter | None = None
    source: str | None = None

    def matches(self, name: str, source: str, payload: Any) -> bool:
        """Return True if an event matches."""
        return (
            name in self.names
            and self.source in (None, source)
            and (self.filter is None or filters.matches(payload, self.filter))
        )


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """Trigger that starts a run at each instant of a cron expression; made by `cron_trigger`."""

    cron: str
    timezone: str = "UTC"

    def after(self, us: int, since_us: int) -> int:
        """Return the first instant of the expression after `us`; `since_us` is ignored."""
        import zoneinfo  # lazily: most processes have no schedules

        from cronsim import CronSim

        del since_us
        local = clock.at(us).astimezone(zoneinfo.ZoneInfo(self.timezone))
        tick: datetime = next(CronSim(self.cron, local))
        return round(tick.timestamp()) * _S


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    """Trigger that starts a run at a fixed interval; made by `interval_trigger`."""

    seconds: float

    def after(self, us: int, since_us: int) -> int:
        """Return the first instant after `us` that lies whole intervals after `since_us`."""
        period = round(self.seconds * _S)
        return since_us + ((us - since_us) // period + 1) * period


@dataclass(frozen=True, slots=True)
class InvokeTrigger:
    """Trigger for runs started by `job.invoke` only, with a schema; made by `invoke_trigger`."""

    schema: Any = None


Schedule: TypeAlias = CronTrigger | IntervalTrigger
Trigger: TypeAlias = EventTrigger | CronTrigger | IntervalTrigger | InvokeTrigger


@dataclass(frozen=True, slots=True)
class Tick:
    """Payload of a run that a schedule has started.

    Attributes:
        ts: Instant at which the run was due.
        last: Instant of the previous run; None for the first run.

    ```python
    import nbtasks as nb


    @nb.job("tick-example", trigger=nb.interval_trigger(60))
    def every_minute(payload: nb.Tick, io: nb.SyncIO) -> float | None:
        return None if payload.last is None else (payload.ts - payload.last).total_seconds()
    ```
    """

    ts: datetime
    last: datetime | None = None


def check_trigger(trigger: object, job: str) -> Trigger | None:
    """Return the trigger of a job, checked.

    Raises:
        InvalidJobError: It is no trigger.
    """
    if trigger is None or isinstance(trigger, Trigger):
        return trigger
    kinds = "nb.event_trigger, nb.cron_trigger, nb.interval_trigger or nb.invoke_trigger"
    raise InvalidJobError(f"Job {job!r}: trigger={trigger!r}: make it with {kinds}.")


@with_nearest_option("nb.event_trigger")
def event_trigger(
    name: str | list[str],
    schema: Any = None,
    filter: filters.Filter | None = None,  # noqa: A002 - the name of the contract
    source: str | None = None,
) -> EventTrigger:
    """Make a trigger that starts a run of a job for each event with this name.

    The payload of the run is the event's payload.

    Args:
        name: The name of the events, or a list of names.
        schema: Type of the payload: any type that pydantic can validate. The run of an invalid
            payload is recorded as INVALID, with the validation error.
        filter: Conditions on the payload by field name. Events that do not meet them are ignored.
        source: The source of the events; by default events of every source match.

    Raises:
        InvalidOptionError: The name or the filter is not valid.

    ```python
    import nbtasks as nb


    @nb.job(
        "event-trigger-example",
        trigger=nb.event_trigger("order", filter={"total": [{"$gt": 100}]}),
    )
    def large(payload: dict[str, float], io: nb.SyncIO) -> float:
        return io.run_task("discount", lambda: payload["total"] * 0.1)


    event = nb.send_event("order", {"total": 250})
    assert [run.output for run in event.runs] == [25]
    assert nb.send_event("order", {"total": 50}).runs == []
    ```
    """
    names = event_names(name)
    if not names:
        raise InvalidOptionError(
            f"event_trigger(name={name!r}): it is the name of an event, or a list of names."
        )
    text.check("event_trigger: the source", source, InvalidOptionError)
    if filter is not None:
        filters.check(filter)
    return EventTrigger(names, schema, filter, source)


@with_nearest_option("nb.cron_trigger")
def cron_trigger(cron: str, timezone: str = "UTC") -> CronTrigger:
    """Make a trigger that starts a run of a job at each instant of a cron expression.

    A running worker starts these runs, with a `Tick` as payload. Instants at which no worker was
    running are skipped.

    Args:
        cron: Five fields: minute, hour, day of the month, month, day of the week.
        timezone: Name of the time zone of these fields.

    Raises:
        InvalidOptionError: The expression is not valid, or the time zone is unknown.

    ```python
    import nbtasks as nb


    @nb.job("cron-trigger-example", trigger=nb.cron_trigger("0 9 * * MON-FRI", "Europe/Berlin"))
    def each_morning(payload: nb.Tick, io: nb.SyncIO) -> None: ...
    ```
    """
    import zoneinfo

    from cronsim import CronSim, CronSimError

    fields = str(cron).split()
    if len(fields) != 5:  # noqa: PLR2004 - the five fields of cron
        raise InvalidOptionError(
            f"cron_trigger({cron!r}): a cron expression has five fields, like '0 9 * * MON-FRI': "
            "minute, hour, day of the month, month, day of the week."
        )
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError):
        raise InvalidOptionError(
            f"cron_trigger(timezone={timezone!r}): there is no such time zone. Use a name like "
            "'Europe/Berlin'."
        ) from None
    try:
        next(CronSim(cron, clock.at(0).astimezone(zone)))
    except CronSimError as error:
        raise InvalidOptionError(f"cron_trigger({cron!r}): {error}.") from None
    except StopIteration:
        raise InvalidOptionError(f"cron_trigger({cron!r}): there is no such day.") from None
    return CronTrigger(cron, timezone)


@with_nearest_option("nb.interval_trigger")
def interval_trigger(seconds: Duration) -> IntervalTrigger:
    """Make a trigger that starts a run of a job at a fixed interval.

    A running worker starts these runs, with a `Tick` as payload; the first run starts one interval
    after a worker first sees the job.

    Args:
        seconds: Interval from 0.1 seconds to 366 days: seconds, a timedelta, or text such as "5m".

    Raises:
        InvalidOptionError: The interval is not a duration in this range.

    ```python
    import nbtasks as nb


    @nb.job("interval-trigger-example", trigger=nb.interval_trigger(60))
    def each_minute(payload: nb.Tick, io: nb.SyncIO) -> None: ...
    ```
    """
    least, most = _SHORTEST, _LONGEST
    return IntervalTrigger(to_seconds("interval_trigger(seconds)", seconds, least=least, most=most))


def invoke_trigger(schema: Any = None) -> InvokeTrigger:
    """Make a trigger for a job that other runs invoke, with a schema for the payload.

    Args:
        schema: Type of the payload: any type that pydantic can validate.

    ```python
    import nbtasks as nb


    @nb.job("invoke-trigger-example", trigger=nb.invoke_trigger(schema=list[int]))
    def total(payload: list[int], io: nb.SyncIO) -> int:
        return sum(payload)


    @nb.job("invoke-trigger-parent")
    def parent(io: nb.SyncIO) -> list[str]:
        runs = total.batch_invoke_and_wait("totals", [[1, 2], ["one"]])
        return [run.status for run in runs]


    assert parent.run().output == ["COMPLETED", "INVALID"]
    ```
    """
    return InvokeTrigger(schema)


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of the ticks of a job.

    Attributes:
        schedule: The job's trigger as text; another trigger starts a new plan.
        since_us: Instant of the first plan for this trigger.
        next_us: Instant of the next tick.
        last_us: Instant of the last tick that started a run; None before the first.
        changed_us: Instant at which the plan was recorded.
    """

    schedule: str
    since_us: int
    next_us: int
    last_us: int | None = None
    changed_us: int = 0

    @classmethod
    def new(cls, schedule: Schedule, now: int) -> Plan:
        """Return the plan of a job that has none."""
        return cls(repr(schedule), now, schedule.after(now, now))

    def due(self, schedule: Schedule, now: int) -> int | None:
        """Return the tick to start a run for now, or None.

        It is the latest tick that is due, unless it was due too long ago.
        """
        if self.next_us > now:
            return None
        tick = max(self.next_us, schedule.after(now - _tolerance(schedule), self.since_us))
        while (after := schedule.after(tick, self.since_us)) <= now:
            tick = after
        return tick if tick <= now else None

    def after_turn(self, schedule: Schedule, now: int, tick: int | None) -> Plan:
        """Return the plan after this turn, in which `tick` has started a run if it is not None."""
        last = self.last_us if tick is None else tick
        return replace(
            self,
            next_us=schedule.after(now, self.since_us),
            last_us=last,
            changed_us=self.changed_us + 1,
        )

    def row(self, job: str) -> EntryRow:
        """Return the row that records the plan."""
        plan = replace(self, changed_us=max(clock.micros(), self.changed_us))
        return EntryRow(_SCOPE, job, plan.changed_us, json.dumps(asdict(plan)), "json")


def _tolerance(schedule: Schedule) -> int:
    if isinstance(schedule, CronTrigger):
        return _LATEST_US
    return min(_LATEST_US, round(schedule.seconds * 1e6))


def find_plan(find: Find, job: str, schedule: Schedule) -> Plan | None:
    """Return the recorded plan of a job for this schedule, if there is one."""
    for row in find("entry", scope=_SCOPE, key=job):
        plan = Plan(**json.loads(row.value))
        if plan.schedule == repr(schedule):
            return plan
    return None

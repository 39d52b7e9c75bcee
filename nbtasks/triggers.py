"""What begins runs of a job by itself: an event, a schedule, another run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from nbtasks import clock, filters
from nbtasks.errors import InvalidOptionError
from nbtasks.event_calls import named

__all__ = [
    "CronTrigger",
    "EventTrigger",
    "IntervalTrigger",
    "InvokeTrigger",
    "Schedule",
    "Tick",
    "Trigger",
    "cron_trigger",
    "event_trigger",
    "interval_trigger",
    "invoke_trigger",
]

_S: Final = 1_000_000
#: Less would be a busy loop, more no schedule (v2: 20 seconds to 30 days).
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Each event that it takes begins a run; made by `event_trigger`.

    Attributes:
        names: The names of its events.
        schema: What the payload has to be.
        filter: Which payloads are meant.
        source: Whose events are; None for anyone's.
    """

    names: tuple[str, ...]
    schema: Any = None
    filter: filters.Filter | None = None
    source: str | None = None

    def takes(self, name: str, source: str, payload: Any) -> bool:
        """Whether an event is one of its."""
        return (
            name in self.names
            and self.source in (None, source)
            and (self.filter is None or filters.matches(payload, self.filter))
        )


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """Each instant of a cron expression begins a run; made by `cron_trigger`."""

    cron: str
    timezone: str = "UTC"

    def after(self, us: int, since_us: int) -> int:
        """The first instant later than `us`, whenever it was defined."""
        import zoneinfo  # lazily, as here and below: most processes have no schedules

        from cronsim import CronSim

        del since_us
        local = clock.at(us).astimezone(zoneinfo.ZoneInfo(self.timezone))
        tick: datetime = next(CronSim(self.cron, local))
        return round(tick.timestamp()) * _S


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    """A run begins every so many seconds; made by `interval_trigger`."""

    seconds: float

    def after(self, us: int, since_us: int) -> int:
        """The first instant later than `us` of those that lie whole intervals after `since_us`."""
        period = round(self.seconds * _S)
        return since_us + ((us - since_us) // period + 1) * period


@dataclass(frozen=True, slots=True)
class InvokeTrigger:
    """Runs begin by `job.invoke` only, with payloads of a schema; made by `invoke_trigger`."""

    schema: Any = None


Schedule: TypeAlias = CronTrigger | IntervalTrigger
Trigger: TypeAlias = EventTrigger | CronTrigger | IntervalTrigger | InvokeTrigger


@dataclass(frozen=True, slots=True)
class Tick:
    """The payload of a run that a schedule began.

    Attributes:
        ts: The instant that it was due.
        last: The instant of the run before; None for the first.

    ```python
    import nbtasks as nb


    @nb.job("tick-example", trigger=nb.interval_trigger(60))
    def every_minute(payload: nb.Tick, io: nb.SyncIO) -> float | None:
        return None if payload.last is None else (payload.ts - payload.last).total_seconds()
    ```
    """

    ts: datetime
    last: datetime | None = None


def event_trigger(
    name: str | list[str],
    schema: Any = None,
    filter: filters.Filter | None = None,  # noqa: A002 - the name of the contract
    source: str | None = None,
) -> EventTrigger:
    """A trigger for a job: each event of a name begins a run, with the event's payload.

    Args:
        name: The name, or several.
        schema: What the payload has to be: any type that pydantic can validate. The run of one that
            does not fit is recorded as INVALID, with what is wrong.
        filter: Which payloads are meant, by the names of their fields. Of other ones it hears
            nothing.
        source: The source whose events are meant; by default those of any.

    Raises:
        InvalidOptionError: There is no name, or the filter is none.

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
    names = named(name)
    if not names:
        raise InvalidOptionError(
            f"event_trigger(name={name!r}): it is the name of an event, or a list of names."
        )
    if filter is not None:
        filters.check(filter)
    return EventTrigger(names, schema, filter, source)


def cron_trigger(cron: str, timezone: str = "UTC") -> CronTrigger:
    """A trigger for a job: a run begins at each instant of a cron expression, with a `Tick` as
    payload, where a worker is at work. Instants that none was at work at are left out.

    Args:
        cron: Five fields: minute, hour, day of the month, month, day of the week.
        timezone: The name of the time zone that these are meant in.

    Raises:
        InvalidOptionError: It is no such expression, or there is no such time zone.

    ```python
    import nbtasks as nb


    @nb.job("cron-trigger-example", trigger=nb.cron_trigger("0 9 * * MON-FRI", "Europe/Berlin"))
    def each_morning(payload: nb.Tick, io: nb.SyncIO) -> None: ...
    ```
    """
    import zoneinfo

    from cronsim import CronSim, CronSimError

    fields = str(cron).split()
    if len(fields) != 5:  # noqa: PLR2004 - the five of cron
        raise InvalidOptionError(
            f"cron_trigger({cron!r}): a cron expression has five fields, as '0 9 * * MON-FRI': "
            "minute, hour, day of the month, month, day of the week."
        )
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError):
        raise InvalidOptionError(
            f"cron_trigger(timezone={timezone!r}): there is no such time zone. It has a name like "
            "'Europe/Berlin'."
        ) from None
    try:
        next(CronSim(cron, clock.at(0).astimezone(zone)))
    except CronSimError as error:
        raise InvalidOptionError(f"cron_trigger({cron!r}): {error}.") from None
    except StopIteration:
        raise InvalidOptionError(f"cron_trigger({cron!r}): there is no such day.") from None
    return CronTrigger(cron, timezone)


def interval_trigger(seconds: float | timedelta) -> IntervalTrigger:
    """A trigger for a job: a run begins every so many seconds, with a `Tick` as payload, where a
    worker is at work; the first one an interval after the job is first known to it.

    Args:
        seconds: From 0.1 seconds to 366 days; a number or a timedelta.

    Raises:
        InvalidOptionError: It is no such time.

    ```python
    import nbtasks as nb


    @nb.job("interval-trigger-example", trigger=nb.interval_trigger(60))
    def each_minute(payload: nb.Tick, io: nb.SyncIO) -> None: ...
    ```
    """
    span: Any = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    number = isinstance(span, int | float) and not isinstance(span, bool)
    if not number or not _LEAST_SECONDS <= span <= _MOST_SECONDS:
        raise InvalidOptionError(
            f"interval_trigger({seconds!r}): it is a time from {_LEAST_SECONDS} seconds to "
            f"{_MOST_SECONDS // (24 * 3600)} days."
        )
    return IntervalTrigger(float(span))


def invoke_trigger(schema: Any = None) -> InvokeTrigger:
    """A trigger for a job that other runs invoke: what they give is validated by a schema.

    Args:
        schema: What the payload has to be: any type that pydantic can validate.

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

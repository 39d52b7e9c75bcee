"""Plan of a scheduled job: its next tick and its last one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from nbtasks import clock
from nbtasks.model import EntryRow
from nbtasks.triggers import CronTrigger, Schedule

if TYPE_CHECKING:
    from nbtasks.journal.port import Find

__all__ = ["Plan", "find_plan"]

_SCOPE: Final = "schedule"
#: Longest delay of a tick, in microseconds: a later tick is skipped. Shorter for short intervals.
_LATEST_US: Final = 60_000_000


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

    def moved(self, schedule: Schedule, now: int, tick: int | None) -> Plan:
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

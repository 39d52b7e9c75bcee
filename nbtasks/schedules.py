"""When a job with a schedule is due, and what was last done about it."""

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
#: A tick that is found so much later than it was due is left out; less where ticks are closer.
_LATEST_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned for a job.

    Attributes:
        schedule: Its trigger, as text: with another one the plan begins anew.
        since_us: When it was first planned.
        next_us: When it is due next.
        last_us: When it was due last, if a run began then.
        changed_us: When it was recorded.
    """

    schedule: str
    since_us: int
    next_us: int
    last_us: int | None = None
    changed_us: int = 0

    @classmethod
    def new(cls, schedule: Schedule, now: int) -> Plan:
        """The plan of a job that has none."""
        return cls(repr(schedule), now, schedule.after(now, now))

    def due(self, schedule: Schedule, now: int) -> int | None:
        """The tick that a run is to be begun for now, if there is one: the latest that is not too
        long ago."""
        if self.next_us > now:
            return None
        tick = max(self.next_us, schedule.after(now - _tolerance(schedule), self.since_us))
        while (after := schedule.after(tick, self.since_us)) <= now:
            tick = after
        return tick if tick <= now else None

    def moved(self, schedule: Schedule, now: int, tick: int | None) -> Plan:
        """The plan after that."""
        last = self.last_us if tick is None else tick
        return replace(
            self,
            next_us=schedule.after(now, self.since_us),
            last_us=last,
            changed_us=self.changed_us + 1,
        )

    def row(self, job: str) -> EntryRow:
        """The plan as it is recorded."""
        plan = replace(self, changed_us=max(clock.micros(), self.changed_us))
        return EntryRow(_SCOPE, job, plan.changed_us, json.dumps(asdict(plan)), "json")


def _tolerance(schedule: Schedule) -> int:
    if isinstance(schedule, CronTrigger):
        return _LATEST_US
    return min(_LATEST_US, round(schedule.seconds * 1e6))


def find_plan(find: Find, job: str, schedule: Schedule) -> Plan | None:
    """What is planned for a job by this schedule."""
    for row in find("entry", scope=_SCOPE, key=job):
        plan = Plan(**json.loads(row.value))
        if plan.schedule == repr(schedule):
            return plan
    return None

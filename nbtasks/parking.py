"""When an execution ends because nothing in it goes on: everything that is left to do waits.

A call parks when it would wait for longer than the execution should. As long as other tasks run,
it waits with them, for what they do is not to be lost. When all of them wait, the run is suspended
until the first one is due.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nbtasks import clock, keys
from nbtasks.ending import Ending
from nbtasks.errors import InvalidOptionError, Suspended

if TYPE_CHECKING:
    from nbtasks.calls import Until
    from nbtasks.ledger import Ledger
    from nbtasks.model import RunRow

__all__ = ["Budget", "Parking"]

#: How often it is looked whether all wait, at first at once; less often where that takes long.
_LOOK_US = 50_000
_SHARE = 20
#: Turns of the loop, and seconds of other threads, in which nothing may begin before it is said
#: that nothing goes on. Less turns than `testing.FakeClock` takes before it jumps.
_TURNS, _SECONDS = 10, 0.02
_ETERNITY = 1e11  # seconds


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an execution may take, in microseconds.

    Attributes:
        most_us: After so long it starts nothing more; None for never.
        patience_us: The longest it waits for one thing; None for as long as that takes.
    """

    most_us: int | None = None
    patience_us: int | None = None

    @classmethod
    def of(cls, max_time: Any, suspend_after: Any) -> Budget | None:
        """The budget in these words; None if there is all the time there is.

        Raises:
            InvalidOptionError: One is no duration.
        """
        if max_time is None and suspend_after is None:
            return None
        return cls(_us("max_time", max_time), _us("suspend_after", suspend_after))


def _us(option: str, value: Any) -> int | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds < _ETERNITY:
        raise InvalidOptionError(
            f"{option} is a number of seconds from 0 on, or a timedelta, not {value!r}."
        )
    return round(seconds * 1e6)


class Parking:
    """The calls of one execution that are parked.

    Args:
        run: The run.
        ledger: Knows which tasks are under way.
        ending: Ends the execution.
    """

    def __init__(self, run: RunRow, ledger: Ledger, ending: Ending) -> None:
        self._run = run
        self._ledger = ledger
        self._ending = ending
        self._parked: dict[str, int | None] = {}  # when each is due, by path; None for never
        self._watch: asyncio.Task[None] | None = None
        self._body = threading.get_ident()

    def add(self, path: str, due_us: int | None) -> None:
        """Counts a call as parked."""
        self._parked[path] = due_us

    def remove(self, path: str) -> None:
        """Counts it no more."""
        self._parked.pop(path, None)

    async def wait(self, path: str, due_us: int | None) -> None:
        """Waits until `due_us`, or until the run is suspended and this is cancelled."""
        self.add(path, due_us)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            if due_us is None:
                await asyncio.get_running_loop().create_future()
            else:
                await clock.current().wait_until(due_us)
        finally:
            self.remove(path)
            if not self._parked:
                self._watch.cancel()

    async def _look(self) -> None:
        rest_us = 1
        while self._parked and self._ending.cause is None:
            began = time.perf_counter()
            if self.all_wait():
                revision = self._ledger.revision
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                if revision == self._ledger.revision and self.all_wait():
                    self._suspend()
                    return
            cost_us = round((time.perf_counter() - began) * 1e6)
            rest_us = max(min(2 * rest_us, _LOOK_US), _SHARE * cost_us)
            await clock.current().wait_until(clock.micros() + rest_us)

    def block(self, path: str, due_us: int | None) -> None:
        """As `wait`, by blocking this thread.

        Raises:
            Suspended: The run is suspended.
        """
        self.add(path, due_us)
        try:
            while due_us is None or clock.micros() < due_us:
                self.suspend_if_all_wait()
                later = clock.micros() + _LOOK_US
                self._ending.outlast(later if due_us is None else min(later, due_us))
        finally:
            self.remove(path)

    def listen(self, until: Until) -> Any:
        """What comes from outside, by blocking this thread; None if nothing does in time.

        Raises:
            Suspended: The run is suspended meanwhile.
        """
        if until.parks:
            self.add(until.path, until.due_us)
        try:
            while (found := until.look()) is None and (now := clock.micros()) < until.due_us:
                if until.parks:
                    self.suspend_if_all_wait()
                due_us = min(until.due_us, now + _LOOK_US) if until.parks else until.due_us
                self._ending.listen(until.heard, due_us)
            return found
        finally:
            self.remove(until.path)

    async def hear(self, until: Until) -> Any:
        """As `listen`, awaited."""
        alarm = self.wait(until.path, until.due_us) if until.parks else None
        over = asyncio.ensure_future(alarm or clock.current().alarm(until.due_us, until.heard))
        try:
            while (found := until.look()) is None and not over.done():
                while not until.heard() and not over.done():
                    await asyncio.wait({over}, timeout=clock.LISTEN)
            return until.look() if found is None else found
        finally:
            over.cancel()

    def suspend_if_all_wait(self) -> None:
        """Suspends the run if nothing in it goes on.

        Raises:
            Suspended: It is.
        """
        if not self.all_wait():
            return
        if threading.get_ident() != self._body:  # then others may be between two tasks
            revision = self._ledger.revision
            threading.Event().wait(_SECONDS)
            if revision != self._ledger.revision or not self.all_wait():
                return
        self._suspend()
        self._ending.check()

    def all_wait(self) -> bool:
        """Whether each task that is under way is parked, or above one that is."""
        parked = list(self._parked)
        if not parked:
            return False
        still = {above for path in parked for above in keys.parents(path)}.union(parked)
        return still.issuperset(self._ledger.under_way())

    def _suspend(self) -> None:
        run = self._run
        due = sorted((us, path) for path, us in self._parked.items() if us is not None)
        run.resume_us = due[0][0] if due else clock.micros()
        at = clock.at(run.resume_us)
        when = self._when(at, due[0][1]) if due else "to be gone on with. Execute it again"
        self._ending.begin(
            Suspended(
                f"Run {run.run_id} of job {run.job!r} waits {when}: it goes on where it was. "
                "nb.due() lists what is due.",
                run_id=run.run_id,
                resume_at=at,
            )
        )

    def _when(self, at: datetime, path: str) -> str:
        """For what a run waits, and when it can go on."""
        until = f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
        row = self._ledger.row(path)
        if row is not None and row.awaits is not None:
            return (
                f"until what task {path!r} waits for has come, or {until}. Execute it again when "
                "it has"
            )
        return f"until {until}, for task {path!r}. Execute it again then"

"""Suspension of a run once all its tasks wait, and the time budget of an execution.

A call that would wait for longer than the execution should may suspend the run. While other tasks
are running, it simply waits, so that their work is not lost. As soon as all tasks wait, the run is
suspended until the first of them is due.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, keys
from nbtasks.core.throttle import Throttle
from nbtasks.engine.cancellation import CancelScope
from nbtasks.errors import Suspended

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.engine.effects import WaitFor
    from nbtasks.engine.run_state import RunState

__all__ = ["Suspension"]

#: The longest pause between two checks whether all tasks wait; longer where a check is slow.
_POLL_US = 50_000
#: Loop turns, and seconds for other threads, in which no task may begin before the run is taken
#: to be waiting. Fewer turns than `testing.FakeClock` takes before it jumps.
_QUIET_TURNS, _QUIET_SECONDS = 10, 0.02


class Suspension:
    """Suspension of one execution's run, and the waits that may cause it.

    Args:
        run: The run.
        run_state: The state of the run, with the tasks in flight.
        cancellation: The cancellation state, which ends the execution.
    """

    def __init__(self, run: RunRow, run_state: RunState, cancellation: CancelScope) -> None:
        self._run = run
        self._run_state = run_state
        self._cancellation = cancellation
        self._due_by_path: dict[str, int | None] = {}  # None: due never
        self._watcher: asyncio.Task[None] | None = None
        self._body_thread = threading.get_ident()

    def add(self, path: str, due_us: int | None) -> None:
        """Register a wait that may suspend the run."""
        self._due_by_path[path] = due_us

    def remove(self, path: str) -> None:
        """Unregister a wait."""
        self._due_by_path.pop(path, None)

    async def wait(self, path: str, due_us: int | None) -> None:
        """Wait until `due_us`, or until the run is suspended, which cancels this call."""
        self.add(path, due_us)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._suspend_when_all_wait())
        try:
            if due_us is None:
                await asyncio.get_running_loop().create_future()
            else:
                await clock.current().wait_until(due_us)
        finally:
            self.remove(path)
            if not self._due_by_path:
                self._watcher.cancel()

    # This polls the run state: otherwise each task would have to report its start and its end here,
    # and that is the hot path, also of runs that are never suspended. The first check comes at
    # once, for a body whose only task waits; from there the pauses double. A check takes time in
    # proportion to the tasks of the run, hence the throttle: polling takes less than 5 % of the
    # loop's time.
    async def _suspend_when_all_wait(self) -> None:
        pause_us, throttle = 1, Throttle(20)
        while self._due_by_path and self._cancellation.cause is None:
            with throttle:
                if self.all_wait():
                    # Code between two tasks does not show: it has just awaited one task, and starts
                    # the next within a few loop turns. The revision also reveals a task that began
                    # and ended meanwhile.
                    revision = self._run_state.revision
                    for _ in range(_QUIET_TURNS):
                        await asyncio.sleep(0)
                    if revision == self._run_state.revision and self.all_wait():
                        self._suspend()
                        return
            pause_us = max(min(2 * pause_us, _POLL_US), round(throttle.pause * 1e6))
            await clock.current().wait_until(clock.micros() + pause_us)

    def block(self, path: str, due_us: int | None) -> None:
        """Block this thread until `due_us`.

        Raises:
            Suspended: The run is suspended meanwhile.
        """
        self.add(path, due_us)
        try:
            while due_us is None or clock.micros() < due_us:
                self.suspend_if_all_wait()
                poll_us = clock.micros() + _POLL_US
                self._cancellation.wait_for_thread(
                    poll_us if due_us is None else min(poll_us, due_us)
                )
        finally:
            self.remove(path)

    def listen(self, until: WaitFor) -> Any:
        """Block this thread for an answer from outside, and return it; None if none comes in time.

        Raises:
            Suspended: The run is suspended meanwhile.
        """
        if until.may_suspend:
            self.add(until.path, until.due_us)
        try:
            while (answer := until.look()) is None and (now := clock.micros()) < until.due_us:
                if until.may_suspend:
                    self.suspend_if_all_wait()
                due_us = min(until.due_us, now + _POLL_US) if until.may_suspend else until.due_us
                self._cancellation.listen(until.has_changed, due_us)
            return answer
        finally:
            self.remove(until.path)

    async def hear(self, until: WaitFor) -> Any:
        """Await an answer from outside, and return it; None if none comes in time."""
        alarm = self.wait(until.path, until.due_us) if until.may_suspend else None
        expiry = asyncio.ensure_future(
            alarm or clock.current().alarm(until.due_us, until.has_changed)
        )
        try:
            while (answer := until.look()) is None and not expiry.done():
                pause = clock.pauses()
                while not until.has_changed() and not expiry.done():
                    await asyncio.wait({expiry}, timeout=next(pause))
            return until.look() if answer is None else answer
        finally:
            expiry.cancel()

    def suspend_if_all_wait(self) -> None:
        """Suspend the run if all its tasks wait.

        Raises:
            Suspended: The run is suspended.
        """
        if not self.all_wait():
            return
        if threading.get_ident() != self._body_thread:  # other threads may be between two tasks
            revision = self._run_state.revision
            threading.Event().wait(_QUIET_SECONDS)
            if revision != self._run_state.revision or not self.all_wait():
                return
        self._suspend()
        self._cancellation.check()

    def all_wait(self) -> bool:
        """Return True if each task in flight, or a descendant of it, is in a registered wait."""
        parked = list(self._due_by_path)
        if not parked:
            return False
        waiting = {ancestor for path in parked for ancestor in keys.parents(path)}.union(parked)
        return waiting.issuperset(self._run_state.paths_in_flight())

    def _suspend(self) -> None:
        run = self._run
        due = sorted((us, path) for path, us in self._due_by_path.items() if us is not None)
        run.resume_us = due[0][0] if due else clock.micros()
        resume_at = clock.at(run.resume_us)
        due_text = (
            self._describe_due(resume_at, due[0][1]) if due else "to be resumed. Execute it again"
        )
        self._cancellation.cancel(
            Suspended(
                f"Run {run.run_id} of job {run.job!r} waits {due_text}: it resumes where it "
                "stopped. nb.due() lists the runs that are due.",
                run_id=run.run_id,
                resume_at=resume_at,
            )
        )

    def _describe_due(self, at: datetime, path: str) -> str:
        """Return the part of the message that says when the run can resume, and for which task."""
        until = f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
        row = self._run_state.row(path)
        if row is not None and row.awaits is not None:
            return (
                f"until task {path!r} gets what it is waiting for, or until {until}. "
                "Execute it again then"
            )
        return f"until {until}, for task {path!r}. Execute it again then"

"""Worker that delivers events, runs schedules, and resumes the runs that are due."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.model import OPEN, EntryRow, EventRow, Row, RunRow, Status
from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.errors import Interrupt, NbtasksError
from nbtasks.jobs import active_runs, losses
from nbtasks.jobs.dispatch import CURSOR, after_others, new_run
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.triggers import (
    CronTrigger,
    EventTrigger,
    IntervalTrigger,
    Plan,
    Schedule,
    find_plan,
)
from nbtasks.journal.lookup import require_run
from nbtasks.journal.protocol import UNATTENDED
from nbtasks.values import failures

if TYPE_CHECKING:
    from nbtasks.jobs.definition.job import Job
    from nbtasks.jobs.runtime import Runtime
    from nbtasks.journal.protocol import Find

__all__ = ["Plan", "Worker", "worker"]

_log = logging.getLogger("nbtasks.worker")
#: Largest number of runs that execute at once. Further due runs wait ...
_MOST_RUNS: Final = 32
#: ... for one to end within so many seconds, else for the next turn ...
_PLACE_SECONDS: Final = 0.02
#: ... and for that also if this turn has taken so many: other things may be due meanwhile.
_BUSY_SECONDS: Final = 0.25
#: A run that would wait longer than this is suspended, and resumed when it is due.
_PATIENCE: Final = TimeBudget(patience_us=5_000_000)
#: Seconds of real time between two turns if nothing changes: the death of a process is no change.
_TURN_SECONDS: Final = 2.0
#: Seconds that a stopping worker waits for tasks in flight.
_GRACE_SECONDS: Final = 10.0
_DAY_US: Final = 24 * 3600 * 1_000_000


class Worker:
    """Worker for the jobs registered in this process; `nb.worker` is the process's own.

    Several workers may serve one home: each event and each tick starts one run of a job, by the
    first worker that handles it. Another worker resumes the runs of a worker that has died.

    Args:
        runtime: Runtime that provides the jobs and the journal.

    ```python
    import time

    import nbtasks as nb


    @nb.job("worker-example", trigger=nb.event_trigger("later"))
    def body(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("double", lambda: payload * 2)


    nb.worker.start()
    nb.send_event("later", 21, id="later-1", deliver_after=0.2)
    while nb.runs("worker-example").empty or nb.last_run("worker-example").status != "COMPLETED":
        time.sleep(0.1)
    nb.worker.stop()
    assert nb.last_run("worker-example").output == 42
    ```
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._resume = False
        self._turned = 0.0
        self._executing: set[str] = set()  # ids of the runs that this worker executes
        self._last_chances: set[str] = set()  # those that must not kill it once more

    def start(self, *, resume: bool = False) -> None:
        """Start the worker in a thread of its own, unless it is running.

        Args:
            resume: Also resume interrupted runs that a user started by hand.
        """
        if self._thread is not None:
            return
        self._resume = resume
        self._stopped.clear()
        self.listen()
        atexit.register(self._acquit_runs)
        time = clock.current()
        self._thread = threading.Thread(
            target=self._work, args=(time,), name="nbtasks-worker", daemon=True
        )
        time.register_thread(self._thread)
        self._thread.start()

    def stop(self, seconds: Duration = _GRACE_SECONDS) -> None:
        """Stop the worker: tasks in flight finish, then their runs are suspended.

        Another worker resumes these runs, or this one when it starts again.

        Args:
            seconds: The longest time to wait for the tasks: seconds, a timedelta, or text such as
                "5m". Tasks that take longer continue while this process lives.

        Raises:
            InvalidOptionError: `seconds` is not a duration.
        """
        grace = to_seconds("worker.stop(seconds)", seconds, least=0)
        thread, self._thread = self._thread, None
        self._stopped.set()
        if thread is not None:
            thread.join()
        self.suspend_runs(grace)

    def suspend_runs(self, seconds: float = _GRACE_SECONDS) -> None:
        """Suspend the runs of this worker once their tasks in flight have finished."""
        active_runs.stop(active_runs.suspend_here, seconds, self._executing)
        self._acquit_runs()

    def _acquit_runs(self) -> None:
        """Record of the runs still executing that they are not why this process ends."""
        run_ids = self._executing.intersection(active_runs.running_ids())

        def transaction(find: Find) -> Iterator[Row]:
            for run_id in run_ids:
                for run in find("run", run_id=run_id, status=Status.RUNNING):
                    yield from losses.acquit(find, run)

        atexit.unregister(self._acquit_runs)
        if run_ids:
            with contextlib.suppress(NbtasksError):  # a full disk must not keep the process alive
                self._runtime.journal.transact(transaction)

    def run(self, stopped: threading.Event, *, resume: bool = False) -> None:
        """Work in the calling thread until `stopped` is set; `resume` is that of `start`."""
        self._resume = resume
        self._stopped = stopped
        self._loop()
        self.suspend_runs()

    def listen(self) -> None:
        """Record that the jobs hear of each event, and keep their schedules, from now on.

        Raises:
            JournalError: The home cannot be written.
        """

        def transaction(find: Find) -> Iterator[Row]:
            for job in list(self._runtime.jobs.values()):
                if job.enabled and isinstance(job.trigger, EventTrigger):
                    yield from _new_cursor(find, job)
                elif job.enabled and isinstance(job.trigger, CronTrigger | IntervalTrigger):
                    yield from _new_plan(find, job, job.trigger)

        self._runtime.journal.transact(transaction)

    def _work(self, time: clock.Clock) -> None:
        try:
            with contextlib.suppress(Interrupt):  # a test has let the journal crash
                self._loop()
        finally:
            time.unregister_thread(threading.current_thread())

    def _loop(self) -> None:
        while not self._stopped.is_set():
            state = self._state()
            self._turned = time.monotonic()
            try:
                next_us = self.turn()
            except Exception as error:  # noqa: BLE001 - it may pass, like a full disk
                _log.warning("%s: %s. The worker tries again.", type(error).__name__, error)
                self._stopped.wait(1)
                continue
            clock.current().listen(partial(self._should_turn, state), next_us)

    def _state(self) -> tuple[object, ...]:
        """Return a value that changes whenever there may be something to do."""
        job_ids = tuple(map(id, list(self._runtime.jobs.values())))
        return self._runtime.journal.change_count(), active_runs.ended_count(), job_ids

    def _should_turn(self, state: tuple[object, ...]) -> bool:
        return (
            self._stopped.is_set()
            or self._state() != state
            or time.monotonic() - self._turned > _TURN_SECONDS
        )

    # -- one turn -------------------------------------------------------------------------------

    def turn(self) -> int:
        """Do everything that is due. Return the instant of the next turn, in microseconds."""
        soonest = [clock.micros() + _DAY_US]
        due: list[RunRow] = []

        def transaction(find: Find) -> Iterator[Row]:
            due.extend([*_due(find, soonest), *_maybe_interrupted(find)])
            for row in self._new_rows(find, soonest):
                if isinstance(row, RunRow):
                    due.append(row)
                yield row

        self._runtime.journal.transact(transaction)
        self._execute_due(due)
        return min(soonest)

    def _new_rows(self, find: Find, soonest: list[int]) -> Iterator[Row]:
        """Yield the rows of everything that starts now by events and by schedules."""
        yield from self._deferred(find, soonest)
        for job in list(self._runtime.jobs.values()):
            if not job.enabled:
                continue
            if isinstance(job.trigger, EventTrigger):
                yield from self._missed(find, job)
            elif isinstance(job.trigger, CronTrigger | IntervalTrigger):
                yield from _ticks(find, job, job.trigger, soonest)

    def _deferred(self, find: Find, soonest: list[int]) -> Iterator[Row]:
        """Yield the rows that deliver the deferred events that are due."""
        pending: list[EventRow] = find("event", delivered_us=None, cancelled_us=None)
        now = clock.micros()
        soonest += [row.at_us for row in pending if row.at_us > now]
        due = [row for row in pending if row.at_us <= now]
        now = after_others(find) if due else now
        for row in sorted(due, key=lambda row: (row.at_us, row.event_id)):
            now += 1  # a distinct time for each event keeps their order
            changed_us = max(now, row.changed_us + 1)
            event = dataclasses.replace(row, changed_us=changed_us, at_us=now, delivered_us=now)
            yield from self._runtime.dispatcher.delivery_rows(find, event)

    def _missed(self, find: Find, job: Job) -> Iterator[Row]:
        """Yield the runs that events start of a job unknown to the process that delivered them.

        Only events delivered after a worker first saw the job count. A cursor per job records up
        to which event this is done.
        """
        now = clock.micros()
        cursors: list[EntryRow] = find("entry", scope=CURSOR, key=job.id)
        if not cursors:
            yield from _new_cursor(find, job)
            return
        since = int(cursors[0].value or now)
        events: list[EventRow] = find("event", since=("at_us", since))
        rows = [row for row in events if row.delivered_us is not None and not row.cancelled_us]
        for row in sorted(rows, key=lambda row: row.at_us):
            yield from self._runtime.dispatcher.triggered_runs(find, job, row)
        if rows:
            last = max(row.at_us for row in rows)
            changed_us = max(now, cursors[0].changed_us + 1)
            yield EntryRow(CURSOR, job.id, changed_us, str(last + 1), "json")

    def _execute_due(self, due: list[RunRow]) -> None:
        """Execute the runs that are due, and the runs whose process has died."""
        running = active_runs.running_ids()
        self._executing.intersection_update(running)
        self._last_chances.intersection_update(running)
        for run in sorted(due, key=lambda run: run.run_id):
            job = self._runtime.jobs.get(run.job)
            if job is None or not job.enabled or job.version != run.version:
                continue
            if run.status == Status.RUNNING:
                run = require_run(self._runtime.journal, run.run_id)  # noqa: PLW2901 - INTERRUPTED if its process has died
            attended = run.status == Status.INTERRUPTED and run.trigger not in UNATTENDED
            if run.status == Status.RUNNING or (attended and not self._resume):
                continue
            if not self._has_place():
                break
            if run.status != Status.INTERRUPTED or self._may_resume(run, job):
                self._execute(run)

    def _has_place(self) -> bool:
        """Return True once another run may execute; False if that takes too long."""
        is_late = time.monotonic() - self._turned > _BUSY_SECONDS
        return active_runs.wait_for_place(_MOST_RUNS, 0 if is_late else _PLACE_SECONDS)

    def _execute(self, run: RunRow) -> None:
        try:
            self._executing.add(run.run_id)
            self._runtime.dispatcher.execute(run, _PATIENCE)
        except NbtasksError as error:  # for instance an unreadable payload
            _log.warning("Run %s of job %r: %s", run.run_id, run.job, error)

    def _may_resume(self, interrupted: RunRow, job: Job) -> bool:
        """Count the death of a run's process. Return False if the run is not to be resumed now.

        Of the runs that get their last chance, only one executes at a time: another one might kill
        the process, and this one be blamed for it.
        """
        busy = not self._last_chances.isdisjoint(active_runs.running_ids())
        may_resume = failed = False

        def transaction(find: Find) -> Iterator[Row]:
            nonlocal may_resume, failed
            for run in find("run", run_id=interrupted.run_id, executions=interrupted.executions):
                if run.status not in OPEN:
                    continue
                deaths, rows = losses.count(find, run)
                if deaths >= losses.LIMIT:
                    failed = True
                    yield from losses.fail(find, run, deaths)
                    continue
                yield from rows
                is_last = deaths == losses.LIMIT - 1
                may_resume = not (is_last and busy)
                if is_last and may_resume:
                    self._last_chances.add(run.run_id)

        self._runtime.journal.transact(transaction)
        if failed:
            self._tell_failed(interrupted.run_id, job)
        return may_resume

    def _tell_failed(self, run_id: str, job: Job) -> None:
        """Log that a run is left alone, and call the job's `on_failure`: in a thread as that of a
        run, since it may take its time."""
        run = require_run(self._runtime.journal, run_id)
        _log.error("%s", failures.loads(run.error or "{}").message)
        self._executing.add(run_id)
        tell = partial(job.tell_end, self._runtime.get_run(run_id))
        active_runs.start(run_id, tell, lambda: None)


def _due(find: Find, soonest: list[int]) -> Iterator[RunRow]:
    """Yield the suspended runs to resume: they are due, or an event or another run woke them."""
    now, suspended = clock.micros(), find("run", status=Status.WAITING)
    wakes: dict[str, int] = {}
    if suspended:
        since = min(run.execution_us for run in suspended)
        for wake in find("wake", since=("woken_us", since)):
            wakes[wake.run_id] = max(wake.woken_us, wakes.get(wake.run_id, 0))
    for run in suspended:
        resume_us = run.resume_us or 0
        if wakes.get(run.run_id, 0) >= run.execution_us or resume_us <= now:
            yield run
        else:
            soonest.append(resume_us)


def _maybe_interrupted(find: Find) -> list[RunRow]:
    """Return the runs that are executed elsewhere, or whose process has died."""
    own = set(active_runs.running_ids())
    runs = [*find("run", status=Status.RUNNING), *find("run", status=Status.INTERRUPTED)]
    return [run for run in runs if run.run_id not in own]


def _new_cursor(find: Find, job: Job) -> Iterator[Row]:
    """Yield the row that says from when on a job hears of events, if it is not recorded yet."""
    if not find("entry", scope=CURSOR, key=job.id):
        now = after_others(find)
        yield EntryRow(CURSOR, job.id, now, str(now), "json")


def _new_plan(find: Find, job: Job, schedule: Schedule) -> Iterator[Row]:
    """Yield the plan of a job's schedule, if it has none yet."""
    if find_plan(find, job.id, schedule) is None:
        yield Plan.new(schedule, clock.micros()).row(job.id)


def _ticks(find: Find, job: Job, schedule: Schedule, soonest: list[int]) -> Iterator[Row]:
    """Yield the run of a schedule's tick, if a tick is due, and the plan of the next."""
    now = clock.micros()
    plan = find_plan(find, job.id, schedule)
    if plan is None:
        plan = Plan.new(schedule, now)
        yield plan.row(job.id)
    elif plan.next_us <= now:
        tick = plan.due(schedule, now)
        if tick is not None:
            last = None if plan.last_us is None else clock.at(plan.last_us)
            payload: Any = {"ts": clock.at(tick), "last": last}
            key = clock.at(tick).isoformat()
            if not find("run", job=job.id, key=key):
                yield new_run(job, payload, key=key, trigger="schedule")
        plan = plan.after_turn(schedule, now, tick)
        yield plan.row(job.id)
    soonest.append(plan.next_us)


#: The worker of this process.
worker = Worker(runtime)

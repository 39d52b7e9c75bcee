"""A worker: it delivers events, keeps schedules, and goes on with the runs that are due."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nbtasks import background, clock, live
from nbtasks.delivery import made
from nbtasks.errors import Interrupt, NbtasksError
from nbtasks.kit import kit
from nbtasks.model import EntryRow, EventRow, Row, RunRow, Status
from nbtasks.parking import Budget
from nbtasks.schedules import Plan, find_plan
from nbtasks.triggers import CronTrigger, EventTrigger, IntervalTrigger, Schedule

if TYPE_CHECKING:
    from nbtasks.job import Job
    from nbtasks.journal.port import Find
    from nbtasks.kit import Kit

__all__ = ["Worker", "worker"]

_log = logging.getLogger("nbtasks.worker")
#: Runs that are executed at once. What is due beyond that waits its turn.
_MOST: Final = 32
#: A run that would wait for longer gives its place to others, and is gone on with when it is due.
_PATIENCE: Final = Budget(patience_us=5_000_000)
#: Seconds of real time after which it is looked anyway: that a process has died is no news.
_LOOK_SECONDS: Final = 2.0
#: Seconds for which a worker that is to end lets tasks that are under way go on.
_GRACE_SECONDS: Final = 10.0
_DAY_US: Final = 24 * 3600 * 1_000_000
_CURSOR: Final = "delivered"
#: Runs that nobody waits for in front of a screen go on when their process has died.
_UNATTENDED: Final = ("event", "schedule", "invoke")


class Worker:
    """Works for the jobs that this process knows; `nb.worker` is the one of the process.

    Several workers may serve one home: each event and each tick begins one run of a job,
    whoever is first. A worker that dies leaves runs that the next one goes on with.

    Args:
        kit: The jobs, and the journal.

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

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._resume = False
        self._looked = 0.0
        self._mine: set[str] = set()  # the runs that it executes

    def start(self, *, resume: bool = False) -> None:
        """Begins to work, in a thread of its own; does nothing if it does already.

        Args:
            resume: Whether it also goes on with interrupted runs that somebody began by hand.
        """
        if self._thread is not None:
            return
        self._resume = resume
        self._stopped.clear()
        time = clock.current()
        self._thread = threading.Thread(
            target=self._work, args=(time,), name="nbtasks-worker", daemon=True
        )
        time.attend(self._thread)
        self._thread.start()

    def stop(self, seconds: float = _GRACE_SECONDS) -> None:
        """Ends the work: tasks under way come to their end, and their runs wait for another worker,
        or for this one to start again.

        Args:
            seconds: How long it waits for them. What takes longer goes on as long as this process
                lives.
        """
        thread, self._thread = self._thread, None
        self._stopped.set()
        if thread is not None:
            thread.join()
        self.rest(seconds)

    def rest(self, seconds: float = _GRACE_SECONDS) -> None:
        """Lets the runs that it executes rest at their next task."""
        background.stop(live.rest_here, seconds, self._mine)

    def run(self, stopped: threading.Event, *, resume: bool = False) -> None:
        """Works in this thread until `stopped` is set; as `start` with `resume`."""
        self._resume = resume
        self._stopped = stopped
        self._loop()
        self.rest()

    def _work(self, time: clock.Clock) -> None:
        try:
            with contextlib.suppress(Interrupt):  # the journal has died, as a test asked for
                self._loop()
        finally:
            time.leave(threading.current_thread())

    def _loop(self) -> None:
        while not self._stopped.is_set():
            seen = self._seen()
            self._looked = time.monotonic()
            try:
                next_us = self.turn()
            except Exception as error:  # noqa: BLE001 - a full disk, which somebody may mend, say
                _log.warning("%s: %s. It is tried again.", type(error).__name__, error)
                self._stopped.wait(1)
                continue
            clock.current().listen(partial(self._heard, seen), next_us)

    def _seen(self) -> tuple[object, ...]:
        """What tells, when it changes, that there may be something to do."""
        jobs = tuple(map(id, list(self._kit.jobs.values())))
        return self._kit.journal.news(), background.ended(), jobs

    def _heard(self, seen: tuple[object, ...]) -> bool:
        return (
            self._stopped.is_set()
            or self._seen() != seen
            or time.monotonic() - self._looked > _LOOK_SECONDS
        )

    # -- what is done ---------------------------------------------------------------------------

    def turn(self) -> int:
        """Does what there is to do now, and gives the instant when there may be more."""
        soonest = [clock.micros() + _DAY_US]
        due: list[RunRow] = []

        def deal(find: Find) -> Iterator[Row]:
            due.extend([*_due(find, soonest), *_left(find)])
            for row in self._new(find, soonest):
                if isinstance(row, RunRow):
                    due.append(row)
                yield row

        self._kit.journal.transact(deal)
        self._go_on(due)
        return min(soonest)

    def _new(self, find: Find, soonest: list[int]) -> Iterator[Row]:
        """What begins now: by events and by schedules."""
        yield from self._deferred(find, soonest)
        for job in list(self._kit.jobs.values()):
            if not job.enabled:
                continue
            if isinstance(job.trigger, EventTrigger):
                yield from self._missed(find, job)
            elif isinstance(job.trigger, CronTrigger | IntervalTrigger):
                yield from _ticks(find, job, job.trigger, soonest)

    def _deferred(self, find: Find, soonest: list[int]) -> Iterator[Row]:
        """Delivers the events whose time has come."""
        now = clock.micros()
        waiting: list[EventRow] = find("event", delivered_us=None, cancelled_us=None)
        for row in sorted(waiting, key=lambda row: (row.at_us, row.event_id)):
            if row.at_us > now:
                soonest.append(row.at_us)
                continue
            now += 1  # so they have an order
            changed = max(now, row.changed_us + 1)
            delivered = dataclasses.replace(row, changed_us=changed, at_us=now, delivered_us=now)
            yield from self._kit.desk.delivered(find, delivered)

    def _missed(self, find: Find, job: Job) -> Iterator[Row]:
        """Begins the runs of events that others delivered, who did not know the job; from when it
        was first worked for."""
        now = clock.micros()
        cursors: list[EntryRow] = find("entry", scope=_CURSOR, key=job.id)
        if not cursors:
            yield EntryRow(_CURSOR, job.id, now, str(now), "json")
            return
        since = int(cursors[0].value or now)
        events: list[EventRow] = find("event", since=("at_us", since))
        found = [row for row in events if row.delivered_us is not None and not row.cancelled_us]
        for row in sorted(found, key=lambda row: row.at_us):
            yield from self._kit.desk.begun(find, job, row)
        if found:
            last = max(row.at_us for row in found)
            later = max(now, cursors[0].changed_us + 1)
            yield EntryRow(_CURSOR, job.id, later, str(last + 1), "json")

    def _go_on(self, due: list[RunRow]) -> None:
        """Executes runs that are due, and those whose process has died."""
        self._mine.intersection_update(background.busy())
        for run in sorted(due, key=lambda run: run.run_id):
            job = self._kit.jobs.get(run.job)
            if job is None or not job.enabled or job.version != run.version:
                continue
            if run.status == Status.RUNNING:
                (run,) = self._kit.journal.runs(run_id=run.run_id)  # noqa: PLW2901 - with its state
                if run.status != Status.INTERRUPTED:
                    continue
            attended = run.status == Status.INTERRUPTED and run.trigger not in _UNATTENDED
            if (attended and not self._resume) or len(background.busy()) >= _MOST:
                continue
            try:
                self._mine.add(run.run_id)
                self._kit.desk.execute(run, _PATIENCE)
            except NbtasksError as error:  # its payload cannot be read here, say
                _log.warning("Run %s of job %r: %s", run.run_id, run.job, error)


def _due(find: Find, soonest: list[int]) -> Iterator[RunRow]:
    """The suspended runs that can go on."""
    now, waiting = clock.micros(), find("run", status=Status.WAITING)
    woken: dict[str, int] = {}
    if waiting:
        since = min(run.execution_us for run in waiting)
        for wake in find("wake", since=("woken_us", since)):
            woken[wake.run_id] = max(wake.woken_us, woken.get(wake.run_id, 0))
    for run in waiting:
        resume_us = run.resume_us or 0
        if woken.get(run.run_id, 0) >= run.execution_us or resume_us <= now:
            yield run
        else:
            soonest.append(resume_us)


def _left(find: Find) -> list[RunRow]:
    """The runs that are executed elsewhere, or whose process has died."""
    mine = set(background.busy())
    found = [*find("run", status=Status.RUNNING), *find("run", status=Status.INTERRUPTED)]
    return [run for run in found if run.run_id not in mine]


def _ticks(find: Find, job: Job, schedule: Schedule, soonest: list[int]) -> Iterator[Row]:
    """Begins the run of a schedule's tick, if one is due, and plans the next."""
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
                yield made(job, payload, key=key, trigger="schedule")
        plan = plan.moved(schedule, now, tick)
        yield plan.row(job.id)
    soonest.append(plan.next_us)


#: The one of this process.
worker = Worker(kit)

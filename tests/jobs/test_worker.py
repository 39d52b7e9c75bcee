"""The worker: events, schedules, due runs, and what happens when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import clock as clocks
from nbtasks.core.model import Status
from nbtasks.jobs import active_runs
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.triggers import CronTrigger, IntervalTrigger
from nbtasks.jobs.worker import Plan, Worker
from nbtasks.testing import FakeClock
from tests.thorough import THOROUGH, only_thorough

S = 1_000_000


@pytest.fixture
def worker() -> Iterator[Worker]:
    """The one of this process, which stops after the test."""
    yield nb.worker
    nb.worker.stop()


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    rest, end = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        rest.wait(0.02)


def statuses(job: str) -> list[str]:
    return [row.status for row in runtime.journal.runs(job=job)]


# -- events ---------------------------------------------------------------------------------------


def test_an_event_is_delivered_when_its_time_has_come(worker: Worker):
    with FakeClock() as clock:

        @nb.job("hears", trigger=nb.event_trigger("later"))
        def hears(payload: int, io: nb.SyncIO) -> int:
            return payload

        event = nb.send_event("later", 7, id="later-7", deliver_after=60)
        worker.turn()
        assert statuses("hears") == []

        clock.advance(60)
        worker.turn()

        until(lambda: statuses("hears") == ["COMPLETED"])
        assert nb.send_event("later", 7, id="later-7").delivered_at == event.at + timedelta(
            microseconds=1
        )
        assert statuses("hears") == ["COMPLETED"]


@pytest.mark.slow
def test_two_events_for_later_begin_two_runs_and_no_sooner(worker: Worker):
    """v2: `send-events-example`."""
    with FakeClock():

        @nb.job("hears", trigger=nb.event_trigger("later"))
        def hears(payload: int, io: nb.SyncIO) -> Any:
            return io.now("now")

        @nb.job("sends")
        def sends(io: nb.SyncIO) -> Any:
            io.send_events(
                "both", [{"name": "later", "payload": n, "deliver_after": 10} for n in (1, 2)]
            )
            io.wait("a while", 20)
            return io.now("now")

        worker.start()
        began = sends.run().started_at
        until(lambda: statuses("hears") == ["COMPLETED"] * 2)

        times = [nb.get_run(row.run_id).output for row in runtime.journal.runs(job="hears")]
        assert all(10 <= (at - began).total_seconds() < 20 for at in times)


@pytest.mark.slow
def test_events_that_nobody_could_deliver_are_delivered_by_the_next_worker(worker: Worker):
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return payload

    nb.send_event("go", 0)  # before anybody worked for the job
    runtime.jobs.pop("hears")
    nb.send_event("go", 1)
    runtime.jobs["hears"] = hears
    worker.turn()
    runtime.jobs.pop("hears")
    for n in (2, 3):  # sent by a process that does not know it
        nb.send_event("go", n)
    runtime.jobs["hears"] = hears

    worker.turn()
    worker.turn()

    until(lambda: statuses("hears") == ["COMPLETED"] * 3)
    assert sorted(nb.runs("hears").payload.tolist()) == ["0", "2", "3"]


# -- schedules ------------------------------------------------------------------------------------


def ticks(job: str) -> list[Any]:
    return [nb.get_run(row.run_id).output for row in runtime.journal.runs(job=job)]


@pytest.mark.slow
def test_an_interval_begins_a_run_each_time_and_one_interval_after_it_is_known(worker: Worker):
    with FakeClock() as clock:
        began = clock.now()

        @nb.job("each minute", trigger=nb.interval_trigger(60))
        def each_minute(payload: nb.Tick, io: nb.SyncIO) -> list[Any]:
            assert isinstance(payload, nb.Tick)
            return [payload.ts, payload.last]

        for _ in range(4):
            worker.turn()
            until(lambda: not active_runs.running_ids())
            worker.turn()
            clock.advance(60)

        at = [began + timedelta(minutes=n) for n in range(1, 4)]
        assert ticks("each minute") == [[at[0], None], [at[1], at[0]], [at[2], at[1]]]
        assert nb.runs("each minute").trigger.unique().tolist() == ["schedule"]


def test_ticks_that_nobody_was_there_for_are_left_out(worker: Worker):
    with FakeClock() as clock:

        @nb.job("each second", trigger=nb.interval_trigger(1))
        def each_second(payload: nb.Tick, io: nb.SyncIO) -> Any:
            return payload.ts

        worker.turn()
        clock.advance(3600.4)
        worker.turn()
        worker.turn()

        until(lambda: statuses("each second") == ["COMPLETED"])
        assert ticks("each second") == [clock.now().replace(microsecond=0)]


@pytest.mark.slow
def test_a_cron_expression_is_meant_in_its_time_zone(worker: Worker):
    with FakeClock(datetime(2026, 3, 28, 20, tzinfo=UTC)) as clock:  # the night to summer time

        @nb.job("at nine", trigger=nb.cron_trigger("0 9 * * *", "Europe/Berlin"))
        def at_nine(payload: nb.Tick, io: nb.SyncIO) -> Any:
            return payload.ts

        worker.turn()
        for _ in range(4 * 24):
            clock.advance(1800)
            worker.turn()
            until(lambda: not active_runs.running_ids())

        assert ticks("at nine") == [
            datetime(2026, 3, 29, 7, tzinfo=UTC),
            datetime(2026, 3, 30, 7, tzinfo=UTC),
        ]


def test_a_schedule_is_kept_while_it_is_known_and_no_longer(worker: Worker):
    """v2: `dynamic-schedule`."""
    with FakeClock() as clock:
        job = nb.job("each minute", trigger=nb.interval_trigger(60))
        made = job(lambda payload, io: None)
        worker.turn()
        clock.advance(60)
        worker.turn()
        runtime.jobs.pop(made.id)
        clock.advance(600)
        worker.turn()
        until(lambda: not active_runs.running_ids())

        assert len(statuses("each minute")) == 1


def test_another_schedule_begins_anew(worker: Worker):
    with FakeClock() as clock:
        nb.job("often", trigger=nb.interval_trigger(60))(lambda payload, io: None)
        worker.turn()
        nb.job("often", trigger=nb.interval_trigger(100))(lambda payload, io: None)
        clock.advance(59)
        worker.turn()
        clock.advance(99)
        worker.turn()
        assert statuses("often") == []
        clock.advance(1)
        worker.turn()
        until(lambda: statuses("often") == ["COMPLETED"])


@pytest.mark.parametrize(
    ("late", "tick"), [(0, 100), (9, 100), (10, 110), (19.9, 110), (3600, 3700), (-1, None)]
)
def test_the_latest_tick_counts_if_it_is_not_too_long_ago(late: float, tick: int | None):
    schedule = IntervalTrigger(10)
    plan = Plan(repr(schedule), 0, 100 * S)

    assert plan.due(schedule, round((100 + late) * S)) == (None if tick is None else tick * S)


def test_a_cron_tick_counts_for_a_minute():
    schedule = CronTrigger("0 * * * *")
    plan = Plan(repr(schedule), 0, 3600 * S)

    assert plan.due(schedule, 3659 * S) == 3600 * S
    assert plan.due(schedule, 3661 * S) is None
    assert plan.after_turn(schedule, 3661 * S, None).next_us == 7200 * S


# -- runs that are due ----------------------------------------------------------------------------


def test_a_suspended_run_goes_on_when_it_is_due(worker: Worker):
    with FakeClock() as clock:

        @nb.job("patient")
        def patient(io: nb.SyncIO) -> str:
            io.wait("long", 3600)
            return "done"

        run = patient.run(suspend_after=60)
        worker.turn()
        assert run.status == "WAITING"

        clock.advance(3600)
        worker.turn()

        until(lambda: run.status == "COMPLETED")


def test_an_interrupted_run_goes_on_also_when_somebody_has_seen_that_it_is(worker: Worker):
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return payload

    (run,) = nb.send_event("go", 7).runs
    (row,) = runtime.journal.runs(run_id=run.id)
    row.status, row.output = Status.INTERRUPTED, None  # as whoever looks at it records it
    runtime.journal.transact(lambda _: [row])

    worker.turn()

    until(lambda: statuses("hears") == ["COMPLETED"])
    assert (run.output, run.executions) == (7, 2)


@pytest.mark.slow
def test_a_long_wait_gives_its_place_to_others_and_is_resumed(worker: Worker):
    with FakeClock() as clock:

        @nb.job("patient", trigger=nb.event_trigger("go"))
        def patient(io: nb.SyncIO) -> Any:
            io.wait("long", 3600)
            return io.now("now")

        worker.turn()
        runtime.jobs.pop("patient")
        nb.send_event("go")
        runtime.jobs["patient"] = patient
        worker.turn()
        until(lambda: statuses("patient") == ["WAITING"] and not active_runs.running_ids())
        began = clock.now()

        assert worker.turn() == clocks.micros() + 3600 * S
        clock.advance(3600)
        worker.turn()

        until(lambda: statuses("patient") == ["COMPLETED"])
        assert nb.last_run().output - began == timedelta(hours=1)
        assert nb.last_run().executions == 2


def test_runs_of_other_versions_and_of_unknown_jobs_are_left_alone(worker: Worker):
    @nb.job("old", version="1")
    def old(io: nb.SyncIO) -> None:
        io.yield_("here")

    run = old.run()
    nb.job("old", version="2")(old.fn)
    worker.turn()
    runtime.jobs.pop("old")
    worker.turn()

    assert active_runs.running_ids() == []
    assert run.status == "WAITING"


@pytest.mark.slow
def test_when_it_stops_what_is_under_way_ends_and_the_rest_waits(worker: Worker):
    began = threading.Event()

    def take_time() -> None:
        began.set()
        threading.Event().wait(0.5)

    @nb.job("two steps", trigger=nb.event_trigger("go"))
    def two_steps(io: nb.SyncIO) -> str:
        io.run_task("first", take_time)
        io.run_task("second", str)
        return "done"

    runtime.jobs.pop("two steps")
    runtime.jobs["two steps"] = two_steps
    worker.start()
    until(lambda: runtime.journal.find("entry", scope="delivered", key="two steps"))
    runtime.jobs.pop("two steps")
    nb.send_event("go")
    runtime.jobs["two steps"] = two_steps
    assert began.wait(30)
    worker.stop()

    run = nb.last_run("two steps")
    assert run.status == "WAITING"
    assert run.tasks().path.tolist() == ["first"]
    worker.start()
    until(lambda: run.status == "COMPLETED")
    assert run.tasks().status.tolist() == ["COMPLETED", "COMPLETED"]


def test_it_starts_and_stops_as_often_as_one_likes(worker: Worker):
    worker.stop()
    worker.start()
    worker.start()
    worker.stop()
    worker.stop()
    assert [t.name for t in threading.enumerate() if t.name == "nbtasks-worker"] == []


def test_stopping_it_leaves_what_others_began_in_the_background(worker: Worker):
    gate = threading.Event()

    @nb.job("slow")
    def slow(io: nb.SyncIO) -> str:
        io.run_task("wait", gate.wait, 60)
        return io.run_task("end", str, "ended")

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> str:
        return str(slow.invoke("begin").id)

    run = nb.get_run(parent.run().output)
    until(lambda: run.status == "RUNNING")
    worker.start()
    worker.turn()
    began = time.monotonic()
    worker.stop()

    assert time.monotonic() - began < 5
    gate.set()
    until(lambda: run.status == "COMPLETED")


# -- processes ------------------------------------------------------------------------------------

JOBS = """
    import os, threading
    import nbtasks as nb

    def note(line):
        with open(os.environ["NOTES"], "a") as file:
            file.write(line + "\\n")

    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        io.run_task("begin", note, f"event {payload}")
        if payload % 10 == 3:
            io.wait("a while", 0.5)
        return io.run_task("double", lambda: payload * 2)

    @nb.job("ticks", trigger=nb.interval_trigger(1))
    def ticks(payload: nb.Tick, io: nb.SyncIO) -> str:
        return io.run_task("note", lambda: note(f"tick {payload.ts.isoformat()}") or "noted")

    @nb.job("counts", trigger=nb.event_trigger("count"))
    def counts(payload: int) -> None:
        note(f"count {payload}")

    @nb.job("slow", trigger=nb.event_trigger("slow"))
    def slow(payload: int, io: nb.SyncIO) -> str:
        io.run_task("begin", note, "slow")
        io.run_task("sleep", threading.Event().wait, payload)
        return io.run_task("end", lambda: note("end") or "ended")
"""


class Processes:
    """Workers in processes of their own, on the home of the test."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes.txt"
        self.notes.touch()
        self.jobs = folder / "jobs.py"
        self.jobs.write_text(textwrap.dedent(JOBS))
        self._env = {**os.environ, "NBTASKS_HOME": str(nb.config.home), "NOTES": str(self.notes)}
        self.started: list[subprocess.Popen[str]] = []

    def worker(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nbtasks", "worker", str(self.jobs), *arguments]
        process = subprocess.Popen(
            command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        assert process.stdout is not None
        assert "hears" in process.stdout.readline()
        return process

    def lines(self) -> list[str]:
        return self.notes.read_text().splitlines()


@pytest.fixture
def processes(nb_home: Path, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def known(job: str) -> bool:
    return bool(runtime.journal.find("entry", scope="delivered", key=job))


@pytest.mark.slow
@only_thorough
def test_a_worker_that_is_asked_to_end_leaves_runs_that_the_next_one_goes_on_with(
    processes: Processes,
):
    first = processes.worker()
    until(lambda: known("slow"))
    nb.send_event("slow", 1)
    until(lambda: "slow" in processes.lines())

    first.send_signal(signal.SIGTERM)

    assert first.wait(30) == 0
    assert processes.lines().count("end") == 0
    assert statuses("slow") == ["WAITING"]
    processes.worker()
    until(lambda: statuses("slow") == ["COMPLETED"])
    assert processes.lines().count("slow") == 1


@pytest.mark.slow
def test_each_event_that_is_sent_once_a_worker_says_it_works_is_delivered(processes: Processes):
    worker = processes.worker()  # which has printed its line
    nb.send_event("go", 0)  # of a job that this process does not know
    until(lambda: statuses("hears") == ["COMPLETED"])

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


@pytest.mark.slow
def test_a_worker_that_is_ended_as_soon_as_it_says_it_works_ends_well(processes: Processes):
    worker = processes.worker()
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    assert worker.stdout is not None
    assert worker.stdout.read() == "ended\n"


def test_once_it_has_started_in_a_notebook_events_of_other_processes_are_heard(worker: Worker):
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return payload

    worker.start()
    assert known("hears")


def test_an_event_is_heard_though_the_clock_was_set_back_since(worker: Worker):
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return payload

    with FakeClock(datetime(2026, 7, 1, 12, tzinfo=UTC)):
        worker.listen()
    with FakeClock(datetime(2026, 7, 1, 11, tzinfo=UTC)):
        job = runtime.jobs.pop("hears")
        nb.send_event("go", 1)  # by a process that does not know the job
        nb.send_event("go", 2)
        runtime.jobs["hears"] = job
        worker.turn()

        until(lambda: statuses("hears") == ["COMPLETED"] * 2)


@pytest.mark.slow
@pytest.mark.thorough
@only_thorough
def test_two_workers_and_a_notebook_deliver_each_event_once_also_when_both_are_killed(
    processes: Processes,
):
    seconds, most = (60, 200) if THOROUGH else (4, 20)
    workers = [processes.worker(), processes.worker()]
    until(lambda: known("hears"))
    began = time.monotonic()
    for n in range(most):
        nb.send_event("go", n)
        if n == most // 2:
            for process in workers:
                process.send_signal(signal.SIGKILL)
                process.wait()
            workers = [processes.worker(), processes.worker()]
        threading.Event().wait(max(0.0, (n + 1) * seconds / most - (time.monotonic() - began)))
    until(lambda: statuses("hears") == ["COMPLETED"] * most, 60)

    runs = nb.runs("hears")
    assert sorted(int(text) for text in runs.payload) == list(range(most))
    assert runs.output.tolist() == [str(2 * int(text)) for text in runs.payload]
    ticks = [row.key for row in runtime.journal.runs(job="ticks")]
    assert len(set(ticks)) == len(ticks) >= seconds / 2
    noted = [line for line in processes.lines() if line.startswith("tick")]
    # A task whose process was killed between its call and its record is called again.
    assert len(noted) - len(set(noted)) <= len(processes.started) / 2
    events = [line for line in processes.lines() if line.startswith("event")]
    assert len(set(events)) == most
    assert len(events) - most <= len(processes.started) / 2 * 32


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True])
@only_thorough
def test_of_two_workers_in_a_hurry_one_executes_the_run_of_an_event(
    processes: Processes, is_killed: bool
):
    most = 200
    workers = [processes.worker(), processes.worker()]
    until(lambda: known("counts"))
    for n in range(most):
        nb.send_event("count", n)
        if is_killed and n == most // 2:
            workers[0].kill()
            workers[0].wait()
    until(lambda: statuses("counts") == ["COMPLETED"] * most, 100)

    runs = nb.runs("counts")
    assert sorted(int(text) for text in runs.payload) == list(range(most))
    counted = [line for line in processes.lines() if line.startswith("count")]
    assert len(set(counted)) == most
    # Those that the killed one was executing are executed again.
    assert len(counted) - most <= (32 if is_killed else 0)
    assert (runs.executions > 1).sum() <= (32 if is_killed else 0)

"""Runs that kill their worker: counted, left alone, and executed again by a person."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import clock as clocks
from nbtasks.core.model import Status
from nbtasks.jobs import losses
from nbtasks.jobs.active_runs import running_ids
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.worker import Plan, Worker
from nbtasks.journal.protocol import Find
from tests.jobs.test_worker import until
from tests.thorough import only_thorough, variants


@pytest.fixture
def worker() -> Iterator[Worker]:
    """The one of this process, which stops after the test."""
    yield nb.worker
    nb.worker.stop()


@pytest.fixture
def run() -> nb.Run:
    """A run of an event, executed once."""

    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("double", lambda: payload * 2)

    return nb.send_event("go", 7).runs[0]


def lose(run: nb.Run, executions: int, **fields: Any) -> None:
    """Record the run as if the process of this execution had died."""
    (row,) = runtime.journal.runs(run_id=run.id)
    row.status, row.output, row.executions = Status.INTERRUPTED, None, executions
    for name, value in fields.items():
        setattr(row, name, value)
    runtime.journal.transact(lambda _: [row])


def deaths(run: nb.Run) -> int:
    """Count the deaths of the run as the worker does, and record the count."""
    found = 0

    def transaction(find: Find) -> Iterator[Any]:
        nonlocal found
        (row,) = find("run", run_id=run.id)
        found, rows = losses.count(find, row)
        yield from rows

    runtime.journal.transact(transaction)
    return found


@pytest.mark.slow
def test_deaths_in_a_row_are_counted_once_each(run: nb.Run) -> None:
    counted = []
    for execution in (1, 1, 2, 3, 3):
        lose(run, execution)
        counted.append(deaths(run))
    assert counted == [1, 1, 2, 3, 3]


def test_an_execution_that_ended_well_in_between_begins_the_count_anew(run: nb.Run) -> None:
    lose(run, 1)
    deaths(run)
    lose(run, 3)  # the second one was suspended
    assert deaths(run) == 1


def test_a_worker_that_was_stopped_is_not_the_fault_of_its_runs(run: nb.Run) -> None:
    lose(run, 1)
    deaths(run)
    lose(run, 2, status=Status.RUNNING)
    runtime.journal.transact(lambda find: losses.acquit(find, find("run", run_id=run.id)[0]))
    lose(run, 2)
    assert deaths(run) == 1
    lose(run, 3)
    assert deaths(run) == 2


def test_a_reboot_of_the_machine_is_not_the_fault_of_a_run(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(run, 1, host=os.uname().nodename)
    monkeypatch.setattr(clocks, "booted_us", lambda: clocks.micros() + 1)
    assert deaths(run) == 0
    lose(run, 2, host="another-machine")
    assert deaths(run) == 1


def test_the_boot_of_this_machine_lies_before_now() -> None:
    booted_us = clocks.booted_us()
    assert booted_us is None or 0 < booted_us < clocks.micros()


@pytest.mark.slow
def test_after_three_deaths_a_run_is_failed_and_told_of(
    worker: Worker, run: nb.Run, caplog: pytest.LogCaptureFixture
) -> None:
    for execution in (1, 2):
        lose(run, execution)
        deaths(run)
    lose(run, 3, pid=4711)
    with caplog.at_level(logging.WARNING, "nbtasks.worker"):
        worker.turn()

    assert (run.status, run.executions) == ("FAILED", 3)
    error = run.error
    assert error is not None
    assert error.type == "WorkerLostError"
    for part in ("died 3 times in a row", run.id, "'hears'", "4711", f"nbtasks resume {run.id}"):
        assert part in error.message
    assert error.message in caplog.messages
    row = nb.runs().iloc[0]
    assert (row.error_type, row.error_message) == ("WorkerLostError", error.message)
    assert issubclass(nb.WorkerLostError, nb.NbtasksError)


def lost_three_times(run: nb.Run, worker: Worker) -> None:
    for execution in (1, 2):
        lose(run, execution)
        deaths(run)
    lose(run, 3)
    worker.turn()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["def", "async def"])
def test_a_run_that_is_left_alone_calls_on_failure_once(worker: Worker, form: str) -> None:
    heard: list[tuple[str, str]] = []

    def on_failure(run: nb.Run) -> None:
        assert run.error is not None
        heard.append((run.status, run.error.type))

    async def awaited(run: nb.Run) -> None:
        on_failure(run)

    hook = on_failure if form == "def" else awaited

    @nb.job("hooked", trigger=nb.event_trigger("go"), on_failure=hook)
    def hooked(io: nb.SyncIO) -> None:
        io.run_task("step", lambda: None)

    run = nb.send_event("go", None).runs[0]
    lost_three_times(run, worker)
    until(lambda: bool(heard))
    worker.turn()
    worker.stop()

    assert heard == [("FAILED", "WorkerLostError")]
    assert run.status == "FAILED"


@pytest.mark.slow
def test_an_on_failure_that_fails_or_takes_long_keeps_no_worker_from_its_work(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, begun = threading.Event(), threading.Event()

    def on_failure(_: nb.Run) -> None:
        begun.set()
        assert gate.wait(30)
        raise ValueError("no mail server")

    @nb.job("hooked", trigger=nb.event_trigger("go"), on_failure=on_failure)
    def hooked(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("step", lambda: payload)

    run = nb.send_event("go", 1).runs[0]
    lost_three_times(run, worker)
    assert begun.wait(30)
    other = nb.send_event("go", 2).runs[0]
    worker.turn()
    until(lambda: other.status == "COMPLETED")
    gate.set()
    worker.stop()

    assert run.status == "FAILED"
    assert run.error is not None
    assert run.error.type == "WorkerLostError", "the recorded end stays"


@pytest.mark.slow
def test_a_person_who_executes_it_again_begins_a_fresh_count(worker: Worker, run: nb.Run) -> None:
    for execution in (1, 2):
        lose(run, execution)
        deaths(run)
    lose(run, 3)
    worker.turn()
    assert run.status == "FAILED"

    (row,) = runtime.journal.runs(run_id=run.id)
    assert nb.get_run(row.run_id).resume().output == 14
    lose(run, 4)
    assert deaths(run) == 1


@pytest.mark.slow
def test_two_runs_never_have_their_last_chance_at_once(worker: Worker) -> None:
    gates = {1: threading.Event(), 2: threading.Event()}
    begun: list[int] = []

    @nb.job("waits", trigger=nb.event_trigger("wait"))
    def waits(payload: int, io: nb.SyncIO) -> int:
        if io.run_task("first", lambda: nb.current_task().attempt) and ready:
            begun.append(payload)
            assert gates[payload].wait(30)
        return payload

    ready: list[bool] = []
    runs = [nb.send_event("wait", n).runs[0] for n in (1, 2)]
    ready.append(True)
    for execution in (1, 2):
        for one in runs:
            lose(one, execution)
            deaths(one)

    worker.turn()
    until(lambda: len(begun) == 1)
    worker.turn()
    assert len(begun) == 1
    gates[begun[0]].set()
    first = runs[begun[0] - 1]
    until(lambda: first.status == "COMPLETED" and first.id not in running_ids())
    worker.turn()
    until(lambda: len(begun) == 2)
    gates[begun[1]].set()
    until(lambda: {one.status for one in runs} == {"COMPLETED"})


JOBS = """
    import os, threading, nbtasks as nb

    def crash(payload):
        if payload == "bad" and not os.path.exists(os.environ["CURED"]):
            os.kill(os.getpid(), 9)  # as the system does when there is no memory left
        return payload

    @nb.job("ev", trigger=nb.event_trigger("go"))
    def ev(payload, io: nb.SyncIO):
        io.run_task("before", str, payload)
        return io.run_task("crash", crash, payload, retry=5)
"""


@only_thorough
@pytest.mark.slow
def test_a_run_that_kills_each_worker_is_left_alone_and_the_others_are_done(
    nb_home: Path, tmp_path: Path
) -> None:
    jobs, cured = tmp_path / "jobs.py", tmp_path / "cured"
    jobs.write_text(textwrap.dedent(JOBS))
    env = {**os.environ, "NBTASKS_HOME": str(nb_home), "CURED": str(cured)}
    tool = [sys.executable, "-m", "nbtasks"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*tool, "worker", str(jobs)], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    first = start()
    assert first.stdout is not None
    assert "working for" in first.stdout.readline()
    nb.send_event("go", "bad")
    ends = []
    for number in range(3):
        worker = start() if number else first
        worker.communicate(timeout=30)
        ends.append(worker.returncode)
    assert ends == [-9, -9, -9]

    last = start()
    nb.send_event("go", "good")
    until(lambda: set(nb.runs("ev").status) == {"FAILED", "COMPLETED"})
    last.terminate()
    said = last.communicate(timeout=30)[1]
    assert last.returncode == 0
    assert "died 3 times in a row, the last time in task 'crash'" in said
    lost = nb.runs("ev").set_index("payload").loc['"bad"']
    assert (lost.executions, lost.error_type) == (3, "WorkerLostError")

    cured.touch()
    resumed = subprocess.run(
        [*tool, "resume", lost.run_id, "--from", str(jobs)],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    run_id = str(lost.run_id)
    assert nb.get_run(run_id).output == "bad"
    tasks = nb.tasks(run_id).set_index("path")
    assert tasks.attempts.to_dict() == {"before": 1, "crash": 4}


SCHEDULED = """
    import os, pathlib, time, nbtasks as nb

    here = pathlib.Path(os.environ["HERE"])

    def work():
        (here / "pid").write_text(str(os.getpid()))
        if (here / "deadly").exists():
            os.kill(os.getpid(), 9)
        while not (here / "go").exists():
            time.sleep(0.02)
        return "worked"

    def tell(run):
        with (here / "told").open("a") as file:
            file.write(f"{run.status} {run.error.type}\\n")

    @nb.job("tick", trigger=eval(os.environ["TRIGGER"], vars(nb)), on_failure=tell)
    def tick(io: nb.SyncIO):
        io.run_task("before", str, 1)
        return io.run_task("work", work)
"""


class Scheduled:
    """A job with a schedule whose first tick is due, and the workers for it.

    Args:
        kind: "cron" or "interval".
        here: A folder for what its task reads and writes.
        home: The home.
    """

    def __init__(self, kind: str, here: Path, home: Path) -> None:
        now = clocks.micros()
        minute = now // 60_000_000 * 60_000_000
        text = "interval_trigger(3600)"
        if kind == "cron":  # once a day, at the minute that has just begun
            text = f'cron_trigger("{clocks.at(minute):%M %H} * * *")'
        trigger = eval(text, vars(nb))
        first = minute if kind == "cron" else now
        plan = Plan(repr(trigger), first - 3_600_000_000, first)
        runtime.journal.transact(lambda _: [plan.row("tick")])
        (here / "jobs.py").write_text(textwrap.dedent(SCHEDULED))
        self.here = here
        self._env = {**os.environ, "NBTASKS_HOME": str(home), "HERE": str(here), "TRIGGER": text}

    def start(self) -> subprocess.Popen[str]:
        """Start a worker."""
        return subprocess.Popen(
            [sys.executable, "-m", "nbtasks", "worker", str(self.here / "jobs.py")],
            env=self._env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(params=variants("interval", "cron"))
def scheduled(request: pytest.FixtureRequest, tmp_path: Path, nb_home: Path) -> Scheduled:
    return Scheduled(request.param, tmp_path, nb_home)


@pytest.mark.slow
@only_thorough
def test_a_scheduled_run_of_a_killed_worker_is_resumed_by_the_next_one(
    scheduled: Scheduled,
) -> None:
    first = scheduled.start()
    until((scheduled.here / "pid").exists)
    first.kill()
    first.communicate(timeout=30)
    assert nb.runs("tick").status.tolist() == ["INTERRUPTED"]

    second = scheduled.start()
    (scheduled.here / "go").touch()
    until(lambda: nb.runs("tick").status.tolist() == ["COMPLETED"])
    second.terminate()
    second.communicate(timeout=30)

    run = nb.last_run("tick")
    assert run.output == "worked"
    assert nb.runs("tick").trigger.tolist() == ["schedule"], "the tick began one run"
    assert run.tasks().set_index("path").attempts.to_dict() == {"before": 1, "work": 2}
    assert not (scheduled.here / "told").exists()


@pytest.mark.slow
@only_thorough
def test_a_scheduled_run_that_kills_each_worker_is_left_alone_and_told(
    scheduled: Scheduled,
) -> None:
    (scheduled.here / "deadly").touch()
    for _ in range(3):
        worker = scheduled.start()
        worker.communicate(timeout=60)
        assert worker.returncode == -9

    last = scheduled.start()
    told = scheduled.here / "told"
    until(told.exists)
    last.terminate()
    said = last.communicate(timeout=30)[1]

    assert last.returncode == 0
    assert "died 3 times in a row, the last time in task 'work'" in said
    assert told.read_text() == "FAILED WorkerLostError\n"
    (lost,) = nb.runs("tick").itertuples()
    assert (lost.status, lost.executions, lost.error_type) == ("FAILED", 3, "WorkerLostError")

"""Tasks that wait: for a time, or for an answer that somebody writes into the journal."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import callsite, clock
from nbtasks.core.model import AnswerRow, Row, TaskRow, WakeRow
from nbtasks.engine.effects import ExternalWait
from nbtasks.jobs.runtime import runtime
from nbtasks.testing import FakeClock
from tests.waiting import once_they_wait


def look(row: TaskRow) -> tuple[str] | None:
    found = runtime.journal.find("answer", run_id=row.run_id, path=row.path)
    first = min(found, key=lambda answer: answer.answered_us, default=None)
    return None if first is None else (first.value,)


def ask(io: Any, key: str, seconds: float) -> Any:
    wait = ExternalWait(
        key,
        callsite.capture(0),
        round(seconds * 1e6),
        "{}",
        '{"ask":true}',
        look,
        f"nobody answered {key}",
    )
    return io._drive(io._execution.waits.until(wait, io._context()))


def answer(run_id: str, path: str, value: str) -> None:
    now = clock.micros()
    rows: list[Row] = [AnswerRow(run_id, path, now, value, "json", "test"), WakeRow(run_id, now)]
    runtime.journal.transact(lambda find: rows)


def make(sync: bool, seconds: float, asked: Any = None) -> nb.Job:
    def begin() -> None:
        if asked is not None:
            asked(runtime.journal.runs(job="asks")[-1].run_id)

    @nb.job("asks")
    def blocking(io: nb.SyncIO) -> Any:
        begin()
        return ask(io, "question", seconds)

    if sync:
        return blocking

    @nb.job("asks")
    async def awaiting(io: nb.AsyncIO) -> Any:
        begin()
        return await ask(io, "question", seconds)

    return awaiting


@pytest.fixture(params=["sync", "async"])
def sync(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "sync")


@pytest.mark.slow
def test_an_answer_that_comes_while_it_waits_is_its_output_for_good(sync: bool):
    def soon(run_id: str) -> None:
        once_they_wait(answer, run_id, "question", "42")

    run = make(sync, 30, soon).run()

    assert run.output == "42"
    assert run["question"] == "42"
    assert make(sync, 30).run().output == "42"


def test_the_first_answer_counts(sync: bool):
    def twice(run_id: str) -> None:
        answer(run_id, "question", "first")
        answer(run_id, "question", "second")

    assert make(sync, 30, twice).run().output == "first"


def test_when_nothing_comes_in_time_it_fails_the_same_way_each_time(sync: bool):
    with FakeClock() as fake:
        began = fake.now()
        with pytest.raises(nb.WaitTimeout, match="nobody answered question") as first:
            make(sync, 3600).run()
        assert (fake.now() - began).total_seconds() == 3600
        with pytest.raises(nb.WaitTimeout) as again:
            make(sync, 3600).run(replay="only")

    assert isinstance(first.value, nb.TaskFailed)
    assert isinstance(first.value, TimeoutError)
    assert str(again.value) == str(first.value)


def test_executed_again_it_waits_only_what_is_left(sync: bool):
    with FakeClock() as fake:
        began = fake.now()
        run = make(sync, 3600).run(suspend_after=60)
        assert run.status == "WAITING"
        fake.advance(3000)
        with pytest.raises(nb.WaitTimeout):
            make(sync, 3600).run()

        assert (fake.now() - began).total_seconds() == 3600


@pytest.mark.slow
def test_an_answer_to_a_suspended_run_makes_it_due_and_is_found(sync: bool):
    run = make(sync, 3600).run(suspend_after=60)
    assert nb.due().empty

    answer(run.id, "question", "late")

    assert nb.due().run_id.tolist() == [run.id]
    assert make(sync, 3600).run().output == "late"
    assert nb.due().empty


@pytest.mark.slow
def test_it_is_cancelled_where_it_waits_and_goes_on_to_wait(sync: bool):
    def soon(run_id: str) -> None:
        once_they_wait(nb.cancel, run_id)

    with pytest.raises(nb.Cancelled):
        make(sync, 30, soon).run()
    run = nb.last_run()
    assert run.status == "CANCELED"
    due = TaskRow(*runtime.journal.tasks(run.id)[0]).due_us

    answer(run.id, "question", "42")

    assert make(sync, 30).run().output == "42"
    assert due is not None


async def test_what_runs_beside_it_goes_on():
    @nb.job("beside")
    async def body(io: nb.AsyncIO) -> list[Any]:
        run_id = nb.last_run().id
        both = await asyncio.gather(
            ask(io, "question", 30),
            io.run_task("tell", answer, run_id, "question", "from beside"),
        )
        assert all(not inspect.isawaitable(value) for value in both)
        return both

    assert (await body.arun()).output == ["from beside", None]


def test_a_wait_that_was_stopped_waits_only_the_rest() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            self.advance(10)
            raise KeyboardInterrupt

    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("cool down", 30)
        return "done"

    with Stop() as stopped:
        began = stopped.now()
        with pytest.raises(KeyboardInterrupt):
            body.run()
    assert nb.tasks().status.tolist() == ["CANCELED"]

    with FakeClock(stopped.now()) as clock:
        assert body.run().output == "done"
        assert (clock.now() - began).total_seconds() == 30


def test_a_due_wait_returns_at_once() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            raise KeyboardInterrupt

    @nb.job("overdue")
    def body(io: nb.SyncIO) -> None:
        io.wait("cool down", 30)

    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        body.run()
    with FakeClock(stopped.now()) as clock:
        clock.advance(3600)
        late = clock.now()
        body.run()
        assert clock.now() == late


def test_a_wait_takes_seconds_or_an_instant_but_not_both() -> None:
    @nb.job("wrong wait")
    def body(io: nb.SyncIO) -> None:
        io.wait("w")

    with pytest.raises(TypeError, match="either seconds or until"):
        body.run()


SCRIPT = textwrap.dedent(
    """
    import time
    import nbtasks as nb

    @nb.job("real wait")
    def body(io):
        io.run_task("before", say)
        began = time.monotonic()
        io.wait("cool down", 3)
        return time.monotonic() - began

    def say():
        print("before", flush=True)

    run = body.run()
    print(run.executions, run.output, flush=True)
    """
)


@pytest.mark.slow
def test_a_wait_of_a_killed_process_waits_only_the_rest(tmp_path: Path) -> None:
    """For real: 3 s, killed after one, so two are left for the second process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "before\n"
    _until(lambda: "WAITING" in nb.tasks().status.tolist())
    time.sleep(1)  # part of the wait passes; what is left is measured below
    process.kill()
    process.wait()
    process.stdout.close()

    assert nb.last_run().status == "INTERRUPTED"
    again = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    executions, waited = again.stdout.split()
    assert executions == "2"
    assert float(waited) < 2.9, "of three seconds at most two are left"
    assert nb.tasks().set_index("path").seconds["cool down"] >= 3


def _until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)

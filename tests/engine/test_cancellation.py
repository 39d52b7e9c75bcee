"""Runs that are stopped or cancelled: in their body, from another thread, cell or process."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine import cancellation
from nbtasks.jobs import session
from nbtasks.jobs.definition import hooks
from nbtasks.jobs.runtime import runtime
from nbtasks.testing import FakeClock
from tests.stopping import EVERY, StopAt
from tests.thorough import only_thorough

calls: list[Any] = []

#: Functions that begin a run.
BEGINNING = ("__enter__", "__aenter__", "_begin", "_prepare", "_mark_entered")


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


#: What a cancel may take is 0.3 s; a busy machine may take this long. Uncancelled, each of these
#: bodies takes ten times as long.
GENEROUS = 3.0
LONG = 30


def cancel_later(*, after: str | None = None) -> threading.Thread:
    """Cancels the run from another thread, once a task of it (or it itself) has begun."""

    def work() -> None:
        while True:
            rows = runtime.journal.runs()
            begun = rows and (after is None or after in nb.tasks().path.tolist())
            if begun:
                break
            time.sleep(0.01)
        time.sleep(0.05)
        nb.cancel(rows[-1].run_id)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def seconds_until_cancelled(execute: Callable[[], Any], after: str | None = None) -> float:
    thread = cancel_later(after=after)
    began = time.monotonic()
    with pytest.raises(nb.Cancelled) as raised:
        execute()
    took = time.monotonic() - began
    thread.join()
    assert raised.value.run_id == nb.last_run().id
    assert "was canceled" in str(raised.value)
    assert nb.last_run().status == "CANCELED"
    return took


def statuses() -> dict[str, str]:
    return dict(nb.tasks()[["path", "status"]].to_numpy().tolist())


@pytest.mark.slow
def test_a_body_that_blocks_is_cancelled_from_another_thread() -> None:
    @nb.job("blocking")
    def body(io: nb.SyncIO) -> str:
        io.run_task("one", len, "a")
        io.run_task("slow", lambda: time.sleep(seconds))
        return "end"

    seconds = LONG
    assert seconds_until_cancelled(body.run, "slow") < GENEROUS
    assert statuses() == {"one": "COMPLETED", "slow": "CANCELED"}

    seconds = 0
    run = body.run()

    assert (run.output, run.executions) == ("end", 2)
    assert run.tasks().reused.tolist() == [True, False]


@pytest.mark.slow
def test_a_body_that_awaits_is_cancelled_from_another_thread() -> None:
    ended: list[bool] = []

    async def slow() -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(0)
            ended.append(True)
        return "done"

    @nb.job("awaiting")
    async def body(io: nb.AsyncIO) -> list[str]:
        return await asyncio.gather(*(io.run_task(name, slow) for name in "ab"))

    seconds = LONG
    assert seconds_until_cancelled(body.run, "b") < GENEROUS
    assert statuses() == {"a": "CANCELED", "b": "CANCELED"}
    assert len(ended) == 2, "the finally blocks have run"

    seconds = 0
    assert body.run().output == ["done", "done"]


@pytest.mark.slow
async def test_what_surrounds_a_cancelled_run_is_not_cancelled() -> None:
    @nb.job("awaiting")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("slow", asyncio.sleep, LONG)

    running = asyncio.create_task(body.arun())
    while nb.tasks().empty:  # noqa: ASYNC110 - as another process would look
        await asyncio.sleep(0.01)
    nb.last_run().cancel()

    with pytest.raises(nb.Cancelled):
        await running
    assert not running.cancelling()


async def test_in_one_asyncio_task_only_the_cancelled_run_is_cancelled() -> None:
    @nb.job("inner")
    async def body(io: nb.AsyncIO) -> None:
        nb.last_run().cancel()
        await io.run_task("slow", asyncio.sleep, LONG)

    try:
        await body.arun()
    except nb.Cancelled:
        await asyncio.sleep(0)  # would be cancelled, too, if it were left so
    task = asyncio.current_task()

    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.slow
def test_a_map_in_threads_is_cancelled() -> None:
    @nb.job("map")
    def body(io: nb.SyncIO) -> list[Any]:
        return io.map("slow", time.sleep, [0, seconds, seconds], concurrency=2)

    seconds = LONG
    assert seconds_until_cancelled(body.run, "slow/1") < GENEROUS
    assert statuses()["slow/0"] == "COMPLETED"
    assert statuses()["slow/1"] == "CANCELED"

    seconds = 0
    assert body.run().output == [None, None, None]
    assert nb.tasks().set_index("path").attempts.to_dict() == {
        "slow": 2, "slow/0": 1, "slow/1": 2, "slow/2": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_a_wait_that_is_cancelled_keeps_its_due_time() -> None:
    @nb.job("waiting")
    def body(io: nb.SyncIO) -> str:
        io.wait("cool down", 3600)
        return "done"

    assert seconds_until_cancelled(body.run, "cool down") < GENEROUS
    stopped = nb.tasks().finished_at.isna().tolist()
    assert statuses() == {"cool down": "CANCELED"}
    assert stopped == [True]

    began = nb.tasks().started_at[0].to_pydatetime()
    with FakeClock(began) as clock:
        clock.advance(3000)
        assert body.run().output == "done"
        assert abs((clock.now() - began).total_seconds() - 3600) < 1


@pytest.mark.slow
def test_a_body_in_another_thread_ends_at_its_next_io_call() -> None:
    @nb.job("thread")
    def body(io: nb.SyncIO) -> None:
        io.run_task("short", time.sleep, 1.0)
        io.run_task("never", time.sleep, LONG)

    errors: list[BaseException] = []

    def work() -> None:
        try:
            body.run()
        except nb.Cancelled as cancelled:
            errors.append(cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    cancel_later(after="short").join()
    thread.join(GENEROUS)

    assert not thread.is_alive()
    assert len(errors) == 1
    assert statuses() == {"short": "COMPLETED"}


@pytest.mark.slow
def test_a_wait_in_another_thread_ends_at_once() -> None:
    @nb.job("thread")
    def body(io: nb.SyncIO) -> None:
        io.wait("cool down", LONG)

    def work() -> None:
        with pytest.raises(nb.Cancelled):
            body.run()

    thread = threading.Thread(target=work)
    thread.start()
    cancel_later(after="cool down").join()
    thread.join(GENEROUS)

    assert not thread.is_alive()
    assert statuses() == {"cool down": "CANCELED"}


@pytest.mark.slow
async def test_a_def_body_that_is_awaited_ends_at_its_next_io_call_when_it_is_stopped() -> None:
    go_on = threading.Event()

    @nb.job("aside")
    def body(io: nb.SyncIO) -> None:
        io.run_task("short", go_on.wait, LONG)
        io.run_task("never", time.sleep, LONG)

    running = asyncio.create_task(body.arun())
    while nb.tasks().empty:  # noqa: ASYNC110 - as another process would look
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    go_on.set()
    while nb.last_run().status == "RUNNING":  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)

    assert nb.last_run().status == "CANCELED"
    assert "never" not in statuses()


@pytest.mark.slow
def test_a_body_that_goes_on_after_its_cancellation_ends_at_its_next_io_call() -> None:
    went_on: list[bool] = []

    @nb.job("stubborn")
    async def body(io: nb.AsyncIO) -> None:
        try:
            await io.run_task("slow", asyncio.sleep, LONG)
        except asyncio.CancelledError:
            went_on.append(True)
        await io.run_task("never", asyncio.sleep, LONG)

    assert seconds_until_cancelled(body.run, "slow") < GENEROUS
    assert went_on
    assert "never" not in statuses()


@pytest.mark.slow
def test_except_exception_lets_a_cancel_pass() -> None:
    @nb.job("careful")
    def body(io: nb.SyncIO) -> str:
        try:
            io.run_task("slow", time.sleep, LONG)
        except Exception:  # noqa: BLE001 - as careless users write
            return "swallowed"
        return "not cancelled"

    assert seconds_until_cancelled(body.run, "slow") < GENEROUS


@pytest.mark.slow
def test_a_task_group_is_cancelled_as_a_whole() -> None:
    @nb.job("group")
    async def body(io: nb.AsyncIO) -> None:
        async with asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(io.run_task(name, asyncio.sleep, LONG))

    assert seconds_until_cancelled(body.run, "b") < GENEROUS
    assert statuses() == {"a": "CANCELED", "b": "CANCELED"}


@pytest.mark.slow
def test_an_async_function_in_a_body_that_blocks_is_cancelled_and_finalised() -> None:
    ended: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append(True)

    @nb.job("mixed")
    def body(io: nb.SyncIO) -> None:
        io.run_task("slow", slow)

    assert seconds_until_cancelled(body.run, "slow") < GENEROUS
    assert ended
    assert statuses() == {"slow": "CANCELED"}


@pytest.mark.slow
def test_a_job_within_a_job_ends_with_the_outer_one() -> None:
    @nb.job("inner")
    def inner(io: nb.SyncIO) -> None:
        io.run_task("slow", time.sleep, LONG)

    @nb.job("outer")
    def outer(io: nb.SyncIO) -> None:
        inner.run()

    def work() -> None:
        while nb.tasks().empty:
            time.sleep(0.01)
        nb.last_run(outer).cancel()

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(nb.Cancelled):
        outer.run()
    thread.join()

    assert set(nb.runs().status) == {"CANCELED"}


@pytest.mark.slow
def test_on_cancel_hears_of_it() -> None:
    heard: list[str] = []

    @nb.job("heard", on_cancel=lambda run: heard.append(run.status))
    def body(io: nb.SyncIO) -> None:
        io.run_task("slow", time.sleep, LONG)

    assert seconds_until_cancelled(body.run, "slow") < GENEROUS
    assert heard == ["CANCELED"]


def test_a_run_that_has_ended_stays_as_it_is() -> None:
    @nb.job("ended")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("one", len, "a") // divisor

    divisor = 1
    run = body.run()
    run.cancel()
    assert (run.status, run.output) == ("COMPLETED", 1)

    divisor = 0
    with pytest.raises(ZeroDivisionError):
        body.run()
    nb.cancel(run)
    assert run.status == "FAILED"


def test_there_must_be_such_a_run() -> None:
    with pytest.raises(nb.NotFoundError, match="no run 'nonsense'"):
        nb.cancel("nonsense")


def test_a_second_cancel_changes_nothing() -> None:
    @nb.job("twice")
    async def body(io: nb.AsyncIO) -> None:
        nb.last_run().cancel()
        nb.last_run().cancel()
        await io.run_task("never", asyncio.sleep, LONG)

    with pytest.raises(nb.Cancelled):
        body.run()
    assert nb.last_run().status == "CANCELED"


SCRIPT = textwrap.dedent(
    """
    import asyncio, time
    import nbtasks as nb

    @nb.job("elsewhere")
    def blocking(io):
        io.run_task("one", len, "a")
        io.run_task("slow", time.sleep, 30)

    @nb.job("elsewhere")
    async def awaiting(io):
        await io.run_task("one", len, "a")
        await io.run_task("slow", asyncio.sleep, 30)

    try:
        {which}.run(tree=False)
    except nb.Cancelled:
        print("cancelled", time.monotonic(), flush=True)
    """
)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["blocking", "awaiting"])
def test_a_run_is_cancelled_from_another_process(tmp_path: Path, which: str) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(SCRIPT.format(which=which))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        while nb.tasks().path.tolist() != ["one", "slow"]:
            time.sleep(0.05)
        began = time.monotonic()
        nb.last_run("elsewhere").cancel()
        out, _ = process.communicate(timeout=LONG)

    said, at = out.split()
    print(f"cancelled in another process within {float(at) - began:.2f} s")
    assert said == "cancelled"
    assert float(at) - began < GENEROUS
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"one": "COMPLETED", "slow": "CANCELED"}


@pytest.mark.slow
def test_a_run_whose_process_has_died_is_cancelled_at_once(tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(SCRIPT.format(which="blocking"))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        while nb.tasks().path.tolist() != ["one", "slow"]:
            time.sleep(0.05)
        process.kill()
        process.communicate()
    run = nb.last_run("elsewhere")
    assert run.status == "INTERRUPTED"

    run.cancel()

    assert run.status == "CANCELED"


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped before", "at its end"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["blocking", "awaiting"])
def test_stopped_on_any_line_of_its_end_it_is_let_go(asynchronous: bool, stopped: bool) -> None:
    """Else it would be taken as long as this process lives."""

    functions = {name for name, _ in inspect.getmembers(session.Session, inspect.isfunction)}
    functions |= {name for name, _ in inspect.getmembers(session, inspect.isfunction)}
    functions = {name for name in functions if not name.startswith("__")} - {"_end"}
    functions |= {"uninterrupted", "hold_back", "blocking", "awaiting", "restore"}

    def step(stop: StopAt) -> None:
        stop.begin()
        if stopped:
            raise KeyboardInterrupt

    ends = []
    for line in range(0, 200, EVERY):
        stop = StopAt(line, [session, cancellation], functions)

        @nb.job("j")
        def body(io: nb.SyncIO, stop: StopAt = stop) -> None:
            step(stop)

        @nb.job("j")
        async def awaiting(io: nb.AsyncIO, stop: StopAt = stop) -> None:
            step(stop)

        with contextlib.suppress(KeyboardInterrupt):
            (awaiting if asynchronous else body).run(key=str(line), tree=False)
        sys.settrace(None)
        if not stop.pressed:
            break
        ends.append(nb.last_run("j").status)
        with pytest.raises(nb.NoRunError):
            nb.current_io()

    assert len(ends) * EVERY > 10
    assert set(ends) <= ({"CANCELED"} if stopped else {"CANCELED", "COMPLETED"})


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("asynchronous", [False, True], ids=["blocking", "awaiting"])
@only_thorough
def test_stopped_on_any_line_of_its_beginning_it_is_let_go(asynchronous: bool) -> None:
    """Else it would be taken as long as this process lives."""

    @nb.job("j")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("a", str, "done")

    @nb.job("j")
    async def awaiting(io: nb.AsyncIO) -> str:
        return await io.run_task("a", str, "done")

    job = awaiting if asynchronous else body
    lines = 0
    for line in range(0, 200, EVERY):
        with (
            StopAt(line, [session, hooks], BEGINNING) as stop,
            contextlib.suppress(KeyboardInterrupt),
        ):
            job.run(key=str(line), tree=False)
        if not stop.pressed:
            break
        lines += EVERY
        assert "RUNNING" not in nb.runs().status.tolist()
        with pytest.raises(nb.NoRunError):
            nb.current_io()
        assert job.run(key=str(line), tree=False).output == "done"

    assert lines > 20


@pytest.mark.slow
def test_a_stopped_task_is_canceled_and_runs_again() -> None:
    stop = True

    def slow() -> str:
        note("slow")
        if stop:
            raise KeyboardInterrupt
        return "done"

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> str:
        io.run_task("before", note, "before")
        return str(io.run_task("slow", slow))

    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().set_index("path").status.to_dict() == {
        "before": "COMPLETED",
        "slow": "CANCELED",
    }

    stop = False
    assert body.run().output == "done"
    assert calls == ["before", "slow", "slow"]
    assert nb.attempts().query("path == 'slow'").status.tolist() == ["CANCELED", "COMPLETED"]


@pytest.mark.slow
async def test_cancelling_an_asynchronous_run_cancels_its_tasks_and_their_finally_runs() -> None:
    started, finalised = asyncio.Event(), []

    async def slow(name: str) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            finalised.append(name)

    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        await asyncio.gather(io.run_task("a", slow, "a"), io.run_task("b", slow, "b"))

    task = asyncio.create_task(body.arun())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert sorted(finalised) == ["a", "b"]
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().status.tolist() == ["CANCELED", "CANCELED"]


@pytest.mark.slow
async def test_what_a_body_did_not_await_is_cancelled_at_its_end() -> None:
    @nb.job("forgotten")
    async def body(io: nb.AsyncIO) -> str:
        task = asyncio.create_task(io.run_task("forgotten", asyncio.sleep, 60))
        await asyncio.sleep(0.01)
        assert not task.done()
        return "done"

    run = await body.arun()

    assert run.status == "COMPLETED"
    assert run.tasks().status.tolist() == ["CANCELED"]

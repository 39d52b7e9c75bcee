"""Attempts that take too long: what is cancelled, what is abandoned, and what comes too late."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.engine.failing import caught

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_a_sync_function_is_abandoned_and_its_late_result_dropped() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def hangs() -> str:
        go_on.wait(60)
        ended.set()
        return "late"

    @nb.job("hangs")
    def body(io: nb.SyncIO) -> None:
        try:
            io.run_task("hangs", hangs, timeout=0.05)
        except TimeoutError as error:
            calls.append(str(error))
        go_on.set()
        ended.wait(60)

    run = body.run()

    assert calls[0].startswith("task 'hangs' took longer than 0.05 s")
    assert run.tasks().status.tolist() == ["FAILED"]
    assert run.tasks().output.isna().all()


async def test_a_plain_function_of_an_asynchronous_body_is_abandoned_too() -> None:
    go_on = threading.Event()

    @nb.job("hangs")
    async def body(io: nb.AsyncIO) -> str:
        try:
            return str(await io.run_task("hangs", go_on.wait, 60, timeout=0.05))
        except TimeoutError:
            go_on.set()
            return "given up"

    assert (await body.arun()).output == "given up"


def test_an_async_function_is_cancelled_and_its_finally_runs() -> None:
    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            calls.append("cleaned up")

    @nb.job("sync")
    def sync(io: nb.SyncIO) -> None:
        io.run_task("hangs", hangs, timeout=0.05)

    @nb.job("async")
    async def asynchronous(io: nb.AsyncIO) -> None:
        await io.run_task("hangs", hangs, timeout=0.05)

    for job in (sync, asynchronous):
        assert isinstance(caught(job), TimeoutError)
    assert calls == ["cleaned up"] * 2


def test_the_time_is_that_of_each_attempt(fake: FakeClock) -> None:
    def slow() -> int:
        attempt = nb.current_task().attempt
        fake.advance(12 - 4 * attempt)
        return attempt

    @nb.job("slow")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("slow", slow, timeout=5, retry=nb.Retry(5, min_delay=60, factor=1))

    run = body.run()

    assert run.output == 2
    found = nb.attempts(run)
    assert found.status.tolist() == ["FAILED", "COMPLETED"]
    assert found.error_type.tolist()[0] == "TimeoutError"
    assert found.error_message.tolist()[0] == "task 'slow' took longer than 5 s"
    rest = found.retry_at[0] - found.finished_at[0]
    assert timedelta(seconds=60) <= rest
    assert found.started_at[1] == found.retry_at[0]


def test_time_jumps_to_the_end_of_what_hangs(fake: FakeClock) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    @nb.job("hangs")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("hangs", hangs, timeout=timedelta(days=1))

    began = fake.now()
    assert isinstance(caught(body), TimeoutError)
    assert fake.now() - began == timedelta(days=1)


def test_time_does_not_jump_to_the_end_of_a_timeout_that_was_not_needed(fake: FakeClock) -> None:
    async def quick() -> str:
        await asyncio.sleep(0)
        return "ok"

    @nb.job("quick")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("quick", quick, timeout=3600)
        await io.wait("a minute", 60)

    began = fake.now()
    body.run()
    assert fake.now() - began == timedelta(minutes=1)


def test_a_function_gets_its_context_and_its_io_in_the_thread_of_its_timeout() -> None:
    word = contextvars.ContextVar("word", default="none")

    def function() -> str:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        assert threading.current_thread() is not threading.main_thread()
        return io.run_task("child", word.get)

    @nb.job("context")
    def body(io: nb.SyncIO) -> str:
        word.set("carried along")
        return io.run_task("parent", function, timeout=60)

    run = body.run()
    assert run.output == "carried along"
    assert run.tasks().path.tolist() == ["parent", "parent/child"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration("x")])
def test_whatever_a_function_raises_in_its_thread_arrives(error: BaseException) -> None:
    def raises() -> None:
        raise error

    @nb.job("raises")
    def body(io: nb.SyncIO) -> None:
        io.run_task("raises", raises, timeout=60)

    expected = nb.TaskFailed if isinstance(error, Exception) else type(error)
    caught(body, expected)


@pytest.mark.slow
def test_an_attempt_that_was_given_up_starts_nothing_and_spoils_nothing() -> None:
    """Its thread goes on while the next attempt runs the same subtasks."""
    go_on, tried = threading.Event(), threading.Event()

    def slow_child(attempt: int) -> str:
        if attempt == 1:
            go_on.wait(60)
        return f"of attempt {attempt}"

    def parent() -> list[str]:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        attempt = nb.current_task().attempt
        if attempt == 2:
            mine = io.run_task("child", slow_child, attempt)
            go_on.set()
            assert tried.wait(60)
            return [mine, io.run_task("later", slow_child, attempt)]
        try:
            io.run_task("child", slow_child, attempt)
        except nb.RunEndedError as error:
            calls.append(str(error))
        try:
            io.run_task("later", slow_child, attempt)
        except nb.RunEndedError as error:
            calls.append(str(error))
        tried.set()
        return []

    @nb.job("given-up")
    def body(io: nb.SyncIO) -> list[str]:
        # The second attempt has all the time it needs, on a busy machine as well.
        return io.run_task("parent", parent, timeout=0.5, retry=nb.Retry(9, min_delay=0))

    run = body.run()

    assert run.output == ["of attempt 2", "of attempt 2"]
    assert len(calls) == 2
    assert all("was given up" in problem for problem in calls)
    assert run["parent/child"] == run["parent/later"] == "of attempt 2"
    found = nb.attempts(run).query("path == 'parent/child'")
    assert found.status.tolist() == ["CANCELED", "COMPLETED"]


async def test_a_parents_retry_takes_over_what_its_last_attempt_left_behind() -> None:
    """A gathered sibling goes on when its parent fails; the next attempt has it to itself."""
    go_on = asyncio.Event()

    async def parent() -> list[Any]:
        io: Any = nb.current_io()
        attempt = nb.current_task().attempt

        async def fails() -> str:
            if attempt == 1:
                raise OSError("the first time")
            return "mended"

        async def slow() -> int:
            calls.append(attempt)
            if attempt == 1:
                await go_on.wait()
            return attempt

        return list(await asyncio.gather(io.run_task("slow", slow), io.run_task("fails", fails)))

    @nb.job("takes-over")
    async def body(io: nb.AsyncIO) -> Any:
        got = await io.run_task("parent", parent, retry=nb.Retry(2, min_delay=0))
        go_on.set()
        await asyncio.sleep(0.05)
        return got

    run = await body.arun()

    assert run.output == [2, "mended"]
    assert calls == [1, 2]
    assert run["parent/slow"] == 2
    found = nb.attempts(run).query("path == 'parent/slow'")
    assert found.status.tolist() == ["CANCELED", "COMPLETED"]


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    """Also when the time is over while it is being heeded."""
    began = asyncio.Event()

    async def stubborn() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)  # the timeout comes to its end meanwhile

    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("stubborn", stubborn, timeout=0.1, retry=5)

    run = asyncio.create_task(body.arun())
    await began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().status.tolist() == ["CANCELED"]


async def test_a_cancel_while_a_timeout_is_being_heeded_is_one_too() -> None:
    late = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            late.set()
            await asyncio.Event().wait()

    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("stubborn", stubborn, timeout=0.05, retry=5)

    run = asyncio.create_task(body.arun())
    await late.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert nb.last_run().status == "CANCELED"


async def test_who_swallows_the_cancel_of_a_timeout_is_late_all_the_same() -> None:
    async def swallows() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "as if nothing was"

    @nb.job("swallows")
    async def body(io: nb.AsyncIO) -> str:
        with pytest.raises(TimeoutError):
            await io.run_task("swallows", swallows, timeout=0.05)
        assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]  # there is one
        await asyncio.sleep(0.01)
        return "not cancelled"

    assert (await body.arun()).output == "not cancelled"


def test_a_function_with_a_timeout_that_was_stopped_starts_nothing_more() -> None:
    go_on, tried = threading.Event(), threading.Event()

    def parent() -> None:
        io = nb.current_io()
        signal.raise_signal(signal.SIGINT)  # handled by the main thread, which waits
        go_on.wait(60)
        try:
            io.run_task("child", int)
        except nb.RunEndedError:
            calls.append("refused")
        tried.set()

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> str:
        with contextlib.suppress(KeyboardInterrupt):
            io.run_task("parent", parent, timeout=60)
        go_on.set()
        assert tried.wait(60)
        return "went on"

    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert calls == ["refused"]
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().status.tolist() == ["CANCELED"]


@pytest.mark.slow
def test_a_thread_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import time
        import nbtasks as nb

        @nb.job("hangs")
        def body(io):
            try:
                io.run_task("hangs", time.sleep, 3600, timeout=0.05)
            except TimeoutError:
                print("given up")

        @nb.job("hangs too")
        async def other(io):
            try:
                await io.run_task("hangs", time.sleep, 3600, timeout=0.05)
            except TimeoutError:
                print("given up")

        body.run()
        other.run()
    """)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, timeout=60, capture_output=True, text=True,
        check=True, env={**os.environ, "NBTASKS_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert ended.stdout.split("\n")[:2] == ["given up", "given up"]


def test_what_a_subtask_raised_too_late_does_not_stand_in_the_way(fake: FakeClock) -> None:
    """The parent's timeout passed on the subtask's failure, so both run again."""

    def child() -> str:
        calls.append("child")
        if len(calls) == 1:
            fake.advance(60)
            raise ValueError("late, too")
        return "ok"

    def parent() -> Any:
        io: Any = nb.current_io()
        return io.run_task("child", child)

    @nb.job("both")
    def body(io: nb.SyncIO) -> Any:
        return io.run_task("parent", parent, timeout=30)

    caught(body, TimeoutError)
    assert body.run().output == "ok"


def test_the_real_clock_gives_a_thread_its_time() -> None:
    @nb.job("in-time")
    def body(io: nb.SyncIO) -> str:
        io.run_task("short", time.sleep, 0.15, timeout=60)
        return io.run_task("none", lambda: "in time", timeout=60)

    assert body.run().output == "in time"

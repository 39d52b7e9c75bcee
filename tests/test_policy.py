"""The options of one task: what its timeout, its once, its ttl and its handlers really do."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock

calls: list[Any] = []
ONCE = nb.TaskOptions(once=True)


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def fake() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


def caught(job: nb.Job, kind: type[BaseException] = nb.TaskFailed) -> Any:
    with pytest.raises(kind) as info:
        job.run()
    return info.value


# -- timeout --------------------------------------------------------------------------------------


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

    assert calls[0].startswith("TimeoutError: task 'hangs' took longer than 0.05 s")
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
        return io.run_task("slow", slow, timeout=5, retry=nb.Retry(5, min_timeout=60, factor=1))

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
        return io.run_task("parent", parent, timeout=0.5, retry=nb.Retry(9, min_timeout=0))

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
        got = await io.run_task("parent", parent, retry=nb.Retry(2, min_timeout=0))
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

    run = body.run()
    assert calls == ["refused"]
    assert run.tasks().status.tolist() == ["CANCELED"]


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


# -- once -----------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
import nbtasks as nb

def pay():
    print("called", flush=True)
    if len(sys.argv) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid"

@nb.job("pays")
{kind} body(io):
    return {wait} io.run_task("pay", pay, options=nb.TaskOptions(once=True))

try:
    print(body.run().output)
except nb.InDoubtError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await")])
def test_the_task_of_a_killed_process_is_in_doubt(tmp_path: Path, kind: str, wait: str) -> None:
    def start(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", DIES.format(kind=kind, wait=wait), *args], cwd=tmp_path,
            env={**os.environ, "NBTASKS_HOME": str(nb.config.home)}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    assert start("die") == "called\n"
    for _ in range(2):
        said = start()
        run = nb.last_run("pays")
        assert not said.startswith("called")
        assert f'nb.get_run("{run.id}").set("pay", value)' in said
        assert f'nb.get_run("{run.id}").reset("pay")' in said
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.type == "InDoubtError"
        assert run.tasks().status.tolist() == ["INTERRUPTED"]
        assert nb.attempts(run).status.tolist() == ["INTERRUPTED"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_start_is_durable_before_the_call(kind: str) -> None:
    seen = []

    def pay() -> None:
        segment = nb.kit.kit.journal._segment  # type: ignore[attr-defined]  # the composition root
        durable = segment.path.read_bytes()[: segment._synced].decode()
        path = json.dumps(nb.current_task().path)
        seen.append(any(path in line and "RUNNING" in line for line in durable.splitlines()))

    @nb.job("sync")
    def sync(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=ONCE)

    @nb.job("async")
    async def asynchronous(io: nb.AsyncIO) -> None:
        await asyncio.gather(*(io.run_task(["pay", n], pay, options=ONCE) for n in range(20)))

    {"sync": sync, "async": asynchronous}[kind].run()

    assert set(seen) == {True}


def test_a_stop_in_the_middle_leaves_it_in_doubt() -> None:
    def pay() -> None:
        calls.append("called")
        raise KeyboardInterrupt

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=ONCE)

    caught(body, KeyboardInterrupt)
    assert "it was stopped" in str(caught(body, nb.InDoubtError))
    assert calls == ["called"]


def test_a_timeout_of_what_runs_once_is_in_doubt_and_not_tried_again(fake: FakeClock) -> None:
    def pay() -> None:
        calls.append("called")
        fake.advance(60)

    @nb.job("late")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, timeout=5, retry=5, options=ONCE)

    for _ in range(2):
        caught(body, nb.InDoubtError)
    assert calls == ["called"]
    assert nb.tasks().status.tolist() == ["CANCELED"]


def test_a_failure_that_ended_the_run_is_no_doubt() -> None:
    def pay() -> str:
        calls.append("called")
        if len(calls) == 1:
            raise ValueError("declined")
        return "paid"

    @nb.job("declined")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, options=ONCE)

    caught(body, ValueError)
    assert body.run().output == "paid"


def test_what_waits_for_its_next_attempt_is_no_doubt(fake: FakeClock) -> None:
    def pay() -> str:
        calls.append("called")
        if len(calls) == 1:
            raise ValueError("declined")
        return "paid"

    def stop(due_us: int, told: object = None) -> None:
        raise KeyboardInterrupt

    @nb.job("waits")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, retry=2, options=ONCE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "sleep_until", stop)
        caught(body, KeyboardInterrupt)
    assert body.run().output == "paid"


# -- ttl ------------------------------------------------------------------------------------------


def test_an_output_is_computed_anew_when_its_time_is_over(fake: FakeClock) -> None:
    def rates() -> int:
        calls.append("rates")
        io: Any = nb.current_io()
        io.run_task("static", calls.append, "static")
        return len(calls)

    @nb.job("rates", on_change="ignore")  # of `calls`, which is handed to a task
    def body(io: nb.SyncIO) -> int:
        return io.run_task("rates", rates, options=nb.TaskOptions(ttl=60))

    first = body.run()
    found = nb.sql("select * from tasks where path = 'rates'")
    fake.advance(59)
    assert body.run().output == 2
    fake.advance(2)
    again = body.run()

    assert calls == ["rates", "static", "rates"]
    assert again.output == 3
    assert first.id == again.id
    assert nb.attempts(again).query("path == 'rates'").status.tolist() == ["COMPLETED"] * 2
    assert found.finished_at[0] < nb.tasks(again).finished_at[0]


def test_the_ttl_of_the_call_counts_not_the_one_of_then(fake: FakeClock) -> None:
    def make(ttl: float | None) -> nb.Job:
        @nb.job("ttl", on_change="ignore")  # of `calls`, which is handed to the task
        def body(io: nb.SyncIO) -> None:
            io.run_task("task", calls.append, 1, options=nb.TaskOptions(ttl=ttl))

        return body

    make(None).run()
    fake.advance(100)
    make(1000).run()
    assert calls == [1]
    make(50).run()
    fake.advance(100)
    make(None).run()
    assert calls == [1, 1]


def test_what_fails_when_computed_anew_has_no_output_any_more(fake: FakeClock) -> None:
    def rates() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("gone")
        return 7

    @nb.job("rates", on_change="ignore")  # of `calls`, which is handed to a task
    def body(io: nb.SyncIO) -> int:
        return io.run_task("rates", rates, options=nb.TaskOptions(ttl=60))

    run = body.run()
    fake.advance(60)
    caught(body, ValueError)
    with pytest.raises(nb.NotFoundError):
        run["rates"]
    assert nb.tasks(run).output.isna().all()


# -- inline, and what belongs to a thread ---------------------------------------------------------


def test_the_error_of_an_object_that_belongs_to_a_thread_names_the_option() -> None:
    @nb.job("bound")
    async def body(io: nb.AsyncIO) -> int:
        with contextlib.closing(sqlite3.connect(":memory:")) as con:
            try:
                await io.run_task("select", con.execute, "select 1")
            except sqlite3.ProgrammingError as error:
                calls.append(str(error))
            one = nb.TaskOptions(inline=True)
            return await io.run_task(
                "inline", lambda: con.execute("select 1").fetchone()[0], options=one
            )

    for _ in range(2):
        assert body.run().output == 1
    assert len(calls) == 2
    assert all("inline=True" in said for said in calls)


def test_other_errors_name_nothing() -> None:
    @nb.job("other")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("parse", int, "twelve")

    assert "inline" not in str(caught(body))


# -- on_error and retry_on ------------------------------------------------------------------------


def test_on_error_gets_the_users_own_error_and_the_task() -> None:
    class Own(Exception):
        pass

    own = Own("mine")

    def fails() -> None:
        raise own

    async def look(error: Exception, task: Any) -> None:
        calls.append((error is own, task.path, task.attempt, nb.current_task().path))
        task.log("seen", level="warn")

    for kind in ("sync", "async"):
        if kind == "sync":

            @nb.job(kind)
            def body(io: nb.SyncIO) -> None:
                io.run_task("fails", fails, on_error=look)
        else:

            @nb.job(kind)
            async def body(io: nb.AsyncIO) -> None:
                await io.run_task("fails", fails, on_error=look)

        assert caught(body).type.endswith("Own")
        assert nb.last_run().logs().message.tolist() == ["seen"]
    assert calls == [(True, "fails", 1, "fails")] * 2


def test_an_error_that_replaces_another_keeps_the_subtask_that_failed() -> None:
    def child() -> None:
        calls.append("child")
        if len(calls) == 1:
            raise ValueError("the child's")

    def parent() -> None:
        nb.current_io().run_task("child", child)

    @nb.job("replaced")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent, on_error=lambda error, _: RuntimeError("instead"))

    error = caught(body, RuntimeError)
    assert error.path == "parent"
    assert error.__cause__.path == "parent/child"
    body.run()  # both had ended the run, so both run again
    assert calls == ["child", "child"]


def test_a_stop_in_on_error_is_a_stop() -> None:
    def stop(error: Exception, task: Any) -> None:
        raise KeyboardInterrupt

    @nb.job("stop")
    def body(io: nb.SyncIO) -> None:
        io.run_task("fails", int, "x", on_error=stop, retry=3)

    caught(body, KeyboardInterrupt)
    assert nb.tasks().status.tolist() == ["CANCELED"]


def test_retry_on_of_a_plain_word_is_the_job_too() -> None:
    @nb.task(retry=3, retry_on=(KeyError,))
    def marked() -> None:
        calls.append(nb.current_task().attempt)
        raise IndexError

    @nb.job("marked")
    def body(io: nb.SyncIO) -> None:
        io.run_task("marked", marked)

    caught(body, IndexError)
    assert calls == [1]


def test_a_retry_on_that_must_be_awaited_is_refused() -> None:
    async def is_asked(error: Exception) -> bool:
        return True

    asked: Any = is_asked

    @nb.job("awaited")
    def body(io: nb.SyncIO) -> None:
        io.run_task("fails", int, "x", retry=3, retry_on=asked)

    assert "something to await" in str(caught(body, nb.InvalidOptionError))


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), "soon", True, float("nan"), 1e12, None])  # noqa: DTZ001 - on purpose
def test_an_instant_to_retry_at_must_be_one(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"nb\.retry_at\("):
        nb.retry_at(bad)


def test_a_back_off_of_retry_at_goes_on_where_it_was(fake: FakeClock) -> None:
    due = fake.now() + timedelta(hours=1)

    def flaky() -> str:
        calls.append(fake.now())
        if len(calls) == 1:
            raise ConnectionError
        return "ok"

    def stop(due_us: int, told: object = None) -> None:
        raise KeyboardInterrupt

    @nb.job("flaky")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("flaky", flaky, on_error=lambda *_: nb.retry_at(due))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "sleep_until", stop)
        caught(body, KeyboardInterrupt)
    fake.advance(600)
    run = body.run()

    assert (run.output, fake.now()) == ("ok", due)
    found = nb.attempts(run)
    assert found.attempt.tolist() == [1, 2]
    assert found.retry_at[0] == due


# -- what a task says of itself -------------------------------------------------------------------


def test_options_for_people_stand_in_the_frame_and_in_the_tree() -> None:
    shown = nb.TaskOptions(
        params={"table": "flights"},
        properties={"rows": 3, "where": "<b>here</b>", "at": datetime(2026, 1, 1, tzinfo=UTC)},
        icon="✈",
    )

    def load(_: str) -> None:
        nb.current_task().progress(3, 4)
        nb.current_task().metric(r2=0.93, loss=float("nan"))
        nb.current_task().metric(r2=0.94, epochs=12)

    @nb.job("shown")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load, "password", name="Load it", options=shown)
        io.run_task("bare", int)

    run = body.run()
    row, bare = run.tasks().to_dict("records")
    names = list(run.tasks().columns)

    assert json.loads(row["params"]) == {"table": "flights"}
    assert json.loads(row["properties"])["rows"] == 3
    assert json.loads(row["metrics"]) == {"r2": 0.94, "loss": None, "epochs": 12}
    assert row["progress"] == 0.75
    assert bare["progress"] != bare["progress"]
    assert names[names.index("seconds") + 1] == "progress"
    assert names[-4:] == ["error_message", "properties", "metrics", "seq"]
    text, html = str(run.tree()), run.tree()._repr_html_()
    assert "load (✈ Load it)" in text
    assert "rows 3" in text
    assert "r2 0.94" in text
    assert "&lt;b&gt;here" in html
    assert "<b>here" not in html
    assert "password" not in text + html


def test_progress_is_seen_while_the_task_runs_and_costs_no_write_each() -> None:
    seen: list[Any] = []

    def load() -> None:
        task = nb.current_task()
        for n in range(5000):
            task.progress(n, 5000)
        row = nb.sql("select progress from tasks where path = 'load'")
        seen.append(row.progress[0])
        seen.append(nb.kit.kit.journal._segment.records)  # type: ignore[attr-defined]  # as it is
        seen.append("%" in str(nb.tree()))

    @nb.job("load")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load)

    body.run()
    progress, records, percent = seen
    assert 0 <= progress < 1
    assert records < 1000
    assert percent


@pytest.mark.parametrize("bad", [(-1, 2), ("1", 2), (1, float("nan")), (True, 2), (1, -1)])
def test_a_progress_that_is_none_is_refused(bad: Any) -> None:
    @nb.job("bad")
    def body(io: nb.SyncIO) -> None:
        io.run_task("task", lambda: nb.current_task().progress(*bad))

    caught(body, nb.InvalidOptionError)


def test_progress_may_be_in_fractions_or_of_nothing() -> None:
    def task(done: Any, total: Any) -> None:
        nb.current_task().progress(done, total)

    @nb.job("fractions")
    def body(io: nb.SyncIO) -> None:
        for n, pair in enumerate([(0.25, 1), (0, 0), (5, 4)]):
            io.run_task(["task", n], task, *pair)

    found = body.run().tasks().progress
    assert found[0] == 0.25
    assert found.isna().tolist() == [False, True, False]
    assert found[2] == 1


def test_another_attempt_begins_with_no_progress() -> None:
    def task() -> None:
        if nb.current_task().attempt == 1:
            nb.current_task().progress(1, 2)
            nb.current_task().metric(n=1)
            raise ValueError

    @nb.job("again")
    def body(io: nb.SyncIO) -> None:
        io.run_task("task", task, retry=nb.Retry(2, min_timeout=0))

    found = body.run().tasks()
    assert found.progress.isna().all()
    assert found.metrics.isna().all()


def test_a_metric_is_a_number() -> None:
    @nb.job("bad")
    def body(io: nb.SyncIO) -> None:
        def task() -> None:
            nb.current_task().metric(loss="low")  # type: ignore[arg-type]  # wrong

        io.run_task("task", task)

    assert "loss='low'" in str(caught(body, nb.InvalidOptionError))


def test_options_that_make_no_sense_are_refused_early() -> None:
    with pytest.raises(nb.InvalidOptionError, match="properties is a dict"):
        nb.TaskOptions(properties=["rows"])  # type: ignore[arg-type]  # wrong
    with pytest.raises(nb.InvalidOptionError, match="icon is"):
        nb.TaskOptions(icon=3)  # type: ignore[arg-type]  # wrong


def test_the_real_clock_gives_a_thread_its_time() -> None:
    @nb.job("in-time")
    def body(io: nb.SyncIO) -> str:
        io.run_task("short", time.sleep, 0.15, timeout=60)
        return io.run_task("none", lambda: "in time", timeout=60)

    assert body.run().output == "in time"

"""`always_replay`: a job is started again after each task."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from warnings import simplefilter

import pytest

import nbtasks as nb
from nbtasks.core import event_loop
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import Crash, FakeClock, ReplayError, always_replay, run_job, use_journal

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def refuse(*_: Any) -> Any:
    raise AssertionError("this function must not be called")


@nb.job("report")
def report(payload: int, io: nb.SyncIO) -> int:
    rows = io.run_task("load", refuse, payload)
    io.wait("cool down", 3600)

    def fit() -> int:
        inner = nb.current_io()
        assert isinstance(inner, nb.SyncIO)
        return sum(inner.map("parts", note, rows))

    return io.run_task("fit", fit)


@contextlib.contextmanager
def replaying(kind: str, folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(FakeClock())
        if kind == "memory":
            stack.enter_context(use_journal(MemoryJournal()))
        stack.enter_context(always_replay())
        yield


JOURNALS = pytest.mark.parametrize("kind", ["memory", "home"])


@nb.job("nested")
def nested(payload: int, io: nb.SyncIO) -> list[int]:
    rows = io.run_task("load", note, list(range(payload)))

    def fit(row: int) -> int:
        inner = nb.current_io()
        inner.wait("rest", 60)
        return sum(inner.map("fold", note, [row, 10], concurrency=1))  # type: ignore[arg-type]  # blocks

    return io.map("fit", fit, rows, concurrency=1)


@nb.job("nested async")
async def nested_async(payload: int, io: nb.AsyncIO) -> list[int]:
    rows = await io.run_task("load", note, list(range(payload)))

    async def fit(row: int) -> int:
        inner = nb.current_io()
        assert isinstance(inner, nb.AsyncIO)
        await inner.wait("rest", 60)
        return sum(await inner.map("fold", note, [row, 10], concurrency=1))

    return await io.map("fit", fit, rows, concurrency=1)


@pytest.mark.slow
@JOURNALS
@pytest.mark.parametrize("job", [nested, nested_async], ids=["def", "async def"])
def test_a_job_is_started_again_after_each_task(job: nb.Job, kind: str, tmp_path: Path) -> None:
    with replaying(kind, tmp_path):
        run = job.run(2)

        tasks = run.tasks()
        assert run.output == [10, 11]
        assert run.status == "COMPLETED"
        assert run.executions == len(tasks) + 1 == 13
        assert tasks.status.eq("COMPLETED").all()
        assert calls == [[0, 1], 0, 10, 1, 10]  # one at a time, so nothing was in flight


@pytest.mark.parametrize("job", [nested, nested_async], ids=["def", "async def"])
async def test_an_awaited_run_is_too(job: nb.Job, tmp_path: Path) -> None:
    with replaying("memory", tmp_path):
        runs = await asyncio.gather(job.arun(1), job.arun(2))

        assert [run.output for run in runs] == [[10], [10, 11]]
        assert [run.executions for run in runs] == [8, 13]


@pytest.mark.slow
def test_gathered_tasks_end_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def parent(n: int) -> list[int]:
        inner = nb.current_io()
        assert isinstance(inner, nb.AsyncIO)
        return await inner.map("parts", note, [n, n + 1])

    @nb.job("gathered")
    async def job(io: nb.AsyncIO) -> list[list[int]]:
        return await asyncio.gather(*(io.run_task(["n", n], parent, n) for n in range(3)))

    gc.collect()  # asyncio complains when a task is collected: not here of those of other tests
    caplog.clear()
    with replaying("memory", tmp_path):
        assert job.run().output == [[0, 1], [1, 2], [2, 3]]
    gc.collect()
    assert set(calls) == {0, 1, 2, 3}
    assert not caplog.records, "asyncio complains of a task that nobody looked at"


def test_a_failure_that_is_caught_is_the_same_after_a_restart(tmp_path: Path) -> None:
    class Local(Exception):
        """Cannot be imported, so after a restart nobody can tell that it was one."""

    def fail(kind: type[Exception]) -> None:
        note(kind)
        raise kind("no")

    def job_of(kind: type[Exception]) -> nb.Job:
        @nb.job(kind.__name__)
        def job(io: nb.SyncIO) -> str:
            try:
                io.run_task("fail", fail, kind)
            except kind:
                return "caught"
            return "not reached"

        return job

    with replaying("memory", tmp_path):
        run = job_of(LookupError).run()
        assert (run.output, run.executions, calls) == ("caught", 2, [LookupError])
        with pytest.raises(nb.TaskFailed, match="no"):
            job_of(Local).run()


def test_what_the_job_raises_is_raised_at_its_end(tmp_path: Path) -> None:
    @nb.job("failing")
    def job(io: nb.SyncIO) -> None:
        io.run_task("one", note, 1)
        io.run_task("two", note, 2)
        raise LookupError("after both")

    with replaying("memory", tmp_path):
        with pytest.raises(LookupError, match="after both") as caught:
            job.run()

        assert nb.last_run().status == "FAILED"
        assert "after task 'two'" in "".join(caught.value.__notes__)
    assert calls == [1, 2]


def test_the_body_is_called_each_time_and_gets_its_payload_anew(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    @nb.job("payload")
    def job(payload: Any, io: nb.SyncIO) -> int:
        seen.append(list(payload))
        payload.append(2)
        io.run_task("one", note, 1)
        return len(payload)

    with replaying("memory", tmp_path):
        assert job.run([1], new=True).executions == 2
        assert len(nb.runs()) == 1
    assert seen == [[1], [1]]


def test_a_new_run_goes_on_and_no_other(tmp_path: Path) -> None:
    with use_journal(MemoryJournal()):
        with FakeClock(datetime(2030, 1, 1, tzinfo=UTC)):
            earlier = _quick.run()
        with FakeClock(datetime(2020, 1, 1, tzinfo=UTC)), always_replay():
            run = _quick.run(new=True)

        assert run.id != earlier.id
        assert (run.executions, earlier.executions) == (3, 1)


def test_a_run_that_has_begun_goes_on(tmp_path: Path) -> None:
    broken = True

    @nb.job("mended")
    def job(io: nb.SyncIO) -> int:
        one = io.run_task("one", note, 1)
        if broken:
            raise OSError("broken")
        return one + io.run_task("two", note, 2)

    with use_journal(MemoryJournal()):
        with pytest.raises(OSError, match="broken"):
            job.run()
        broken = False
        with always_replay():
            assert job.run().output == 3
    assert calls == [1, 2]


def test_a_run_inside_a_task_is_a_run_of_its_own(tmp_path: Path) -> None:
    @nb.job("inner of two")
    def inner(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("a", note, payload) + io.run_task("b", note, 1)

    @nb.job("outer of two")
    def outer(io: nb.SyncIO) -> int:
        io.run_task("first", note, 0)
        return int(io.run_task("inner", lambda: inner.run(5, new=True).output))

    with replaying("memory", tmp_path):
        assert outer.run().output == 6
        assert nb.runs().executions.tolist() == [3, 3]
    assert calls == [0, 5, 1]


def test_it_replays_what_run_job_runs() -> None:
    with always_replay():
        run = run_job(report, 5, tasks={"load": [1, 2]})

    assert run.output == 3
    assert run.executions == len(run.tasks()) + 1


def test_outside_of_it_runs_are_as_ever() -> None:
    run, arun = nb.Job.run, nb.Job.arun
    with always_replay(), always_replay():
        assert nb.Job.run is not run
    assert (nb.Job.run, nb.Job.arun) == (run, arun)


def test_it_decorates_tests() -> None:
    @always_replay
    def bare(payload: int) -> int:
        return run_job(report, payload, tasks={"load": []}).executions

    @always_replay(limit=50)
    async def awaited() -> int:
        return (await nested_async.arun(1)).executions

    assert bare(5) == 5
    with use_journal(MemoryJournal()), FakeClock():
        assert event_loop.run_awaitable(awaited()) == 8
    assert run_job(report, 5, tasks={"load": []}).executions == 1


def replay(body: Any, **options: Any) -> nb.Run:
    """Replays a body in memory."""
    with use_journal(MemoryJournal()), FakeClock(), always_replay(limit=options.pop("limit", 300)):
        return nb.job("replayed", **options)(body).run()


def test_keys_that_are_others_each_time_are_told() -> None:
    def body(io: nb.SyncIO) -> None:
        for _ in range(3):
            io.run_task(f"draw {random.random()}", note, 1)

    with pytest.raises(ReplayError, match=r"different path each time: 51 tasks.*'draw 0\.\d+'"):
        replay(body)


def test_a_path_that_changed_once_is_told() -> None:
    def body(payload: None, io: nb.SyncIO, ctx: nb.Context) -> None:
        if ctx.run.is_new:
            io.run_task("greet", note, 1)
        io.run_task("work", note, 2)

    with pytest.raises(ReplayError, match="did not reach 'greet'"):
        replay(body)


@pytest.mark.parametrize("warnings", ["error", "ignore"])
def test_arguments_that_are_others_each_time_are_told(
    warnings: Any, recwarn: pytest.WarningsRecorder
) -> None:
    simplefilter(warnings, nb.StaleTaskWarning)

    def body(io: nb.SyncIO) -> None:
        io.run_task("load", note, time.perf_counter())

    with pytest.raises(ReplayError, match=r"something else.*'load' \(value is "):
        replay(body)


def test_a_task_that_is_never_done_is_told() -> None:
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", note, time.perf_counter())

    with pytest.raises(ReplayError, match="'load' has completed 11 times"):
        replay(body, on_change="rerun")


def test_a_loop_without_end_is_told() -> None:
    def body(io: nb.SyncIO) -> None:
        while True:
            io.run_task(nb.numbered("poll"), note, 1)

    with pytest.raises(ReplayError, match=r"restarted 30 times.*'poll#30'.*limit="):
        replay(body, limit=30)


def test_a_key_that_is_used_twice_tells_in_which_execution() -> None:
    executions: list[int] = []

    def body(io: nb.SyncIO) -> None:
        executions.append(1)
        io.run_task("a", note, 1)
        io.run_task("b" if len(executions) == 1 else "a", note, 2)

    with pytest.raises(nb.DuplicateKeyError, match="'a' is used twice") as caught:
        replay(body)
    assert "in execution 2" in "".join(caught.value.__notes__)


def test_a_stop_ends_it() -> None:
    def body(io: nb.SyncIO) -> None:
        io.run_task("a", note, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(body)
    assert calls == [1]


async def test_a_cancel_from_outside_ends_it() -> None:
    @nb.job("cancelled")
    async def job(io: nb.AsyncIO) -> None:
        await io.run_task("a", note, 1)
        await asyncio.sleep(60)

    with use_journal(MemoryJournal()), always_replay():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await job.arun()
        assert nb.last_run().status == "CANCELED"


def test_a_body_that_swallows_everything_is_started_again_all_the_same() -> None:
    def body(io: nb.SyncIO) -> str:
        for n in range(3):
            try:
                io.run_task(["n", n], note, n)
            except BaseException as error:
                if not isinstance(error, Crash):
                    raise
        return "done"

    replay(body)
    assert calls == [0, 1, 2]


def test_a_home_is_left_as_others_expect_it(tmp_path: Path) -> None:
    with always_replay():
        run = _quick.run()

    other = HomeJournal(nb.config.home)
    (row,) = other.runs()
    assert (row.run_id, row.status, row.executions) == (run.id, "COMPLETED", 3)
    other.close()


@nb.job("quick")
def _quick(io: nb.SyncIO) -> int:
    return io.run_task("a", note, 1) + io.run_task("b", note, 2)

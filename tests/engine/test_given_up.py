"""Tasks that the body gave up, and continued without, are a part of the path."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

import nbtasks as nb
from nbtasks.engine.waiting import given_up
from nbtasks.testing import FakeClock

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call that waits to be given up again wait so long that nobody takes it for busy."""
    monkeypatch.setattr(given_up, "_MORE_US", 60_000_000)


async def slow() -> str:
    """Takes its time only when it is called for the first time."""
    calls.append("slow")
    if calls.count("slow") == 1:
        await asyncio.sleep(60)
    return "answer"


async def fallback(io: nb.AsyncIO) -> str:
    def plain() -> str:
        calls.append("fallback")
        return "fallback"

    return await io.run_task("fallback", plain)


async def by_wait_for(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    try:
        return await asyncio.wait_for(call(), 0.03)
    except TimeoutError:
        return await fallback(io)


async def by_timeout(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    try:
        async with asyncio.timeout(0.03):
            return await call()
    except TimeoutError:
        return await fallback(io)


async def by_move_on_after(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    with anyio.move_on_after(0.03):
        return await call()
    return await fallback(io)


async def by_fail_after(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    try:
        with anyio.fail_after(0.03):
            return await call()
    except TimeoutError:
        return await fallback(io)


async def by_cancel(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(0.03)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return await fallback(io)


async def by_first_completed(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    tasks = {asyncio.ensure_future(call()), asyncio.ensure_future(asyncio.sleep(0.03, "timer"))}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)
    first = done.pop().result()
    return await fallback(io) if first == "timer" else str(first)


async def by_task_group(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    async def late() -> None:
        await asyncio.sleep(0.03)
        raise LookupError("too late")

    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call())
            group.create_task(late())
    except* LookupError:
        pass
    return await fallback(io) if task.cancelled() else task.result()


async def by_anyio_group(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    found = []

    async def child() -> None:
        found.append(await call())

    async with anyio.create_task_group() as group:
        group.start_soon(child)
        await asyncio.sleep(0.03)
        group.cancel_scope.cancel()
    return found[0] if found else await fallback(io)


async def by_the_end(io: nb.AsyncIO, call: Callable[[], Coroutine[Any, Any, str]]) -> str:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(0.03)
    return str(task.result()) if task.done() else await fallback(io)


WAYS = [
    by_wait_for, by_timeout, by_move_on_after, by_fail_after, by_cancel, by_first_completed,
    by_task_group, by_anyio_group, by_the_end,
]  # fmt: skip

ONCE = nb.TaskOptions(once=True)
CALLS: dict[str, Callable[[nb.AsyncIO], Any]] = {
    "a task": lambda io: io.run_task("slow", slow),
    "a function in a thread": lambda io: io.run_task("slow", _sleep),
    "a task with retries": lambda io: io.run_task("slow", slow, retry=3, timeout=60),
    "a task that may run once": lambda io: io.run_task("slow", slow, options=ONCE),
    "a map": lambda io: io.map("slow", lambda _: slow(), [1]),
    "a wait": lambda io: io.wait("slow", 0.5),
    "a wait for an event": lambda io: io.wait_for_event("slow", "nothing", timeout=60),
}
stop_sleeping = threading.Event()


def _sleep() -> str:
    calls.append("slow")
    stop_sleeping.wait(60 if calls.count("slow") == 1 else 0)
    return "answer"


@pytest.fixture
def _ended_threads() -> Any:
    stop_sleeping.clear()
    yield
    stop_sleeping.set()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__[3:])
def test_what_the_body_gave_up_it_gives_up_again(way: Any) -> None:
    @nb.job("way")
    async def body(io: nb.AsyncIO) -> str:
        return await way(io, lambda: io.run_task("slow", slow))

    assert body.run().output == "fallback"
    assert body.run(replay="only").output == "fallback"
    again = body.run()

    assert again.output == "fallback"
    assert calls == ["slow", "fallback"]
    tasks = again.tasks().set_index("path")
    assert tasks.status.to_dict() == {"slow": "CANCELED", "fallback": "COMPLETED"}
    assert tasks.reused.to_dict() == {"slow": True, "fallback": True}
    assert tasks.attempts.to_dict() == {"slow": 1, "fallback": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("_ended_threads")
@pytest.mark.parametrize("call", CALLS)
def test_whatever_call_was_given_up_it_is_given_up_again(call: str) -> None:
    @nb.job("call")
    async def body(io: nb.AsyncIO) -> str:
        return await by_wait_for(io, lambda: CALLS[call](io))

    assert body.run().output == "fallback"
    made = list(calls)
    if call == "a wait":
        time.sleep(0.6)  # it is due by now, and would be answered at once
    assert body.run(replay="only").output == "fallback"
    assert body.run().output == "fallback"
    assert calls == made


@pytest.mark.slow
def test_a_run_from_elsewhere_gives_up_again_what_it_gave_up(tmp_path: Path) -> None:
    @nb.job("shared")
    async def body(io: nb.AsyncIO) -> str:
        return await by_wait_for(io, lambda: io.run_task("slow", slow))

    run = body.run()
    nb.export_run(run, tmp_path / "run.nbrun")
    with nb_home(tmp_path / "other"):
        nb.import_run(tmp_path / "run.nbrun")
        assert body.run(replay="only").output == "fallback"
        assert body.run().output == "fallback"
    assert calls == ["slow", "fallback"]


@contextlib.contextmanager
def nb_home(path: Path) -> Any:
    before = nb.config.home
    nb.configure(home=path)
    try:
        yield
    finally:
        nb.configure(home=before)


@pytest.mark.slow
def test_only_replayed_what_is_not_given_up_again_is_not_recorded() -> None:
    @nb.job("patient")
    async def body(io: nb.AsyncIO) -> str:
        try:
            return await asyncio.wait_for(io.run_task("slow", slow), limit)
        except TimeoutError:
            return await fallback(io)

    limit = 0.03
    assert body.run().output == "fallback"
    limit = 60.0
    with pytest.raises(nb.NotRecordedError, match="gave it up"):
        body.run(replay="only")
    assert body.run().output == "answer"
    assert body.run(replay="only").output == "answer"


@pytest.mark.slow
def test_a_task_that_may_run_once_is_in_doubt_if_it_is_not_given_up_again() -> None:
    @nb.job("once")
    async def body(io: nb.AsyncIO) -> str:
        try:
            once = nb.TaskOptions(once=True)
            return await asyncio.wait_for(io.run_task("slow", slow, options=once), limit)
        except TimeoutError:
            return await fallback(io)

    limit = 0.03
    assert body.run().output == "fallback"
    limit = 60.0
    with pytest.raises(nb.InDoubtError):
        body.run()
    assert calls == ["slow", "fallback"]


@pytest.mark.usefixtures("patient")
def test_what_ended_the_run_by_its_giving_up_runs_again() -> None:
    @nb.job("deadline")
    async def body(io: nb.AsyncIO) -> str:
        return await asyncio.wait_for(io.run_task("slow", slow), 0.03)

    with pytest.raises(TimeoutError):
        body.run()
    began = time.monotonic()
    assert body.run().output == "answer"
    assert time.monotonic() - began < 10, "it does not wait to be given up again"


def test_an_error_made_of_the_giving_up_lets_it_run_again_too() -> None:
    @nb.job("deadline")
    async def body(io: nb.AsyncIO) -> str:
        try:
            return await asyncio.wait_for(io.run_task("slow", slow), 0.03)
        except TimeoutError:
            raise LookupError("no answer") from None

    with pytest.raises(LookupError):
        body.run()
    assert body.run().output == "answer"


def test_after_another_failure_what_was_given_up_before_stays_given_up() -> None:
    @nb.job("later")
    async def body(io: nb.AsyncIO) -> str:
        found = await by_wait_for(io, lambda: io.run_task("slow", slow))
        if broken:
            raise LookupError("something else")
        return found

    broken = True
    with pytest.raises(LookupError):
        body.run()
    broken = False
    assert body.run().output == "fallback"
    assert calls == ["slow", "fallback"]


def test_a_failure_of_the_body_right_after_the_giving_up_keeps_the_path() -> None:
    @nb.job("plain")
    async def body(io: nb.AsyncIO) -> str:
        found = "nothing"
        with contextlib.suppress(TimeoutError):
            found = await asyncio.wait_for(io.run_task("slow", slow), 0.03)
        if broken:
            raise LookupError("something else")
        return found

    broken = True
    with pytest.raises(LookupError):
        body.run()
    broken = False
    assert body.run().output == "nothing"
    assert calls == ["slow"]


@pytest.mark.usefixtures("patient")
def test_what_a_task_group_cancelled_runs_again_if_its_failure_ended_the_run() -> None:
    async def broken() -> str:
        await asyncio.sleep(0.02)
        if calls.count("slow") == 1:
            raise LookupError("broken")
        return "mended"

    @nb.job("group")
    async def body(io: nb.AsyncIO) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(io.run_task("slow", slow)),
                group.create_task(io.run_task("broken", broken)),
            ]
        return [task.result() for task in tasks]

    with pytest.raises(ExceptionGroup):
        body.run()
    calls.append("slow")
    began = time.monotonic()
    assert body.run().output == ["answer", "mended"]
    assert time.monotonic() - began < 10, "it does not wait to be given up again"


@pytest.mark.usefixtures("patient")
def test_what_was_stopped_or_cancelled_runs_again_at_once() -> None:
    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> str:
        asyncio.get_running_loop().call_later(0.03, lambda: None if calls[1:] else _cancel())
        return await asyncio.wait_for(io.run_task("slow", slow), 30)

    def _cancel() -> None:
        nb.last_run().cancel()

    with pytest.raises(nb.Cancelled):
        body.run()
    began = time.monotonic()
    assert body.run().output == "answer"
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("patient")
async def test_a_run_that_is_awaited_and_cancelled_runs_its_tasks_again() -> None:
    @nb.job("awaited")
    async def body(io: nb.AsyncIO) -> list[str]:
        return list(
            await asyncio.gather(io.run_task("slow", slow), io.run_task("quick", str, "quick"))
        )

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(body.arun(), 0.1)
    assert nb.last_run().status == "CANCELED"
    began = time.monotonic()
    assert (await body.arun()).output == ["answer", "quick"]
    assert time.monotonic() - began < 10


def test_a_task_may_give_up_its_subtask() -> None:
    async def parent() -> str:
        io: Any = nb.current_io()
        found = await by_wait_for(io, lambda: io.run_task("slow", slow))
        calls.append("parent")
        if calls.count("parent") == 1:
            nb.last_run().cancel()
            await asyncio.sleep(60)
        return found

    @nb.job("nested")
    async def body(io: nb.AsyncIO) -> str:
        return await io.run_task("parent", parent)

    with pytest.raises(nb.Cancelled):
        body.run()
    assert body.run().output == "fallback"
    assert calls == ["slow", "fallback", "parent", "parent"]


def test_a_parents_retry_runs_what_its_attempt_gave_up() -> None:
    async def parent() -> str:
        io: Any = nb.current_io()
        found = await by_wait_for(io, lambda: io.run_task("slow", slow))
        if found == "fallback":
            raise LookupError("not good enough")
        return found

    @nb.job("nested")
    async def body(io: nb.AsyncIO) -> str:
        policy = nb.Retry(2, min_delay=0)
        return await io.run_task("parent", parent, retry=policy)

    assert body.run().output == "answer"


def test_a_reset_task_runs_although_it_was_given_up() -> None:
    @nb.job("reset")
    async def body(io: nb.AsyncIO) -> str:
        return await by_wait_for(io, lambda: io.run_task("slow", slow))

    run = body.run()
    run.reset("slow")
    assert body.run().output == "answer"
    assert body.run(replay="only").output == "answer"


def test_a_set_task_is_answered_although_it_was_given_up() -> None:
    @nb.job("set")
    async def body(io: nb.AsyncIO) -> str:
        return await by_wait_for(io, lambda: io.run_task("slow", slow))

    run = body.run()
    run.set("slow", "by hand")
    assert body.run().output == "by hand"


def test_with_a_fake_clock_it_waits_in_real_time_to_be_given_up_again() -> None:
    @nb.job("fake")
    async def body(io: nb.AsyncIO) -> str:
        return await by_wait_for(io, lambda: io.run_task("slow", slow))

    with FakeClock() as clock:
        began = clock.now()
        assert body.run().output == "fallback"
        assert body.run(replay="only").output == "fallback"
        assert body.run().output == "fallback"
        assert clock.now() == began
    assert calls == ["slow", "fallback"]


def test_with_a_fake_clock_a_wait_gives_up_what_it_gave_up() -> None:
    @nb.job("fake")
    async def body(io: nb.AsyncIO) -> str:
        task = asyncio.ensure_future(io.run_task("slow", slow))
        await io.wait("an hour", 3600)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await task
        return await fallback(io)

    with FakeClock():
        assert body.run().output == "fallback"
        assert body.run(replay="only").output == "fallback"
        assert body.run().output == "fallback"
    assert calls == ["slow", "fallback"]


@pytest.mark.slow
@pytest.mark.usefixtures("_ended_threads")
def test_what_a_blocking_body_leaves_in_a_thread_it_gave_up() -> None:
    @nb.job("threads")
    def body(io: nb.SyncIO) -> str:
        pool = ThreadPoolExecutor(1)
        future = pool.submit(io.run_task, "slow", _sleep)
        try:
            return str(future.result(timeout=0.1))
        except TimeoutError:
            return str(io.run_task("fallback", str, "fallback"))
        finally:
            pool.shutdown(wait=False)

    assert body.run().output == "fallback"
    assert body.run(replay="only").output == "fallback"
    assert body.run().output == "fallback"
    assert calls == ["slow"]

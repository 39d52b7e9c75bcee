"""Runs that are suspended instead of waiting, and go on when they are due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal

HOUR = 3600


@pytest.fixture
def fake() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def calls() -> list[Any]:
    return []


def statuses(run: nb.Run) -> dict[str, str]:
    return dict(run.tasks()[["path", "status"]].to_numpy().tolist())


def until_it_ends(job: nb.Job, clock: FakeClock, **how: Any) -> tuple[nb.Run, list[float]]:
    """Executes a job whenever it is due; gives the run, and how long it waited each time."""
    waited: list[float] = []
    while (run := job.run(**how)).status == "WAITING":
        (due,) = nb.runs().query("status == 'WAITING'").run_id
        assert due == run.id
        resume_at = nb.sql("select resume_at from due").resume_at.item()
        waited.append((resume_at.to_pydatetime() - clock.now()).total_seconds())
        clock.advance(waited[-1])
        assert nb.due().run_id.tolist() == [run.id]
    return run, waited


# -- suspend_after --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wait_that_is_too_long_suspends_the_run(fake: FakeClock, calls: list[str]) -> None:
    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.run_task("before", lambda: calls.append("before"))
        io.wait("an hour", HOUR)
        io.run_task("after", lambda: calls.append("after"))
        return "done"

    began = fake.now()
    run = body.run(suspend_after=60)

    assert fake.now() == began, "it did not wait"
    assert (run.status, run.output, run.error) == ("WAITING", None, None)
    assert statuses(run) == {"before": "COMPLETED", "an hour": "WAITING"}
    assert run.finished_at is None
    assert nb.due().empty, "it is not due yet"
    assert nb.sql("select job, path, resume_at from due").to_numpy().tolist() == [
        ["patient", "an hour", began + timedelta(seconds=HOUR)]
    ]

    fake.advance(HOUR - 100)
    assert body.run(suspend_after=60).status == "WAITING", "it waits still"
    fake.advance(50)
    assert body.run(suspend_after=60).output == "done", "what is left is short"
    assert (fake.now() - began).total_seconds() == HOUR
    assert calls == ["before", "after"]
    assert nb.sql("select * from due").empty


def test_a_short_wait_is_waited(fake: FakeClock) -> None:
    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("a minute", 60)
        return "done"

    assert body.run(suspend_after=timedelta(minutes=1)).output == "done"


def test_without_suspend_after_it_waits_as_long_as_it_takes(fake: FakeClock) -> None:
    @nb.job("patient")
    async def body(io: nb.AsyncIO) -> str:
        await io.wait("a year", 365 * 24 * HOUR)
        return "done"

    assert body.run().output == "done"


def test_a_body_that_awaits_is_suspended_when_nothing_of_it_goes_on(
    fake: FakeClock, calls: list[int]
) -> None:
    async def step(n: int) -> int:
        calls.append(n)
        await asyncio.sleep(0.01)
        return n

    async def several() -> list[int]:
        io = nb.current_io()
        assert isinstance(io, nb.AsyncIO)
        return [await io.run_task(["step", n], step, n) for n in range(5)]

    @nb.job("side by side")
    async def body(io: nb.AsyncIO) -> list[int]:
        _, numbers = await asyncio.gather(io.wait("an hour", HOUR), io.run_task("several", several))
        return numbers

    run = body.run(suspend_after=60)

    assert run.status == "WAITING"
    assert statuses(run)["several"] == "COMPLETED", "it was let come to its end"
    assert body.run().output == list(range(5))
    assert calls == list(range(5))


@pytest.mark.slow
def test_plain_functions_side_by_side_come_to_their_end_first(calls: list[str]) -> None:
    def slow() -> str:
        time.sleep(0.3)
        calls.append("slow")
        return "slow"

    @nb.job("threads")
    async def body(io: nb.AsyncIO) -> str:
        _, value = await asyncio.gather(io.wait("an hour", HOUR), io.run_task("slow", slow))
        return value

    run = body.run(suspend_after=60)

    assert run.status == "WAITING"
    assert statuses(run) == {"an hour": "WAITING", "slow": "COMPLETED"}


@pytest.mark.slow
def test_gathered_waits_resume_with_the_first_and_keep_their_order(
    fake: FakeClock, calls: list[str]
) -> None:
    async def patient(name: str, seconds: int) -> str:
        io = nb.current_io()
        assert isinstance(io, nb.AsyncIO)
        await io.wait("wait", seconds)
        calls.append(name)
        return name

    @nb.job("waits")
    async def body(io: nb.AsyncIO) -> list[str]:
        names = {"a": 100, "b": 300, "c": 200}
        return await asyncio.gather(
            *(io.run_task(name, patient, name, seconds) for name, seconds in names.items())
        )

    run, waited = until_it_ends(body, fake, suspend_after=10)

    assert run.output == ["a", "b", "c"]
    assert calls == ["a", "c", "b"]
    assert waited == pytest.approx([100, 100, 100], abs=0.1)


@pytest.mark.slow
def test_a_task_that_waits_inside_waits_with_it_and_is_called_again(
    fake: FakeClock, calls: list[str]
) -> None:
    def parent() -> str:
        calls.append("parent")
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        io.run_task("first", lambda: calls.append("first"))
        io.wait("an hour", HOUR)
        return "done"

    @nb.job("nested")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("parent", parent, retry=1)

    run = body.run(suspend_after=0)

    assert statuses(run) == {
        "parent": "WAITING", "parent/first": "COMPLETED", "parent/an hour": "WAITING",
    }  # fmt: skip
    assert nb.attempts().query("path == 'parent'").status.tolist() == ["CANCELED"]

    fake.advance(HOUR)
    assert body.run().output == "done"
    assert calls == ["parent", "first", "parent"]
    assert nb.attempts().query("path == 'parent'").status.tolist() == ["CANCELED", "COMPLETED"]


@pytest.mark.slow
def test_a_back_off_that_is_too_long_suspends_the_run_and_counts_on(
    fake: FakeClock, calls: list[int]
) -> None:
    def flaky() -> str:
        calls.append(nb.current_task().attempt)
        if len(calls) < 3:
            raise OSError("down")
        return "up"

    retry = nb.Retry(3, factor=1, min_delay=HOUR, max_delay=HOUR, jitter=False)

    @nb.job("flaky")
    async def body(io: nb.AsyncIO) -> str:
        return await io.run_task("flaky", flaky, retry=retry)

    run, waited = until_it_ends(body, fake, suspend_after=60)

    assert run.output == "up"
    assert (waited, calls) == ([HOUR, HOUR], [1, 2, 3])
    assert nb.attempts().status.tolist() == ["FAILED", "FAILED", "COMPLETED"]


@pytest.mark.slow
@pytest.mark.parametrize("awaits", [True, False], ids=["async", "sync"])
def test_items_of_a_map_that_wait_suspend_the_run(
    fake: FakeClock, calls: list[int], awaits: bool
) -> None:
    def item(n: int) -> int:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        io.wait("wait", HOUR)
        calls.append(n)
        return n * n

    async def async_item(n: int) -> int:
        io = nb.current_io()
        assert isinstance(io, nb.AsyncIO)
        await io.wait("wait", HOUR)
        calls.append(n)
        return n * n

    @nb.job("map")
    def sync_body(io: nb.SyncIO) -> list[int]:
        return io.map("square", item, range(4), concurrency=2)

    @nb.job("map")
    async def async_body(io: nb.AsyncIO) -> list[int]:
        return await io.map("square", async_item, range(4), concurrency=2)

    run, waited = until_it_ends(async_body if awaits else sync_body, fake, suspend_after=60)

    assert run.output == [0, 1, 4, 9]
    assert sorted(calls) == [0, 1, 2, 3]
    assert len(waited) == 2, "two at a time"


@pytest.mark.slow
def test_items_of_a_map_in_back_off_suspend_the_run(fake: FakeClock, calls: list[int]) -> None:
    def item(n: int) -> int:
        calls.append(n)
        if calls.count(n) == 1:
            raise OSError("down")
        return n

    retry = nb.Retry(2, min_delay=HOUR, max_delay=HOUR, jitter=False)

    @nb.job("map")
    def body(io: nb.SyncIO) -> list[int]:
        return io.map("item", nb.task(retry=retry)(item), range(3), concurrency=3)

    run, waited = until_it_ends(body, fake, suspend_after=60)

    assert run.output == [0, 1, 2]
    assert sorted(calls) == [0, 0, 1, 1, 2, 2]
    assert waited == [HOUR]


def test_a_task_that_runs_once_is_not_left_while_it_waits(
    fake: FakeClock, calls: list[str]
) -> None:
    def pay() -> str:
        calls.append("pay")
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        io.wait("clearing", HOUR)
        return "paid"

    @nb.job("payment")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, options=nb.TaskOptions(once=True))

    assert body.run(suspend_after=60, max_time=10).output == "paid"
    assert calls == ["pay"]


@pytest.mark.slow
def test_tasks_of_a_task_group_are_suspended_without_a_group_of_errors(fake: FakeClock) -> None:
    @nb.job("group")
    async def body(io: nb.AsyncIO) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(io.wait("one", HOUR))
            group.create_task(io.wait("two", 2 * HOUR))
        return "done"

    run, waited = until_it_ends(body, fake, suspend_after=60)

    assert run.output == "done"
    assert waited == [HOUR, HOUR]


@pytest.mark.slow
def test_a_suspended_run_can_be_cancelled_and_waits_what_is_left_of_it(fake: FakeClock) -> None:
    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("an hour", HOUR)
        return "done"

    began = fake.now()
    run = body.run(suspend_after=60)
    run.cancel()

    assert (run.status, statuses(run)) == ("CANCELED", {"an hour": "CANCELED"})
    assert nb.sql("select * from due").empty
    assert body.run().output == "done"
    assert (fake.now() - began).total_seconds() == HOUR


def test_a_suspended_task_can_be_reset(fake: FakeClock, calls: list[int]) -> None:
    def parent() -> None:
        calls.append(1)
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        io.wait("an hour", HOUR)

    @nb.job("nested")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent)

    run = body.run(suspend_after=60)
    run.reset("parent")
    began = fake.now()
    body.run()

    assert (fake.now() - began).total_seconds() == HOUR
    assert nb.attempts().query("path == 'parent'").status.tolist() == ["CANCELED", "COMPLETED"]


def test_hooks_do_not_hear_of_a_suspended_run(fake: FakeClock, calls: list[str]) -> None:
    def hear(run: nb.Run) -> None:
        calls.append(run.status)

    @nb.job("patient", on_success=hear, on_failure=hear, on_cancel=hear)
    def body(io: nb.SyncIO) -> None:
        io.wait("an hour", HOUR)

    body.run(suspend_after=60)
    assert calls == []
    body.run()
    assert calls == ["COMPLETED"]


# -- max_time -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_when_the_time_is_over_no_further_task_starts(fake: FakeClock, calls: list[int]) -> None:
    def step(n: int) -> int:
        calls.append(n)
        fake.advance(40)
        return n

    @nb.job("long")
    def body(io: nb.SyncIO) -> int:
        return sum(io.run_task(["step", n], step, n) for n in range(5))

    run = body.run(max_time=60)

    assert run.status == "WAITING"
    assert calls == [0, 1]
    assert nb.due().run_id.tolist() == [run.id], "it can go on at once"
    assert len(run.tasks()) == 2, "what did not start is not there"

    run, _ = until_it_ends(body, fake, max_time=60)
    assert run.output == 10
    assert calls == [0, 1, 2, 3, 4]
    assert run.executions == 3


@pytest.mark.slow
def test_each_execution_comes_to_something_new_however_short_it_is(
    fake: FakeClock, calls: list[int]
) -> None:
    def step(n: int) -> int:
        calls.append(n)
        fake.advance(1)
        return n

    def parent(first: int) -> int:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        fake.advance(1)
        return sum(io.run_task(["step", n], step, n) for n in (first, first + 1))

    @nb.job("hurried")
    def body(io: nb.SyncIO) -> int:
        return sum(io.run_task(["parent", n], parent, n) for n in (0, 2))

    run, _ = until_it_ends(body, fake, max_time=0)

    assert run.output == 6
    assert calls == [0, 1, 2, 3]


@pytest.mark.slow
def test_tasks_that_are_under_way_end_before_the_run_is_suspended(calls: list[str]) -> None:
    def slow(name: str) -> str:
        time.sleep(0.4)
        calls.append(name)
        return name

    async def two(name: str) -> list[str]:
        io = nb.current_io()
        assert isinstance(io, nb.AsyncIO)
        return [await io.run_task(f"{name}{n}", slow, f"{name}{n}") for n in (1, 2)]

    @nb.job("hurried")
    async def body(io: nb.AsyncIO) -> list[list[str]]:
        await io.run_task("quick", len, "a")
        return await asyncio.gather(*(io.run_task(name, two, name) for name in "ab"))

    run = body.run(max_time=0.2)

    assert run.status == "WAITING"
    assert sorted(calls) == ["a1", "b1"]
    assert statuses(run) == {
        "quick": "COMPLETED",
        "a": "WAITING", "a/a1": "COMPLETED", "b": "WAITING", "b/b1": "COMPLETED",
    }  # fmt: skip

    assert body.run().output == [["a1", "a2"], ["b1", "b2"]]
    assert sorted(calls) == ["a1", "a2", "b1", "b2"]


def test_a_wait_beyond_the_end_suspends_the_run_at_once(fake: FakeClock) -> None:
    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("an hour", HOUR)
        return "done"

    began = fake.now()
    assert body.run(max_time=60).status == "WAITING"
    assert fake.now() == began


def test_a_replay_takes_no_time_that_counts(fake: FakeClock) -> None:
    @nb.job("replayed")
    def body(io: nb.SyncIO) -> int:
        fake.advance(100)
        return io.run_task("one", len, "a")

    body.run()

    assert body.run(max_time=1).status == "COMPLETED"


# -- yield_ ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_yield_ends_the_execution_once(fake: FakeClock, calls: list[str]) -> None:
    @nb.job("yielding")
    def body(io: nb.SyncIO) -> str:
        io.run_task("before", lambda: calls.append("before"))
        io.yield_("here")
        io.run_task("after", lambda: calls.append("after"))
        return "done"

    run = body.run()
    assert (run.status, calls) == ("WAITING", ["before"])
    assert nb.due().resume_at.tolist() == [fake.now()]
    assert body.run().output == "done"
    assert calls == ["before", "after"]
    assert statuses(run) == dict.fromkeys(["before", "here", "after"], "COMPLETED")


@pytest.mark.slow
def test_a_yield_lets_what_runs_beside_it_end(calls: list[str]) -> None:
    def slow() -> None:
        time.sleep(0.3)
        calls.append("slow")

    @nb.job("yielding")
    async def body(io: nb.AsyncIO) -> str:
        await asyncio.gather(io.run_task("slow", slow), io.yield_("here"))
        return "done"

    assert body.run().status == "WAITING"
    assert calls == ["slow"]
    assert body.run().output == "done"


def test_a_run_may_yield_as_often_as_it_likes(fake: FakeClock) -> None:
    """Its model, Trigger.dev, gave up at the 101st time."""

    @nb.job("yielding")
    def body(io: nb.SyncIO) -> int:
        for _ in range(102):
            io.yield_(nb.numbered("again"))
        return 102

    with use_journal(MemoryJournal()):
        while (run := body.run()).status == "WAITING":
            pass
        assert (run.output, run.executions) == (102, 103)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, "soon", True, float("nan")])
@pytest.mark.parametrize("option", ["max_time", "suspend_after"])
def test_what_is_no_duration_is_refused_before_anything_runs(option: str, value: Any) -> None:
    @nb.job("refused")
    def body(io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidOptionError, match=f"{option} is a time from 0 on"):
        body.run(**{option: value})
    assert nb.runs().empty


def test_except_exception_lets_a_suspension_pass(fake: FakeClock) -> None:
    @nb.job("careful")
    def body(io: nb.SyncIO) -> str:
        try:
            io.wait("an hour", HOUR)
        except Exception:  # noqa: BLE001 - as careless users write
            return "swallowed"
        return "done"

    assert body.run(suspend_after=60).status == "WAITING"
    assert body.run().output == "done"


def test_a_body_that_swallows_its_suspension_ends_at_its_next_io_call(fake: FakeClock) -> None:
    @nb.job("stubborn")
    def body(io: nb.SyncIO) -> str:
        try:
            io.wait("an hour", HOUR)
        except BaseException:  # noqa: BLE001 - as careless users write
            io.run_task("never", len, "a")
        return "done"

    run = body.run(suspend_after=60)

    assert run.status == "WAITING"
    assert statuses(run) == {"an hour": "WAITING"}


async def test_a_suspended_run_is_returned_to_who_awaits_it(fake: FakeClock) -> None:
    @nb.job("patient")
    async def body(io: nb.AsyncIO) -> str:
        await io.wait("an hour", HOUR)
        return "done"

    run = await body.arun(suspend_after=60)
    task = asyncio.current_task()

    assert run.status == "WAITING"
    assert task is not None
    assert task.cancelling() == 0
    assert (await body.arun()).output == "done"

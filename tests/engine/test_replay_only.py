"""`replay="only"`: tasks answer from what is recorded, none runs, and nothing is written.

That every scenario comes to the same by it is in scenarios/test_scenarios.py.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal
from tests.thorough import variants

calls: list[Any] = []
ONLY: Literal["only"] = "only"


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture(params=variants("in a home", "in memory"), autouse=True)
def _journal(request: pytest.FixtureRequest) -> Any:
    if request.param == "in a home":
        yield
    else:
        with use_journal(MemoryJournal()):
            yield


def note(value: Any) -> Any:
    calls.append(value)
    return value


def recorded() -> list[Any]:
    """All that is recorded of runs and tasks, and what people see of it."""
    runs = runtime.journal.runs()
    frames = nb.runs(), nb.tasks(), nb.attempts(), nb.logs(), nb.sql("from edits")
    return [runs, [runtime.journal.tasks(run.run_id) for run in runs], [str(f) for f in frames]]


@nb.job("three")
def three(payload: int, io: nb.SyncIO) -> list[Any]:
    io.logger.info("begun", execution=len(calls))
    return [io.run_task(key, note, key) for key in "abc"[:payload]]


# -- what is recorded -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_completed_run_stays_as_it_is() -> None:
    run = three.run(3)
    before = recorded()
    calls.clear()

    again = three.run(3, replay="only")

    assert (again.id, again.status, again.output) == (run.id, "COMPLETED", ["a", "b", "c"])
    assert (again.executions, again.finished_at) == (1, run.finished_at)
    assert again.tasks().reused.tolist() == [False] * 3
    assert calls == []
    assert recorded() == before


async def test_it_may_be_awaited() -> None:
    @nb.job("awaited")
    async def body(io: nb.AsyncIO) -> Any:
        return await io.run_task("a", note, 1)

    await body.arun()
    assert (await body.arun(replay="only")).output == 1
    assert (await three.arun(0)).output == (await three.arun(0, replay="only")).output == []
    assert calls == [1]


@pytest.mark.slow
def test_the_output_is_what_the_body_returns_now() -> None:
    run = three.run(2)

    @nb.job("three")
    def edited(payload: int, io: nb.SyncIO) -> Any:
        return "".join(io.run_task(key, note, key) for key in "ab"), "x" * 2_000_000

    again = edited.run(2, replay="only")

    assert again.output == ("ab", "x" * 2_000_000)
    assert run.output == ["a", "b"]
    again.reset("a")  # what a person asks for is written, whichever of the two it is asked of
    assert again.output == run.output == ["a", "b"]
    assert run.tasks().status.tolist() == ["CANCELED", "COMPLETED"]


@pytest.mark.slow
def test_a_failed_run_whose_body_was_mended_stays_failed_as_recorded() -> None:
    def body(io: nb.SyncIO) -> int:
        io.run_task("a", note, 1)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        nb.job("mended")(body).run()
    mended = nb.job("mended")(lambda io: io.run_task("a", note, 1))
    before = recorded()

    run = mended.run(replay="only")

    assert (run.status, run.output, run.error) == ("COMPLETED", 1, None)
    assert (nb.get_run(run.id).status, nb.get_run(run.id).output) == ("FAILED", None)
    assert recorded() == before
    assert calls == [1]


def test_what_a_skipped_and_a_set_task_have_is_recorded_too() -> None:
    run = three.run(2)
    run.skip("a")
    run.set("b", 7)
    calls.clear()

    assert three.run(2, replay="only").output == [None, 7]
    assert calls == []


def test_an_output_counts_beyond_its_time() -> None:
    @nb.job("passing")
    def body(io: nb.SyncIO) -> Any:
        return io.run_task("a", note, 1, options=nb.TaskOptions(ttl=60))

    with FakeClock() as clock:
        body.run()
        clock.advance(3600)
        assert body.run(replay="only").output == 1
    assert calls == [1]


def test_a_map_answers_with_all_its_items() -> None:
    @nb.job("mapped")
    def body(io: nb.SyncIO) -> Any:
        return io.map("m", note, [1, 2, 3])

    body.run()
    calls.clear()
    assert body.run(replay="only").output == [1, 2, 3]
    assert calls == []


# -- what is not ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_where_there_is_no_run_none_is_made() -> None:
    with pytest.raises(nb.NotRecordedError, match=r"version 0\.0\.1, has no run with the key"):
        three.run(3, replay="only")
    assert calls == []
    assert not nb.config.home.exists()

    run = three.run(3)
    for other in ({"payload": 2}, {"payload": 3, "key": "mine"}):
        with pytest.raises(nb.NotRecordedError, match=r"nb\.runs"):
            three.run(**other, replay="only")
    assert nb.runs().index.size == 1
    assert nb.last_run().id == run.id


@pytest.mark.slow
def test_a_task_that_was_never_recorded_does_not_run() -> None:
    three.run(2, key="k")
    before = recorded()
    calls.clear()

    with pytest.raises(nb.NotRecordedError) as raised:
        three.run(3, key="k", replay="only")

    message = str(raised.value)
    assert "Task 'c'" in message
    assert nb.last_run().id in message
    assert "nothing is recorded for it" in message
    assert "Execute the cell or job without that" in message
    assert isinstance(raised.value, LookupError)
    assert calls == []
    assert recorded() == before


@pytest.mark.slow
def test_a_map_of_which_an_item_is_not_recorded_does_not_run() -> None:
    def broken(n: int) -> int:
        if n == 2:
            raise KeyboardInterrupt
        return int(note(n))

    @nb.job("mapped")
    def body(io: nb.SyncIO) -> Any:
        return io.map("m", broken, [1, 2, 3], options=nb.TaskOptions(inline=True))

    with pytest.raises(KeyboardInterrupt):
        body.run()
    before = recorded()

    with pytest.raises(nb.NotRecordedError, match=r"Task 'm'.*it was stopped"):
        body.run(replay="only")
    assert recorded() == before
    assert calls == [1]


def test_a_task_that_was_stopped_or_reset_does_not_run() -> None:
    run = three.run(2)
    run.reset("b")

    with pytest.raises(nb.NotRecordedError, match=r"Task 'b'.*it was stopped or reset"):
        three.run(2, replay="only")
    assert run.tasks().status.tolist() == ["COMPLETED", "CANCELED"]
    assert run.status == "COMPLETED"


@pytest.mark.slow
def test_a_task_in_doubt_has_no_outcome() -> None:
    def pay() -> None:
        raise KeyboardInterrupt

    @nb.job("paying")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=nb.TaskOptions(once=True))

    with pytest.raises(KeyboardInterrupt):
        body.run()
    before = recorded()
    with pytest.raises(nb.NotRecordedError, match="pay"):
        body.run(replay="only")
    assert recorded() == before


@pytest.mark.slow
def test_a_changed_task_that_would_run_again_does_not() -> None:
    def define(factor: int, on_change: Any) -> nb.Job:
        @nb.job("changing", on_change=on_change)
        def body(io: nb.SyncIO) -> int:
            return io.run_task("scale", lambda: int(note(factor)) * 2)

        return body

    define(1, "rerun").run()
    before = recorded()
    with pytest.raises(nb.NotRecordedError, match=r'changed since.*on_change="rerun"'):
        define(2, "rerun").run(replay="only")
    with pytest.raises(nb.StaleTaskError, match="factor is 2, was 1"):
        define(2, "error").run(replay="only")
    with pytest.warns(nb.StaleTaskWarning, match="scale"):
        assert define(2, "warn").run(replay="only").output == 2
    assert define(2, "ignore").run(replay="only").output == 2
    assert recorded() == before
    assert calls == [1]


# -- waits ----------------------------------------------------------------------------------------


class Stop(FakeClock):
    """Stops everything that begins to wait."""

    def sleep_until(self, due_us: int, told: object = None) -> None:
        raise KeyboardInterrupt


@nb.job("patient")
def patient(io: nb.SyncIO) -> str:
    io.wait("cool down", 60)
    return "cool"


@pytest.mark.slow
def test_a_wait_is_recorded_once_it_is_over() -> None:
    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        patient.run()
    before = recorded()
    with FakeClock(stopped.now()) as clock:
        with pytest.raises(nb.NotRecordedError, match=r"cool down.*it waits until 20"):
            patient.run(replay="only")
        assert clock.now() == stopped.now()
        clock.advance(61)
        assert patient.run(replay="only").output == "cool"
        assert recorded() == before
        patient.run()
        assert patient.run(replay="only").output == "cool"


def test_a_task_between_two_attempts_has_no_outcome() -> None:
    @nb.job("resting")
    def body(io: nb.SyncIO) -> Any:
        return io.run_task("parse", int, "x", retry=3)

    with Stop(), pytest.raises(KeyboardInterrupt):
        body.run()
    with pytest.raises(nb.NotRecordedError, match=r"parse.*it waits until"):
        body.run(replay="only")


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failure_is_raised_again_also_where_it_ended_the_run() -> None:
    def broken() -> None:
        calls.append("broken")
        raise ValueError("no")

    @nb.job("failing")
    def body(io: nb.SyncIO) -> Any:
        with contextlib.suppress(ValueError):
            io.run_task("caught", broken)
        return io.run_task("parent", lambda: io.run_task("child", broken))

    with pytest.raises(ValueError, match="no") as first:
        body.run()
    before = recorded()

    with pytest.raises(ValueError, match="no") as again:
        body.run(replay="only")

    assert calls == ["broken", "broken"]
    assert isinstance(again.value, nb.TaskFailed)
    assert str(again.value) == str(first.value)
    assert isinstance(again.value.__cause__, nb.TaskFailed)
    assert again.value.__cause__.path == "parent/child"
    assert recorded() == before  # in particular what is to run again, and what is not


def test_a_failed_map_says_what_came_of_its_items() -> None:
    @nb.job("mapped")
    def body(io: nb.SyncIO) -> Any:
        return io.map("m", int, ["1", "x", "3"], concurrency=1)

    for replay in (None, ONLY):
        with pytest.raises(nb.MapFailed) as raised:
            body.run(replay=replay)
        assert raised.value.succeeded == {0: 1}
        assert list(raised.value.failed) == [1]


# -- around it ------------------------------------------------------------------------------------


def test_no_hook_hears_of_it() -> None:
    heard: list[str] = []

    def hear(run: nb.Run) -> None:
        heard.append(run.status)

    @nb.job("heard", on_success=hear, on_failure=hear)
    def body(payload: int, io: nb.SyncIO) -> Any:
        return [io.run_task([n], note, n) for n in range(payload)]

    body.run(1, key="k")
    body.run(1, key="k", replay="only")
    with pytest.raises(nb.NotRecordedError):
        body.run(2, key="k", replay="only")
    assert heard == ["COMPLETED"]


def test_a_run_that_is_being_executed_is_not_replayed() -> None:
    @nb.job("busy", concurrency_limit=1)
    def body(io: nb.SyncIO) -> str:
        with pytest.raises(nb.RunBusyError, match="this very process") as raised:
            body.run(replay="only")
        return type(raised.value).__name__

    assert body.run().output == "RunBusyError"


def test_a_disabled_job_is_not_replayed() -> None:
    three.run(0)
    with pytest.raises(nb.NbtasksError, match="not enabled"):
        nb.job("three", enabled=False)(three.fn).run(0, replay="only")
    nb.job("three")(three.fn)


@pytest.mark.parametrize("replay", ["all", "", True, False, 1, "ONLY"], ids=repr)
async def test_replay_is_only_or_nothing(replay: Any) -> None:
    for call in (three.run, three.arun):
        with pytest.raises(nb.InvalidOptionError, match=r"three.*replay=.*it is \"only\", or None"):
            done = call(0, replay=replay)
            await done  # type: ignore[misc]  # of `arun` it is a coroutine
    assert not runtime.journal.runs()


def test_a_new_run_cannot_be_replayed() -> None:
    with pytest.raises(nb.InvalidOptionError, match="new=True"):
        three.run(0, replay="only", new=True)


def test_a_body_that_catches_every_error_does_not_hide_that_a_task_is_not_recorded():
    wanted = ["load"]

    @nb.job("greedy")
    def body(io: nb.SyncIO) -> int:
        for key in wanted:
            with contextlib.suppress(Exception):
                io.run_task(key, int)
        return len(wanted)

    body.run()
    wanted.append("new")

    with pytest.raises(nb.NotRecordedError, match="'new'"):
        body.run(replay="only")
    assert body.run().output == 2
    assert body.run(replay="only").output == 2

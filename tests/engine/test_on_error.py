"""`on_error`: its arguments, and the answers it may return."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.engine.failing import caught

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.mark.slow
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

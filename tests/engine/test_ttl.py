"""Outputs that count for a time."""

from __future__ import annotations

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


@pytest.mark.slow
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

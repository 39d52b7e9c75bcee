"""An execution of a run: what it does with what failed before, and its end."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


@pytest.mark.slow
def test_a_failed_task_runs_again_with_its_new_code_and_the_others_do_not() -> None:
    def attempt(function: Any) -> nb.Run:
        @nb.job("mended")
        def body(io: nb.SyncIO) -> Any:
            rows = io.run_task("load", note, [1, 2, 3])
            return io.run_task("fit", function, rows)

        return body.run()

    with pytest.raises(ZeroDivisionError):
        attempt(lambda rows: note(len(rows) // 0))
    failed = nb.last_run()
    assert failed.status == "FAILED"
    assert failed.error is not None
    assert (failed.error.type, failed.error.path) == ("ZeroDivisionError", "fit")

    run = attempt(lambda rows: note(sum(rows)))

    assert run.id == failed.id
    assert run.output == 6
    assert calls == [[1, 2, 3], 6]
    tasks = run.tasks().set_index("path")
    assert tasks.reused.to_dict() == {"load": True, "fit": False}
    assert tasks.attempts.to_dict() == {"load": 1, "fit": 2}
    assert nb.attempts(run).status.tolist() == ["COMPLETED", "FAILED", "COMPLETED"]


def test_a_fatal_failure_gets_a_fresh_retry_budget() -> None:
    seen: list[int] = []

    @nb.job("budget")
    def body(io: nb.SyncIO) -> None:
        def broken() -> None:
            seen.append(nb.current_task().attempt)
            raise OSError("down")

        io.run_task("call", broken, retry=nb.Retry(2, jitter=False))

    with FakeClock():
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                body.run()

    assert seen == [1, 2, 1, 2]
    assert nb.tasks().attempts.tolist() == [4]


async def test_a_call_after_the_end_of_its_execution_is_refused() -> None:
    kept: list[nb.AsyncIO] = []

    @nb.job("ended")
    async def body(io: nb.AsyncIO) -> None:
        kept.append(io)

    await body.arun()
    with pytest.raises(nb.RunEndedError, match="has ended"):
        await kept[0].run_task("late", note, 1)
    assert calls == []

"""io where it does not belong, and what is no function."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def test_outside_of_a_run_there_is_no_io_and_no_task() -> None:
    for call in (nb.current_io, nb.current_task):
        with pytest.raises(nb.NoRunError):
            call()


async def test_the_asynchronous_io_in_a_worker_thread_says_what_to_use() -> None:
    @nb.job("wrong face")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("in a thread", lambda: io.run_task("inner", note, 1))

    with pytest.raises(nb.WrongFaceError, match="current_io"):
        await body.arun()


def test_something_that_is_no_function_is_refused_with_what_to_write() -> None:
    @nb.job("no function")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", [1, 2])  # type: ignore[call-overload]  # wrong on purpose

    with pytest.raises(TypeError, match=r"io.run_task\(key, fn, \*args\)"):
        body.run()

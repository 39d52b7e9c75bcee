"""Io calls that were never awaited: nothing is silently left out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import nbtasks as nb

saved: list[Any] = []


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_others() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    gc.freeze()  # else each collection below would look at all that other tests have left
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _none_saved() -> Any:
    saved.clear()
    yield
    with warnings.catch_warnings():  # of a loop that another test has left to its thread
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # a coroutine that nobody has closed warns, and a warning fails the test


class Mailer:
    def send(self, text: str) -> str:
        return text


CALLS: dict[str, Callable[[nb.AsyncIO], Any]] = {
    "run_task": lambda io: io.run_task("save", saved.append, 1),
    "map": lambda io: io.map("save", saved.append, [1]),
    "wait": lambda io: io.wait("save", 0.01),
    "yield_": lambda io: io.yield_("save"),
    "random": lambda io: io.random("save"),
    "send_event": lambda io: io.send_event("save", "saved", 1),
    "wait_for_event": lambda io: io.wait_for_event("save", "saved"),
    "wait_for_request": lambda io: io.wait_for_request("save", saved.append),
    "background_fetch": lambda io: io.background_fetch("save", "http://127.0.0.1:9/"),
    "background_poll": lambda io: io.background_poll(
        "save", "http://127.0.0.1:9/", interval=1, timeout=1, until=bool
    ),
    "create_status": lambda io: io.create_status("save", "Saving"),
    "store": lambda io: io.store.run.set("save", "last", 1),
    "integration": lambda io: io.mailer.send("save", "text"),  # type: ignore[attr-defined]  # made by the job
}


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_was_never_awaited_fails_the_run(call: str) -> None:
    @nb.job("forgetful", integrations={"mailer": nb.integration(Mailer())})
    async def body(io: nb.AsyncIO) -> str:
        first = await io.run_task("load", str, "a")
        CALLS[call](io)
        return first

    with pytest.raises(
        nb.NotAwaitedError, match=r"task 'save' at .*test_not_awaited.py, line"
    ) as e:
        body.run()

    assert "io call was never awaited" in str(e.value)
    assert nb.last_run().status == "FAILED"
    assert nb.tasks().path.tolist() == ["load"]
    assert saved == []


def test_a_call_that_is_returned_put_in_a_list_or_gathered_too_late_is_named() -> None:
    kept: list[Any] = []

    @nb.job("returned")
    async def returned(io: nb.AsyncIO) -> Any:
        return io.run_task("save", saved.append, 1)

    @nb.job("listed")
    async def listed(io: nb.AsyncIO) -> int:
        kept.extend(io.run_task(["save", n], saved.append, n) for n in range(8))
        return len(kept)

    with pytest.raises(nb.NotAwaitedError, match="task 'save'"):
        returned.run()
    with pytest.raises(nb.NotAwaitedError, match=r"8 io calls were(.|\n)*and 3 more"):
        listed.run()
    with asyncio.Runner() as runner, pytest.raises(RuntimeError):
        runner.run(kept[0])
    assert saved == []


def test_an_asyncio_task_that_never_started_is_named() -> None:
    @nb.job("started")
    async def body(io: nb.AsyncIO) -> None:
        kept.append(asyncio.create_task(io.run_task("save", saved.append, 1)))

    kept: list[Any] = []
    with pytest.raises(nb.NotAwaitedError, match="task 'save'"):
        body.run()
    assert kept[0].cancelled()
    assert nb.tasks().empty


def test_a_task_that_forgets_its_subtask_fails() -> None:
    async def parent() -> str:
        io: Any = nb.current_io()
        if forgetful:
            CALLS["run_task"](io)
        else:
            await io.run_task("save", lambda: saved.append(1))
        return "done"

    @nb.job("nested")
    async def body(io: nb.AsyncIO) -> str:
        return await io.run_task("parent", parent, retry=3)

    forgetful = True
    with pytest.raises(nb.TaskFailed, match="task 'parent/save' at") as raised:
        body.run()
    assert raised.value.type == "NotAwaitedError"
    assert raised.value.attempts == 1

    forgetful = False
    assert body.run().output == "done"
    assert saved == [1]


def test_the_error_of_the_body_is_not_masked() -> None:
    @nb.job("broken")
    async def body(io: nb.AsyncIO) -> None:
        CALLS["run_task"](io)
        raise LookupError("the real one")

    with pytest.raises(LookupError, match="the real one"):
        body.run()


def test_calls_of_a_group_that_failed_before_their_start_are_not_reported() -> None:
    @nb.job("group")
    async def body(io: nb.AsyncIO) -> str:
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(io.run_task("save", saved.append, 1))
                raise LookupError("at once")
        task = asyncio.ensure_future(io.run_task("other", saved.append, 2))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        io.run_task("closed", saved.append, 3).close()
        return "done"

    assert body.run().output == "done"
    assert saved == []


def test_what_needs_no_await_is_not_reported() -> None:
    @nb.job("lines")
    async def body(io: nb.AsyncIO) -> str:
        io.logger.info("a line")
        return await io.run_task("one", str, "done")

    assert body.run().output == "done"
    assert body.run(replay="only").output == "done"


def test_a_cancel_goes_before_a_call_that_was_not_awaited() -> None:
    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        CALLS["run_task"](io)
        nb.last_run().cancel()

    with pytest.raises(nb.Cancelled):
        body.run()
    assert nb.last_run().status == "CANCELED"

"""io where it does not belong, and what is no function."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
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
    @nb.job("wrong form")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("in a thread", lambda: io.run_task("inner", note, 1))

    with pytest.raises(nb.WrongFaceError, match="current_io"):
        await body.arun()


@nb.job("child of the wrong form")
def child(io: nb.SyncIO) -> None: ...


class Client:
    def get(self) -> None: ...


CALLS: dict[str, Callable[[Any], object]] = {
    "io.run_task": lambda io: io.run_task("key", note, 1),
    "io.map": lambda io: io.map("key", note, [1]),
    "io.wait": lambda io: io.wait("key", 1),
    "io.yield_": lambda io: io.yield_("key"),
    "io.random": lambda io: io.random("key"),
    "io.now": lambda io: io.now("key"),
    "io.uuid": lambda io: io.uuid("key"),
    "io.create_status": lambda io: io.create_status("key", "Label"),
    "io.store.run.get": lambda io: io.store.run.get("key", "name"),
    "io.store.job.set": lambda io: io.store.job.set("key", "name", 1),
    "io.store.env.has": lambda io: io.store.env.has("key", "name"),
    "io.send_event": lambda io: io.send_event("key", "name"),
    "io.send_events": lambda io: io.send_events("key", [("name", 1)]),
    "io.get_event": lambda io: io.get_event("key", "id"),
    "io.cancel_event": lambda io: io.cancel_event("key", "id"),
    "io.wait_for_event": lambda io: io.wait_for_event("key", "name"),
    "io.wait_for_request": lambda io: io.wait_for_request("key", note),
    "io.ask": lambda io: io.ask("key", {"name": str}),
    "io.background_fetch": lambda io: io.background_fetch("key", "http://127.0.0.1:9/"),
    "io.background_poll": lambda io: io.background_poll("key", "http://127.0.0.1:9/"),
    "io.client.get": lambda io: io.client.get("key"),
    "job.invoke": lambda io: io._invoke(child, "key", None),
    "job.invoke_and_wait": lambda io: io._invoke_and_wait(child, "key", None, 1),
    "job.batch_invoke_and_wait": lambda io: io._batch_invoke(child, "key", [1], 1),
}


@pytest.mark.parametrize("name", CALLS)
async def test_where_no_loop_runs_each_call_is_refused_by_its_name_at_once(name: str) -> None:
    """The call raises when it is made: nobody could await its result."""

    @nb.job("wrong form", integrations={"client": nb.integration(Client())})
    async def body(io: nb.AsyncIO) -> None:
        def in_a_thread() -> None:
            try:
                CALLS[name](io)
            except nb.WrongFaceError as error:
                note(str(error))

        await io.run_task("in a thread", in_a_thread)

    run = await body.arun()

    assert calls[0].startswith(f"{name} of an asynchronous run was called where no event loop runs")
    assert run.tasks().path.tolist() == ["in a thread"]


async def test_a_status_that_is_updated_where_no_loop_runs_is_refused_too() -> None:
    @nb.job("wrong form")
    async def body(io: nb.AsyncIO) -> None:
        status = await io.create_status("import", "Importing")
        await io.run_task("in a thread", lambda: status.update("done", state="success"))

    with pytest.raises(nb.WrongFaceError, match=r"status\.update of an asynchronous run"):
        await body.arun()


def test_something_that_is_no_function_is_refused_with_what_to_write() -> None:
    @nb.job("no function")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", [1, 2])  # type: ignore[call-overload]  # wrong on purpose

    with pytest.raises(TypeError, match=r"io.run_task\(key, fn, \*args\)"):
        body.run()


def test_a_thread_that_outlives_its_run_is_told_so_by_current_io():
    ended, errors = threading.Event(), []

    def look() -> None:
        ended.wait(10)
        try:
            nb.current_io()
        except nb.RunEndedError as error:
            errors.append(str(error))

    @nb.job("outlived")
    def body(io: nb.SyncIO) -> None:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(look,))
        thread.start()
        threads.append(thread)

    threads: list[threading.Thread] = []
    run = body.run()
    ended.set()
    threads[0].join(10)

    (error,) = errors
    assert run.id in error
    assert "Wait for threads" in error

"""io where it does not belong, what is no function, and keyword arguments of functions."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


# -- keyword arguments ----------------------------------------------------------------------------


def loaded(path: str, columns: list[str] | None = None, *, limit: int = 10) -> list[Any]:
    return [path, columns, limit]


def with_token(user: str, token: str = "", **more: Any) -> str:
    print(f"{user} logs in with {token}")
    return user


async def loaded_async(path: str, limit: int = 10) -> list[Any]:
    return [path, limit]


def run_keywords(
    fn: Any, *args: Any, asynchronous: bool = False, new: bool = False, **kwargs: Any
) -> nb.Run:
    """Run a job that is this call; with `new`, in a run of its own."""

    def blocking(io: nb.SyncIO) -> Any:
        return io.run_task("t", fn, *args, **kwargs)

    async def awaiting(io: nb.AsyncIO) -> Any:
        return await io.run_task("t", fn, *args, **kwargs)

    return nb.job("keywords")(awaiting if asynchronous else blocking).run(new=new)


@pytest.mark.slow
@pytest.mark.parametrize("asynchronous", [False, True])
def test_keyword_arguments_reach_the_function_and_are_shown(asynchronous: bool) -> None:
    how = {"asynchronous": asynchronous}

    run = run_keywords(loaded, "a", columns=["x"], limit=3, retry=2, **how)

    assert run.output == ["a", ["x"], 3]
    assert run.tasks().params.tolist() == ['{"path":"a","columns":["x"],"limit":3}']
    again = run_keywords(loaded, "a", limit=3, columns=["x"], retry=2, **how)
    assert again.tasks().reused.tolist() == [True]
    assert again.tasks().stale.tolist() == [False]


def test_keyword_arguments_reach_an_async_function_of_either_body() -> None:
    assert run_keywords(loaded_async, "a", limit=3).output == ["a", 3]
    assert run_keywords(loaded_async, path="a", limit=3, asynchronous=True).output == ["a", 3]


@pytest.mark.parametrize("named", [{"key": len}, {"fn": 1}, {"self": 1}, {"args": 1}])
def test_names_of_what_stands_in_its_place_are_keywords_of_the_function(
    named: dict[str, Any],
) -> None:
    @nb.job("blocking")
    def blocking(io: nb.SyncIO) -> Any:
        return io.run_task("t", lambda **given: [*given], **named)

    @nb.job("awaiting")
    async def awaiting(io: nb.AsyncIO) -> Any:
        return await io.run_task("t", lambda **given: [*given], **named)

    for _ in range(2):  # the second one is answered from the journal
        assert blocking.run().output == awaiting.run().output == [*named]


def test_a_key_function_is_given_to_max() -> None:
    @nb.job("top")
    def top(io: nb.SyncIO) -> str:
        return io.run_task("top", max, ["a", "bb"], key=len)

    assert top.run().output == "bb"


@pytest.mark.slow
def test_an_argument_by_keyword_is_the_same_input_as_by_position() -> None:
    run_keywords(loaded, "a", ["x"])

    for call in ({"path": "a", "columns": ["x"]}, {"columns": ["x"], "path": "a", "limit": 10}):
        assert not run_keywords(loaded, **call).tasks().stale.any()


def test_a_changed_keyword_argument_is_told_by_its_name() -> None:
    run_keywords(loaded, "a", limit=3)

    with pytest.warns(nb.StaleTaskWarning, match="t: limit is 4, was 3"):
        run_keywords(loaded, "a", limit=4)
    options = nb.TaskOptions(on_change="rerun")
    assert run_keywords(loaded, "a", limit=4, options=options).output == ["a", None, 4]


def test_a_dict_as_the_last_argument_is_not_taken_for_keywords() -> None:
    def f(*args: Any, **kwargs: Any) -> list[Any]:
        return [args, kwargs]

    run_keywords(f, {"a": 1})

    with pytest.warns(nb.StaleTaskWarning, match="arguments changed"):
        run_keywords(f, a=1)


def test_a_keyword_argument_that_is_changed_in_place_is_told() -> None:
    def grow(rows: list[int], *, more: list[int]) -> int:
        more.append(1)
        return len(rows)

    with pytest.warns(nb.ChangedArgumentWarning, match="it changed argument more in place"):
        run_keywords(grow, [1], more=[])


@pytest.mark.slow
def test_keyword_arguments_that_are_secret_are_hidden() -> None:
    run = run_keywords(with_token, "ada", token="4711-0815", options=nb.TaskOptions(redact=["pin"]))
    assert run.tasks().params.tolist() == ['{"user":"ada","token":"[REDACTED]"}']
    assert run.logs().message.tolist() == ["ada logs in with [REDACTED]"]

    hidden = nb.TaskOptions(redact=["pin", "card.number"])
    card = {"number": 5, "year": 6}
    run = run_keywords(with_token, "bob", pin="1234", card=card, options=hidden, new=True)
    (params,) = run.tasks().params
    assert '"pin":"[REDACTED]"' in params
    assert '"number":"[REDACTED]","year":6' in params


@pytest.mark.slow
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_keyword_of_option_and_parameter_is_refused_with_both_ways_out(
    asynchronous: bool,
) -> None:
    def fetch(url: str, timeout: int = 10, name: str = "") -> int:
        return timeout

    with pytest.raises(nb.InvalidOptionError) as caught:
        run_keywords(fetch, "u", timeout=5, asynchronous=asynchronous)

    assert "functools.partial(fetch, timeout=...)" in str(caught.value)
    assert "options=nb.TaskOptions(timeout=...)" in str(caught.value)
    assert nb.last_run().tasks().empty
    partial = functools.partial(fetch, timeout=7)
    options = nb.TaskOptions(timeout=30, name="Shown")
    run = run_keywords(partial, "u", options=options, asynchronous=asynchronous)
    assert run.output == 7
    assert run.tasks().name.tolist() == ["Shown"]
    # by position it is given to the function, so the option is no riddle
    assert run_keywords(fetch, "u", 8, timeout=30, new=True).output == 8


@pytest.mark.parametrize(
    ("fn", "call", "message"),
    [
        (loaded, {"column": []}, "no option column=, and loaded has no parameter .*Is it columns="),
        (loaded, {"retries": 3}, "Is it retry="),
        (loaded, {"inlined": True}, r"Is it options=nb.TaskOptions\(inline=\.\.\.\)"),
        (loaded, {"zzz": 1}, "Its parameters are: path, columns, limit"),
        (loaded, {"path": "b"}, "cannot call the function: multiple values for argument 'path'"),
        (int, {"retries": 3}, r"Is it retry=.*functools.partial\(int, retries=3\)"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_keyword_that_nobody_takes_is_refused_before_work(
    fn: Any, call: dict[str, Any], message: str, asynchronous: bool
) -> None:
    with pytest.raises(TypeError, match=message):
        run_keywords(fn, "a", asynchronous=asynchronous, **call)

    assert nb.last_run().tasks().empty


@pytest.mark.slow
def test_io_among_keyword_arguments_belongs_to_the_task() -> None:
    def inner(*, io: nb.SyncIO, n: int) -> int:
        return io.run_task("below", abs, -n)

    def body(io: nb.SyncIO) -> int:
        return io.run_task("above", inner, io=io, n=3)

    run = nb.job("keywords")(body).run()

    assert run.tasks().path.tolist() == ["above", "above/below"]
    assert not nb.job("keywords")(body).run().tasks().stale.any()


def test_keyword_arguments_go_to_an_executor() -> None:
    with ThreadPoolExecutor(1) as pool:
        options = nb.TaskOptions(on=pool)
        assert run_keywords(loaded, "a", limit=3, options=options).output == ["a", None, 3]

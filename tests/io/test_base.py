"""The task that an io call belongs to, in whatever thread it is made."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import multiprocessing.pool
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import nbtasks as nb

Call = Callable[[str], Any]


def in_executor(call: Call, names: Iterable[str]) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(call, names))


def in_pool(call: Call, names: Iterable[str]) -> list[Any]:
    with multiprocessing.pool.ThreadPool(2) as pool:
        return pool.map(call, names)


def in_threads(call: Call, names: Iterable[str]) -> list[Any]:
    results: dict[str, Any] = {}

    def work(name: str) -> None:
        results[name] = call(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(results.values())


def in_a_loops_executor(call: Call, names: Iterable[str]) -> list[Any]:
    async def gather() -> list[Any]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(None, call, name) for name in names))

    with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run would leave its loop open
        return runner.run(gather())


def in_threads_of_a_loop(call: Call, names: Iterable[str]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(call, name) for name in names))

    with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run would leave its loop open
        return runner.run(gather())


def in_a_timer(call: Call, names: Iterable[str]) -> list[Any]:
    results: list[Any] = []
    timer = threading.Timer(0, lambda: results.extend(map(call, names)))
    timer.start()
    timer.join()
    return results


def in_nested_threads(call: Call, names: Iterable[str]) -> list[Any]:
    return in_threads(lambda name: in_executor(call, [name])[0], names)


def in_joblib(call: Call, names: Iterable[str]) -> list[Any]:
    import joblib

    with joblib.Parallel(n_jobs=2, backend="threading", prefer="threads") as parallel:
        return list(parallel(joblib.delayed(call)(name) for name in names))


WAYS = pytest.mark.parametrize(
    "spread",
    [
        in_executor, in_pool, in_threads, in_a_loops_executor, in_threads_of_a_loop, in_a_timer,
        in_nested_threads, in_joblib,
    ],
)  # fmt: skip

Spread = Callable[[Call, Iterable[str]], list[Any]]
PATHS = ["a", "a/x", "a/y", "b", "b/x", "b/y"]


def sync_io() -> nb.SyncIO:
    io = nb.current_io()
    assert isinstance(io, nb.SyncIO)
    return io


def paths(run: nb.Run) -> list[str]:
    return sorted(run.tasks().path)


@pytest.mark.slow
@WAYS
def test_what_threads_of_a_task_start_with_its_io_is_below_the_task(spread: Spread):
    def parent(name: str) -> int:
        io = nb.current_io()
        return len(spread(lambda key: io.run_task(key, len, name), ["x", "y"]))

    @nb.job("current io")
    def body(io: nb.SyncIO) -> list[int]:
        return [io.run_task(name, parent, name) for name in ("a", "b")]

    run = body.run()
    assert run.output == [2, 2]
    assert paths(run) == PATHS
    assert not body.run().tasks().query("attempts > 1").size  # everything is reused


@pytest.mark.slow
@WAYS
def test_so_it_is_with_an_io_that_the_task_gets_as_an_argument(spread: Spread):
    def parent(io: nb.SyncIO, name: str) -> int:
        return len(spread(lambda key: io.run_task(key, len, name), ["x", "y"]))

    @nb.job("argument")
    def body(io: nb.SyncIO) -> list[int]:
        return [io.run_task(name, parent, io, name) for name in ("a", "b")]

    run = body.run()
    assert paths(run) == PATHS
    assert not body.run().tasks().stale.any()


@WAYS
def test_plain_functions_of_an_awaiting_body_spread_their_subtasks_likewise(spread: Spread):
    def parent(name: str) -> int:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        return len(spread(lambda key: io.run_task(key, len, name), ["x", "y"]))

    @nb.job("awaiting")
    async def body(io: nb.AsyncIO) -> list[int]:
        return list(await asyncio.gather(*(io.run_task(name, parent, name) for name in "ab")))

    assert paths(body.run()) == PATHS


@WAYS
def test_the_body_has_threads_too(spread: Spread):
    @nb.job("body's threads")
    def body(io: nb.SyncIO) -> int:
        own = nb.current_io()
        first = spread(lambda key: io.run_task(key, len, key), ["x", "y"])
        return len(first + spread(lambda key: own.run_task([key, 2], len, key), ["x", "y"]))

    assert paths(body.run()) == ["x", "x[2]", "y", "y[2]"]


@WAYS
def test_what_threads_of_a_task_start_with_the_bodys_io_is_below_the_task(spread: Spread):
    @nb.job("closure")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", lambda: len(spread(lambda key: io.run_task(key, len, key), ["x"])))
        spread(lambda key: io.run_task(key, len, key), ["y"])

    assert paths(body.run()) == ["parent", "parent/x", "y"]


def test_so_it_is_in_a_task_that_a_thread_of_the_body_starts():
    @nb.job("two threads")
    def body(io: nb.SyncIO) -> None:
        def parent() -> int:
            return len(in_threads(lambda key: io.run_task(key, len, key), ["x"]))

        in_threads(lambda key: io.run_task(key, parent), ["parent"])

    assert paths(body.run()) == ["parent", "parent/x"]


@dataclasses.dataclass
class Holder:
    io: Any


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (lambda io: {"io": io}, lambda holder: holder["io"]),
        (lambda io: [io, 1], lambda holder: holder[0]),
        (lambda io: ([{"io": io}],), lambda holder: holder[0][0]["io"]),
        (Holder, lambda holder: holder.io),
    ],
    ids=["dict", "list", "nested", "dataclass"],
)
def test_so_it_is_with_an_io_within_an_argument(hold: Any, held: Any):
    def subtasks(holder: Any) -> int:
        io = held(holder)
        in_threads(lambda key: io.run_task(key, len, key), ["x"])
        return io.run_task("y", len, "")

    def parent() -> int:
        return sync_io().run_task("inner", subtasks, hold(nb.current_io()))

    @nb.job("within")
    def body(io: nb.SyncIO) -> list[int]:
        return [io.run_task("a", subtasks, hold(io)), io.run_task("b", parent)]

    run = body.run()
    assert paths(run) == ["a", "a/x", "a/y", "b", "b/inner", "b/inner/x", "b/inner/y"]
    tasks = body.run().tasks()
    assert not tasks.stale.any()
    assert tasks.attempts.tolist() == [1] * 7


def test_an_io_that_awaits_within_an_argument_is_refused_in_a_plain_function_in_words_that_work():
    def plain(holder: Any) -> Any:
        return holder["io"].run_task("x", len, "abc")

    def in_words(_: Any) -> int:
        return sync_io().run_task("x", len, "abc")

    @nb.job("within")
    async def body(payload: str, io: nb.AsyncIO) -> int:
        return await io.run_task("a", plain if payload == "plain" else in_words, {"io": io})

    with pytest.raises(nb.TaskFailed, match=r"In them, use io = nb\.current_io\(\)") as raised:
        body.run("plain")
    assert raised.value.type == "WrongFaceError"
    assert paths(body.run("in words")) == ["a", "a/x"]


def test_the_bodys_io_is_refused_in_a_pool_that_body_and_task_share_in_words_that_work():
    errors: list[str] = []

    @nb.job("shared pool")
    def body(io: nb.SyncIO) -> None:
        def work(key: str) -> None:
            try:
                io.run_task(key, len, key)
            except nb.NoRunError as error:
                errors.append(str(error))

        def parent() -> int:
            own = sync_io()
            pool.map(work, ["x"])
            return sum(pool.map(lambda key: own.run_task(key, len, key), ["z"]))

        with multiprocessing.pool.ThreadPool(1) as pool:
            io.run_task("parent", parent)
            pool.map(work, ["y"])

    run = body.run()
    (error,) = errors
    assert "'x'" in error
    assert "'parent'" in error
    assert run.id in error
    assert "io = nb.current_io()" in error
    assert paths(run) == ["parent", "parent/z", "y"]


def test_a_thread_with_a_copied_context_needs_no_other_io():
    @nb.job("copied")
    def body(io: nb.SyncIO) -> None:
        def parent() -> None:
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(io.run_task, "x", len, "abc"))
            thread.start()
            thread.join()

        io.run_task("parent", parent)

    assert paths(body.run()) == ["parent", "parent/x"]


def test_an_outer_io_used_in_a_subtask_makes_subtasks_of_the_subtask():
    @nb.job("outer")
    def body(io: nb.SyncIO) -> None:
        def parent() -> int:
            outer = sync_io()
            return outer.run_task("child", lambda: outer.run_task("grandchild", len, "abc"))

        io.run_task("parent", parent)

    assert paths(body.run()) == ["parent", "parent/child", "parent/child/grandchild"]


def test_a_stale_context_of_a_pools_thread_does_not_mislead():
    @nb.job("stale context")
    def body(io: nb.SyncIO) -> None:
        with ThreadPoolExecutor(1) as pool:

            def parent(name: str) -> int:
                own = sync_io()
                contexts.append(contextvars.copy_context())

                def work() -> int:
                    return own.run_task("x", len, name)

                return pool.submit(lambda: contexts[0].run(work)).result()

            contexts: list[contextvars.Context] = []
            for name in ("a", "b"):
                io.run_task(name, parent, name)

    assert paths(body.run()) == ["a", "a/x", "b", "b/x"]


@pytest.mark.parametrize("retried", [False, True])
def test_the_io_of_a_task_that_has_ended_starts_nothing(retried: bool):
    ios: list[Any] = []

    def parent() -> None:
        ios.append(nb.current_io())
        if retried and len(ios) == 1:
            raise ValueError
        if retried:
            use(ios[0])

    def use(io: Any) -> None:
        with ThreadPoolExecutor(1) as pool, pytest.raises(nb.RunEndedError, match="'parent'"):
            # in an empty context, so that the thread is nobody's
            contextvars.Context().run(pool.submit, io.run_task, "late", len, "abc").result()

    @nb.job("ended")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent, retry=nb.Retry(2, min_delay=0) if retried else None)
        use(ios[-1])

    assert paths(body.run()) == ["parent"]


@pytest.mark.slow
def test_lines_waits_and_maps_of_a_thread_belong_to_its_task():
    def parent() -> None:
        io = nb.current_io()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(io.logger.info, "hello").result()
            pool.submit(io.wait, "pause", 0).result()
            pool.submit(io.map, "each", len, ["abc"]).result()
            pool.submit(io.store.run.set, "keep", "name", 1).result()

    @nb.job("others")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent)

    run = body.run()
    assert run.logs().path.tolist() == ["parent"]
    assert paths(run) == [
        "parent", "parent/each", "parent/each/0", "parent/keep", "parent/pause",
    ]  # fmt: skip


def test_current_io_blocks_in_a_thread_of_an_awaiting_body():
    def legacy(key: str) -> int:
        return sync_io().run_task(key, len, "abc")

    async def task() -> int:
        assert nb.current_task().key == "task"
        assert await asyncio.to_thread(lambda: nb.current_task().path) == "task"
        return await asyncio.to_thread(legacy, "inner")

    @nb.job("legacy")
    async def body(io: nb.AsyncIO) -> list[int]:
        both = await asyncio.gather(asyncio.to_thread(legacy, "x"), asyncio.to_thread(legacy, "y"))
        return [*both, await io.run_task("task", task)]

    run = body.run()
    assert run.output == [3, 3, 3]
    assert paths(run) == ["task", "task/inner", "x", "y"]


def test_an_io_that_awaits_is_refused_in_a_plain_thread_in_words_that_work():
    errors: list[str] = []

    def legacy() -> Any:
        return nb.current_io().run_task("x", len, "abc")

    async def task() -> Any:
        io = nb.current_io()
        try:
            await asyncio.get_running_loop().run_in_executor(None, io.run_task, "x", len, "abc")
        except nb.WrongFaceError as error:
            errors.append(str(error))
        return await asyncio.to_thread(legacy)

    @nb.job("awaiting io")
    async def body(io: nb.AsyncIO) -> int:
        return await io.run_task("task", task)

    assert paths(body.run()) == ["task", "task/x"]
    assert "asyncio.to_thread" in errors[0]


@pytest.mark.slow
@WAYS
def test_a_thread_of_a_task_finds_it(spread: Spread):
    def subtask(key: str) -> str:
        nb.current_task().log("here")
        assert nb.current_task().path == "parent"
        return sync_io().run_task(key, str, key)

    @nb.job("threads of a task")
    def body(payload: str, io: nb.SyncIO) -> list[str]:
        return io.run_task("parent", lambda: spread(subtask, ["x"]))

    run = body.run("def")
    assert run.output == ["x"]
    assert paths(run) == ["parent", "parent/x"]
    assert run.logs().path.tolist() == ["parent"]


def test_a_thread_whose_task_has_ended_finds_none():
    begin, errors = threading.Event(), []

    def late() -> None:
        begin.wait(30)
        for ask in (nb.current_io, nb.current_task):
            try:
                ask()
            except nb.NoRunError as error:
                errors.append(str(error))

    thread = threading.Thread(target=late)

    @nb.job("late")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", thread.start)
        begin.set()
        thread.join()

    body.run()
    assert len(errors) == 2


def test_current_task_and_current_io_say_what_to_do_in_a_thread_without_context():
    @nb.job("no context")
    def body(io: nb.SyncIO) -> list[str]:
        def parent() -> list[str]:
            task = nb.current_task()
            for ask in (nb.current_io, nb.current_task):
                with pytest.raises(nb.NoRunError, match="In a thread of a pool"):
                    pool.apply(ask)
            pool.apply(task.log, ("from a thread",))
            return [task.path]

        with multiprocessing.pool.ThreadPool(1) as pool:  # of the body
            return io.run_task("parent", parent)

    run = body.run()
    assert run.output == ["parent"]
    assert run.logs().path.tolist() == ["parent"]

"""Task functions: which call is a task, of which task, and what is refused."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
import math
import multiprocessing
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import cloudpickle
import pytest

import nbtasks as nb

SPAWN = multiprocessing.get_context("spawn")
LOCK = threading.Lock()  # which no pickle holds


@nb.task
def double(n: int, by: int = 2) -> int:
    """Multiply."""
    with LOCK:
        return n * by


@nb.task(retry=2, name="Fetch")
async def fetch(url: str, times: int = 1) -> str:
    await asyncio.sleep(0)
    return url * times


@nb.task
def squares(count: int) -> list[int]:
    return [square(n) for n in range(count)]


@nb.task
def square(n: int) -> int:
    return n * n


class Model:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @nb.task
    def scale(self, n: int) -> int:
        return n * self.factor

    @nb.task
    @classmethod
    def made(cls, n: int) -> str:
        return f"{cls.__name__}{n}"

    @classmethod
    @nb.task
    def built(cls, n: int) -> str:
        return f"{cls.__name__}{n}"

    @staticmethod
    @nb.task
    def plain(n: int) -> int:
        return n

    @property
    @nb.task
    def half(self) -> float:
        return self.factor / 2


#: A type checker does not know class methods that are task functions.
MODEL: Any = Model


def paths(run: nb.Run) -> list[str]:
    found: list[str] = run.tasks().path.tolist()
    return found


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Not by `asyncio.run`, which nest_asyncio2 replaces: its loops stay open."""
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


def run(body: Callable[..., Any], **how: Any) -> nb.Run:
    return nb.job("functions")(body).run(**how)


# -- outside of a run -----------------------------------------------------------------------------


def test_outside_of_a_run_it_is_the_plain_function() -> None:
    assert double(3) == 6
    assert finish(fetch("a", times=2)) == "aa"
    assert Model(3).scale(2) == 6
    assert (MODEL.made(1), MODEL.built(2), Model.plain(3)) == ("Model1", "Model2", 3)
    assert Model(4).half == 2
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        double()  # type: ignore[call-arg]  # on purpose
    assert nb.runs().empty


def test_it_looks_like_the_function_that_it_stands_for() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Multiply."
    assert double.__module__ == __name__
    assert str(inspect.signature(double)) == "(n: 'int', by: 'int' = 2) -> 'int'"
    assert all(map(inspect.isfunction, (double, double.__wrapped__)))
    assert "return n * by" in inspect.getsource(double)
    assert asyncio.iscoroutinefunction(fetch)
    assert not asyncio.iscoroutinefunction(double)


def test_it_can_be_pickled_where_the_function_can() -> None:
    assert pickle.loads(pickle.dumps(double)) is double
    assert copy.deepcopy(double) is double

    @nb.task
    def local(n: int) -> int:
        return n + 1

    sent = cloudpickle.loads(cloudpickle.dumps(local))
    assert sent(1) == 2
    assert sent.with_options(key="x")(1) == 2


# -- in a run -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_call_in_a_body_is_a_task_and_is_answered_from_the_journal() -> None:
    def body(io: nb.SyncIO) -> list[int]:
        return [double(1), double(1, 3), double(n=2), *squares(2)]

    first, again = run(body), run(body)

    expected = ["double[1]", "double[1,by=3]", "double[2]", "squares[2]"]
    assert paths(first) == [*expected, "squares[2]/square[0]", "squares[2]/square[1]"]
    assert again.id == first.id
    assert again.output == first.output == [2, 3, 4, 0, 1]
    assert again.tasks().reused.all()
    assert not again.tasks().stale.any()
    assert again["double[1,by=3]"] == 3


@pytest.mark.slow
def test_an_awaiting_body_awaits_async_functions_and_blocks_in_others() -> None:
    async def body(io: nb.AsyncIO) -> Any:
        both = await asyncio.gather(fetch("a"), fetch("b", 2))
        return [double(2), *both, await asyncio.create_task(fetch("c"))]

    found = run(body)

    assert found.output == [4, "a", "bb", "c"]
    assert paths(found) == ["fetch[a]", "fetch[b,times=2]", "double[2]", "fetch[c]"]
    assert found.tasks().name.tolist() == ["Fetch", "Fetch", "double[2]", "Fetch"]


def test_a_blocking_body_may_run_a_loop_of_its_own() -> None:
    async def main() -> list[str]:
        return list(await asyncio.gather(fetch("a"), fetch("b")))

    def body(io: nb.SyncIO) -> list[str]:
        found: list[str] = finish(main())
        return found

    assert run(body).output == ["a", "b"]
    assert paths(run(body)) == ["fetch[a]", "fetch[b]"]


@pytest.mark.parametrize("where", ["body", "task"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_is_never_awaited_fails_the_run(where: str, asynchronous: bool) -> None:
    def forget() -> None:
        fetch("a")  # type: ignore[unused-coroutine]  # on purpose

    def blocking(io: nb.SyncIO) -> None:
        forget() if where == "body" else io.run_task("forgets", forget)

    async def awaiting(io: nb.AsyncIO) -> None:
        forget() if where == "body" else await io.run_task("forgets", forget)

    place = "fetch" if where == "body" else "forgets/fetch"
    with pytest.raises(nb.NotAwaitedError, match=rf"(?s)'{place}\[a\]' at .*fetch\(\"a\"\)"):
        run(awaiting if asynchronous else blocking)
    assert nb.last_run().status == "FAILED"


def test_an_awaiting_body_may_call_a_function_that_gives_an_awaitable() -> None:
    later = nb.task(lambda n: fetch.__wrapped__(str(n)), key="later")

    async def body(io: nb.AsyncIO) -> Any:
        return later(1)

    assert run(body).output == "1"


@pytest.mark.slow
def test_a_stop_ends_a_function_that_blocks_an_awaiting_body() -> None:
    begun = threading.Event()

    @nb.task
    def slow() -> None:
        begun.set()
        while True:
            time.sleep(0.01)

    async def body(io: nb.AsyncIO) -> None:
        slow()

    def stop() -> None:
        begun.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        run(body)
    thread.join()

    stopped = nb.last_run()
    assert stopped.status == "CANCELED"
    assert stopped.tasks().status.tolist() == ["CANCELED"]


# -- threads --------------------------------------------------------------------------------------


def in_thread(*calls: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    for call in calls:
        thread = threading.Thread(target=lambda call=call: found.append(call()))
        thread.start()
        thread.join()
    return found


def in_pool(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def in_nested_threads(*calls: Callable[[], Any]) -> list[Any]:
    return in_thread(lambda: in_thread(*calls))[0]


def in_process_like_pool(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPool(2) as pool:
        return pool.map(lambda call: call(), calls)


SHARED = ThreadPoolExecutor(2)


def in_shared_pool(*calls: Callable[[], Any]) -> list[Any]:
    return list(SHARED.map(lambda call: call(), calls))


WAYS = [in_thread, in_pool, in_nested_threads, in_process_like_pool, in_shared_pool]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_in_a_plain_thread_it_belongs_to_the_task_that_started_the_thread(
    way: Callable[..., list[Any]], asynchronous: bool
) -> None:
    @nb.task
    def parent(n: int) -> int:
        return sum(way(lambda: double(n), lambda: double(n + 10)))

    def blocking(io: nb.SyncIO) -> int:
        return parent(1) + parent(2)

    async def awaiting(io: nb.AsyncIO) -> int:
        return await io.run_task("parent[1]", parent, 1) + parent(2)

    found = run(awaiting if asynchronous else blocking)

    assert found.output == 52
    below = {path for path in paths(found) if "/" in path and path.startswith("parent[2]")}
    assert below == {"parent[2]/double[2]", "parent[2]/double[12]"}
    assert way(lambda: double(5)) == [10]  # outside again
    assert len(paths(found)) == 6


def test_in_a_thread_of_the_body_it_is_a_task_of_the_body() -> None:
    def body(io: nb.SyncIO) -> list[int]:
        return in_thread(lambda: double(1), lambda: squares(1))

    assert paths(run(body)) == ["double[1]", "squares[1]", "squares[1]/square[0]"]


def test_a_thread_that_outlives_its_task_starts_no_more_of_it() -> None:
    go_on, errors = threading.Event(), list[BaseException]()

    def late() -> None:
        go_on.wait(10)
        try:
            double(1)
        except nb.RunEndedError as error:
            errors.append(error)

    threads: list[threading.Thread] = []

    @nb.task
    def parent() -> None:
        threads.append(threading.Thread(target=late))
        threads[0].start()

    def body(io: nb.SyncIO) -> None:
        parent()
        go_on.set()
        threads[0].join()

    assert paths(run(body)) == ["parent"]
    assert "has ended" in str(errors[0])


def test_threads_are_as_they_were_after_the_run() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    run(lambda io: double(1))

    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit


def test_after_its_run_a_call_that_still_is_in_it_is_refused() -> None:
    kept: list[contextvars.Context] = []

    def body(io: nb.SyncIO) -> None:
        kept.append(contextvars.copy_context())

    run(body)

    with pytest.raises(nb.RunEndedError, match=r"double\(\.\.\.\) was called after the execution"):
        kept[0].run(double, 1)


# -- methods, and other callables -----------------------------------------------------------------


def test_methods_of_all_kinds_are_tasks() -> None:
    def body(io: nb.SyncIO) -> list[Any]:
        model = Model(3)
        return [model.scale(2), MODEL.made(1), MODEL.built(2), Model.plain(4), model.half]

    found = run(body)

    assert found.output == [6, "Model1", "Model2", 4, 1.5]
    assert paths(found) == ["scale[2]", "made[1]", "built[2]", "plain[4]", "half"]


def test_the_object_of_a_method_is_an_input() -> None:
    def body(io: nb.SyncIO, factor: int = 3) -> int:
        return Model(factor).scale(2)

    run(body, key="k")
    with pytest.warns(nb.StaleTaskWarning, match="argument"):
        assert run(body, key="k", factor=4).output == 6


@pytest.mark.slow
def test_io_takes_a_task_function_and_runs_the_plain_one() -> None:
    def body(io: nb.SyncIO) -> list[Any]:
        half = functools.partial(double, by=1)
        return [
            io.run_task("f", double, 3),
            io.run_task("m", Model(2).scale, 3),
            io.run_task("p", half, 3),
            io.run_task("a", fetch, "u", times=2),
            *io.map("each", double, [1, 2]),
        ]

    found = run(body)

    assert found.output == [6, 6, 3, "uu", 2, 4]
    assert paths(found) == ["f", "m", "p", "a", "each", "each/0", "each/1"]
    assert found.tasks().name.tolist()[3] == "Fetch"


@pytest.mark.slow
def test_builtins_partials_and_imported_functions_are_wrapped() -> None:
    root = nb.task(math.sqrt)
    least = nb.task(min, retry=2)
    triple = nb.task(functools.partial(double, by=3))
    shout = nb.task(str.upper)
    length = nb.task(lambda text: 3 * text, key="thrice {text}")

    def body(io: nb.SyncIO) -> list[Any]:
        return [root(4.0), least(3, 2), triple(1), shout("a"), length("abc")]

    assert run(body).output == [2.0, 2, 3, "A", "abcabcabc"]
    assert paths(run(body)) == ["sqrt[4.0]", "min[3,2]", "double[1]", "upper[a]", "thrice abc"]


@pytest.mark.slow
def test_a_decorator_may_stand_above_or_below() -> None:
    def noisy(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def call(*args: Any) -> str:
            return f"{fn(*args)}!"

        return call

    @nb.task
    @noisy
    def below(n: int) -> int:
        return n

    @noisy
    @nb.task
    def above(n: int) -> int:
        return n

    def body(io: nb.SyncIO) -> list[Any]:
        return [below(1), above(2), io.run_task("r", above, 3)]

    found = run(body)

    assert found.output == ["1!", "2!", "3!"]
    assert paths(found) == ["below[1]", "above[2]", "r", "r/above[3]"]


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@nb.job("a-job")
def a_job(io: nb.SyncIO) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (generator, "the generator function generator.* Return list"),
        (async_generator, "the asynchronous generator function.*async for"),
        (functools.partial(generator), "the generator function"),
        (Model, "the class Model: write a function that makes the object"),
        (int, "the class int"),
        (a_job, "a Job"),
        (property(square), "below @property"),
        ("load", "the text 'load': write nb.task.name=.*key="),
        (3, "decorates a function, not 3"),
        (lambda x: x, "give it a key"),
        (functools.partial(lambda x: x), "give it a key"),
    ],
)
def test_what_has_not_one_output_or_no_name_is_refused_at_once(wrong: Any, message: str) -> None:
    with pytest.raises(nb.InvalidOptionError, match=message):
        nb.task(wrong)
    with pytest.raises(nb.InvalidOptionError, match=message):
        nb.task(retry=2)(wrong)


# -- keys and options -----------------------------------------------------------------------------


def test_a_second_call_with_the_same_key_says_how_to_give_another() -> None:
    def body(io: nb.SyncIO) -> None:
        double(1)
        double(1)

    with pytest.raises(nb.DuplicateKeyError) as caught:
        run(body)

    text = str(caught.value)
    assert text.startswith("Task function double was called with a key that is already used")
    assert "'double[1]'" in text
    assert text.count("test_task_function.py, line") == 2
    assert "key=" in text
    assert "double.with_options(key=...)" in text


@pytest.mark.slow
def test_with_options_gives_a_copy_with_another_key_and_other_options() -> None:
    by_name = square.with_options(key="square of {n}", name="Shown", retry=5)
    numbered = square.with_options(key=nb.numbered("square"))

    def body(io: nb.SyncIO) -> int:
        numbers = [by_name(2), numbered(2), numbered(2), square.with_options(key="x")(2), square(2)]
        return sum(numbers)

    found = run(body)

    assert paths(found) == ["square of 2", "square", "square#2", "x", "square[2]"]
    assert found.tasks().name.tolist()[0] == "Shown"
    with pytest.raises(TypeError, match=r"square\.with_options.* Is it retry=\?"):
        square.with_options(retries=3)  # type: ignore[call-arg]  # on purpose


def test_more_options_for_a_task_function_join_those_that_it_has() -> None:
    again = nb.task(fetch, retry=7)

    assert again.__nbtasks__.policy.retry == nb.Retry(7)  # type: ignore[attr-defined]  # ours
    assert again.__nbtasks__.policy.name == "Fetch"  # type: ignore[attr-defined]  # as above
    assert fetch.__nbtasks__.policy.retry == nb.Retry(2)  # type: ignore[attr-defined]  # as above


@pytest.mark.slow
def test_map_is_io_map_under_the_name_of_the_function() -> None:
    def blocking(io: nb.SyncIO) -> list[Any]:
        return [square.map([1, 2]), fetch.map("ab", key_of=str, key="pages")]

    async def awaiting(io: nb.AsyncIO) -> list[Any]:
        return [await square.map([1, 2]), await fetch.map("ab", key_of=str, key="pages")]

    for body in (blocking, awaiting):
        found = run(body, new=True)
        assert found.output == [[1, 4], ["a", "b"]]
        assert paths(found) == ["square", "square/0", "square/1", "pages", "pages/a", "pages/b"]
    assert square.map([1, 2]) == [1, 4]
    assert finish(fetch.map("ab")) == ["a", "b"]


def test_a_map_over_two_lists_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write \[square\(a, b\) for a, b in zip\(\.\.\.\)\]"):
        square.map(*[[1, 2], [3, 4]])


def test_the_map_of_a_method_is_refused_with_what_to_write() -> None:
    def body(io: nb.SyncIO) -> list[int]:
        with pytest.raises(
            nb.InvalidOptionError, match=r"io\.map\('scale', object\.scale, items\)"
        ):
            Model(2).scale.map([1, 2])
        return io.map("scale", Model(2).scale, [1, 2])

    assert run(body).output == [2, 4]


@pytest.mark.slow
def test_a_call_that_does_not_fit_is_an_error_before_its_task() -> None:
    for wrong in (lambda: double(), lambda: double(1, 2, 3), lambda: double(1, to=2)):  # type: ignore[call-arg]  # noqa: PLW0108 - on purpose
        with pytest.raises(TypeError, match=r"double\(\.\.\.\): "):
            run(lambda io, wrong=wrong: wrong(), new=True)
        assert nb.last_run().tasks().empty


@pytest.mark.slow
def test_the_same_arguments_written_otherwise_are_the_same_inputs() -> None:
    calls: list[Callable[[], int]] = [
        lambda: double(1, 2),
        lambda: double(1),
        lambda: double(n=1, by=2),
        lambda: double(by=2, n=1),
    ]

    for call in calls:
        assert not run(lambda io, call=call: call(), key="k").tasks().stale.any()
    assert nb.last_run().executions == 4


# -- changes and edits ----------------------------------------------------------------------------


def test_changed_code_of_the_function_or_of_one_that_it_calls_is_seen() -> None:
    rate = 2

    @nb.task
    def inner(n: int) -> int:
        return n * rate

    @nb.task
    def outer(n: int) -> int:
        return inner(n)

    def body(io: nb.SyncIO) -> int:
        return outer(1)

    run(body)
    rate = 3
    with pytest.warns(nb.StaleTaskWarning, match="rate is 3, was 2"):
        assert run(body).output == 2


@pytest.mark.slow
def test_a_path_is_reset_and_read_as_it_is_written() -> None:
    calls: list[int] = []

    @nb.task
    def fit(carrier: str, alpha: float = 1.0) -> int:
        calls.append(1)
        return len(calls)

    def body(io: nb.SyncIO) -> list[int]:
        return [fit("AA"), fit("AA", alpha=0.1)]

    found = run(body)
    found.reset("fit[AA]")

    assert run(body).output == [3, 2]
    assert found["fit[AA,alpha=0.1]"] == 2
    assert found[[["fit", "AA"]]] == found["fit[AA]"] == 3


@pytest.mark.slow
def test_the_options_of_the_function_hold_for_its_calls() -> None:
    tries: list[int] = []

    @nb.task(retry=nb.Retry(3, min_delay=0.001), redact=["[1]"], once=True, ttl="1h")
    def pay(amount: int, card: str, note: str = "") -> int:
        tries.append(amount)
        if len(tries) < 2:
            raise OSError("busy")
        return amount

    found = run(lambda io: pay(5, "4111", note="x"))

    assert paths(found) == ["pay[5,4111,note=x]"]
    assert found.tasks().attempts.tolist() == [2]
    assert found.tasks().params.tolist() == ['{"amount":5,"card":"[REDACTED]","note":"x"}']


@pytest.mark.slow
def test_another_process_imports_the_function_and_calls_it_plainly() -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:

        def body(io: nb.SyncIO) -> list[Any]:
            options = nb.TaskOptions(on=pool)
            there = squares.with_options(on=pool)
            return [io.run_task("r", double, 2, by=3, options=options), there(2),
                    io.run_task("m", Model(2).scale, n=3, options=options)]  # fmt: skip

        found = run(body)

    assert found.output == [6, [0, 1], 6]
    assert paths(found) == ["r", "squares[2]", "m"]

"""Functions in pools of processes and threads: what goes there, what comes back, what breaks."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.drivers import drive, executors
from nbtasks.engine.effects import CallFunction
from nbtasks.engine.remote import envelope
from tests.notebook.kernels import Kernel
from tests.thorough import some

# Not fork, which Python warns of where threads are.
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        yield pool


@pytest.fixture
def on(pool: ProcessPoolExecutor) -> nb.TaskOptions:
    return nb.TaskOptions(on=pool)


def run(body: Any, *, name: str = "remote") -> nb.Run:
    return nb.job(name)(body).run()


class OddError(Exception):
    """An error that, like many, cannot be made again from its `args`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


# -- what goes there ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_function_runs_in_another_process_and_its_task_is_journaled_here(
    on: nb.TaskOptions,
) -> None:
    def body(io: nb.SyncIO) -> list[int]:
        return [io.run_task("here", os.getpid), io.run_task("there", os.getpid, options=on)]

    run(body)
    again = run(body)

    here, there = again.output
    assert here == os.getpid() != there
    assert again.tasks().reused.tolist() == [True, True]


def test_lambdas_closures_and_local_classes_go_there_and_come_back(on: nb.TaskOptions) -> None:
    factor = 3

    class Model:
        def __init__(self, n: int) -> None:
            self.n = n

    async def body(io: nb.AsyncIO) -> list[Any]:
        model = await io.run_task("fit", lambda n: Model(n * factor), 2, options=on)
        return [type(model) is Model, model.n]

    assert run(body).output == [True, 6]


def test_a_map_in_a_pool_keeps_the_order_of_its_items(pool: ProcessPoolExecutor) -> None:
    def square(n: int) -> tuple[int, int]:
        return n * n, os.getpid()

    async def awaited(io: nb.AsyncIO) -> list[Any]:
        return await io.map("square", square, range(6), on=pool, concurrency=3)

    for body in (awaited, lambda io: io.map("square", square, range(6), on=pool)):
        output = nb.job("in order")(body).run(new=True).output
        assert [n for n, _ in output] == [0, 1, 4, 9, 16, 25]
        assert os.getpid() not in {pid for _, pid in output}


def test_an_asynchronous_function_has_a_loop_of_its_own_there(
    pool: ProcessPoolExecutor, on: nb.TaskOptions
) -> None:
    async def there(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    async def awaited(io: nb.AsyncIO) -> list[int]:
        return [await io.run_task("one", there, 1, options=on)]

    assert run(awaited).output == [2]
    assert run(lambda io: io.map("many", there, [1, 2], on=pool), name="many").output == [2, 3]


def test_a_task_may_run_in_a_pool_of_threads_of_the_users_own() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as threads:
        options = nb.TaskOptions(on=threads)
        name = lambda: threading.current_thread().name

        assert run(lambda io: io.run_task("name", name, options=options)).output == "mine_0"


def test_in_a_pool_of_threads_the_io_of_the_run_is_there() -> None:
    def parent(n: int) -> int:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        return io.run_task("child", abs, n)

    with ThreadPoolExecutor(2) as threads:
        run(lambda io: io.map("many", parent, [-1, -2], on=threads))

    assert nb.tasks().path.tolist()[0] == "many"
    assert set(nb.tasks().path) >= {"many/0/child", "many/1/child"}


def test_in_another_process_there_is_no_io_and_the_error_says_so(on: nb.TaskOptions) -> None:
    with pytest.raises(nb.TaskFailed, match="In another process"):
        run(lambda io: io.run_task("ask", nb.current_io, options=on))


def test_where_a_worker_inherits_the_run_it_still_has_no_io() -> None:
    """A forked process has the context of its parent."""
    import cloudpickle

    def body(io: nb.SyncIO) -> str:
        facts = dict.fromkeys(("key", "path", "run_id", "attempt", "idempotency_key"), "")
        call = cloudpickle.dumps((facts, None, cloudpickle.dumps(())))
        [reply] = envelope.run([(call, [])], cloudpickle.dumps(nb.current_io))
        word, content = reply["outcome"]
        return f"{word} {type(cloudpickle.loads(content[0])).__name__}"

    assert run(body).output == "error NoRunError"


# -- what comes back ------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_error_comes_back_as_what_it_was_with_its_traceback(on: nb.TaskOptions) -> None:
    def divide(n: int) -> float:
        return 1 / n

    with pytest.raises(ZeroDivisionError) as caught:
        run(lambda io: io.run_task("divide", divide, 0, options=on))

    assert isinstance(caught.value, nb.TaskFailed)
    assert "return 1 / n" in caught.value.traceback
    assert "nbtasks/engine/drivers/executors.py" not in caught.value.traceback
    assert "return 1 / n" in str(caught.value.__cause__)
    assert f'File "{__file__}"' in caught.value.traceback


def test_an_error_of_what_a_function_calls_names_its_line_too(on: nb.TaskOptions) -> None:
    def inverse(n: int) -> float:
        return 1 / n

    def divide(n: int) -> list[float]:
        return [inverse(m) for m in (n,)]

    with pytest.raises(ZeroDivisionError) as caught:
        run(lambda io: io.run_task("divide", divide, 0, options=on))

    lines = str(caught.value.__cause__)
    assert lines.index("return [inverse(m) for m in (n,)]") < lines.index("return 1 / n")


def test_an_error_that_cannot_be_pickled_comes_back_too(on: nb.TaskOptions) -> None:
    def fail() -> None:
        error = OddError(503, "busy")
        error.lock = threading.Lock()  # type: ignore[attr-defined]  # what people do
        raise error

    with pytest.raises(nb.TaskFailed, match="503 busy") as caught:
        run(lambda io: io.run_task("fail", fail, options=on))

    assert caught.value.type == "OddError"


@pytest.mark.slow
def test_a_failure_there_is_tried_again(on: nb.TaskOptions, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def flaky() -> str:
        if not mark.exists():
            mark.touch()
            raise OddError(503, "busy")
        return "at last"

    def body(io: nb.SyncIO) -> str:
        return io.run_task("flaky", flaky, retry=nb.Retry(3, min_delay=0.001), options=on)

    assert run(body).output == "at last"
    assert nb.tasks().attempts.tolist() == [2]


@pytest.mark.parametrize("name", ["sync", "async"])
def test_what_cannot_be_sent_there_is_refused_with_what_to_do(
    name: str, on: nb.TaskOptions
) -> None:
    lock = threading.Lock()

    def guarded() -> bool:
        return lock.locked()

    async def awaited(io: nb.AsyncIO) -> None:
        await io.run_task("send", guarded, options=on)

    body: Any = (
        awaited if name == "async" else lambda io: io.run_task("send", print, 1, lock, options=on)
    )
    what = (
        r"function .*guarded"
        if name == "async"
        else r"argument 1 \(a _thread.lock\) of function print"
    )
    with pytest.raises(
        nb.ExecutorError, match=rf"'send': the {what} cannot be sent.*pool of threads"
    ):
        run(body)

    assert nb.tasks().status.tolist() == ["CANCELED"]


def test_io_itself_cannot_be_sent_there(on: nb.TaskOptions) -> None:
    with pytest.raises(nb.ExecutorError, match="io belongs to a running job"):
        run(lambda io: io.run_task("send", lambda: io.run_task("inner", print), options=on))


def test_what_cannot_be_sent_back_fails_its_task(on: nb.TaskOptions) -> None:
    with pytest.raises(
        nb.TaskFailed, match=r"The result of .* cannot be sent back.*_thread.lock"
    ) as caught:
        run(lambda io: io.run_task("lock", threading.Lock, options=on))

    assert caught.value.type == "ValueNotKeptError"
    assert nb.tasks().status.tolist() == ["FAILED"]


# -- what breaks ----------------------------------------------------------------------------------


def die_once(item: tuple[int, str]) -> int:
    number, marks = item
    with (Path(marks) / "ran").open("a") as file:
        file.write(f"{number}\n")
    mark = Path(marks) / "dead"
    if number == 4 and not mark.exists():
        mark.touch()
        os._exit(1)
    return number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asynchronous", "tolerant"),
    some(
        {
            "blocking": (False, {}),
            "awaiting": (True, {}),
            "blocking, tolerant": (False, {"min_ok": 1}),
            "awaiting, tolerant": (True, {"min_ok": 1}),
        },
        "awaiting",
        "blocking, tolerant",
    ),
)
def test_a_worker_that_dies_ends_the_run_which_goes_on_with_a_new_pool(
    asynchronous: bool, tolerant: dict[str, int], tmp_path: Path
) -> None:
    items = [(n, str(tmp_path)) for n in range(8)]

    def execute() -> nb.Run:
        with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
            options: Any = {"on": pool, "concurrency": 1, **tolerant}

            async def awaited(io: nb.AsyncIO) -> list[int]:
                return await io.map("work", die_once, items, **options)

            body = (
                awaited if asynchronous else lambda io: io.map("work", die_once, items, **options)
            )
            return run(body)

    with pytest.raises(nb.ExecutorError, match=r"'work/4'.*worker process died.*new executor"):
        execute()
    assert nb.last_run().status == "FAILED"
    assert nb.tasks().set_index("path").status["work/4"] == "CANCELED"

    assert execute().output == [*range(8)]
    ran = (tmp_path / "ran").read_text().split()
    assert ran == ["0", "1", "2", "3", "4", "4", "5", "6", "7"]


def test_an_executor_that_was_shut_down_is_told(tmp_path: Path) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    with pytest.raises(nb.ExecutorError, match=r"has been shut down.*make a new executor"):
        run(lambda io: io.run_task("late", print, options=nb.TaskOptions(on=pool)))


async def test_an_executor_that_drops_what_it_was_asked_is_told() -> None:
    pool = ThreadPoolExecutor(1)
    go_on = threading.Event()
    pool.submit(go_on.wait, 20)

    @nb.job("dropped")
    async def body(io: nb.AsyncIO) -> None:
        task = asyncio.create_task(io.run_task("dropped", print, options=nb.TaskOptions(on=pool)))
        await asyncio.sleep(0)
        pool.shutdown(wait=False, cancel_futures=True)
        await task

    with pytest.raises(nb.ExecutorError, match="shut down before"):
        await body.arun()
    go_on.set()


def test_an_error_of_the_function_is_not_taken_for_one_of_its_executor() -> None:
    def fail() -> None:
        raise RuntimeError("mine")

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="mine") as caught:
        run(lambda io: io.run_task("fail", fail, options=nb.TaskOptions(on=pool)))
    assert isinstance(caught.value, nb.TaskFailed)


# -- Stop -----------------------------------------------------------------------------------------


def stop_after(*events: threading.Event) -> None:
    """Presses Stop once all of them are set."""

    def press() -> None:
        for event in events:
            event.wait(20)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=press).start()


def test_stop_takes_back_what_the_executor_had_not_begun() -> None:
    began, go_on = threading.Event(), threading.Event()
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)
        began.set()
        go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        stop_after(began)
        with pytest.raises(KeyboardInterrupt):
            run(lambda io: io.map("work", work, range(5), on=pool, concurrency=3))
        go_on.set()

    assert ran == [0]
    assert set(nb.tasks().status) == {"CANCELED"}


def test_what_comes_to_the_executor_only_after_the_stop_is_taken_back_as_well() -> None:
    """A thread may be on its way there while the run ends."""
    began, coming, ended, late, go_on = (threading.Event() for _ in range(5))
    ran: list[int] = []
    numbers = itertools.count()

    class Slow(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            is_late = next(numbers) == 1
            if is_late:
                coming.set()
                ended.wait(20)
            future = super().submit(fn, *args, **kwargs)
            if is_late:
                future.add_done_callback(lambda _: late.set())
            return future

    def work(n: int) -> None:
        ran.append(n)
        began.set()
        go_on.wait(20)

    with Slow(1) as pool:
        stop_after(began, coming)
        with pytest.raises(KeyboardInterrupt):
            run(lambda io: io.map("work", work, range(2), on=pool, concurrency=2))
        ended.set()
        assert late.wait(20)  # it is done with, while the only thread is still busy
        go_on.set()

    assert len(ran) == 1


def test_a_thread_that_comes_after_the_end_of_its_run_hands_nothing_over() -> None:
    kept: list[CallFunction] = []

    def body(io: nb.SyncIO) -> None:
        kept.append(CallFunction(ran.append, (1,), io._execution.root, pool))

    ran: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        run(body)
        with pytest.raises(nb.ExecutorError):
            executors.blocking(kept[0], drive.call_function)

    assert ran == []


async def test_a_cancelled_run_takes_back_what_the_executor_had_not_begun() -> None:
    began, go_on = threading.Event(), threading.Event()
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)
        began.set()
        go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:

        @nb.job("cancelled")
        async def body(io: nb.AsyncIO) -> None:
            await io.map("work", work, range(5), on=pool, concurrency=3)

        task = asyncio.create_task(body.arun())
        await asyncio.to_thread(began.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    assert ran == [0]
    assert set(nb.tasks().status) == {"CANCELED"}


# -- in a notebook --------------------------------------------------------------------------------

CELL = """%%job pools --no-tree
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
factor, here = 7, os.getpid()
def scaled(n):
    return n * factor, os.getpid() != here
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
    found = await io.map("scaled", scaled, [1, 2], on=pool)
"""


@pytest.mark.slow
def test_functions_of_a_notebook_run_in_a_pool_of_processes(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask("%load_ext nbtasks")
        kernel.ask(CELL)
        assert kernel.ask("found") == "[(7, True), (14, True)]"

"""Tasks nested in one pool of threads: they run, and never wait for each other."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import nbtasks as nb

WORKERS = pytest.mark.parametrize("workers", [1, 2, 3])


def within(seconds: float, run: Callable[[], nb.Run]) -> nb.Run:
    """Return the run, or fail if it takes longer: a hang must not stop all tests."""
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            ended.put(run())
        except BaseException as error:  # noqa: BLE001 - raised below
            ended.put(error)

    threading.Thread(target=work, daemon=True).start()
    result: Any = ended.get(timeout=seconds)
    if isinstance(result, BaseException):
        raise result
    return result


def sync_io() -> nb.SyncIO:
    io = nb.current_io()
    assert isinstance(io, nb.SyncIO)
    return io


def on(pool: ThreadPoolExecutor) -> nb.TaskOptions:
    return nb.TaskOptions(on=pool)


@WORKERS
@pytest.mark.parametrize("depth", [2, 4])
def test_maps_nested_in_one_pool_end(workers: int, depth: int):
    with ThreadPoolExecutor(workers) as pool:

        def count(level: int) -> int:
            if level == 0:
                return 1
            return sum(sync_io().map("in", count, [level - 1] * 3, on=pool))

        @nb.job("nested")
        def body(io: nb.SyncIO) -> int:
            return sum(io.map("out", count, [depth - 1] * 3, on=pool, concurrency=8))

        assert within(60, body.run).output == 3**depth


@WORKERS
def test_tasks_nested_in_the_pool_of_their_parent_end(workers: int):
    with ThreadPoolExecutor(workers) as pool:

        def parent(n: int) -> int:
            return sync_io().run_task("child", child, n, options=on(pool))

        def child(n: int) -> int:
            return sync_io().run_task("grandchild", abs, -n, options=on(pool), timeout=60)

        @nb.job("parents")
        async def body(io: nb.AsyncIO) -> list[int]:
            calls = (io.run_task(str(n), parent, n, options=on(pool)) for n in range(5))
            return list(await asyncio.gather(*calls))

        assert within(60, body.run).output == [0, 1, 2, 3, 4]


@WORKERS
def test_awaiting_parents_in_a_pool_end(workers: int):
    with ThreadPoolExecutor(workers) as pool:

        async def parent(n: int) -> int:
            io: Any = nb.current_io()
            parts = [io.run_task(str(m), pow, n, m, options=on(pool)) for m in range(3)]
            return sum(await asyncio.gather(*parts))

        @nb.job("awaiting parents")
        async def body(io: nb.AsyncIO) -> list[int]:
            return await io.map("parents", parent, range(4), on=pool)

        assert within(60, body.run).output == [1, 3, 7, 13]


def test_parents_that_wait_crosswise_in_two_pools_end():
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:

        def step(level: int) -> int:
            if level == 0:
                return 0
            pool = one if level % 2 else two
            return 1 + sync_io().run_task("next", step, level - 1, options=on(pool))

        @nb.job("crosswise")
        def body(io: nb.SyncIO) -> list[int]:
            first = io.map("first", step, [5, 5], on=one)
            return first + io.map("second", step, [5, 5], on=two)

        assert within(60, body.run).output == [5, 5, 5, 5]


def test_a_thread_that_the_user_took_from_the_pool_is_occupied_too():
    with ThreadPoolExecutor(1) as pool:

        def parent() -> int:
            io = sync_io()
            return pool.submit(lambda: io.run_task("child", abs, -3, options=on(pool))).result()

        @nb.job("taken")
        def body(io: nb.SyncIO) -> int:
            return io.run_task("parent", parent)

        assert within(60, body.run).output == 3


def test_a_nested_task_takes_a_free_thread_of_the_pool_where_there_is_one():
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:

        def name() -> str:
            return threading.current_thread().name

        def parent() -> list[str]:
            return [name(), *sync_io().map("in", lambda _: name(), range(3), on=pool)]

        @nb.job("free")
        def body(io: nb.SyncIO) -> list[str]:
            return io.run_task("parent", parent, options=on(pool))

        own, *others = within(60, body.run).output
        assert own.startswith("mine")
        assert all(other.startswith("mine") and other != own for other in others)


def test_a_nested_failure_is_that_of_its_task():
    with ThreadPoolExecutor(1) as pool:

        def parent() -> None:
            sync_io().run_task("child", int, "x", options=on(pool))

        @nb.job("nested failure")
        def body(io: nb.SyncIO) -> None:
            io.run_task("parent", parent, options=on(pool))

        with pytest.raises(ValueError, match="invalid literal") as caught:
            within(60, body.run)
        assert isinstance(caught.value, nb.TaskFailed)
        assert nb.tasks().path.tolist() == ["parent", "parent/child"]


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_maps_nested_in_maps_need_no_pool_at_all(concurrency: int):
    def count(level: int) -> int:
        if level == 0:
            return 1
        return sum(sync_io().map("in", count, [level - 1] * 3, concurrency=concurrency))

    @nb.job("no pool")
    def body(io: nb.SyncIO) -> int:
        return sum(io.map("out", count, [2] * 3, concurrency=concurrency))

    @nb.job("no pool, awaiting")
    async def awaiting(io: nb.AsyncIO) -> int:
        return sum(await io.map("out", count, [2] * 3, concurrency=concurrency))

    assert within(60, body.run).output == within(60, awaiting.run).output == 27

"""Promises, which are refused in place of their values."""

from __future__ import annotations

import asyncio
import multiprocessing.pool
import sys
import types
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.values import codec
from nbtasks.values.pickles import promises


def future_of_pool() -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(int)


def of_ray(name: str) -> Any:
    """An instance of a class that is named as one of ray's."""
    return type(name, (), {"__module__": "ray._raylet"})()


def delayed() -> Any:
    return pytest.importorskip("dask").delayed(int)()


def asyncio_future() -> Any:
    async def make() -> Any:
        return asyncio.get_running_loop().create_future()

    with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run would leave its loop open
        return runner.run(make())


MAKERS: dict[str, tuple[Callable[[], Any], str]] = {
    "future": (Future[int], "a future and not its value; return future.result()"),
    "future of a pool": (future_of_pool, "return future.result()"),
    "asyncio": (asyncio_future, "a future of asyncio and not its value"),
    "delayed": (delayed, "is not computed yet; return delayed.compute()"),
    "part of a delayed": (lambda: delayed().real, "return delayed.compute()"),
    "ray": (lambda: of_ray("ObjectRef"), "return ray.get(reference)"),
    "ray generator": (lambda: of_ray("ObjectRefGenerator"), "for reference in references]"),
}


@pytest.mark.parametrize(("make", "words"), MAKERS.values(), ids=list(MAKERS))
def test_a_promise_is_refused_with_the_way_to_its_value(make: Any, words: str) -> None:
    promise = make()

    with pytest.raises(nb.ValueNotKeptError) as caught:
        codec.encode(promise)

    said = str(caught.value)
    assert f"{type(promise).__qualname__} cannot be recorded: it is a" in said or "refer" in said
    assert words in said
    assert "register_codec" not in said  # which would not help
    assert "\n" not in said


@dataclass
class Fits:
    models: list[Any] = field(default_factory=list)


def test_a_promise_within_a_value_is_refused_with_its_place() -> None:
    future: Future[int] = Future()
    for value, place in (
        ([1, future], "[1]"),
        ({"fit": (future,)}, "['fit'][0]"),
        (Fits([future]), ".models[0]"),
        ({future}, "{...}"),
    ):
        with pytest.raises(nb.ValueNotKeptError, match=r"return future\.result") as caught:
            codec.encode(value)
        assert f"Future at {place} of the output" in str(caught.value)


def test_a_coroutine_in_a_list_is_refused_by_what_it_is() -> None:
    async def load() -> None: ...

    forgotten = load()
    with pytest.raises(nb.ValueNotKeptError, match=r"coroutine that was not awaited; await it"):
        codec.encode([forgotten])
    forgotten.close()


def test_a_result_of_a_multiprocessing_pool_is_refused() -> None:
    with multiprocessing.pool.ThreadPool(1) as pool:
        coming: list[Any] = [pool.apply_async(int), pool.map_async(abs, [1])]
        for one in coming:
            one.wait()
    for one in coming:
        with pytest.raises(nb.ValueNotKeptError, match=r"return result\.get\(\)"):
            codec.encode(one)


def test_what_only_looks_like_a_promise_is_kept() -> None:
    @dataclass
    class Mine:
        result: int

    Mine.__name__ = "Future"
    future = types.ModuleType("distributed_things")
    assert promises.explain(Mine) == ""
    assert promises.explain(type(future)) == ""
    assert promises.find([Mine(1), {"a": 1}, sys]) is None


def test_a_value_that_contains_itself_is_searched_once() -> None:
    knot: list[Any] = []
    knot += [knot, Future()]
    found = promises.find(knot)
    assert found is not None
    assert found[0] == "[1]"

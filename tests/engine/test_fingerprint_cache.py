"""Cached fingerprints keep nothing alive that a body has let go: who makes many runs makes much."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint import function
from tests.thorough import only_thorough

pytestmark = pytest.mark.slow  # each collects all garbage of the process


class Frame:
    """Stands for much data."""

    def __call__(self) -> int:
        return 1

    def size(self) -> int:
        return 1


def _function(frame: Frame) -> Callable[[], int]:
    return lambda: 0 + frame.size()


def _function_that_calls_another(frame: Frame) -> Callable[[], int]:
    def size() -> int:
        return frame.size()

    return lambda: 0 + size()


def _functions_in_a_row(frame: Frame) -> Callable[[], int]:
    def size() -> int:
        return frame.size()

    def outer() -> int:
        return size()

    return lambda: 0 + outer()


def _kept_method(frame: Frame) -> Callable[[], int]:
    size = frame.size
    return lambda: 0 + size()


def _default(frame: Frame) -> Callable[[], int]:
    def measure(size: Callable[[], int] = frame.size) -> int:
        return size()

    return measure


def _attribute(frame: Frame) -> Callable[[], int]:
    def measure() -> int:
        return 0 + own.frame.size()

    own: Any = measure
    own.frame = frame
    return measure


def _partial(frame: Frame) -> Callable[[], int]:
    def measure(_: int) -> int:
        return frame.size()

    return functools.partial(measure, 1)


def _class(frame: Frame) -> Callable[[], int]:
    class Local:
        kept = frame

        def run(self) -> int:
            return self.kept.size()

    return lambda: Local().run()


def _task_function(frame: Frame) -> Callable[[], int]:
    @nb.task
    def measure() -> int:
        return frame.size()

    return measure


MAKERS = {
    "a function": _function,
    "a function that calls another": _function_that_calls_another,
    "functions in a row": _functions_in_a_row,
    "a method that is kept": _kept_method,
    "a default": _default,
    "an attribute": _attribute,
    "a partial": _partial,
    "a partial of a method": lambda frame: functools.partial(Frame.size, frame),
    "a class": _class,
    "a task function": _task_function,
    "a bound method": lambda frame: frame.size,
    "an object": lambda frame: frame,
}


def alive(frames: list[weakref.ref[Frame]]) -> int:
    gc.collect()
    return sum(frame() is not None for frame in frames)


@pytest.mark.parametrize("maker", MAKERS)
@only_thorough
def test_data_of_a_function_made_in_a_body_is_gone_with_the_execution(maker):
    made: list[weakref.ref[Frame]] = []

    @nb.job("sizes")
    def sizes(payload: int, io: nb.SyncIO) -> None:
        frame = Frame()
        made.append(weakref.ref(frame))
        io.run_task("one", MAKERS[maker](frame))
        io.run_task("other", MAKERS[maker](frame))

    for number in range(3):
        sizes.run(number, tree=False)
    assert (len(made), alive(made)) == (3, 0)


@pytest.mark.parametrize("maker", MAKERS)
@only_thorough
def test_data_of_a_function_of_the_notebook_is_gone_once_it_has_another(maker):
    made: list[weakref.ref[Frame]] = []
    notebook: dict[str, Any] = {}
    exec("def measure(): return current()", notebook)  # a cell

    @nb.job("sizes of the notebook")
    def sizes(payload: int, io: nb.SyncIO) -> None:
        io.run_task("one", notebook["measure"])

    for number in range(3):
        notebook["current"] = MAKERS[maker](frame := Frame())
        made.append(weakref.ref(frame))
        sizes.run(number, tree=False)
    del frame
    assert (len(made), alive(made)) == (3, 1)


def test_async_bodies_and_maps_keep_none_either():
    made: list[weakref.ref[Frame]] = []

    @nb.job("sizes of many")
    async def sizes(payload: int, io: nb.AsyncIO) -> None:
        frame = Frame()
        made.append(weakref.ref(frame))
        measure = _function_that_calls_another(frame)
        await io.map("all", lambda number: number * measure(), [1, 2, 3])

    for number in range(3):
        sizes.run(number, tree=False)
    assert (len(made), alive(made)) == (3, 0)


@only_thorough
def test_functions_without_data_stay_cached_over_executions(monkeypatch):
    @nb.job("plain")
    def plain(payload: int, io: nb.SyncIO) -> None:
        io.run_task("one", alive, [])
        io.run_task("other", lambda: payload)

    plain.run(1, tree=False)

    def refuse(fn: object) -> None:
        pytest.fail(f"{fn} is computed again")

    monkeypatch.setattr(function, "_compute", refuse)
    for number in (1, 2):
        plain.run(number, tree=False)
